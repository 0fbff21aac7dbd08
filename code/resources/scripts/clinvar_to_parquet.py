"""The Glue job clinvar-to-parquet: ClinVar's variant_summary.txt[.gz] or VCF to the table `clinvar` in Parquet."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))  # where genomicslake stands outside Glue

from genomicslake import clinvar, job, lines, rejects, session, tasks
from genomicslake.clinvar import PartRows
from genomicslake.errors import LakeError
from genomicslake.job import Counts, Result, say
from genomicslake.lines import Part
from genomicslake.publish import Table

ENDINGS = (".txt", ".txt.gz", ".tsv", ".tsv.gz", ".vcf", ".vcf.gz", ".vcf.bgz")
COORDINATE_BASE = "1-based, start and stop inside"


def clinvar_to_parquet(arguments: Sequence[str]) -> None:
    """Convert a ClinVar file; `arguments` as on the command line, what Glue adds is passed over."""
    options = job.parser("ClinVar's variant_summary.txt to Parquet.")
    options.add_argument("--release_date", help="of the ClinVar release; without it, what the file tells")
    asked = options.parse_known_args(arguments)[0]
    if asked.input_path and not asked.release_date:
        asked.release_date = clinvar.release_date(asked.input_path[0])
    job.run(asked, ENDINGS, convert)


def convert(options: argparse.Namespace, counts: list[Counts], table: Table) -> Result:
    """Write the rows aside, a file for each part of the input."""
    if len(counts) > 1:
        paths = ", ".join(count.source.path for count in counts)
        raise LakeError("one ClinVar release is one file", where=paths, todo="Pass a single --input_path.")
    count = counts[0]
    columns = clinvar.read_columns(count.source)
    say(f"{len(columns.ncbi)} columns; starting Spark")
    spark = session.spark()
    context = spark.sparkContext
    parts = list(enumerate(lines.parts(count.source, tasks.count(context))))
    say(f"writing {table.name}")
    data, folder = table.folder("data"), table.folder("source-0")

    def task(numbered: tuple[int, Part]) -> PartRows:
        return clinvar.write_part(numbered[1], numbered[0], columns, data, folder)

    found = tasks.each(context, parts, task)
    count.records = sum(part.records for part in found)
    count.loaded, count.rejected = sum(part.rows for part in found), sum(part.problems for part in found)
    count.rejected_fields = sum(part.fields for part in found)
    before = [sum(part.lines for part in found[:number]) for number in range(len(found))]
    job.refuse(options, count, [bad.moved(n) for n, part in zip(before, found, strict=True) for bad in part.rejected])
    for number, lines_before in enumerate(before):
        rejects.move(f"{folder}/rejects-{number:05d}.parquet", lines_before)
    count.rows = count.loaded
    release = options.release_date or clinvar.release_date(count.source.path, columns)
    return Result(False, None, COORDINATE_BASE, release, spark.version, counts)


if __name__ == "__main__":
    job.main(clinvar_to_parquet)
