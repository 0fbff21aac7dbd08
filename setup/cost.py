"""`./setup.sh cost`: what the solution is expected to cost on AWS, by service, before a launch; and what a query scans.

Prices are those of prices.toml, the minutes of a launch those of expected.toml; workers, builds and the notebook's type
are what the templates have. Free tiers are left out, so are requests, logs and data transfer: cents.
"""

import math
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from rich.console import Console
from rich.table import Table

from setup import names
from setup.drug_response import Lake
from setup.errors import SetupError
from setup.scanned import Groups, Scan, of_query

PRICES = names.ROOT / "setup" / "prices.toml"
EXPECTED = names.ROOT / "setup" / "expected.toml"
DPUS = {"G.1X": 1, "G.2X": 2}  # of a worker
CORES_OF_A_DPU = 4
SHORTEST_JOB = 1.0  # minutes that are billed
CRAWLER_DPUS, SHORTEST_CRAWL = 2, 10.0  # the guide's note of the cost; minutes
LEAST_SCANNED = 10_000_000  # bytes that Athena bills
TERABYTE, GIGABYTE = 1e12, 1e9
START = 0.5  # minutes until a job's Spark runs, billed
# megabytes of input (BGZF of a cohort, by how its time grows; gzip of ClinVar) a minute and core: docs/performance.md
RATES = {"vcf-to-parquet": 80.0, "clinvar-to-parquet": 450.0}


@dataclass(frozen=True)
class Line:
    """What one thing costs: when, of which service, how it is reckoned, dollars, and the guide's own figure."""

    when: str
    service: str
    how: str
    dollars: float
    guide: str = ""


@dataclass(frozen=True)
class Sizes:
    """Bytes: of the source files that a load reads, of the tables, and what a drug-response query scans."""

    vcf: int
    clinvar: int
    tables: int
    query: int


def prices() -> dict[str, float]:
    """Dollars by the names of prices.toml."""
    told = tomllib.loads(PRICES.read_text(encoding="utf-8"))
    return {name: float(one["dollars"]) for name, one in told.items() if isinstance(one, dict)}


def steps() -> list[dict[str, Any]]:
    """The steps of a launch, as expected.toml has them."""
    found: list[dict[str, Any]] = tomllib.loads(EXPECTED.read_text(encoding="utf-8"))["step"]
    return found


def launch_table() -> str:
    """The steps of a launch as a table in Markdown, against the guide's minutes."""
    guide = tomllib.loads(EXPECTED.read_text(encoding="utf-8"))["guide_minutes"]
    rows = [f"| {step['name']} | {step['minutes']:.1f} | {step['from']} |" for step in steps()]
    whole = sum(step["minutes"] for step in steps())
    together = f"| together | {whole:.1f} | the guide of 2020: about {guide} |"
    return "\n".join(["| step | minutes | |", "|---|--:|---|", *rows, together])


def default_of(template: str, parameter: str) -> str:
    """A parameter's default in a template."""
    text = (names.ROOT / template).read_text(encoding="utf-8")
    found = re.search(rf"^  {parameter}:\n(?:    .*\n)*?    Default: (.*)\n", text, re.MULTILINE)
    if not found:
        raise SetupError(f"{template} has no default for {parameter}.")
    return found[1].strip("'\"")


def lines(sizes: Sizes, notebook_hours: float) -> Iterator[Line]:
    """What a launch, a load, a month and a query cost."""
    price = prices()
    crawl = CRAWLER_DPUS * SHORTEST_CRAWL / 60 * price["glue_dpu_hour"]
    how = (
        f"{len(names.CRAWLERS)} crawlers x {CRAWLER_DPUS} DPU x {SHORTEST_CRAWL:.0f} minutes, the least that is billed"
    )
    yield Line("launch", "Glue crawlers", how, len(names.CRAWLERS) * crawl, "$0.45")
    builds: dict[str, float] = {}
    for step in steps():
        for kind in filter(None, [step.get("build"), *step.get("beside", [])]):
            builds[kind] = builds.get(kind, 0) + step["minutes"]
    told = ", ".join(f"{minutes:.0f} minutes {kind}" for kind, minutes in sorted(builds.items()))
    dollars = sum(math.ceil(minutes) * price[f"codebuild_{kind}_minute"] for kind, minutes in builds.items())
    yield Line("launch", "CodeBuild", told, dollars)
    actions = sum(step.get("actions", 0) * math.ceil(step["minutes"]) for step in steps())
    yield Line("launch", "CodePipeline", f"{actions} action minutes", actions * price["codepipeline_action_minute"])
    for job, size in (("vcf-to-parquet", sizes.vcf), ("clinvar-to-parquet", sizes.clinvar)):
        if size:
            minutes, dpu_hours = of_job(job, size)
            flex = dpu_hours * price["glue_flex_dpu_hour"]
            told = f"{job}, {_size(size)}: {minutes:.1f} minutes, {dpu_hours:.3f} DPU-hours; {flex:.5f} with FLEX"
            yield Line("load", "Glue jobs", told, dpu_hours * price["glue_dpu_hour"], "$0.15")
    storage = sizes.vcf + sizes.clinvar + sizes.tables
    yield Line("month", "S3", _size(storage), storage / GIGABYTE * price["s3_gigabyte_month"])
    yield Line("month", "KMS", "one key", price["kms_key_month"])
    kind = default_of("templates/setup_cfn.yml", "NotebookInstanceType")
    told = f"{kind}, {notebook_hours:g} hours; it stops itself when idle"
    yield Line("month", "SageMaker", told, notebook_hours * price["notebook_hour"], "$0.05")
    yield Line("query", "Athena", f"drug_response scans {_size(sizes.query)}", of_scan(sizes.query), "$0.00025")


def of_job(job: str, size: int) -> tuple[float, float]:
    """The minutes of a load of so many bytes, and the DPU-hours that are billed: the driver's worker waits, too."""
    workers = int(default_of("code/code_cfn.yml", "NumberOfWorkers"))
    dpus = DPUS[default_of("code/code_cfn.yml", "WorkerType")]
    cores = (workers - 1) * dpus * CORES_OF_A_DPU
    minutes = START + size / 1e6 / RATES[job] / cores
    return minutes, workers * dpus * max(SHORTEST_JOB, minutes) / 60


def of_scan(size: int) -> float:
    """Dollars that Athena bills for a query that scans so many bytes."""
    return max(LEAST_SCANNED, size) / TERABYTE * prices()["athena_terabyte"]


def _size(size: float) -> str:
    unit = next((unit for unit in ("bytes", "kB", "MB", "GB") if size < 1000 ** (1 + _UNITS.index(unit))), "TB")
    number = size / 1000 ** _UNITS.index(unit)
    return f"{number:,.0f} {unit}" if unit == "bytes" else f"{number:,.1f} {unit}"


_UNITS = ("bytes", "kB", "MB", "GB", "TB")


def sizes(tables: Path, groups: Groups, vcf: Sequence[Path], clinvar: Path | None, demo: tuple[Path, Path]) -> Sizes:
    """The sizes at hand: those of files that are named, otherwise of the demonstration's. Tables of files that were not
    loaded yet are taken to grow as the demonstration's do.
    """
    of_demo = [path.stat().st_size for path in demo]
    of_tables = sum(path.stat().st_size for path in tables.rglob("*.parquet"))
    query = sum(scan.bytes for scan in of_query(text_of("drug_response", names.SAMPLES), groups))
    own = sum(path.stat().st_size for path in vcf) if vcf else of_demo[0]
    of_clinvar = clinvar.stat().st_size if clinvar else of_demo[1]
    grown = (own + of_clinvar) / sum(of_demo)
    return Sizes(own, of_clinvar, round(of_tables * grown), round(query * grown))


def text_of(query: str, samples: str, variants: str = names.VARIANTS_TABLE) -> str:
    """A query of code/resources/queries by its name, or a file of SQL, with its parameter filled in."""
    path = Path(query)
    if path.suffix != ".sql":
        clustered = query.removesuffix("_clustered")
        variants = names.CLUSTERED_TABLE if clustered != query else variants
        path = names.QUERIES / f"{clustered}.sql"
    if not path.is_file():
        known = ", ".join(sorted(one.stem for one in names.QUERIES.glob("*.sql")))
        raise SetupError(
            f"There is no query {query}: it can be a file of SQL, or one of {known}, some with _clustered."
        )
    filled = {"${database}": names.DATABASE, "${variants}": variants, "${reference_genome}": "GRCh37"}
    text = path.read_text(encoding="utf-8")
    for placeholder, value in filled.items():
        text = text.replace(placeholder, value)
    return text.replace("LIKE ?", "LIKE '" + samples.replace("'", "''") + "'")


def billed(lake: Lake, sql: str) -> int | None:
    """The bytes that Athena told it scanned when it last ran a query in the workgroup; None where it has not."""
    athena = lake.session.client("athena")
    pages = athena.get_paginator("list_query_executions").paginate(WorkGroup=lake.workgroup)
    for page in pages:
        for chosen in _in_tens(page["QueryExecutionIds"]):
            for told in athena.batch_get_query_execution(QueryExecutionIds=chosen)["QueryExecutions"]:
                if _filled(told) == _plain(sql) and told["Status"]["State"] == "SUCCEEDED":
                    return int(told["Statistics"]["DataScannedInBytes"])
    return None


def _in_tens(ids: Sequence[str]) -> Iterator[list[str]]:
    for start in range(0, len(ids), 10):
        yield list(ids[start : start + 10])


def _filled(told: Mapping[str, Any]) -> str:
    """A query that ran, with its parameters in the places of the question marks."""
    text = _plain(told["Query"])
    for parameter in told.get("ExecutionParameters", []):
        text = text.replace("?", parameter, 1)
    return text


def _plain(sql: str) -> str:
    """A query without its comments and its spaces."""
    return " ".join(re.sub(r"--.*", "", sql).split())


def tell(found: Sequence[Line], console: Console) -> None:
    """Print what things cost."""
    told = tomllib.loads(PRICES.read_text(encoding="utf-8"))
    table = Table(title=f"Expected cost on AWS, {told['region']}, prices of {told['seen']} (setup/prices.toml)")
    for heading in ("", "service", "how it is reckoned"):
        table.add_column(heading)
    table.add_column("dollars", justify="right")
    table.add_column("the guide, 2020", justify="right")
    for when in dict.fromkeys(line.when for line in found):
        own = [line for line in found if line.when == when]
        for number, line in enumerate(own):
            table.add_row("" if number else _WHEN[when], line.service, line.how, f"{line.dollars:.5f}", line.guide)
        if len(own) > 1:
            table.add_row("", "[bold]together[/]", "", f"[bold]{sum(line.dollars for line in own):.5f}[/]", "")
        table.add_section()
    console.print(table)


_WHEN = {"launch": "a launch, once", "load": "a load", "month": "a month", "query": "a query"}


def tell_scans(query: str, scans: Sequence[Scan], console: Console) -> None:
    """Print what a query scans."""
    table = Table(title=f"{query}: what it scans, by the Parquet footers")
    for heading in ("table", "columns"):
        table.add_column(heading)
    for heading in ("row groups", "of", "bytes"):
        table.add_column(heading, justify="right")
    for scan in scans:
        columns = ", ".join(scan.columns)
        table.add_row(scan.table, columns, f"{scan.groups:,}", f"{scan.all_groups:,}", f"{scan.bytes:,}")
    console.print(table)
    size = sum(scan.bytes for scan in scans)
    least = ", the least that is billed" if size < LEAST_SCANNED else ""
    console.print(f"in all {size:,} bytes: {of_scan(size):.5f} dollars{least}")


def tell_billed(ran: int | None, console: Console) -> None:
    """Print what Athena told of a query when it ran."""
    if ran is None:
        console.print("Athena has not run it yet, with these samples.")
    else:
        console.print(f"Athena scanned {ran:,} bytes when it last ran: {of_scan(ran):.5f} dollars")


def lake_of(session: boto3.Session, bucket: str) -> Lake:
    """The lake whose bucket is named."""
    return Lake(session, bucket, names.DATABASE, names.DATABASE)
