"""What goes wrong on the way: the orchestrator is killed, builds and crawlers fail, buckets fill up, stacks are half
gone. The root stack ends failed or rolled back with the reason in its events, and a later delete succeeds.

Called by .ci/run after tests/rehearsal.py, in the same process: the solution that was launched there is the one that a
second project stands beside, and that is deleted here.
"""

import contextlib
import http.server
import itertools
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from setup import buckets, deploy, gluejobs, names, teardown
from setup.errors import SetupError
from setup.rehearsal import remains
from setup.stacks import Stack
from tests import solution
from tests.acceptance import DATA, published
from tests.conftest import Launch
from tests.solution import STACK, aws

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="../shared/data is absent")

SECOND = "Neighbour"  # a project beside the launched one
BOUNDARY = "arn:aws:iam::123456789012:policy/NoJobs"  # of the second project's roles
OWN_KEY = "alias/of-their-own"
NUMBER = "00000000-0000-4000-8000-000000000000"  # of its deployment
PUBLISHED = f"s3 bucket {solution.BUCKET}"
ORCHESTRATOR = """
import sys
from setup import __main__ as verbs, metrics
metrics.ENDPOINT = sys.argv[1]
verbs.main(sys.argv[2:])
"""


# The orchestrator, killed


@pytest.fixture(scope="module")
def metrics() -> Iterator[tuple[str, list[dict[str, object]]]]:
    """A server in the place of AWS's, and what it was sent."""
    received: list[dict[str, object]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", received
        server.shutdown()


def orchestrate(project: str, verb: str, endpoint: str, until: str | None = None) -> list[str]:
    """Run a verb as the build does, and kill it at the first line that has `until`; the lines until then."""
    told = {
        "PROJECT": project,
        "DEPLOYMENT_ID": NUMBER if project == SECOND else Stack(boto3.Session(), STACK).outputs()["DeploymentId"],
        "ON_DELETE": "DeleteData" if project == SECOND else "KeepData",
        "SOLUTION_BUCKET": solution.BUCKET,
        "SOLUTION_PREFIX": solution.PREFIX,
        "CATALOG_ENCRYPTION": "Manage",  # also for the second, which is to leave it to the launched one
        "OWN_KEY_ARN": key_of_their_own() if project == SECOND else "",
        "PERMISSIONS_BOUNDARY": BOUNDARY if project == SECOND else "",
        "ANONYMOUS_METRICS": "Yes",
        "REQUEST": json.dumps({"RequestType": "Delete" if verb == "teardown" else "Create"}),
        "PYTHONPATH": str(names.ROOT),
    }
    command = [sys.executable, "-c", ORCHESTRATOR, endpoint, verb]
    lines = []
    with subprocess.Popen(
        command, env=os.environ | told, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        for line in process.stdout or ():
            lines.append(line.rstrip())
            if until and until in line:
                process.kill()
                break
    assert until or process.returncode == 0, "\n".join(lines)
    assert not until or until in lines[-1], "\n".join(lines)
    return lines


def make_their_own(session: boto3.Session) -> None:
    """What an administrator brings to the second project's launch: a boundary and a key."""
    may = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    no_jobs = {"Effect": "Deny", "Action": "glue:StartJobRun", "Resource": "*"}
    of_account = {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::123456789012:root"}, "Action": "kms:*"}
    of_logs = {"Effect": "Allow", "Principal": {"Service": "logs.us-east-1.amazonaws.com"}, "Action": "kms:*"}
    boundary, policy = (
        json.dumps({"Version": "2012-10-17", "Statement": statements})
        for statements in ([may, no_jobs], [one | {"Resource": "*"} for one in (of_account, of_logs)])
    )
    session.client("iam").create_policy(PolicyName=BOUNDARY.rpartition("/")[2], PolicyDocument=boundary)
    kms, tags = session.client("kms"), [{"TagKey": "Project", "TagValue": SECOND}]
    key = kms.create_key(Policy=policy, Tags=tags)["KeyMetadata"]["KeyId"]
    kms.create_alias(AliasName=OWN_KEY, TargetKeyId=key)


def key_of_their_own() -> str:
    """The ARN of the key that the second project is launched with."""
    return str(boto3.client("kms").describe_key(KeyId=OWN_KEY)["KeyMetadata"]["Arn"])


def moments(steps: int) -> list[str]:
    """Lines at which to kill: the begin of every step and its end, but for the end of the last."""
    return [moment for step in range(1, steps + 1) for moment in (f"{step}/{steps} ", f"✓ {step}/{steps} ")][:-1]


def anonymous(things: list[str], project: str) -> list[str]:
    """Things of a project without what differs between two: the project's name, random ids and suffixes."""
    found = []
    for thing in things:
        text = thing.replace(project, "PROJECT").replace(project.lower(), "project")
        text = re.sub(r"\b[0-9a-f]{8}-[0-9a-f-]{27}\b", "ID", text)
        found.append(re.sub(r"(?<=-)[0-9a-zA-Z]{8,}$", "SUFFIX", text))
    return sorted(found)


def test_deploy_killed_at_every_step(launch: Launch, metrics: tuple[str, list[dict[str, object]]]) -> None:
    """Run again and again it goes on, and what stands then is what stands after a launch without a kill."""
    session, (endpoint, received) = launch.session, metrics
    make_their_own(session)
    before = remains.things(session)
    encryption = solution.catalog_encryption(session)
    key = encryption["EncryptionAtRest"]["SseAwsKmsKeyId"]
    assert key == Stack(session, f"{names.PROJECT}Zone").outputs()["DataKeyArn"]
    for moment in moments(deploy.STEPS):
        orchestrate(SECOND, "deploy", endpoint, until=moment)
    assert received == []
    told = orchestrate(SECOND, "deploy", endpoint)
    assert any(f"region is encrypted already, with {key}: it stays so" in line for line in told)
    assert solution.catalog_encryption(session) == encryption
    assert [one["Data"] for one in received] == [
        {"Event": "create", "Version": names.VERSION, "Region": session.region_name}
    ]
    made = [thing for thing in remains.things(session) if thing not in before]
    root = Stack(session, STACK).resources()
    del root["Prefix"]  # the name of others, too
    of_root = {value.rpartition("/")[2] for value in root.values()} | {*root.values(), STACK, solution.BUCKET}
    first = [thing for thing in launch.things if not of_root & set(thing.split())]
    one_an_account = ("glue catalog encryption ", "logs log group /aws/sagemaker/NotebookInstances")
    first = [thing for thing in first if not thing.startswith((*one_an_account, "kms "))]  # it has a key of its own
    assert anonymous(made, SECOND) == anonymous(first, names.PROJECT)
    assert solution.lake_keys(session, SECOND) == launch.keys
    for name in (f"{SECOND}Pipe", f"{SECOND}Code"):
        client = session.client("codecommit")
        head = client.get_branch(repositoryName=name, branchName="main")["branch"]["commitId"]
        assert client.get_commit(repositoryName=name, commitId=head)["commit"]["parents"] == []
    assert solution.frequencies(solution.drug_rows(session, SECOND)) == published()


def test_every_role_of_the_second_project_is_bounded(launched: boto3.Session) -> None:
    """Each has the boundary, and it holds: its notebook's policy lets it start jobs."""
    iam = launched.client("iam")
    roles = [role for page in iam.get_paginator("list_roles").paginate() for role in page["Roles"]]
    second = [
        iam.get_role(RoleName=role["RoleName"])["Role"] for role in roles if role["Path"].startswith(f"/{SECOND}/")
    ]
    assert len(second) == 7
    assert {role["PermissionsBoundary"]["PermissionsBoundaryArn"] for role in second} == {BOUNDARY}
    glue = solution.as_notebook(f"{SECOND.lower()}-runbook")("glue")
    glue.get_crawler(Name=f"{SECOND.lower()}-variants")
    with solution.refused():
        glue.start_job_run(JobName=f"{SECOND.lower()}-vcf-to-parquet")


def test_the_second_project_is_encrypted_with_a_key_of_its_own(launched: boto3.Session) -> None:
    """What it was launched with; none was made for it."""
    key, s3 = key_of_their_own(), launched.client("s3")
    lake = Stack(launched, f"{SECOND}Pipe").outputs()["DataLakeBucket"]
    for prefix in ("source/", "tables/"):
        found = s3.list_objects_v2(Bucket=lake, Prefix=prefix, MaxKeys=5)["Contents"]
        assert {s3.head_object(Bucket=lake, Key=one["Key"])["SSEKMSKeyId"] for one in found} == {key}
    assert "DataKey" not in Stack(launched, f"{SECOND}Zone").resources()


def test_the_second_project_reaches_nothing_of_the_first(launched: boto3.Session) -> None:
    """With the credentials that its notebook, its job and its crawler have."""
    theirs, first = solution.as_notebook(f"{SECOND.lower()}-runbook"), names.PROJECT.lower()
    lake = Stack(launched, f"{names.PROJECT}Pipe").outputs()["DataLakeBucket"]
    key = Stack(launched, f"{names.PROJECT}Zone").outputs()["DataKeyArn"]
    s3 = theirs("s3")
    with solution.refused():
        s3.get_object(Bucket=lake, Key="tables/clinvar/_load.json")
    with solution.refused():
        s3.list_objects_v2(Bucket=lake)
    with solution.refused():
        theirs("glue").get_table(DatabaseName=first, Name="clinvar")
    with solution.refused():
        theirs("glue").update_table(DatabaseName=first, TableInput={"Name": "clinvar"})
    with solution.refused():
        theirs("athena").start_query_execution(QueryString="SELECT 1", WorkGroup=first)
    with solution.refused():
        theirs("codecommit").get_file(repositoryName=f"{names.PROJECT}Code", filePath="code_cfn.yml")
    with solution.refused():
        theirs("kms").decrypt(KeyId=key, CiphertextBlob=b"x")
    source = {"--input_path": f"s3://{lake}/source/annotation/variant_summary.txt.gz"}
    with pytest.raises(SetupError, match="S3 denies access"):
        gluejobs.run(launched, f"{SECOND.lower()}-clinvar-to-parquet", source, print)
    target = {"--output_path": f"s3://{lake}/tables/clinvar"}
    with pytest.raises(SetupError, match="S3 denies access"):
        gluejobs.run(launched, f"{SECOND.lower()}-clinvar-to-parquet", target, print)


# Deleting


class Filler:
    """Somebody who goes on writing into a bucket."""

    def __init__(self, session: boto3.Session, bucket: str) -> None:
        self._client, self._bucket = session.client("s3"), bucket
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._fill, daemon=True)

    def _fill(self) -> None:
        for number in itertools.count():
            if self._stop.is_set():
                return
            with contextlib.suppress(ClientError):  # the bucket is gone
                self._client.put_object(Bucket=self._bucket, Key=f"late/{number}", Body=b"")
            self._stop.wait(0.02)

    def __enter__(self) -> "Filler":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def test_uninstall_by_hand(launched: boto3.Session) -> None:
    """Appendix C's commands, for the second project; the first stands as before, and it encrypts the catalog."""
    encryption = solution.catalog_encryption(launched)
    commands = solution.appendix("C")[1]
    assert "list-object-versions" in commands
    solution.shell(commands.replace(names.PROJECT, SECOND))
    left = [thing for thing in remains.things(launched) if SECOND.lower() in thing.lower()]
    groups = [thing for thing in left if thing.startswith("logs log group /aws-glue/")]
    assert left == groups
    kms, key = launched.client("kms"), key_of_their_own()
    assert kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "Enabled"  # it is not the solution's to delete
    kms.delete_alias(AliasName=OWN_KEY)
    kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    launched.client("iam").delete_policy(PolicyArn=BOUNDARY)
    logs, notebooks = launched.client("logs"), "/aws/sagemaker/NotebookInstances"
    for group in groups:
        logs.delete_log_group(logGroupName=group.split()[-1])
    prefix = f"{SECOND.lower()}-"
    for stream in logs.describe_log_streams(logGroupName=notebooks, logStreamNamePrefix=prefix)["logStreams"]:
        logs.delete_log_stream(logGroupName=notebooks, logStreamName=stream["logStreamName"])
    assert solution.catalog_encryption(launched) == encryption
    assert solution.frequencies(solution.drug_rows(launched)) == published()


@pytest.fixture(scope="module")
def stood(launched: boto3.Session) -> set[str]:
    """What the data lake holds before anything of it is deleted."""
    return set(solution.lake_keys(launched, names.PROJECT))


@pytest.mark.usefixtures("stood")
def test_a_bucket_that_fills_up_again(launched: boto3.Session, metrics: tuple[str, list[dict[str, object]]]) -> None:
    """Teardown is killed at the begin and the end of its first steps; then the root stack, half deleted, is deleted
    while somebody writes into a bucket: that fails, and says which bucket it was.
    """
    endpoint, _ = metrics
    for moment in moments(teardown.STEPS)[:4]:
        orchestrate(names.PROJECT, "teardown", endpoint, until=moment)
    assert Stack(launched, f"{names.PROJECT}Code").status() is None
    assert solution.catalog_encryption(launched) == solution.PASSWORDS
    bucket = Stack(launched, f"{names.PROJECT}Pipe").resources()["ResourcesBucket"]
    launched.client("s3").create_multipart_upload(Bucket=bucket, Key="unfinished")
    with Filler(launched, bucket):
        aws("cloudformation", "delete-stack", "--stack-name", STACK)
        assert solution.ended(launched, STACK) == "DELETE_FAILED"
    assert bucket in solution.reasons(launched, STACK)
    assert Stack(launched, f"{names.PROJECT}Pipe").status() == "DELETE_FAILED"
    logs, group = launched.client("logs"), f"/aws/codebuild/{names.PROJECT}Setup"
    streams = [stream["logStreamName"] for stream in logs.describe_log_streams(logGroupName=group)["logStreams"]]
    told = [logs.get_log_events(logGroupName=group, logStreamName=stream)["events"] for stream in streams]
    said = "".join(event["message"] for events in told for event in events)
    assert all(f"s3://{bucket}" in said for bucket in kept(launched))


def kept(session: boto3.Session) -> list[str]:
    """The buckets that OnDelete keeps."""
    found = [bucket["Name"] for bucket in session.client("s3").list_buckets()["Buckets"]]
    return [bucket for bucket in found if re.match(r"genomicsanalysispipe-(datalake|logs)bucket-", bucket)]


def test_a_stack_that_is_half_deleted(
    launched: boto3.Session, stood: set[str], metrics: tuple[str, list[dict[str, object]]]
) -> None:
    """Teardown is killed at its other steps, too; then one delete ends it. What OnDelete keeps is left, and whole, and
    the catalog's encryption is what it was before the launch.
    """
    session, (endpoint, received) = launched, metrics
    received.clear()
    key = Stack(session, f"{names.PROJECT}Zone").resources()["DataKey"]
    for moment in moments(teardown.STEPS)[4:]:
        orchestrate(names.PROJECT, "teardown", endpoint, until=moment)
    orchestrate(names.PROJECT, "teardown", "http://127.0.0.1:9")  # nobody listens there: no failure
    assert received == []
    solution.shell(solution.appendix("C")[0])
    kept_buckets = kept(session)
    assert len(kept_buckets) == 2
    encryption = "glue catalog encryption connection passwords"
    left = [encryption, f"kms key {key}", *(f"s3 bucket {bucket}" for bucket in kept_buckets), PUBLISHED]
    assert remains.things(session) == sorted(left)
    keys = {one.key for bucket in kept_buckets for one in session.resource("s3").Bucket(bucket).objects.all()}
    assert stood
    assert stood <= keys
    for bucket in kept_buckets:
        buckets.empty(session, bucket, print)
        session.client("s3").delete_bucket(Bucket=bucket)
    session.client("kms").schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    assert solution.catalog_encryption(session) == solution.PASSWORDS
    solution.put_catalog_encryption(session, {})
    assert remains.things(session) == [PUBLISHED]


# Launches that fail


@dataclass(frozen=True)
class Fault:
    """What is wrong with a version of the solution, and what the root stack's events have to say about it."""

    project: str
    changes: dict[str, tuple[str, str]]
    reasons: tuple[str, ...]
    parameters: tuple[str, ...] = ()


def one_wrong_hash() -> dict[str, tuple[str, str]]:
    """The hashes of one small package, each with its first eight digits changed."""
    path = "code/requirements/jobs.txt"
    text = (names.ROOT / path).read_text()
    block = re.search(r"^deprecated==(?:.*\\\n)+.*$", text, re.MULTILINE)
    assert block
    return {path: (block[0], re.sub(r"sha256:[0-9a-f]{8}", "sha256:00000000", block[0]))}


FAULTS = (
    Fault(
        "BadResource",
        {"code/code_cfn.yml": ("Service: sagemaker.amazonaws.com", "Service: ec2.amazonaws.com")},
        ("BadResourceCode", "Notebook: AWS::SageMaker::NotebookInstance", "BadResourceRunbookRole"),
    ),
    Fault("BadBuild", one_wrong_hash(), ("BuildHail", "DO NOT MATCH THE HASHES", "deprecated")),
    Fault(
        "BadCrawler",
        {"code/code_cfn.yml": ("${DataLakeBucket}/tables/*", "${DataLakeBucket}/nothing/*")},
        ("Crawler badcrawler-", "FAILED", "ACCESS_DENIED"),
        ("ParameterKey=NotebookInstanceType,ParameterValue=none",),
    ),
    # asks for metrics where the mapping has them off
    Fault(
        "StoppedBuild",
        {"templates/setup_cfn.yml": ("Data: 'Yes'", "Data: 'No'")},
        ("STOPPED",),
        ("ParameterKey=AnonymousMetrics,ParameterValue=Yes",),
    ),
)


NO_FILES = Fault("NoFiles", {}, ())  # its archive is taken away


@dataclass(frozen=True)
class Failed:
    """How launches ended, by project, and whether the build that was stopped would have sent metrics."""

    statuses: dict[str, str | None]
    sends_metrics: str


@pytest.fixture(scope="module")
def failed(session: boto3.Session) -> Failed:
    """All those versions launched at the same time."""
    for fault in (*FAULTS, NO_FILES):
        prefix = f"{fault.project}/"
        solution.publish_changed(session, prefix, fault.changes)
        if fault is NO_FILES:
            session.client("s3").delete_object(Bucket=solution.BUCKET, Key=f"{prefix}solution.zip")
        aws(
            *("cloudformation", "create-stack", *solution.root(f"{fault.project}-Setup", prefix), "--parameters"),
            *(f"ParameterKey=Project,ParameterValue={fault.project}", *fault.parameters),
            "ParameterKey=CatalogEncryption,ParameterValue=LeaveAsIs",
        )
    builds = session.client("codebuild")
    solution.wait_for(Stack(session, "StoppedBuildZone").status, bool)
    (build,) = builds.list_builds_for_project(projectName="StoppedBuildSetup")["ids"]
    builds.stop_build(id=build)
    (project,) = builds.batch_get_projects(names=["StoppedBuildSetup"])["projects"]
    told = {variable["name"]: variable["value"] for variable in project["environment"]["environmentVariables"]}
    statuses = {fault.project: solution.ended(session, f"{fault.project}-Setup") for fault in (*FAULTS, NO_FILES)}
    return Failed(statuses, told["ANONYMOUS_METRICS"])


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.project)
def test_a_launch_that_fails(session: boto3.Session, failed: Failed, fault: Fault) -> None:
    """It is rolled back with the reason in its events; nothing but the stack itself is left, and a delete succeeds."""
    stack = f"{fault.project}-Setup"
    assert failed.statuses[fault.project] == "ROLLBACK_COMPLETE"
    told = solution.reasons(session, stack)
    assert [reason for reason in fault.reasons if reason not in told] == [], told
    left = [thing for thing in remains.things(session) if fault.project.lower() in thing.lower()]
    assert left == [f"cloudformation stack {stack} (ROLLBACK_COMPLETE)"]
    assert {told["KeyState"] for told in keys_of(session, fault.project)} == {"PendingDeletion"}
    aws("cloudformation", "delete-stack", "--stack-name", stack)
    assert solution.ended(session, stack) is None


def keys_of(session: boto3.Session, project: str) -> list[dict[str, Any]]:
    """The keys that were made for a project."""
    kms = session.client("kms")
    keys = [key["KeyId"] for page in kms.get_paginator("list_keys").paginate() for key in page["Keys"]]
    wanted = {"TagKey": "Project", "TagValue": project}
    ours = [key for key in keys if wanted in kms.list_resource_tags(KeyId=key)["Tags"]]
    return [kms.describe_key(KeyId=key)["KeyMetadata"] for key in ours]


def test_a_build_that_cannot_run(session: boto3.Session, failed: Failed) -> None:
    """Neither creation nor deletion hangs, and Appendix C leads out."""
    stack = f"{NO_FILES.project}-Setup"
    assert failed.statuses[NO_FILES.project] == "ROLLBACK_FAILED"
    assert "solution.zip" in solution.reasons(session, stack)
    first, *_, without = (block.replace(STACK, stack) for block in solution.appendix("C"))
    with pytest.raises(AssertionError, match="DELETE_FAILED"):
        solution.shell(first)
    solution.shell(without)
    assert solution.ended(session, stack) is None


def test_the_mapping_switches_metrics_off(failed: Failed) -> None:
    """Appendix I: whatever the parameter says."""
    assert failed.sends_metrics == "No"


def test_nothing_is_left(session: boto3.Session) -> None:
    assert remains.things(session) == [PUBLISHED]
