"""A launched solution, seen from the tests: the AWS CLI, stacks, jobs, crawlers, commits, and what the lake holds."""

import io
import json
import os
import re
import subprocess
import time
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import boto3
import pyarrow as pa
import pytest
from botocore.exceptions import ClientError
from pyarrow import dataset, fs

from setup import buckets, local, names, publish
from setup.rehearsal import process
from setup.stacks import Stack
from tests.acceptance import DATA

STACK = "GenomicsAnalysis-Setup"
BUCKET = "genomics-solution"
PREFIX = "genomics-tertiary-analysis-and-data-lakes/v0.1.0/"
PATIENCE = 600  # seconds
PASSWORDS: dict[str, Any] = {  # the catalog's encryption before there is a launch
    "EncryptionAtRest": {"CatalogEncryptionMode": "DISABLED"},
    "ConnectionPasswordEncryption": {
        "ReturnConnectionPasswordEncrypted": True,
        "AwsKmsKeyId": f"arn:aws:kms:{process.REGION}:{process.ACCOUNT}:key/11111111-1111-4111-8111-111111111111",
    },
}


def aws(*arguments: str) -> Any:
    """What an AWS CLI command prints, from JSON. Fails with its error."""
    done = subprocess.run(
        [process.PYTHON.parent / "aws", *arguments, "--output", "json"], capture_output=True, text=True
    )
    assert done.returncode == 0, f"aws {' '.join(arguments)}\n{done.stderr}"
    return json.loads(done.stdout) if done.stdout.strip() else None


def appendix(letters: str) -> list[str]:
    """The commands of some appendices, as the page has them, a text for each block."""
    page = (names.ROOT / "docs" / "appendices.md").read_text()
    sections = re.findall(rf"^## [{letters}]\. (.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    assert len(sections) == len(letters)
    return [block for section in sections for block in re.findall(r"^```bash\n(.*?)^```", section, re.M | re.S)]


def shell(commands: str, **variables: str) -> str:
    """What commands print that a user types. Fails with their error."""
    path = f"{process.PYTHON.parent}:{os.environ['PATH']}"
    command = ["bash", "-euo", "pipefail", "-c", commands]
    done = subprocess.run(command, env=os.environ | {"PATH": path} | variables, capture_output=True, text=True)
    assert done.returncode == 0, f"{commands}\n{done.stdout}{done.stderr}"
    return done.stdout


def wait_for(told: Callable[[], Any], wanted: Callable[[Any], bool]) -> Any:
    """What `told` says once it is as wanted. Fails when it isn't in time."""
    deadline = time.monotonic() + PATIENCE
    while not wanted(now := told()):
        assert time.monotonic() < deadline, f"still {now!r} after {PATIENCE} s"
        time.sleep(1)
    return now


def root(stack: str, prefix: str) -> list[str]:
    """What the AWS CLI is told to create or update a root stack from its published template."""
    url = f"{os.environ['AWS_ENDPOINT_URL']}/{BUCKET}/{prefix}{names.TEMPLATE}"
    capabilities = ["--capabilities", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"]
    return ["--stack-name", stack, "--template-url", url, *capabilities]


def publish_changed(session: boto3.Session, prefix: str, changes: Mapping[str, tuple[str, str]]) -> None:
    """Publish another version of the solution: in each file of `changes` the first text becomes the second."""
    files = {}
    with zipfile.ZipFile(io.BytesIO(publish.archive())) as archive:
        for path in archive.namelist():
            files[path] = archive.read(path)
    template = publish.template(BUCKET, prefix)
    for path, (old, new) in changes.items():
        text = files[path].decode()
        assert old in text, f"{path} has no {old!r}"
        files[path] = text.replace(old, new).encode()
        if path == "templates/setup_cfn.yml":
            template = template.replace(old, new)
    s3 = session.client("s3")
    for key, content in (("solution.zip", publish.zipped(files)), (names.TEMPLATE, template.encode())):
        s3.put_object(Bucket=BUCKET, Key=prefix + key, Body=content)
    rest = [key for key in buckets.keys(s3, BUCKET, f"{PREFIX}data/") if "sampleid=" not in key or "=NA12" in key]
    pairs = [(key, prefix + key.removeprefix(PREFIX)) for key in [f"{PREFIX}trigger.zip", *rest]]
    buckets.copy(session, pairs, BUCKET, BUCKET, print)


def ended(session: boto3.Session, stack: str) -> str | None:
    """The status of a stack, once nothing is under way; None where it is gone."""
    status = wait_for(Stack(session, stack).status, lambda told: not str(told).endswith("_IN_PROGRESS"))
    return None if status == "DELETE_COMPLETE" else status


def reasons(session: boto3.Session, stack: str) -> str:
    """What the events of a stack give as reasons, newest first."""
    events = session.client("cloudformation").describe_stack_events(StackName=stack)["StackEvents"]
    return "\n".join(event["ResourceStatusReason"] for event in events if event.get("ResourceStatusReason"))


def catalog_encryption(session: boto3.Session) -> dict[str, Any]:
    """What the catalog is encrypted with."""
    return dict(session.client("glue").get_data_catalog_encryption_settings()["DataCatalogEncryptionSettings"])


def put_catalog_encryption(session: boto3.Session, settings: dict[str, Any]) -> None:
    """As somebody else in the account does it."""
    session.client("glue").put_data_catalog_encryption_settings(DataCatalogEncryptionSettings=settings)


def drug_rows(session: boto3.Session, project: str = names.PROJECT) -> list[tuple[Any, ...]]:
    """What our query gives for the guide's cohort."""
    lake = local.lake_of(session, project)
    return lake.ask(lake.query("drug_response", "GRCh37"), ["NA12%"])


def guides_query() -> str:
    """The guide's own query, as it stands under step 3, option 2, without the page break's fence."""
    guide = (DATA.parent / "guide.txt").read_text()
    start = guide.rindex("SELECT\n    count(*)/cast(numsamples")
    end = guide.index("LIMIT 50", start) + len("LIMIT 50")
    return guide[start:end].replace("```", "")


def frequencies(rows: list[tuple[Any, ...]]) -> dict[str, dict[str, float]]:
    """Rows of either query by rsID and genotype, as in the published table."""
    found: dict[str, dict[str, float]] = {}
    for row in rows:
        found.setdefault(f"rs{row[1]}", {})["het" if row[8:] == (0, 1) else "hom_alt"] = round(row[0], 6)
    return found


def lake_keys(session: boto3.Session, project: str) -> list[str]:
    """What a project's data lake holds of sources and tables."""
    client, bucket = session.client("s3"), local.lake_of(session, project).bucket
    return [*buckets.keys(client, bucket, "source/"), *buckets.keys(client, bucket, "tables/")]


def whole_table(session: boto3.Session, table: str) -> list[dict[str, Any]]:
    """Every row of a table, sorted, from its Parquet files."""
    places = {"tls_ca_file_path": os.environ["AWS_CA_BUNDLE"], "region": process.REGION}
    system = fs.S3FileSystem(endpoint_override=os.environ["AWS_ENDPOINT_URL"], **places)
    keys = pa.schema([("sampleid", pa.string())]) if table == names.VARIANTS_TABLE else None
    found = dataset.dataset(
        f"{local.lake_of(session).bucket}/tables/{table}",
        filesystem=system,
        partitioning=dataset.partitioning(keys, flavor="hive") if keys else None,
    )
    return sorted(found.to_table().to_pylist(), key=repr)


def job_done(session: boto3.Session, job: str) -> None:
    """Wait for the newest run of a job. Fails where it failed."""
    told = wait_for(
        lambda: session.client("glue").get_job_runs(JobName=job, MaxResults=1)["JobRuns"][0],
        lambda told: told["JobRunState"] not in ("STARTING", "RUNNING", "WAITING"),
    )
    assert told["JobRunState"] == "SUCCEEDED", told


def crawler_done(session: boto3.Session, crawler: str) -> None:
    """Wait for a crawler. Fails where it failed."""
    told = wait_for(
        lambda: session.client("glue").get_crawler(Name=crawler)["Crawler"], lambda told: told["State"] == "READY"
    )
    assert told["LastCrawl"]["Status"] == "SUCCEEDED", told


def home() -> Path:
    """The emulator's folder."""
    return Path(os.environ["AWS_CA_BUNDLE"]).parents[1]


def as_notebook(instance: str) -> Callable[[str], Any]:
    """Clients with the credentials that a notebook instance has."""
    told = json.loads((home() / "notebooks" / instance / "environment.json").read_text())
    session = boto3.Session(
        told["AWS_ACCESS_KEY_ID"], told["AWS_SECRET_ACCESS_KEY"], told["AWS_SESSION_TOKEN"], told["AWS_REGION"]
    )
    return lambda service: session.client(service)


def refused(code: str = "AccessDenied") -> Any:
    """The call in this block is refused by IAM."""
    return pytest.raises(ClientError, match=rf"\({code}(Exception)?\)")


CODE, PIPE = "GenomicsAnalysisCode", "GenomicsAnalysisPipe"  # the repositories


def push(session: boto3.Session, message: str, files: dict[str, str], repository: str = CODE) -> str:
    """Commit to a repository; the commit's id."""
    client = session.client("codecommit")
    head = client.get_branch(repositoryName=repository, branchName="main")["branch"]["commitId"]
    put = [{"filePath": path, "fileContent": text.encode()} for path, text in files.items()]
    commit: str = client.create_commit(
        repositoryName=repository,
        branchName="main",
        parentCommitId=head,
        authorName="A user",
        commitMessage=message,
        putFiles=put,
    )["commitId"]
    return commit


def log_of(session: boto3.Session, project: str) -> str:
    """What the newest build of a project wrote."""
    builds, logs = session.client("codebuild"), session.client("logs")
    newest = builds.list_builds_for_project(projectName=project)["ids"][:1]
    place = builds.batch_get_builds(ids=newest)["builds"][0]["logs"]
    told = logs.get_log_events(logGroupName=place["groupName"], logStreamName=place["streamName"], startFromHead=True)
    return "".join(event["message"] for event in told["events"])


def file_of(session: boto3.Session, path: str, repository: str = CODE) -> str:
    """A file's text in a repository."""
    found = session.client("codecommit").get_file(repositoryName=repository, filePath=path)
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
