"""The Glue job vcf-to-parquet: VCF files to a table of variants in Parquet, by Spark, and by Hail where it is to read.

--layout by_sample   one row per sample and non-reference allele, a folder a sample (onekg_chr22_by_sample)
--layout by_variant  one row per alternate allele and sample, with every INFO and FORMAT field (sample)
"""

import argparse
import sys
from collections.abc import Sequence
from functools import reduce
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[1]))  # where genomicslake stands outside Glue

from pyspark import SparkContext

from genomicslake import (
    by_variant,
    clustered,
    cohort,
    header,
    job,
    names,
    references,
    removal,
    scan,
    session,
    shuffle,
    sifting,
    writing,
)
from genomicslake.errors import LakeError
from genomicslake.job import Counts, Result, say
from genomicslake.publish import Table

ENDINGS = (".vcf", ".vcf.gz", ".vcf.bgz")


def vcf_to_parquet(arguments: Sequence[str]) -> None:
    """Convert VCF files; `arguments` as on the command line, what Glue adds is passed over."""
    options = job.parser("VCF to Parquet.")
    options.add_argument("--layout", choices=("by_sample", "by_variant"), default="by_sample")
    options.add_argument(
        "--reference_genome",
        choices=references.GENOMES,
        help="that of the positions; without it, what the header's contigs tell",
    )
    options.add_argument(
        "--gvcf_blocks",
        choices=("drop", "keep"),
        default="drop",
        help="whether a gVCF's blocks of reference have rows, in layout by_variant (default: %(default)s)",
    )
    options.add_argument(
        "--mode",
        choices=("overwrite", "append", "replace", "remove"),
        default="overwrite",
        help="the table becomes these files (default); they are added; they are added and take the place of the same "
        "samples' rows on the same contigs; --samples are taken out of all tables beside this one, too",
    )
    options.add_argument("--samples", nargs="+", default=[], help="to be taken out, by --mode remove")
    options.add_argument(
        "--clustered",
        metavar="NAME",
        help="a second table beside the one of layout by_sample: the same rows in few files, for questions by region "
        f"and by sample, kept in step; or {clustered.NONE} (default: the one that stands)",
    )
    options.add_argument(
        "--reader",
        choices=("auto", "hail", "direct"),
        default="auto",
        help="what reads the records: direct, the project's own, many times faster; hail; auto, direct but for files "
        "whose records, in layout by_variant, have fields that the header does not declare (default: %(default)s)",
    )
    asked = options.parse_known_args(arguments)[0]
    if asked.reader == "auto" and asked.layout == "by_sample":
        asked.reader = "direct"
    if asked.mode == "remove":
        removal.run(asked)
    else:
        job.run(asked, ENDINGS, convert)


def convert(options: argparse.Namespace, counts: list[Counts], table: Table) -> Result:
    """Write the rows aside, in the layout asked for."""
    keeps_blocks = options.gvcf_blocks == "keep"
    if keeps_blocks and options.layout == "by_sample":
        raise LakeError(
            "the layout by_sample has no rows of homozygous reference calls, so no gVCF's blocks",
            todo="Pass --layout by_variant, or leave --gvcf_blocks out.",
        )
    headers = [header.read(count.source) for count in counts]
    for head in headers:
        _refuse_without_samples(head, options)
    columns = _columns(headers, keeps_blocks) if options.layout == "by_variant" else []
    is_direct = options.reader != "hail" and (options.layout == "by_sample" or bool(columns))
    if options.reader == "direct" and not is_direct:
        raise _not_direct(headers)
    say("starting Spark" if is_direct else "starting Hail and Spark")
    if is_direct:
        session.begin()
    lengths = references.lengths()
    genome = references.choose(headers, lengths, options.reference_genome)
    context = (session.spark() if is_direct else session.start()).sparkContext
    inputs = []
    for count, head in zip(counts, headers, strict=True):
        if count.source.container == "gzip":
            say(f"warning: {count.source.path} is plain gzip, which no task can begin to read in its middle; bgzip it")
        say(f"reading {count.source.path} ({len(head.samples):,} samples, {genome})")
        contigs = references.contigs_of(head, lengths[genome])
        known = {name: lengths[genome][contig] for name, contig in contigs.items()}
        inputs.append(scan.Input(count.source, head, contigs, known))
    if not is_direct:
        scans = scan.scan(context, inputs, options.layout == "by_variant", keeps_blocks)
        _take(options, counts, inputs, scans, table)
        _write_by_hail(options, table, genome, inputs, scans)
    elif columns:
        _write_by_variant(options, counts, inputs, columns, table, genome)
    else:
        _write_by_sample(options, counts, inputs, table)
    return Result(True, genome, job.COORDINATE_BASE, None, context.version, counts)


def _write_by_sample(options: argparse.Namespace, counts: list[Counts], inputs: Sequence[Any], table: Table) -> None:
    """Let the tasks that check the lines hand on the rows to those that write samples' files."""
    context = SparkContext.getOrCreate()
    samples = [sample for one in inputs for sample in one.header.samples]
    rows = shuffle.Shuffle(context, shuffle.Buckets.of(context, [one.source for one in inputs], samples))
    scans = scan.scan(context, inputs, False, False, rows)
    _take(options, counts, inputs, scans, table)
    _write_rejects(inputs, scans, False, table)
    rows.write(table.data)


def _write_by_variant(
    options: argparse.Namespace,
    counts: list[Counts],
    inputs: Sequence[Any],
    columns: Sequence[by_variant.Columns],
    table: Table,
    genome: str,
) -> None:
    """Let the tasks that check the lines write the rows; where they find fields that the header does not declare, the
    types of whose columns nobody knew before, let Hail read the files.
    """
    context = SparkContext.getOrCreate()
    tables = scan.Tables(columns, by_variant.together(columns), table.folder("data"))
    scans = scan.scan(context, inputs, True, options.gvcf_blocks == "keep", None, tables)
    is_undeclared = any(found.undeclared_info or found.undeclared_format for found in scans)
    if is_undeclared and options.reader == "direct":
        raise _not_direct([one.header for one in inputs])
    _take(options, counts, inputs, scans, table)
    if is_undeclared:
        say("records have fields that the header does not declare: Hail reads them")
        table.clear()
        _write_by_hail(options, table, genome, inputs, scans)
    else:
        _write_rejects(inputs, scans, True, table)


def _write_rejects(inputs: Sequence[Any], scans: Sequence[Any], every_field: bool, table: Table) -> None:
    """Write what can't be loaded."""
    for number, (one, found) in enumerate(zip(inputs, scans, strict=True)):
        if found.rejected_records or found.rejected_fields:
            folder = table.folder(f"source-{number}")
            sifting.sift(SparkContext.getOrCreate(), one, found, every_field, folder, sifting.count)


def _not_direct(headers: Sequence[header.Header]) -> LakeError:
    return LakeError(
        "the direct reader can't take fields of this file in layout by_variant",
        where=headers[0].path,
        todo="Pass --reader hail, or leave --reader out.",
    )


def _columns(headers: Sequence[header.Header], keeps_blocks: bool) -> list[by_variant.Columns]:
    """The columns of files for the direct reader of layout by_variant; none where a file has fields that it can't take.
    Raises LakeError where headers disagree.
    """
    completed = [head.completed({}) for head in headers]
    info, formats = names.of_headers(completed)
    found = [by_variant.Columns.of(head, info, formats, keeps_blocks) for head in completed]
    return found if all(one.can_be_read() for one in found) else []


def _take(
    options: argparse.Namespace, counts: list[Counts], inputs: Sequence[Any], scans: Sequence[Any], table: Table
) -> None:
    """Count what the pass over the lines found. Raises LakeError where the options don't allow it, and where files, or
    a file and the table as it stands, have the same samples on the same contigs.
    """
    current = table.current() if options.mode == "append" else None
    loaded_from = cohort.loaded_from(current["sources"]) if current else {}
    blocks = ", whose blocks are kept" if options.gvcf_blocks == "keep" else ", so without a row"
    for count, one, found in zip(counts, inputs, scans, strict=True):
        say(f"found {found.records:,} records, {found.reference_only:,} of them reference only{blocks}")
        count.samples = one.header.samples
        count.contigs = tuple(sorted({one.contigs[name] for name in found.contigs}))
        count.records, count.loaded, count.rejected = found.records, found.loaded, found.rejected_records
        count.rejected_fields, count.rows, count.genotypes = found.rejected_fields, found.rows, found.checksum
        job.refuse(options, count, found.rejected, found.gap)
        if len(counts) > 1 or loaded_from:
            scan.refuse_overlap(one.header, set(count.contigs), loaded_from)
    say(f"writing {table.name}: {sum(count.rows for count in counts):,} rows")


def _write_by_hail(
    options: argparse.Namespace, table: Table, genome: str, inputs: Sequence[Any], scans: Sequence[Any]
) -> None:
    """Let Hail read the files, or copies without what can't be loaded, and write the rows."""
    from genomicslake import staged, variants  # they import Hail, which takes two seconds

    context = session.start().sparkContext
    by_variant, readable = options.layout == "by_variant", []
    for number, (one, found) in enumerate(zip(inputs, scans, strict=True)):
        folder = table.folder(f"source-{number}")
        vcf = staged.readable(context, one, found, by_variant, folder)
        if found.loaded:
            readable.append(vcf)
    if not readable:
        return
    readable = variants.together(readable)
    if by_variant:
        keeps_blocks = options.gvcf_blocks == "keep"
        info, formats = names.of_headers([vcf.header for vcf in readable])
        made = [variants.by_variant(vcf, genome, info, formats, keeps_blocks=keeps_blocks) for vcf in readable]
    else:
        made = [variants.by_sample(vcf, genome) for vcf in readable]
    (writing.by_variant if by_variant else writing.by_sample)(reduce(writing.union, made), table.data)


def _refuse_without_samples(head: header.Header, options: argparse.Namespace) -> None:
    """Raise LakeError where there is nothing to do with a file that has sites only."""
    if head.samples:
        return
    if options.layout == "by_sample":
        raise LakeError(
            "the file has no samples, and the layout by_sample has the rows of samples only",
            where=head.path,
            todo="Pass --layout by_variant: its rows then are the sites, without sample and call.",
        )
    if options.mode != "overwrite":
        raise LakeError(
            f"the file has no samples, whose rows --mode {options.mode} could tell from others",
            where=head.path,
            todo="Load its sites into a table of their own.",
        )


if __name__ == "__main__":
    job.main(vcf_to_parquet)
