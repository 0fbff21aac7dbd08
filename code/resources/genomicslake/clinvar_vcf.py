"""ClinVar's VCF (clinvar.vcf.gz) as rows of its variant_summary.txt, so that both become the same table `clinvar`.

What the VCF has under another name goes to the column of the TSV; INFO fields without one there become columns of
their own, and columns of the TSV that the VCF knows nothing of are null: HGNC_ID, ClinSigSimple, LastEvaluated,
RCVaccession and others.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from genomicslake import header, names, references
from genomicslake.alleles import BASES
from genomicslake.errors import LakeError
from genomicslake.header import COLUMNS, Header
from genomicslake.reasons import Problem, Reason, RecordError, text
from genomicslake.records import HEADER_LINE
from genomicslake.sources import Source

MISSING = b"na"  # as the TSV writes it; its `-` among the alleles may be an insertion or deletion

_BASES = re.compile(BASES.pattern.encode(), re.IGNORECASE)
_SYMBOLIC = re.compile(rb"<[^<>\s,]+>")

# The bits of INFO's ORIGIN, as the header of ClinVar's VCF explains them.
ORIGINS = {
    1: b"germline",
    2: b"somatic",
    4: b"inherited",
    8: b"paternal",
    16: b"maternal",
    32: b"de novo",
    64: b"biparental",
    128: b"uniparental",
    256: b"not-tested",
    512: b"tested-inconclusive",
    1 << 30: b"other",
}


def _words(value: bytes) -> bytes:
    """VCF allows no spaces in INFO: ClinVar writes underscores."""
    return value.replace(b"_", b" ")


def _significance(value: bytes) -> bytes:
    """Several classifications stand behind `|` here, `; ` there."""
    return _words(value.replace(b"|", b"; "))


def _origin(value: bytes) -> bytes:
    """Names for the sum of bits."""
    if not value.isdigit():
        return value
    bits = int(value)
    known = [name for bit, name in ORIGINS.items() if bits & bit]
    return b";".join(known) or b"unknown"


def _first(value: bytes) -> bytes:
    return value.split(b",")[0].split(b"|")[0]


def _symbols(value: bytes) -> bytes:
    """The symbols in SYMBOL:ID|SYMBOL:ID."""
    return b";".join(gene.rpartition(b":")[0] for gene in value.split(b"|"))


def _gene(value: bytes) -> bytes:
    """The ID of the only gene; the TSV has none where there are several."""
    return MISSING if b"|" in value else value.rpartition(b":")[2]


# Columns of the TSV, the INFO fields that they come from, and how.
FROM_INFO: Mapping[str, tuple[str, Callable[[bytes], bytes]]] = {
    "AlleleID": ("ALLELEID", bytes),
    "Type": ("CLNVC", _words),
    "GeneID": ("GENEINFO", _gene),
    "GeneSymbol": ("GENEINFO", _symbols),
    "ClinicalSignificance": ("CLNSIG", _significance),
    "RS# (dbSNP)": ("RS", _first),
    "nsv/esv (dbVar)": ("DBVARID", bytes),
    "PhenotypeIDS": ("CLNDISDB", bytes),
    "PhenotypeList": ("CLNDN", _words),
    "Origin": ("ORIGIN", _origin),
    "ReviewStatus": ("CLNREVSTAT", _words),
    "OtherIDs": ("CLNVI", bytes),
}
FROM_COLUMNS = (
    *("VariationID", "Assembly", "Chromosome", "Start", "Stop", "ReferenceAllele", "AlternateAllele"),
    *("PositionVCF", "ReferenceAlleleVCF", "AlternateAlleleVCF", "QUAL", "FILTER"),
)


@dataclass(frozen=True)
class Records:
    """How the records of one file become rows: `ncbi` names the columns, `info` those that INFO fields of their own
    have; the first `lines` lines are the header.
    """

    ncbi: tuple[str, ...]
    info: Mapping[bytes, str]
    assembly: bytes
    release_date: str | None
    lines: int

    def row(self, line: bytes) -> tuple[bytes, list[Problem]]:
        """The row of a record, tab-separated, and what of its INFO is left out. Raises RecordError."""
        if line.startswith(b"#"):
            raise RecordError(HEADER_LINE.reason, HEADER_LINE.detail)
        columns = line.split(b"\t")
        if len(columns) < len(COLUMNS):
            raise RecordError(Reason.COLUMNS, f"{len(columns)} columns, a VCF has {len(COLUMNS)}")
        contig, position, name, reference, alternate, quality, filters, info = columns[: len(COLUMNS)]
        if not (position.isdigit() and len(position) <= 12 and int(position)):
            raise RecordError(Reason.POSITION, f"POS {text(position)} is not a whole number from 1")
        if not _BASES.fullmatch(reference):
            raise RecordError(Reason.REFERENCE, f"REF {text(reference)} is not bases")
        if not (alternate == b"." or _BASES.fullmatch(alternate) or _SYMBOLIC.fullmatch(alternate)):
            raise RecordError(Reason.ALTERNATE, f"ALT {text(alternate)} is not one allele, as ClinVar's records have")
        values, problems = self._info(info)
        stop = b"%d" % (int(position) + len(reference) - 1)
        reference = reference.upper()  # in lower case, the bases N and A would be the TSV's word for missing
        allele = MISSING if alternate == b"." else alternate.upper() if _BASES.fullmatch(alternate) else alternate
        own = (name, self.assembly, references.chromosome(contig.decode()).encode(), position, stop, reference, allele)
        row = {
            column: MISSING if value == b"." else value
            for column, value in zip(FROM_COLUMNS, (*own, position, reference, allele, quality, filters), strict=True)
        }
        for column, (key, convert) in FROM_INFO.items():
            value = values.get(key.encode(), b".")
            row[column] = MISSING if value in (b".", b"") else convert(value)
        for own_key, column in self.info.items():
            row[column] = values.get(own_key, MISSING) or b"true"  # a flag
        return b"\t".join(row[column] for column in self.ncbi), problems

    def _info(self, info: bytes) -> tuple[dict[bytes, bytes], list[Problem]]:
        values: dict[bytes, bytes] = {}
        problems: list[Problem] = []
        for entry in info.split(b";") if info != b"." else ():
            key, _, value = entry.partition(b"=")
            if not key and not value:
                continue
            shown = text(key)
            if key in values:
                problems.append(Problem(Reason.INFO, f"INFO has {shown} twice", f"INFO/{key.decode()}"))
            elif key not in self.info and key not in _TAKEN:
                what = f"INFO's {shown} is not declared in the header, so the table has no column for it"
                problems.append(Problem(Reason.INFO, what, f"INFO/{key.decode()}"))
            else:
                values[key] = value
        return values, problems


_TAKEN = {key.encode() for key, _ in FROM_INFO.values()}


def is_clinvar(source: Source) -> bool:
    """Whether a VCF says that it is ClinVar's."""
    return "##source=ClinVar" in header.text(source)


def read(source: Source) -> Records:
    """What a file's header tells. Raises LakeError where it does not tell the assembly, or is not ClinVar's."""
    found = header.text(source)
    head = header.parse(source.path, found)
    if "CLNSIG" not in head.info:
        raise LakeError(
            "the header declares no CLNSIG, so this is not ClinVar's VCF",
            where=f"{source.path}, line 1 to {head.lines}",
            todo="Pass NCBI's variant_summary.txt or clinvar.vcf; VCFs with genotypes are for vcf_to_parquet.",
        )
    return Records(*_columns(head), _assembly(head), _date(found), head.lines)


def _columns(head: Header) -> tuple[tuple[str, ...], dict[bytes, str]]:
    """The columns' names, and those of INFO fields that the TSV has no column for."""
    further = {name.encode(): name for name in head.info if name.encode() not in _TAKEN}
    taken = {names.snake(name) for name in (*FROM_COLUMNS, *FROM_INFO)}
    for key, name in further.items():
        while names.snake(further[key]) in taken:
            further[key] = f"INFO_{name}"
        taken.add(names.snake(further[key]))
    return (*FROM_COLUMNS, *FROM_INFO, *further.values()), further


def _assembly(head: Header) -> bytes:
    genome = references.guessed(head.reference)
    if not genome:
        raise LakeError(
            "the header's ##reference does not tell the assembly",
            where=head.path,
            todo="NCBI's files have ##reference=GRCh37 or GRCh38: fetch the file again.",
        )
    return genome.encode()


def _date(lines: list[str]) -> str | None:
    """The release, which is the file's date."""
    dates = [line.partition("=")[2].strip() for line in lines if line.startswith("##fileDate=")]
    return dates[0] if dates and re.fullmatch(r"20\d\d-[01]\d-[0-3]\d", dates[0]) else None
