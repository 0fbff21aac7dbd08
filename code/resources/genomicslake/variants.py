"""From VCF records to the rows of the tables `onekg_chr22_by_sample` and `sample`, by Hail and Spark."""

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import hail as hl
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from genomicslake import references
from genomicslake.alleles import BASES, UNSPECIFIED
from genomicslake.header import COLUMNS, ENDS, TEXT_OF_CALL, Field, Header

PER_ALLELE = ("A", "R", "G")

Expression = Any  # Hail's expressions have no types that mypy could use


@dataclass(frozen=True)
class Readable:
    """A VCF as Hail can read it: the paths of its text, its header in Hail's terms, and the reference's names of its
    contigs.
    """

    paths: list[str]
    header: Header
    header_path: str
    contigs: Mapping[str, str]
    force: bool = False
    force_bgz: bool = False


def together(vcfs: Iterable[Readable]) -> list[Readable]:
    """Those that Hail can read at once joined: a cohort's files, one a chromosome, have the same samples and fields."""
    joined: dict[Hashable, Readable] = {}
    for vcf in vcfs:
        key = (header_lines(vcf.header), tuple(sorted(vcf.contigs.items())), vcf.force, vcf.force_bgz)
        before = joined.get(key)
        joined[key] = replace(before, paths=before.paths + vcf.paths) if before else vcf
    return list(joined.values())


def header_lines(header: Header) -> str:
    """The header as Hail is given it: only fields, as `header` declares them, and samples."""
    flag = {"Flag": "0"}
    lines = ["##fileformat=VCFv4.2"]
    for kind, fields in (("INFO", header.info), ("FORMAT", header.format)):
        for declared in fields.values():
            number, type_ = flag.get(declared.type, declared.number), declared.type
            if kind == "FORMAT" and _is_split_here(declared):
                number, type_ = "1", "String"
            lines.append(f'##{kind}=<ID={declared.id},Number={number},Type={type_},Description="">')
    columns = [*COLUMNS, "FORMAT", *header.samples] if header.samples else COLUMNS
    lines.append("\t".join(columns))
    return "\n".join(lines) + "\n"


def matrix(vcf: Readable, genome: str) -> Expression:
    """Hail's matrix of a VCF: variants by samples."""
    return hl.import_vcf(
        vcf.paths,
        force=vcf.force,
        force_bgz=vcf.force_bgz,
        header_file=vcf.header_path,
        reference_genome=genome,
        contig_recoding=dict(vcf.contigs),
        array_elements_required=False,
        call_fields=[],
    )


def by_sample(vcf: Readable, genome: str) -> DataFrame:
    """One row per sample and non-reference allele: the table `onekg_chr22_by_sample`."""
    mt = matrix(vcf, genome)
    table = mt.select_entries("GT").localize_entries("calls", "samples")
    numbered = hl.enumerate(table.calls).filter(lambda call: call[1].GT.is_non_ref())
    rows = numbered.flatmap(
        lambda call: (
            _alternates(table)
            .filter(lambda i: _is_called(call[1].GT, i))
            .map(lambda i: hl.struct(alternate=i - 1, sampleid=table.samples[call[0]].s, **_genotype(call[1].GT, i)))
        )
    )
    records = table.select(
        chromosome=table.locus.contig,
        alternates=_alternates(table).map(lambda i: hl.struct(**_allele(table, i))),
        rows=rows,
    )
    order = [*LOCUS_AND_ALLELES, "genotype0", "genotype1", "sampleid"]
    return _exploded(records, lambda frame: frame.select(*[F.col(name) for name in order]))


def by_variant(
    vcf: Readable, genome: str, info: Mapping[str, str], formats: Mapping[str, str], *, keeps_blocks: bool = False
) -> DataFrame:
    """One row per alternate allele and sample, with every INFO and FORMAT field: the table `sample`.

    `info` and `formats` have the columns' names of the fields, of this file and of others for the same table. A gVCF's
    blocks of reference have rows only if they are kept. Of a file without samples, the rows have no sample and no call.
    """
    mt = matrix(vcf, genome)
    table = mt.localize_entries("calls", "samples")
    calls, samples = table.calls, table.samples.s
    if not vcf.header.samples:
        calls, samples = hl.array([hl.missing(calls.dtype.element_type)]), hl.array([hl.missing(hl.tstr)])
    info = {name: info[name] for name in vcf.header.info if name != ENDS}
    formats = {name: formats[name] for name in vcf.header.format if name != TEXT_OF_CALL}
    per_allele = {name: f for name, f in vcf.header.info.items() if name in info and f.number in PER_ALLELE}
    per_site = {column: table.info[name] for name, column in info.items() if name not in per_allele}

    def alternate(i: Expression) -> Expression:
        values = {
            info[name]: _of_allele(table.info[name], f, i, hl.len(table.alleles)) for name, f in per_allele.items()
        }
        return hl.struct(**_allele(table, i), **values)

    def row(call: Expression, i: Expression) -> Expression:
        return hl.struct(
            alternate=i - 1,
            sampleid=samples[call[0]],
            **_genotype(call[1].GT, i),
            **_call(call[1], vcf.header.format, formats, i, hl.len(table.alleles)),
        )

    is_kept = table.alleles[1:].all(_is_unspecified) & hl.literal(keeps_blocks)
    rows = hl.enumerate(calls).flatmap(
        lambda call: (
            _alternates(table)
            .filter(lambda i: ~_is_unspecified(table.alleles[i]) | is_kept | _names(call[1].GT, i))
            .map(lambda i: row(call, i))
        )
    )
    records = table.select(
        chromosome=table.locus.contig,
        rsid=table.rsid,
        qual=table.qual,
        filters=_filters(table.filters),
        alternates=_alternates(table).map(alternate),
        rows=rows,
        **per_site,
    )
    order = [
        *LOCUS_AND_ALLELES,
        *("genotype0", "genotype1", "sampleid", "rsid", "qual", "filters", "gq", "dp", "ad", "phased"),
        *info.values(),
        *formats.values(),
    ]
    return _exploded(records, lambda frame: frame.select(*[F.col(name) for name in order]))


LOCUS_AND_ALLELES = ("chromosome", "startposition", "endposition", "referenceallele", "alternateallele")


def _exploded(records: Expression, columns: Callable[[DataFrame], DataFrame]) -> DataFrame:
    """Hail's records as Spark rows: one for each element of their `rows`, beside what the record and allele have."""
    frame = records.key_by().drop("locus", "alleles").to_spark(flatten=False)
    per_record = [F.col(name) for name in frame.columns if name not in ("alternates", "rows", "chromosome")]
    frame = frame.select(_chromosome(F.col("chromosome")), *per_record, "alternates", F.explode("rows").alias("row"))
    frame = frame.withColumn("allele", F.col("alternates")[F.col("row.alternate")])
    return columns(frame.select("*", "allele.*", "row.*"))


def _chromosome(contig: Column) -> Column:
    """references.chromosome, for a column."""
    is_mitochondrion = contig.isin(*references.MITOCHONDRION)
    return F.when(is_mitochondrion, "MT").otherwise(F.regexp_replace(contig, "^chr", "")).alias("chromosome")


def _alternates(table: Expression) -> Expression:
    """The indices of a record's alternates, from 1."""
    return hl.range(1, hl.len(table.alleles))


def _allele(table: Expression, i: Expression) -> dict[str, Expression]:
    """Where alternate `i` stands and its two alleles: bases in upper case and minimal representation, others as
    they are; the end of a symbolic allele is INFO's END, or what the project's own reader made of others.
    """
    reference, alternate = table.alleles[0].upper(), table.alleles[i]
    is_bases = alternate.matches(f"(?i){BASES.pattern}", full_match=True)
    least = hl.min_rep(table.locus, hl.if_else(is_bases, [reference, alternate.upper()], ["A", "C"]))
    start = hl.int64(hl.if_else(is_bases, least.locus.position, table.locus.position)) - 1
    reference = hl.if_else(is_bases, least.alleles[0], reference)
    end = start + hl.len(reference)
    if "END" in table.info:
        is_text = table.info.END.dtype == hl.tstr
        declared = hl.parse_int64(table.info.END) if is_text else hl.int64(table.info.END)
        is_symbolic = alternate.startswith("<") & hl.is_defined(declared) & (declared > start)
        end = hl.if_else(is_symbolic, declared, end)
    if ENDS in table.info:
        end = hl.or_else(hl.int64(table.info[ENDS][i - 1]), end)
    return {
        "startposition": start,
        "endposition": end,
        "referenceallele": reference,
        "alternateallele": hl.if_else(is_bases, least.alleles[1], alternate),
    }


def _is_unspecified(allele: Expression) -> Expression:
    return hl.literal(set(UNSPECIFIED)).contains(allele)


def _names(call: Expression, i: Expression) -> Expression:
    """Whether a call, which may be missing, names allele `i`."""
    return hl.coalesce(_is_called(call, i), False)


def _is_called(call: Expression, i: Expression) -> Expression:
    return hl.if_else(call.ploidy == 2, (call[0] == i) | (call[1] == i), call[0] == i)


def _genotype(call: Expression, i: Expression) -> dict[str, Expression]:
    """A call's alleles as 1 where they are allele `i` and 0 where not, in ascending order; the second is missing
    where the call has one allele.
    """
    first, second = hl.int32(call[0] == i), hl.or_missing(call.ploidy == 2, hl.int32(call[1] == i))
    return {
        "genotype0": hl.if_else(call.ploidy == 2, hl.min(first, second), first),
        "genotype1": hl.or_missing(call.ploidy == 2, hl.max(first, second)),
    }


def _filters(filters: Expression) -> Expression:
    """FILTER as an array in alphabetical order: PASS for Hail's empty set, missing for `.`."""
    return hl.if_else(hl.len(filters) == 0, ["PASS"], hl.sorted(hl.array(filters)))


def _call(
    entry: Expression,
    declared: Mapping[str, Field],
    columns: Mapping[str, str],
    i: Expression,
    alleles: Expression,
) -> dict[str, Expression]:
    """What the row of a sample and alternate `i` has of the sample's call."""
    call = entry.GT
    text = hl.str(call)
    phased = call.phased
    if TEXT_OF_CALL in declared:
        text = hl.or_else(entry[TEXT_OF_CALL], text)
        phased = hl.if_else(hl.is_defined(entry[TEXT_OF_CALL]), text.contains("|"), phased)
    values = {
        column: text if name == "GT" else _of_allele(_format(entry, declared[name]), declared[name], i, alleles)
        for name, column in columns.items()
    }
    return {
        "gq": _whole(entry, declared.get("GQ")),
        "dp": _whole(entry, declared.get("DP")),
        "ad": _depths(entry, declared.get("AD"), i, alleles),
        "phased": hl.or_missing(hl.is_defined(call), phased),
        **values,
    }


def _whole(entry: Expression, declared: Field | None) -> Expression:
    """A scalar number as int, rounded; missing where the file has no such field."""
    if declared is None or not declared.is_scalar:
        return hl.missing(hl.tint32)
    value = entry[declared.id]
    if declared.type == "Integer":
        return value
    number = value if declared.type == "Float" else hl.parse_float64(value)
    return hl.or_missing(hl.abs(number) <= 2**31 - 1, hl.int32(hl.floor(number + 0.5)))


def _depths(entry: Expression, declared: Field | None, i: Expression, alleles: Expression) -> Expression:
    """AD of the reference and of alternate `i`, where AD has a value for each allele."""
    if declared is None or (declared.is_scalar and declared.type != "String"):
        return hl.missing(hl.tarray(hl.tint32))
    depths = _format(entry, declared)
    if declared.type != "Integer":
        depths = (depths.split(",") if declared.is_scalar else hl.map(hl.str, depths)).map(hl.parse_int32)
    return hl.or_missing(hl.len(depths) == alleles, [depths[0], depths[i]])


def _is_split_here(declared: Field) -> bool:
    """Whether a FORMAT field's list is split by us: Hail's reader of such lists returns stale memory for a missing
    text in it, and knows neither nan nor inf.
    """
    return not declared.is_scalar and declared.type != "Integer"


def _format(entry: Expression, declared: Field) -> Expression:
    """The value of a FORMAT field, by its header's type."""
    value = entry[declared.id]
    if not _is_split_here(declared):
        return value
    texts = value.split(",").map(lambda text: hl.or_missing(text != ".", text))
    return texts.map(hl.parse_float64) if declared.type == "Float" else texts


def _of_allele(value: Expression, declared: Field, i: Expression, alleles: Expression) -> Expression:
    """The part of a value that is about alternate `i` of a record with so many alleles, by its header's Number:
    A the alternate's own; R the reference's and its own; G those of the genotypes 0/0, 0/i, i/i (of calls of one
    allele: 0 and i), by their order in the VCF specification, section 1.6.2; anything else as it is.
    """
    if declared.number not in PER_ALLELE:
        return value
    count = hl.len(value)
    if declared.number == "A":
        return hl.or_missing(count == alleles - 1, value[i - 1])
    if declared.number == "R":
        return hl.or_missing(count == alleles, [value[0], value[i]])
    diploid = [value[0], value[i * (i + 1) // 2], value[i * (i + 3) // 2]]
    return (
        hl.case()
        .when(count == alleles * (alleles + 1) // 2, diploid)
        .when(count == alleles, [value[0], value[i]])
        .default(value)
    )
