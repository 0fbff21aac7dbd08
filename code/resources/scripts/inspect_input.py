"""What a conversion would find in VCF and ClinVar files, without converting them: `./setup.sh inspect` runs it.

The exit code tells: 0, a conversion loads all of it; 1, it stops at something, and loads the rest with
--on_error reject; 2, a file can't be loaded at all.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))  # where genomicslake stands outside Glue

from genomicslake import inspection, job, references, sources
from genomicslake.errors import LakeError

ENDINGS = (".vcf", ".vcf.gz", ".vcf.bgz", ".txt", ".txt.gz", ".tsv", ".tsv.gz")


def inspect_input(arguments: Sequence[str]) -> int:
    """Print the report; the exit code."""
    options = argparse.ArgumentParser(description="What a conversion would find in VCF and ClinVar files.")
    options.add_argument("input_path", nargs="+", metavar="FILE|FOLDER", help="files, folders, or globs")
    options.add_argument("--reference_genome", choices=references.GENOMES, help="without it, what the headers tell")
    options.add_argument("--encoding", choices=sources.ENCODINGS, default="utf-8", help="(default: %(default)s)")
    options.add_argument("--json", action="store_true", help="the report as JSON")
    asked = options.parse_args(arguments)
    found = sources.find(asked.input_path, ENDINGS, whole=False, encoding=asked.encoding)
    reports = inspection.inspected(found, references.lengths(), asked.reference_genome, job.progress)
    print(json.dumps([report.plain() for report in reports], indent=1) if asked.json else inspection.written(reports))
    return max(report.code for report in reports)


if __name__ == "__main__":
    try:
        sys.exit(inspect_input(sys.argv[1:]))
    except LakeError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
