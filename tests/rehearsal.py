"""The whole solution, launched once on this machine and used as the guide says, with the AWS CLI where it says so.

Called by .ci/run (`./setup.sh test tests/rehearsal.py`), not by `./setup.sh test` alone: it takes minutes. The tests
stand in the order in which a user would do these things, and each needs the ones before it.
"""

import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pyarrow as pa
import pytest
from pyarrow import dataset, fs
from rich.console import Console

from setup import demonstration, names, publish
from setup.drug_response import Lake
from setup.progress import Steps
from setup.rehearsal import process, remains
from setup.stacks import Stack
from tests.acceptance import DATA, published

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="../shared/data is absent")

STACK = "GenomicsAnalysis-Setup"
BUCKET = "genomics-solution"
PREFIX = "genomics-tertiary-analysis-and-data-lakes/v0.1.0/"
AWS = str(names.ROOT / ".venv-emulator" / "bin" / "aws")


def aws(*arguments: str) -> Any:
    """What an AWS CLI command prints, from JSON. Fails with its error."""
    done = subprocess.run([AWS, *arguments, "--output", "json"], capture_output=True, text=True)
    assert done.returncode == 0, f"aws {' '.join(arguments)}\n{done.stderr}"
    return json.loads(done.stdout) if done.stdout.strip() else None


def wait_for(told: Callable[[], Any], wanted: Callable[[Any], bool], seconds: float = 600) -> Any:
    """What `told` says once it is as wanted. Fails when it isn't in time."""
    deadline = time.monotonic() + seconds
    while not wanted(now := told()):
        assert time.monotonic() < deadline, f"still {now!r} after {seconds} s"
        time.sleep(1)
    return now


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[boto3.Session]:
    """The launching user's, in an AWS of its own that has the published solution and nothing else."""
    made = demonstration.make(Steps(Console(), demonstration.STEPS))
    emulator = process.start(tmp_path_factory.mktemp("rehearsal") / "home")
    before = dict(os.environ)
    os.environ.update(emulator.environment)
    session = boto3.Session(region_name=process.REGION)
    session.client("s3").create_bucket(Bucket=BUCKET)
    publish.publish(session, BUCKET, PREFIX, made, print)
    yield session
    os.environ.clear()
    os.environ.update(before)
    process.stop(emulator)


def template_url() -> str:
    return f"{os.environ['AWS_ENDPOINT_URL']}/{BUCKET}/{PREFIX}{names.TEMPLATE}"


def outputs(session: boto3.Session, stack: str) -> dict[str, str]:
    told = session.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]
    return {output["OutputKey"]: output["OutputValue"] for output in told.get("Outputs", [])}


def lake(session: boto3.Session) -> Lake:
    bucket = outputs(session, "GenomicsAnalysisPipe")["DataLakeBucket"]
    return Lake(session, bucket, "genomicsanalysis", "genomicsanalysis")


def drug_rows(session: boto3.Session) -> list[tuple[Any, ...]]:
    here = lake(session)
    return here.ask(here.query("drug_response", "GRCh37"), ["NA12%"])


def guides_query() -> str:
    """The guide's own query, as it stands under step 3, option 2, without the page break's fence."""
    guide = (DATA.parent / "guide.txt").read_text()
    start = guide.rindex("SELECT\n    count(*)/cast(numsamples")
    end = guide.index("LIMIT 50", start) + len("LIMIT 50")
    return guide[start:end].replace("```", "")


def whole_table(session: boto3.Session, table: str) -> list[dict[str, Any]]:
    """Every row of a table, sorted, from its Parquet files."""
    places = {"tls_ca_file_path": os.environ["AWS_CA_BUNDLE"], "region": process.REGION}
    system = fs.S3FileSystem(endpoint_override=os.environ["AWS_ENDPOINT_URL"], **places)
    keys = pa.schema([("sampleid", pa.string())]) if table == names.VARIANTS_TABLE else None
    found = dataset.dataset(
        f"{lake(session).bucket}/tables/{table}",
        filesystem=system,
        partitioning=dataset.partitioning(keys, flavor="hive") if keys else None,
    )
    return sorted(found.to_table().to_pylist(), key=repr)


def frequencies(rows: list[tuple[Any, ...]]) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for row in rows:
        found.setdefault(f"rs{row[1]}", {})["het" if row[8:] == (0, 1) else "hom_alt"] = round(row[0], 6)
    return found


def test_launch(session: boto3.Session) -> None:
    aws(
        *("cloudformation", "create-stack", "--stack-name", STACK, "--template-url", template_url()),
        *("--capabilities", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"),
    )
    wait_for(Stack(session, STACK).status, lambda status: status != "CREATE_IN_PROGRESS")
    wait_for(Stack(session, STACK).status, lambda status: not str(status).endswith("_IN_PROGRESS"))
    assert Stack(session, STACK).status() == "CREATE_COMPLETE", Stack(session, STACK).first_failure()
    stacks = session.client("cloudformation").describe_stacks()["Stacks"]
    assert {stack["StackName"]: stack["StackStatus"] for stack in stacks} == {
        STACK: "CREATE_COMPLETE",
        "GenomicsAnalysisZone": "CREATE_COMPLETE",
        "GenomicsAnalysisPipe": "CREATE_COMPLETE",
        "GenomicsAnalysisCode": "CREATE_COMPLETE",
    }


@pytest.mark.usefixtures("session")
def test_crawlers_are_done() -> None:
    """Step 2 of the guide."""
    for name in ("variants", "clinvar", "sample"):
        crawler = aws("glue", "get-crawler", "--name", f"genomicsanalysis-{name}")["Crawler"]
        assert (crawler["State"], crawler["LastCrawl"]["Status"]) == ("READY", "SUCCEEDED")
    metrics = aws("glue", "get-crawler-metrics")["CrawlerMetricsList"]
    assert [metric["TablesCreated"] for metric in metrics] == [1, 1, 1]
    tables = aws("glue", "get-tables", "--database-name", "genomicsanalysis")["TableList"]
    assert sorted(table["Name"] for table in tables) == sorted(names.TABLES)


@pytest.mark.usefixtures("session")
def test_tables_carry_their_facts() -> None:
    tables = aws("glue", "get-tables", "--database-name", "genomicsanalysis")["TableList"]
    for table in tables:
        facts = table["Parameters"]
        assert facts["coordinate_base"]
        assert facts["run_id"]
        assert facts["code_commit"]
        assert facts["hail_version"] == "0.2.139"
        assert re.search(r"\b[0-9a-f]{64}\b", facts["sources"])


def test_the_published_table(session: boto3.Session) -> None:
    """Step 3 of the guide: our query, and the guide's own, in the deployed workgroup."""
    ours = drug_rows(session)
    assert frequencies(ours) == published()
    assert len(ours) == 10
    assert sorted(lake(session).ask(guides_query()), key=repr) == sorted(ours, key=repr)


def test_jobs_and_crawlers_make_the_same_tables(session: boto3.Session) -> None:
    """Appendices D to H: the demonstration's tables are what the deployed jobs make of the files beside them."""
    before = {table: whole_table(session, table) for table in names.TABLES}
    assert all(before.values())
    bucket = lake(session).bucket
    s3 = session.resource("s3").Bucket(bucket)
    for table in names.TABLES:
        s3.objects.filter(Prefix=f"tables/{table}/").delete()
    cohort = {
        "--input_path": f"s3://{bucket}/source/variants/onekg_chr22.vcf.gz",
        "--output_path": f"s3://{bucket}/tables/{names.VARIANTS_TABLE}",
        "--layout": "by_sample",
    }
    for job, further in (
        ("vcf-to-parquet", []),
        ("vcf-to-parquet", ["--arguments", json.dumps(cohort)]),
        ("clinvar-to-parquet", []),
    ):
        run_job(f"genomicsanalysis-{job}", *further)
    for name in ("variants", "clinvar", "sample"):
        run_crawler(f"genomicsanalysis-{name}")
    assert {table: whole_table(session, table) for table in names.TABLES} == before


def run_job(job: str, *arguments: str) -> None:
    run = aws("glue", "start-job-run", "--job-name", job, *arguments)["JobRunId"]
    told = wait_for(
        lambda: aws("glue", "get-job-run", "--job-name", job, "--run-id", run)["JobRun"],
        lambda told: told["JobRunState"] not in ("STARTING", "RUNNING", "WAITING"),
    )
    assert told["JobRunState"] == "SUCCEEDED", told


def run_crawler(crawler: str) -> None:
    aws("glue", "start-crawler", "--name", crawler)
    told = wait_for(
        lambda: aws("glue", "get-crawler", "--name", crawler)["Crawler"], lambda told: told["State"] == "READY"
    )
    assert told["LastCrawl"]["Status"] == "SUCCEEDED", told


def push(session: boto3.Session, message: str, files: dict[str, str]) -> str:
    """Commit to the code repository; the commit's id."""
    client = session.client("codecommit")
    head = client.get_branch(repositoryName="GenomicsAnalysisCode", branchName="main")["branch"]["commitId"]
    put = [{"filePath": path, "fileContent": text.encode()} for path, text in files.items()]
    commit: str = client.create_commit(
        repositoryName="GenomicsAnalysisCode",
        branchName="main",
        parentCommitId=head,
        authorName="A user",
        commitMessage=message,
        putFiles=put,
    )["commitId"]
    return commit


def code_file(session: boto3.Session, path: str) -> str:
    found = session.client("codecommit").get_file(repositoryName="GenomicsAnalysisCode", filePath=path)
    return str(found["fileContent"].decode())


def pipeline_of(session: boto3.Session, commit: str) -> str:
    """How the pipeline ended for a commit."""
    client = session.client("codepipeline")

    def status() -> str | None:
        for execution in client.list_pipeline_executions(pipelineName="GenomicsAnalysisCode")[
            "pipelineExecutionSummaries"
        ]:
            if any(revision.get("revisionId") == commit for revision in execution.get("sourceRevisions", [])):
                return str(execution["status"])
        return None

    return str(wait_for(status, lambda told: told not in (None, "InProgress")))


def test_a_push_adds_a_job_and_a_crawler(session: boto3.Session) -> None:
    """As docs/developer-guide.md says: a copy of a job and of a crawler under other names, and a push."""
    template = code_file(session, "code_cfn.yml")
    added = ""
    for resource, old, new in (
        ("VcfToParquetJob", "vcf-to-parquet", "second-vcf-to-parquet"),
        ("SampleCrawler", "-sample", "-second-sample"),
    ):
        found = re.search(rf"^  {resource}:\n(?:(?:    .*)?\n)+", template, re.MULTILINE)
        assert found
        added += (
            found[0]
            .replace(f"  {resource}:", f"  Second{resource}:")
            .replace(
                f"${{Prefix}}{'-' if not old.startswith('-') else ''}{old}",
                f"${{Prefix}}{'-' if not new.startswith('-') else ''}{new}",
                1,
            )
        )
    changed = template.replace("\nResources:\n", f"\nResources:\n{added}", 1)
    commit = push(session, "A second job and crawler", {"code_cfn.yml": changed})
    assert pipeline_of(session, commit) == "Succeeded"
    run_job("genomicsanalysis-second-vcf-to-parquet")
    run_crawler("genomicsanalysis-second-sample")


def test_a_push_that_fails_its_tests_deploys_nothing(session: boto3.Session) -> None:
    resources = outputs(session, "GenomicsAnalysisPipe")["ResourcesBucket"]
    script = "resources/scripts/vcf_to_parquet.py"
    before = code_file(session, script)
    etag = session.client("s3").head_object(Bucket=resources, Key="scripts/vcf_to_parquet.py")["ETag"]
    commit = push(session, "A mistake", {script: before + "\nimport nothing_that_exists_and_is_unused\n"})
    assert pipeline_of(session, commit) == "Failed"
    assert session.client("s3").head_object(Bucket=resources, Key="scripts/vcf_to_parquet.py")["ETag"] == etag
    assert pipeline_of(session, push(session, "Mended", {script: before})) == "Succeeded"


def test_update_to_another_version(session: boto3.Session) -> None:
    """The root stack's update reaches the stacks below it, and leaves the users' commits alone."""
    head = session.client("codecommit").get_branch(repositoryName="GenomicsAnalysisCode", branchName="main")
    aws(
        *("cloudformation", "update-stack", "--stack-name", STACK, "--use-previous-template"),
        *("--capabilities", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"),
        *("--parameters", "ParameterKey=GlueVersion,ParameterValue=5.0"),
    )
    wait_for(Stack(session, STACK).status, lambda status: not str(status).endswith("_IN_PROGRESS"))
    assert Stack(session, STACK).status() == "UPDATE_COMPLETE", Stack(session, STACK).first_failure()
    job = aws("glue", "get-job", "--job-name", "genomicsanalysis-vcf-to-parquet")["Job"]
    assert job["GlueVersion"] == "5.0"
    after = session.client("codecommit").get_branch(repositoryName="GenomicsAnalysisCode", branchName="main")
    assert after["branch"] == head["branch"]


def test_the_queries_of_the_docs_run(session: boto3.Session) -> None:
    queries = [
        query
        for page in (names.ROOT / "README.md", *(names.ROOT / "docs").glob("*.md"))
        for query in re.findall(r"^```sql\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    ]
    assert queries
    for query in queries:
        assert lake(session).ask(query), query


def test_it_is_reproducible_after_all_that(session: boto3.Session) -> None:
    assert frequencies(drug_rows(session)) == published()


def test_delete(session: boto3.Session) -> None:
    """Appendix C: one delete, and nothing is left."""
    aws("cloudformation", "delete-stack", "--stack-name", STACK)
    aws("cloudformation", "wait", "stack-delete-complete", "--stack-name", STACK)
    assert [thing for thing in remains.things(session) if thing != f"s3 bucket {BUCKET}"] == []
