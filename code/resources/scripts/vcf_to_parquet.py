"""The Glue job vcf-to-parquet: VCF files to a table of variants in Parquet, by Hail and Spark.

--layout by_sample   one row per sample and non-reference allele, a folder a sample (onekg_chr22_by_sample)
--layout by_variant  one row per alternate allele and sample, with every INFO and FORMAT field (sample)
"""

import argparse
import sys
from collections.abc import Sequence
from functools import reduce
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))  # where genomicslake stands outside Glue

from genomicslake import cohort, header, job, names, references, removal
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
    asked = options.parse_known_args(arguments)[0]
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
    say("starting Hail and Spark")
    from genomicslake import scan, session, staged, variants, writing  # they take seconds: after what can fail before

    spark = session.start()
    context = spark.sparkContext
    lengths = references.lengths()
    genome = references.choose(headers, lengths, options.reference_genome)
    by_variant = options.layout == "by_variant"
    without = "reference only" + (", whose blocks are kept" if keeps_blocks else ", so without a row")
    current = table.current() if options.mode == "append" else None
    loaded_from = cohort.loaded_from(current["sources"]) if current else {}
    readable: list[variants.Readable] = []
    for number, (count, head) in enumerate(zip(counts, headers, strict=True)):
        if count.source.container == "gzip":
            say(f"warning: {count.source.path} is plain gzip, which can't be split: one task reads it; bgzip it")
        say(f"reading {count.source.path} ({len(head.samples):,} samples, {genome})")
        contigs = references.contigs_of(head, lengths[genome])
        check = {name: lengths[genome][contig] for name, contig in contigs.items()}
        found = scan.scan(context, count.source, head, check, by_variant, keeps_blocks)
        say(f"found {found.records:,} records, {found.reference_only:,} of them {without}")
        count.samples, count.contigs = head.samples, tuple(sorted({contigs[name] for name in found.contigs}))
        count.records, count.loaded, count.rejected = found.records, found.loaded, found.rejected_records
        count.rejected_fields, count.rows, count.genotypes = found.rejected_fields, found.rows, found.checksum
        job.refuse(options, count, found.rejected, found.gap)
        if len(counts) > 1 or loaded_from:
            scan.refuse_overlap(head, set(count.contigs), loaded_from)
        folder = table.folder(f"source-{number}")
        vcf = staged.readable(context, count.source, head, found, (check, by_variant), contigs, folder)
        if count.loaded:
            readable.append(vcf)
    if readable:
        say(f"writing {table.name} from {sum(count.records for count in counts):,} records")
        readable = variants.together(readable)
        if by_variant:
            info, formats = names.of_headers([vcf.header for vcf in readable])
            made = [variants.by_variant(vcf, genome, info, formats, keeps_blocks=keeps_blocks) for vcf in readable]
        else:
            made = [variants.by_sample(vcf, genome) for vcf in readable]
        (writing.by_variant if by_variant else writing.by_sample)(reduce(writing.union, made), table.data)
    return Result(True, genome, job.COORDINATE_BASE, None, spark.version, counts)


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
