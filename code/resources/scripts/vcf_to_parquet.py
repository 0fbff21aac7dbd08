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

from genomicslake import clustered, cohort, header, job, names, references, removal
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
        help="what reads the genotypes: direct, the project's own, in layout by_sample, where it is many times faster; "
        "hail in by_variant (default: %(default)s)",
    )
    asked = options.parse_known_args(arguments)[0]
    if asked.reader == "auto":
        asked.reader = "direct" if asked.layout == "by_sample" else "hail"
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
    if options.reader == "direct" and options.layout != "by_sample":
        raise LakeError(
            "the direct reader makes the layout by_sample only",
            todo="Pass --reader hail, or leave --reader out.",
        )
    headers = [header.read(count.source) for count in counts]
    for head in headers:
        _refuse_without_samples(head, options)
    lengths = references.lengths()
    genome = references.choose(headers, lengths, options.reference_genome)
    is_direct = options.reader == "direct"
    say("starting Spark" if is_direct else "starting Hail and Spark")
    from genomicslake import scan, session, shuffle, sifting  # they take seconds: after what can fail before

    spark = session.spark() if is_direct else session.start()
    context = spark.sparkContext
    inputs = []
    for count, head in zip(counts, headers, strict=True):
        if count.source.container == "gzip":
            say(f"warning: {count.source.path} is plain gzip, which no task can begin to read in its middle; bgzip it")
        say(f"reading {count.source.path} ({len(head.samples):,} samples, {genome})")
        contigs = references.contigs_of(head, lengths[genome])
        known = {name: lengths[genome][contig] for name, contig in contigs.items()}
        inputs.append(scan.Input(count.source, head, contigs, known))
    rows = None
    if is_direct:
        samples = [sample for head in headers for sample in head.samples]
        rows = shuffle.Shuffle(context, shuffle.Buckets.of(context, [one.source for one in inputs], samples))
    scans = scan.scan(context, inputs, options.layout == "by_variant", keeps_blocks, rows)
    _take(options, counts, inputs, scans, table.current() if options.mode == "append" else None)
    say(f"writing {table.name}: {sum(count.rows for count in counts):,} rows")
    if rows:
        for number, (one, found) in enumerate(zip(inputs, scans, strict=True)):
            if found.rejected_records or found.rejected_fields:
                sifting.sift(context, one, found, False, table.folder(f"source-{number}"), sifting.count)
        rows.write(table.data)
    else:
        _write_by_hail(options, table, genome, inputs, scans)
    return Result(True, genome, job.COORDINATE_BASE, None, spark.version, counts)


def _take(
    options: argparse.Namespace,
    counts: list[Counts],
    inputs: Sequence[Any],
    scans: Sequence[Any],
    current: dict[str, Any] | None,
) -> None:
    """Count what the pass over the lines found. Raises LakeError where the options don't allow it, and where files, or
    a file and the table as it stands, have the same samples on the same contigs.
    """
    from genomicslake import scan

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


def _write_by_hail(
    options: argparse.Namespace, table: Table, genome: str, inputs: Sequence[Any], scans: Sequence[Any]
) -> None:
    """Let Hail read the files, or copies without what can't be loaded, and write the rows."""
    from genomicslake import session, staged, variants, writing

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
