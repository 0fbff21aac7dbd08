"""The verbs of `./setup.sh`."""

import argparse
import subprocess
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
    except Exception as error:
        if not hasattr(error, "operation_name"):  # AWS's refusals have it; their package is not here for every verb
            raise
        console = Console(stderr=True)
        console.print(f"[red]error:[/] AWS refused: {escape(str(error))}", highlight=False, soft_wrap=True)
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
    _inspect(
        verbs.add_parser(
            "inspect", help="tell what a conversion would find in VCF and ClinVar files", allow_abbrev=False
        )
    )
    _demo(verbs.add_parser("demo", help="only make the demonstration data", allow_abbrev=False))
    for verb, run, what in (
        ("deploy", _run_deploy, "make or update zone, pipe and code in the account; the root stack's build runs it"),
        ("teardown", _run_teardown, "delete what deploy made; the root stack's build runs it"),
    ):
        described = f"{what}. It is told by the build project's environment variables."
        verbs.add_parser(verb, help=what, description=described, allow_abbrev=False).set_defaults(run=run)
    _publish(verbs.add_parser("publish", help="put the solution's files into a bucket", allow_abbrev=False))
    _launch(verbs.add_parser("launch", help="create or update the root stack", allow_abbrev=False))
    _cost(verbs.add_parser("cost", help="tell what the solution, or a query, is expected to cost", allow_abbrev=False))
    return parser


def _local(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Launch the solution on this machine's AWS, ask which variants related to drug response the cohort carries, "
        "write the report, delete everything again."
    )
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument("--keep", action="store_true", help="leave it up, and tell how to reach it")
    instead.add_argument("--status", action="store_true", help="only tell how to reach one that is up")
    instead.add_argument("--down", action="store_true", help="only delete one that is up")
    parser.add_argument("--vcf", nargs="+", type=Path, default=[], metavar="FILE", help="the cohort's VCF files")
    parser.add_argument("--clinvar", type=Path, metavar="FILE", help="NCBI's variant_summary.txt[.gz] or VCF")
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

    console = Console(highlight=False)
    if options.down:
        local.down(console)
    elif options.status:
        local.status(console)
    else:
        given = (options.vcf, options.clinvar, options.samples, options.reference_genome, options.on_error)
        local.run(local.Local(*given, keep=options.keep), console)


def _inspect(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "What a conversion would find in VCF and ClinVar files, without converting them. The exit code: 0, it loads all"
        " of it; 1, it stops at something, and loads the rest with --on_error reject; 2, a file can't be loaded at all."
    )
    parser.add_argument("files", nargs="+", metavar="FILE|FOLDER", help="files, folders, or globs")
    parser.add_argument(
        "--reference_genome", choices=("GRCh37", "GRCh38"), help="without it, what the files' headers tell"
    )
    parser.add_argument("--json", action="store_true", help="the report as JSON")
    parser.set_defaults(run=_run_inspect)


def _run_inspect(options: argparse.Namespace) -> None:
    further = ["--reference_genome", options.reference_genome] if options.reference_genome else []
    further += ["--json"] if options.json else []
    command = [sys.executable, str(names.SCRIPTS / "inspect_input.py"), *options.files, *further]
    sys.exit(subprocess.run(command, check=False).returncode)


def _demo(parser: argparse.ArgumentParser) -> None:
    parser.description = "Make the demonstration data: a cohort's VCF, an individual's VCF and ClinVar."
    parser.add_argument("--output", type=Path, help="the folder (default: build/demo)")
    parser.add_argument("--seed", type=int, default=22, help="another seed gives other data (default: 22)")
    parser.set_defaults(run=_run_demo)


def _run_demo(options: argparse.Namespace) -> None:
    from setup import demo

    made = demo.make(options.output or names.BUILD / "demo", options.seed)
    print(made.cohort, made.individual, made.clinvar, sep="\n")


def _run_deploy(_: argparse.Namespace) -> None:
    from setup import deploy, settings

    deploy.run(settings.session(), settings.read(), Console(highlight=False, width=160))


def _run_teardown(_: argparse.Namespace) -> None:
    from setup import settings, teardown

    teardown.run(settings.session(), settings.read(), Console(highlight=False, width=160))


def _publish(parser: argparse.ArgumentParser) -> None:
    parser.description = "Make the demonstration data and upload them, the solution's archive and the root template."
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument("--bucket", help="in the region in which the stack is to be launched")
    place.add_argument("--folder", type=Path, help="of this machine instead, for taskcat to upload")
    parser.add_argument("--prefix", help="of the keys, ends with a slash (default: the solution's name and version)")
    parser.set_defaults(run=_run_publish)


def _run_publish(options: argparse.Namespace) -> None:
    from setup import demonstration, publish, settings
    from setup.progress import Steps

    steps = Steps(Console(highlight=False), demonstration.STEPS + 1)
    made = demonstration.make(steps)
    with steps.step("publish") as step:
        if options.folder:
            publish.publish_to_folder(options.folder, made)
            step.made = str(options.folder)
            return
        session = settings.session()
        prefix = publish.PREFIX if options.prefix is None else options.prefix
        url = publish.publish(session, options.bucket, prefix, made, step.doing)
        step.made = url
    print(f"./setup.sh launch --template-url {url}")
    print(f"or, in the console: {publish.console_link(session.region_name, url)}")


def _launch(parser: argparse.ArgumentParser) -> None:
    parser.description = "Create the root stack, or update it, and follow it to its end."
    parser.add_argument("--template-url", required=True, help="what publish printed")
    parser.add_argument("--stack-name", default="GenomicsAnalysis-Setup", help="(default: %(default)s)")
    parser.add_argument(
        "--parameter", action="append", default=[], metavar="KEY=VALUE", help="of the template; repeatable"
    )
    parser.set_defaults(run=_run_launch)


def _run_launch(options: argparse.Namespace) -> None:
    from setup import launch, settings
    from setup.progress import Steps

    parameters = dict(parameter.partition("=")[::2] for parameter in options.parameter)
    console = Console(highlight=False)
    with Steps(console, 1).step("launch") as step:
        made = launch.launch(settings.session(), options.stack_name, options.template_url, parameters, step.doing)
        step.made = options.stack_name
    for name, value in made.items():
        console.print(f"{name}: {value}", soft_wrap=True, markup=False)


def _cost(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "What a launch, a load, a month and a query are expected to cost on AWS; or, with --query, the bytes that a "
        "query scans, beside what Athena told when it ran. Sizes are those of the demonstration, if no files are named."
    )
    parser.add_argument("--vcf", nargs="+", type=Path, default=[], metavar="FILE", help="the cohort's VCF files")
    parser.add_argument("--clinvar", type=Path, metavar="FILE", help="NCBI's variant_summary.txt[.gz] or VCF")
    parser.add_argument(
        "--notebook-hours", type=float, default=1.0, help="that the notebook instance runs a month (default: 1)"
    )
    parser.add_argument("--query", metavar="NAME|FILE.sql", help="a saved query, or a file of SQL")
    parser.add_argument(
        "--samples", metavar="PATTERN", default=names.SAMPLES, help="the query's cohort (default: %(default)s)"
    )
    place = parser.add_mutually_exclusive_group()
    place.add_argument("--lake", metavar="BUCKET", help="the query's tables: a data lake's bucket, and what Athena ran")
    place.add_argument("--tables", type=Path, metavar="FOLDER", help="or a folder (default: the demonstration's)")
    parser.set_defaults(run=_run_cost)


def _run_cost(options: argparse.Namespace) -> None:
    from setup import cost, demonstration, scanned, settings
    from setup.progress import Steps

    query = options.query or "drug_response"

    console = Console(highlight=False)
    sql = cost.text_of(query, options.samples)
    if options.lake:
        lake = cost.lake_of(settings.session(), options.lake)
        scans = scanned.of_query(sql, scanned.groups_in_s3(lake.session, lake.bucket))
        cost.tell_scans(query, scans, console)
        cost.tell_billed(cost.billed(lake, sql), console)
        return
    if options.tables:
        cost.tell_scans(query, scanned.of_query(sql, scanned.local_groups(options.tables)), console)
        return
    made = demonstration.make(Steps(console, demonstration.STEPS))
    groups = scanned.local_groups(made.tables)
    if options.query:
        cost.tell_scans(query, scanned.of_query(sql, groups), console)
        return
    demo = (made.sources.cohort, made.sources.clinvar)
    sizes = cost.sizes(made.tables, groups, options.vcf, options.clinvar, demo)
    cost.tell(list(cost.lines(sizes, options.notebook_hours)), console)


if __name__ == "__main__":
    main(sys.argv[1:])
