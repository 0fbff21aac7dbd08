"""The rehearsal: the published root template launched on this machine's AWS, the question asked, all deleted again."""

import os
import platform
import re
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import boto3
from rich.console import Console

from setup import buckets, crawlers, demonstration, drug_response, gluejobs, jobs, launch, names, publish, report
from setup.deploy import load_of
from setup.drug_response import Lake
from setup.errors import SetupError
from setup.progress import Steps
from setup.rehearsal import process, remains
from setup.rehearsal.process import Emulator
from setup.report import Facts
from setup.stacks import Stack

SOLUTION_BUCKET = "genomics-solution"
OWN = "source/own/"  # in the lake: what --vcf and --clinvar name


@dataclass(frozen=True)
class Local:
    """What is asked of `./setup.sh local`. Without files, the demonstration data are asked about."""

    vcf: Sequence[Path] = ()
    clinvar: Path | None = None
    samples: str = names.SAMPLES  # a LIKE pattern of sample ids
    reference_genome: str | None = None
    on_error: str = "fail"
    keep: bool = False  # leave it up


def run(asked: Local, console: Console) -> None:
    """Launch, unless it is up; load own files; ask; report; delete, unless it is to be kept. Raises SetupError."""
    if bool(asked.vcf) != (asked.clinvar is not None):
        raise SetupError("--vcf and --clinvar go together: pass both, or neither for the demonstration data.")
    for path in (*asked.vcf, *filter(None, [asked.clinvar])):
        if not path.is_file():
            raise SetupError(f"{path}: no such file. Check the path.")
    is_demo = not asked.vcf
    emulator = process.find()
    steps = Steps(console, (0 if emulator else demonstration.STEPS + 3) + (0 if is_demo else 4) + 1 + (not asked.keep))
    if emulator is None:
        emulator = _launch(steps)
    with reached(emulator) as session:
        lake = lake_of(session)
        if not is_demo:
            _load(session, lake, asked, steps)
        with steps.step("drug-response report") as step:
            tables = (names.VARIANTS_TABLE, names.CLINVAR_TABLE, *([names.SAMPLE_TABLE] if is_demo else []))
            rows, facts = drug_response.ask(lake, asked.samples, tables, _versions(), is_demo=is_demo)
            report.write(names.REPORT, rows, facts)
            step.made = f"{len(rows)} rows in {_shown(names.REPORT)}"
        if not asked.keep:
            _delete(session, emulator, steps)
    console.print()
    _warn(facts, console)
    report.show(rows, console, f"{facts.samples:,} samples like {facts.samples_pattern!r} ({facts.reference_genome})")
    console.print(f"\nThe report: {names.REPORT / 'index.html'}", soft_wrap=True, markup=False)
    if asked.keep:
        status(console)


def down(console: Console) -> None:
    """Delete what a rehearsal left up, and prove that nothing is left. Raises SetupError."""
    emulator = process.find()
    if emulator is None:
        console.print("No rehearsal is up.")
        return
    with reached(emulator) as session:
        _delete(session, emulator, Steps(console, 1))


def status(console: Console) -> None:
    """How to reach a rehearsal that is up, and what stands in it."""
    emulator = process.find()
    if emulator is None:
        console.print("No rehearsal is up. ./setup.sh local --keep leaves one up.")
        return
    console.print("\nThe rehearsal is up. For the AWS CLI and every AWS SDK, with the rights of the launching user:")
    for name, value in emulator.environment.items():
        console.print(f"  export {name}={value}", soft_wrap=True, markup=False, highlight=False)
    console.print(f"  PATH={process.PYTHON.parent}:$PATH  # has aws", soft_wrap=True, markup=False, highlight=False)
    with reached(emulator) as session:
        console.print("\nIn it stand:")
        for thing in remains.things(session):
            console.print(f"  {thing}", soft_wrap=True, markup=False, highlight=False)
    console.print("\n./setup.sh local --down deletes it.")


@contextmanager
def reached(emulator: Emulator) -> Iterator[boto3.Session]:
    """A session whose clients, and those of PyAthena and the AWS CLI, reach the emulated AWS as the launching user."""
    before = dict(os.environ)
    os.environ.update(emulator.environment)
    try:
        yield boto3.Session()
    finally:
        os.environ.clear()
        os.environ.update(before)


def lake_of(session: boto3.Session, project: str = names.PROJECT) -> Lake:
    """The lake of a project, from its stacks' outputs."""
    code = Stack(session, f"{project}Code").outputs()
    bucket = Stack(session, f"{project}Pipe").outputs()["DataLakeBucket"]
    return Lake(session, bucket, code["Database"], code["WorkGroup"])


def _launch(steps: Steps) -> Emulator:
    made = demonstration.make(steps)
    with steps.step("AWS on this machine") as step:
        emulator = process.start()
        step.made = emulator.endpoint
    with reached(emulator) as session:
        with steps.step("publish") as step:
            session.client("s3").create_bucket(Bucket=SOLUTION_BUCKET)
            url = publish.publish(session, SOLUTION_BUCKET, publish.PREFIX, made, step.doing)
            step.made = url
        with steps.step("launch") as step:
            launch.launch(session, launch.STACK, url, {}, step.doing)
            step.made = f"{launch.STACK} CREATE_COMPLETE"
    return emulator


def _load(session: boto3.Session, lake: Lake, asked: Local, steps: Steps) -> None:
    """Own files through the deployed jobs and crawlers."""
    client = session.client("s3")
    code = Stack(session, f"{names.PROJECT}Code").outputs()
    with steps.step("upload") as step:
        for key in buckets.keys(client, lake.bucket, OWN):
            client.delete_object(Bucket=lake.bucket, Key=key)
        for folder, files in (("variants", asked.vcf), ("annotation", filter(None, [asked.clinvar]))):
            for path in files:
                step.doing(path.name)
                client.upload_file(str(path), lake.bucket, f"{OWN}{folder}/{path.name}")
        step.made = f"s3://{lake.bucket}/{OWN}"
    common = {"--on_error": asked.on_error}
    genome = {"--reference_genome": asked.reference_genome} if asked.reference_genome else {}
    for title, job, folder, table, options in (
        (
            "cohort to Parquet",
            code["VcfToParquetJob"],
            "variants",
            names.VARIANTS_TABLE,
            {"--layout": "by_sample"} | genome,
        ),
        ("ClinVar to Parquet", code["ClinvarToParquetJob"], "annotation", names.CLINVAR_TABLE, {}),
    ):
        with steps.step(title) as step:
            places = {
                "--input_path": f"s3://{lake.bucket}/{OWN}{folder}/",
                "--output_path": f"s3://{lake.bucket}/tables/{table}",
            }
            told = gluejobs.run(session, job, places | common | options, step.doing)
            rows = load_of(session, lake.bucket, table)["rows"]
            step.made = f"{table}: {rows:,} rows, in {told['ExecutionTime']} s of Glue"
    with steps.step("crawlers") as step:
        crawlers.run(session, [code["VariantsCrawler"], code["ClinvarCrawler"]], step.doing)
        loaded = (names.VARIANTS_TABLE, names.CLUSTERED_TABLE, names.CLINVAR_TABLE)
        for table in loaded:
            crawlers.check_table(session, lake.database, table)
            crawlers.describe_table(session, lake.database, table, load_of(session, lake.bucket, table))
        step.made = ", ".join(loaded)


def _delete(session: boto3.Session, emulator: Emulator, steps: Steps) -> None:
    with steps.step("delete") as step:
        launch.delete(session, launch.STACK, step.doing)
        left = [thing for thing in remains.things(session) if thing != f"s3 bucket {SOLUTION_BUCKET}"]
        if left:
            raise SetupError(f"{launch.STACK} was deleted, and this is left:\n" + "\n".join(left))
        process.stop(emulator)
        step.made = f"{launch.STACK} is gone, and nothing is left of it"


def _warn(facts: Facts, console: Console) -> None:
    if facts.samples_without_rows:
        console.print(
            f"[yellow]warning:[/] {facts.samples_without_rows:,} samples of the cohort carry no variant in these files "
            "and are not in the frequencies' number of samples",
            soft_wrap=True,
        )


def _versions() -> dict[str, str]:
    java = str(process.java_home() / "bin" / "java")
    told = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "([^"]+)"', told)
    return {
        "solution": names.VERSION,
        "commit": jobs.commit(),
        "Python": platform.python_version(),
        "Java": version[1] if version else "unknown",
    }


def _shown(path: Path) -> str:
    """A path as it is shown: from the checkout, where it is inside."""
    return str(path.relative_to(names.ROOT)) if path.is_relative_to(names.ROOT) else str(path)
