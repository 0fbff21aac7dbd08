"""The verbs of `./setup.sh`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from setup import names
from setup.errors import SetupError


def main(arguments: Sequence[str]) -> None:
    """Do what a verb says. A SetupError is told on standard error, with exit code 1."""
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except SetupError as error:
        Console(stderr=True).print(f"[red]error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="./setup.sh", allow_abbrev=False)
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    _local(
        verbs.add_parser(
            "local", help="rehearse on this machine: VCF and ClinVar in, the report out", allow_abbrev=False
        )
    )
    _demo(verbs.add_parser("demo", help="only make the demonstration data", allow_abbrev=False))
    return parser


def _local(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Convert VCF and ClinVar to Parquet, catalogue them, ask for variants related to drug response."
    )
    parser.add_argument("--vcf", nargs="+", type=Path, default=[], metavar="FILE", help="the cohort's VCF files")
    parser.add_argument("--clinvar", type=Path, metavar="FILE", help="NCBI's variant_summary.txt[.gz]")
    parser.add_argument(
        "--samples",
        metavar="PATTERN",
        default=names.SAMPLES,
        help="the cohort, a LIKE pattern of sample ids; %% is every sample (default: the guide's %(default)r)",
    )
    parser.add_argument(
        "--reference_genome", choices=("GRCh37", "GRCh38"), help="of the VCF files; without it, what their headers tell"
    )
    parser.add_argument(
        "--on_error",
        choices=("fail", "reject"),
        default="fail",
        help="what a record that can't be loaded does: stop the job, or go to the table rejects (default: fail)",
    )
    parser.set_defaults(run=_run_local)


def _run_local(options: argparse.Namespace) -> None:
    from setup import local

    asked = local.Local(options.vcf, options.clinvar, options.samples, options.reference_genome, options.on_error)
    local.run(asked, Console(highlight=False))


def _demo(parser: argparse.ArgumentParser) -> None:
    parser.description = "Make the demonstration data: a cohort's VCF, an individual's VCF and ClinVar."
    parser.add_argument("--output", type=Path, help="the folder (default: build/demo)")
    parser.add_argument("--seed", type=int, default=22, help="another seed gives other data (default: 22)")
    parser.set_defaults(run=_run_demo)


def _run_demo(options: argparse.Namespace) -> None:
    from setup import demo

    made = demo.make(options.output or names.BUILD / "demo", options.seed)
    print(made.cohort, made.individual, made.clinvar, sep="\n")


if __name__ == "__main__":
    main(sys.argv[1:])
