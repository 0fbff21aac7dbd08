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

from genomicslake import header, job, names, references
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
    job.run(options.parse_known_args(arguments)[0], ENDINGS, convert)


def convert(options: argparse.Namespace, counts: list[Counts], table: Table) -> Result:
    """Write the rows aside, in the layout asked for."""
    headers = [header.read(count.source) for count in counts]
    say("starting Hail and Spark")
    import hail as hl  # it takes seconds: after what can fail without it

    from genomicslake import scan, session, staged, variants, writing

    spark = session.start()
    context = spark.sparkContext
    lengths = {genome: hl.get_reference(genome).lengths for genome in references.GENOMES}
    genome = references.choose(headers, lengths, options.reference_genome)
    by_variant = options.layout == "by_variant"
    loaded_from: dict[tuple[str, str], str] = {}
    readable: list[tuple[Counts, variants.Readable, dict[str, str]]] = []
    for number, (count, head) in enumerate(zip(counts, headers, strict=True)):
        if count.source.container == "gzip":
            say(f"warning: {count.source.path} is plain gzip, which can't be split: one task reads it; bgzip it")
        say(f"reading {count.source.path} ({len(head.samples):,} samples, {genome})")
        contigs = references.contigs_of(head, lengths[genome])
        check = {name: lengths[genome][contig] for name, contig in contigs.items()}
        found = scan.scan(context, count.source, head, check, by_variant)
        say(f"found {found.records:,} records, {found.reference_only:,} of them without an alternate, so without a row")
        count.samples, count.records, count.rejected = head.samples, found.records, found.problems
        job.refuse(options, count, found.rejected)
        if len(counts) > 1:
            scan.refuse_overlap(head, {contigs[name] for name in found.contigs}, loaded_from)
        folder = table.folder(f"source-{number}")
        vcf = staged.readable(context, count.source, head, found, (check, by_variant), folder)
        if count.records > count.rejected:
            readable.append((count, vcf, contigs))
    written = 0
    if readable:
        say(f"writing {table.name} from {sum(count.records for count in counts):,} records")
        if by_variant:
            info, formats = names.of_headers([vcf.header for _, vcf, _ in readable])
            made = [variants.by_variant(vcf, genome, contigs, info, formats) for _, vcf, contigs in readable]
        else:
            made = [variants.by_sample(vcf, genome, contigs) for _, vcf, contigs in readable]
        frame = reduce(writing.union, [rows.frame for rows in made])
        written = (writing.by_variant if by_variant else writing.by_sample)(frame, table.data)
        for (count, _, _), rows in zip(readable, made, strict=True):
            count.loaded = writing.observed(rows.observed, "records")
    return Result(written, genome, job.COORDINATE_BASE, None, spark.version, counts)


if __name__ == "__main__":
    job.main(vcf_to_parquet)
