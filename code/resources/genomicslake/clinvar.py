"""From ClinVar's variant_summary.txt, or its VCF, to the rows of the table `clinvar`.

Columns are found by their names in the file's first line, whatever their order and number. The table's
`start`, `stop`, `referenceallele` and `alternateallele` are those of the VCF columns where the file has them,
in minimal representation, so that they join the variants' tables; NCBI's own stand beside them as `ncbi_…`.
"""

import io
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as csv
import pyarrow.parquet as pq

from genomicslake import alleles, clinvar_vcf, lines, names
from genomicslake.clinvar_vcf import Records
from genomicslake.errors import LakeError
from genomicslake.lines import Part
from genomicslake.reasons import Problem, Reason, RecordError
from genomicslake.records import is_utf8
from genomicslake.rejects import SHOWN, Rejected, Writer
from genomicslake.sources import Source, filesystem

# The 31 columns of 2020 by NCBI's names, and the guide's. What NCBI adds comes behind them, in snake case.
GUIDE = {
    "AlleleID": "alleleid",
    "Type": "type",
    "Name": "name",
    "GeneID": "geneid",
    "GeneSymbol": "genesymbol",
    "HGNC_ID": "hgnc_id",
    "ClinicalSignificance": "clinicalsignificance",
    "ClinSigSimple": "clinsigsimple",
    "LastEvaluated": "lastevaluated",
    "RS# (dbSNP)": "rsid",
    "nsv/esv (dbVar)": "dbvarid",
    "RCVaccession": "rcvaccession",
    "PhenotypeIDS": "phenotypeids",
    "PhenotypeList": "phenotypelist",
    "Origin": "origin",
    "OriginSimple": "originsimple",
    "Assembly": "assembly",
    "ChromosomeAccession": "chromosomeaccession",
    "Chromosome": "chromosome",
    "Start": "start",
    "Stop": "stop",
    "ReferenceAllele": "referenceallele",
    "AlternateAllele": "alternateallele",
    "Cytogenetic": "cytogenetic",
    "ReviewStatus": "reviewstatus",
    "NumberSubmitters": "numbersubmitters",
    "Guidelines": "guidelines",
    "TestedInGTR": "testedingtr",
    "OtherIDs": "otherids",
    "SubmitterCategories": "submittercategories",
    "VariationID": "variationid",
}
NEEDED = (
    *("Assembly", "Chromosome", "Start", "Stop", "ReferenceAllele", "AlternateAllele"),
    *("ClinicalSignificance", "PhenotypeList", "RS# (dbSNP)"),
)
VCF = ("PositionVCF", "ReferenceAlleleVCF", "AlternateAlleleVCF")
NORMALISED = ("start", "stop", "referenceallele", "alternateallele")
INTEGERS = {
    *("alleleid", "geneid", "clinsigsimple", "rsid", "numbersubmitters", "variationid"),
    *("start", "stop", "ncbi_start", "ncbi_stop", "position_vcf"),
}
MINUS_ONE_IS_MISSING = INTEGERS - {"clinsigsimple"}  # there, -1 is a statement: nothing current was submitted
ALLELES = {"referenceallele", "alternateallele", "reference_allele_vcf", "alternate_allele_vcf"}
_NUMBER = r"^-?\d{1,18}$"


@dataclass(frozen=True)
class Columns:
    """The columns of one file: NCBI's names in file order, and the table's name for each. A VCF has `vcf`, which makes
    such columns of its records.
    """

    path: str
    ncbi: tuple[str, ...]
    named: Mapping[str, str]
    vcf: Records | None = None

    @property
    def header_lines(self) -> int:
        """The number of lines before the first record."""
        return self.vcf.lines if self.vcf else 1

    @property
    def schema(self) -> Any:
        """The table's columns: the guide's 31, NCBI's own locations, then what else the file has."""
        further = [self.named[name] for name in self.ncbi if name not in GUIDE]
        ordered = [*GUIDE.values(), *(f"ncbi_{name}" for name in NORMALISED), *further]
        return pa.schema([(name, pa.int64() if name in INTEGERS else pa.string()) for name in ordered])


def read_columns(source: Source) -> Columns:
    """The columns by a file's first line. Raises LakeError where one that the drug-response query needs is missing."""
    for chunk in lines.chunks(lines.whole(source)):
        first = chunk.split(b"\n", 1)[0].decode("utf-8-sig", "replace").rstrip("\r")
        if first.startswith("##fileformat=VCF"):
            vcf = clinvar_vcf.read(source)
            return replace(parse_columns(source.path, "\t".join(vcf.ncbi)), vcf=vcf)
        return parse_columns(source.path, first)
    raise LakeError("the file is empty", where=source.path, todo="Fetch it again.")


def parse_columns(path: str, line: str) -> Columns:
    """The columns in the text of a first line."""
    ncbi = tuple(line.removeprefix("#").split("\t"))
    missing = [name for name in NEEDED if name not in ncbi]
    if missing:
        raise LakeError(
            f"columns that the drug-response query needs are missing: {', '.join(missing)}",
            where=f"{path}, line 1",
            todo="Is this NCBI's variant_summary.txt? Its first line names the columns.",
        )
    doubled = sorted({name for name in ncbi if ncbi.count(name) > 1})
    if doubled:
        raise LakeError(f"columns stand twice: {', '.join(doubled)}", where=f"{path}, line 1", todo="Fetch it again.")
    named: dict[str, str] = {}
    for name in ncbi:
        plain = GUIDE.get(name) or names.snake(name)
        while plain in named.values() or (name not in GUIDE and plain in GUIDE.values()):
            plain += "_2"
        named[name] = plain
    return Columns(path, ncbi, named)


@dataclass
class PartRows:
    """What a task made of a part: lines and records read, rows written, records, and fields of others, that could not
    be loaded (in `rejected` only the first once the part is written).
    """

    lines: int = 0
    records: int = 0
    rows: int = 0
    problems: int = 0
    fields: int = 0
    rejected: list[Rejected] = field(default_factory=list)


def write_part(part: Part, number: int, columns: Columns, folder: str, rejects_folder: str) -> PartRows:
    """Write the rows of part `number` to `folder`, what can't be loaded to `rejects_folder` (its lines count
    from the part's first).
    """
    found = PartRows()
    rejected = Writer(f"{rejects_folder}/rejects-{number:05d}.parquet", part.path)

    def reject(bad: Rejected) -> None:
        rejected.add(bad)
        if len(found.rejected) < SHOWN:
            found.rejected.append(bad)

    writer = None
    system, inside = filesystem(f"{folder}/part-{number:05d}.parquet")
    for table in tables(part, columns, found, reject):
        if len(table) or (writer is None and number == 0):  # a table without rows has its columns all the same
            writer = writer or pq.ParquetWriter(inside, columns.schema, filesystem=system, compression="zstd")
            writer.write_table(table)
    if writer:
        writer.close()
    rejected.close()
    found.problems = rejected.count - found.fields
    return found


def tables(part: Part, columns: Columns, found: PartRows, reject: Callable[[Rejected], None]) -> Iterator[Any]:
    """The rows of a part as Arrow tables of `columns.schema`; counts go to `found`, other records to `reject`."""
    for chunk in lines.chunks(part):
        text = chunk.split(b"\n")
        if text[-1] == b"":
            text.pop()
        numbers = [number for number, line in enumerate(text) if line.rstrip(b"\r")]
        if part.start == 0 and found.lines == 0:
            numbers = [number for number in numbers if number >= columns.header_lines]
        found.records += len(numbers)
        table = _table([text[number].rstrip(b"\r") for number in numbers], numbers, columns, found, reject)
        found.lines += len(text)
        found.rows += len(table)
        yield table


def _table(
    records: list[bytes], numbers: list[int], columns: Columns, found: PartRows, reject: Callable[[Rejected], None]
) -> Any:
    """Records to a table; `numbers` are their lines in the chunk, from 0."""
    problems: dict[int, list[Problem]] = {}  # for records that can't be loaded
    fields: dict[int, list[Problem]] = {}  # for others, without fields
    rows: dict[int, bytes] = {}
    if _are_plain(records, columns):
        rows = dict(enumerate(records))
    else:
        for number, record in enumerate(records):
            try:
                rows[number], fields[number] = _row(record, columns)
            except RecordError as error:
                problems[number] = [error.problem]
    whole = list(rows)
    table, bad = _typed(_split(list(rows.values()), columns), columns)
    problems |= {whole[row]: [problem] for row, problem in bad.items()}
    for number, told in sorted((fields | problems).items()):
        for problem in told:
            found.fields += bool(problem.field)
            reject(Rejected(found.lines + numbers[number] + 1, problem, records[number]))
    if bad:
        table = table.filter(pa.array([row not in bad for row in range(len(table))]))
    return table


def _are_plain(records: list[bytes], columns: Columns) -> bool:
    """Whether all records are rows as they stand: a quick look at what _row looks at one by one."""
    if columns.vcf or any(b"\r" in record or not record.isascii() for record in records):
        return False
    tabs = {record.count(b"\t") for record in records}
    return tabs <= {len(columns.ncbi) - 1}


def _row(record: bytes, columns: Columns) -> tuple[bytes, list[Problem]]:
    """The tab-separated row of a record, and what of it is left out. Raises RecordError where it can't be loaded."""
    if b"\r" in record:
        raise RecordError(Reason.COLUMNS, "a carriage return stands inside the record")
    if not record.isascii() and not is_utf8(record):
        raise RecordError(Reason.ENCODING, "the record is not UTF-8")
    if columns.vcf:
        return columns.vcf.row(record)
    found, width = record.count(b"\t") + 1, len(columns.ncbi)
    if found != width:
        raise RecordError(Reason.COLUMNS, f"{found} columns, the first line has {width}")
    return record, []


def _split(records: list[bytes], columns: Columns) -> Any:
    """Records to a table of strings, a column each, by the table's names."""
    column_names = [columns.named[name] for name in columns.ncbi]
    if not records:
        return pa.table({name: pa.array([], pa.string()) for name in column_names})
    text = b"\n".join(records) + b"\n"
    return csv.read_csv(
        io.BytesIO(text),
        read_options=csv.ReadOptions(column_names=column_names, use_threads=False, block_size=len(text) + 1),
        parse_options=csv.ParseOptions(delimiter="\t", quote_char=False, ignore_empty_lines=False),
        convert_options=csv.ConvertOptions(
            column_types=dict.fromkeys(column_names, pa.string()), strings_can_be_null=False
        ),
    )


def _typed(raw: Any, columns: Columns) -> tuple[Any, dict[int, Problem]]:
    """Strings to the table's types; rows that have no whole number where one is wanted, with the problem."""
    bad: dict[int, Problem] = {}
    typed: dict[str, Any] = {}
    for name in raw.column_names:
        values = raw[name].combine_chunks()
        values = _nulls(values, name)
        if name in INTEGERS:
            wrong = pc.fill_null(pc.invert(pc.match_substring_regex(values, _NUMBER)), False)
            for row in pc.indices_nonzero(wrong).to_pylist():
                bad.setdefault(row, Problem(Reason.INTEGER, f"{name} {values[row].as_py()!r} is not a whole number"))
            values = pc.cast(pc.if_else(wrong, None, values), pa.int64())
            if name in MINUS_ONE_IS_MISSING:
                values = pc.if_else(pc.fill_null(pc.equal(values, -1), False), None, values)
        typed[name] = values
    for name in NORMALISED:
        typed[f"ncbi_{name}"] = typed[name]
    typed |= _normalised(typed)
    schema = columns.schema
    empty = {name: pa.nulls(len(raw), schema.field(name).type) for name in schema.names if name not in typed}
    return pa.table({name: typed.get(name, empty.get(name)) for name in schema.names}, schema=schema), bad


def _nulls(values: Any, name: str) -> Any:
    """`na`, `-` and nothing as null, but for a `-` among the alleles: there the insertion or deletion is real."""
    missing = ["na", ""] if name in ALLELES else ["na", "-", ""]
    return pc.if_else(pc.is_in(values, pa.array(missing)), None, values)


def _normalised(typed: Mapping[str, Any]) -> dict[str, Any]:
    """start, stop (1-based, both inside), referenceallele and alternateallele in minimal representation."""
    start, stop = typed["start"], typed["stop"]
    reference, alternate = _real_dash(typed["referenceallele"], typed["alternateallele"])
    given = [names.snake(name) for name in VCF]
    if all(name in typed for name in given):
        position, vcf_reference, vcf_alternate = (typed[name] for name in given)
        is_given = pc.and_(pc.is_valid(position), pc.and_(_is_bases(vcf_reference), _is_bases(vcf_alternate)))
        start = pc.if_else(is_given, position, start)
        reference = pc.if_else(is_given, vcf_reference, reference)
        alternate = pc.if_else(is_given, vcf_alternate, alternate)
        end = pc.subtract(pc.add(position, pc.cast(pc.utf8_length(vcf_reference), pa.int64())), 1)
        stop = pc.if_else(is_given, end, stop)
    reference = pc.if_else(_is_bases(reference), pc.utf8_upper(reference), reference)
    alternate = pc.if_else(_is_bases(alternate), pc.utf8_upper(alternate), alternate)
    longer = pc.fill_null(
        pc.and_(pc.greater(pc.utf8_length(reference), 1), pc.greater(pc.utf8_length(alternate), 1)), False
    )
    rows = pc.indices_nonzero(pc.and_(longer, pc.is_valid(start))).to_pylist()
    if rows:  # alleles of one base are minimal as they stand
        columns = [column.to_pylist() for column in (start, stop, reference, alternate)]
        for row in rows:
            before = (columns[0][row], columns[2][row], columns[3][row])
            after = alleles.minimal(*before)
            if after != before:
                columns[0][row], columns[2][row], columns[3][row] = after
                columns[1][row] = after[0] + len(after[1]) - 1
        start, stop = (pa.array(column, pa.int64()) for column in columns[:2])
        reference, alternate = (pa.array(column, pa.string()) for column in columns[2:])
    return dict(zip(NORMALISED, (start, stop, reference, alternate), strict=True))


def _is_bases(values: Any) -> Any:
    return pc.fill_null(pc.match_substring_regex(values, f"^(?i:{alleles.BASES.pattern})$"), False)


def _real_dash(reference: Any, alternate: Any) -> tuple[Any, Any]:
    """Alleles with `-` kept only opposite bases: that is an insertion or a deletion in NCBI's older notation."""
    kept = []
    for one, other in ((reference, alternate), (alternate, reference)):
        unreal = pc.and_(pc.fill_null(pc.equal(one, "-"), False), pc.invert(_is_bases(other)))
        kept.append(pc.if_else(unreal, None, one))
    return kept[0], kept[1]


def release_date(path: str, columns: Columns | None = None) -> str | None:
    """The release in a file's name, as NCBI's archive has it (variant_summary_2026-06.txt.gz), or in a VCF's header;
    None without either.
    """
    found = re.search(r"(20\d\d-[01]\d(?:-[0-3]\d)?)", path.rsplit("/", 1)[-1])
    if found:
        return found[1]
    return columns.vcf.release_date if columns and columns.vcf else None
