"""What is refused, tried under enforced IAM on the launched solution; its encryption, read back as an auditor would.

Called by .ci/run between tests/rehearsal.py and tests/faults.py, in one process, for one launch serves all three.
"""

import json
import os
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from setup import gluejobs, local, names
from setup.errors import SetupError
from setup.stacks import Stack
from tests import solution
from tests.acceptance import DATA
from tests.solution import as_notebook, refused

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="../shared/data is absent")

PROBE = "scripts/probe.py"
JOB_PROBE = """
import json, sys
import boto3
from botocore.exceptions import ClientError

def tried(service, operation, **request):
    try:
        getattr(boto3.client(service), operation)(**request)
    except ClientError as error:
        return error.response["Error"]["Code"]
    return "done"

for service, operation, request in json.loads(sys.argv[sys.argv.index("--calls") + 1]):
    print("tried", service, operation, json.dumps(request), tried(service, operation, **request))
"""


@pytest.fixture(scope="module")
def pipe(launched: boto3.Session) -> dict[str, str]:
    """The outputs of the pipe stack: the buckets."""
    return Stack(launched, f"{names.PROJECT}Pipe").outputs()


# The notebook's role


@pytest.fixture(scope="module")
def notebook(request: pytest.FixtureRequest) -> Callable[[str], Any]:
    """Clients as the launched notebook has them."""
    request.getfixturevalue("launched")
    found = as_notebook("genomicsanalysis-runbook")
    arn = found("sts").get_caller_identity()["Arn"]
    assert arn == "arn:aws:sts::123456789012:assumed-role/GenomicsAnalysisRunbookRole/SageMaker"
    return found


def test_the_notebook_reads_tables_and_nothing_else(notebook: Callable[[str], Any], pipe: dict[str, str]) -> None:
    s3, lake = notebook("s3"), pipe["DataLakeBucket"]
    s3.get_object(Bucket=lake, Key="tables/clinvar/_load.json")
    s3.list_objects_v2(Bucket=lake, Prefix="tables/")
    for bucket in (pipe["BuildBucket"], pipe["LogsBucket"], solution.BUCKET):
        with refused():
            s3.list_objects_v2(Bucket=bucket)
        with refused():
            s3.get_object(Bucket=bucket, Key="anything")
    for bucket, key in (
        (lake, "source/variants/example.vcf"),
        (pipe["ResourcesBucket"], "scripts/vcf_to_parquet.py"),
        (pipe["ResourcesBucket"], "libraries/made-from.txt"),
    ):
        with refused():
            s3.get_object(Bucket=bucket, Key=key)
    for key in ("tables/clinvar/more.parquet", "source/variants/more.vcf", "more"):
        with refused():
            s3.put_object(Bucket=lake, Key=key, Body=b"")
    with refused():
        s3.delete_object(Bucket=lake, Key="tables/clinvar/_load.json")


def test_the_notebook_changes_nothing(notebook: Callable[[str], Any]) -> None:
    glue, name = notebook("glue"), "genomicsanalysis-vcf-to-parquet"
    with refused():
        glue.update_job(JobName=name, JobUpdate={"Role": "x", "Command": {"Name": "glueetl"}})
    with refused():
        glue.delete_job(JobName=name)
    with refused():
        glue.update_crawler(Name="genomicsanalysis-variants", Role="x")
    with refused():
        glue.delete_table(DatabaseName="genomicsanalysis", Name="clinvar")
    with refused():
        notebook("sagemaker").start_notebook_instance(NotebookInstanceName="genomicsanalysis-runbook")
    with refused():
        notebook("iam").put_role_policy(RoleName="GenomicsAnalysisRunbookRole", PolicyName="More", PolicyDocument="{}")
    with refused():
        notebook("sts").assume_role(
            RoleArn="arn:aws:iam::123456789012:role/GenomicsAnalysis/Code/GenomicsAnalysisJobRole",
            RoleSessionName="somebody",
        )


def test_the_notebook_asks_about_its_project_alone(notebook: Callable[[str], Any], launched: boto3.Session) -> None:
    """Another project's table, another workgroup; the same question to its own is answered."""
    glue, athena = launched.client("glue"), notebook("athena")
    glue.create_database(DatabaseInput={"Name": "somebodyelses"})
    try:
        with refused():
            notebook("glue").get_table(DatabaseName="somebodyelses", Name="clinvar")
        with refused():
            notebook("glue").update_table(DatabaseName="somebodyelses", TableInput={"Name": "clinvar"})
        with refused():
            athena.start_query_execution(QueryString="SELECT 1", WorkGroup="primary")
        query = "SELECT count(*) FROM somebodyelses.clinvar"
        started = athena.start_query_execution(QueryString=query, WorkGroup="genomicsanalysis")["QueryExecutionId"]
        told = solution.wait_for(
            lambda: athena.get_query_execution(QueryExecutionId=started)["QueryExecution"]["Status"],
            lambda told: told["State"] not in ("QUEUED", "RUNNING"),
        )
        assert told["State"] == "FAILED"
        assert "glue:GetTable" in told["StateChangeReason"] or "not authorized" in told["StateChangeReason"]
    finally:
        glue.delete_database(Name="somebodyelses")


def test_the_key_is_used_through_services_only(notebook: Callable[[str], Any], launched: boto3.Session) -> None:
    key = Stack(launched, f"{names.PROJECT}Zone").outputs()["DataKeyArn"]
    with refused():
        notebook("kms").generate_data_key(KeyId=key, KeySpec="AES_256")
    with refused():
        notebook("kms").schedule_key_deletion(KeyId=key)


# The jobs' and the crawlers' roles


@pytest.fixture(scope="module")
def probe(launched: boto3.Session, pipe: dict[str, str]) -> Iterator[str]:
    """A job with the jobs' role that tries what it is told to."""
    glue, s3 = launched.client("glue"), launched.client("s3")
    job = glue.get_job(JobName="genomicsanalysis-clinvar-to-parquet")["Job"]
    s3.put_object(Bucket=pipe["ResourcesBucket"], Key=PROBE, Body=JOB_PROBE.encode())
    name = "genomicsanalysis-probe"
    taken = ("Role", "GlueVersion", "WorkerType", "SecurityConfiguration", "DefaultArguments")
    place = f"s3://{pipe['ResourcesBucket']}/{PROBE}"
    command = {"Name": "glueetl", "PythonVersion": "3", "ScriptLocation": place}
    glue.create_job(Name=name, Command=command, NumberOfWorkers=2, **{key: job[key] for key in taken})
    yield name
    glue.delete_job(JobName=name)
    s3.delete_object(Bucket=pipe["ResourcesBucket"], Key=PROBE)


def test_a_job_writes_nowhere_but_in_tables(launched: boto3.Session, pipe: dict[str, str], probe: str) -> None:
    lake, resources, build = pipe["DataLakeBucket"], pipe["ResourcesBucket"], pipe["BuildBucket"]
    key = Stack(launched, f"{names.PROJECT}Zone").outputs()["DataKeyArn"]
    allowed = [
        ["s3", "get_object", {"Bucket": lake, "Key": "source/variants/example.vcf"}],
        ["s3", "put_object", {"Bucket": lake, "Key": "tables/probe", "Body": ""}],
        ["s3", "delete_object", {"Bucket": lake, "Key": "tables/probe"}],
    ]
    forbidden = [
        ["s3", "put_object", {"Bucket": lake, "Key": "source/variants/example.vcf", "Body": ""}],
        ["s3", "put_object", {"Bucket": lake, "Key": "tables_and_more", "Body": ""}],
        ["s3", "put_object", {"Bucket": lake, "Key": "results/more", "Body": ""}],
        ["s3", "put_object", {"Bucket": resources, "Key": "scripts/vcf_to_parquet.py", "Body": ""}],
        ["s3", "put_object", {"Bucket": build, "Key": "more", "Body": ""}],
        ["s3", "put_object", {"Bucket": solution.BUCKET, "Key": "more", "Body": ""}],
        ["s3", "delete_object", {"Bucket": lake, "Key": "source/variants/example.vcf"}],
        ["s3", "get_object", {"Bucket": build, "Key": "anything"}],
        ["s3", "list_objects_v2", {"Bucket": build}],
        ["s3", "get_object", {"Bucket": resources, "Key": "queries/drug_response.sql"}],
        ["s3", "list_objects_v2", {"Bucket": solution.BUCKET}],
        ["s3", "get_object", {"Bucket": solution.BUCKET, "Key": f"{solution.PREFIX}solution.zip"}],
        ["s3", "put_bucket_policy", {"Bucket": lake, "Policy": "{}"}],
        ["glue", "get_table", {"DatabaseName": "genomicsanalysis", "Name": "clinvar"}],
        ["glue", "start_job_run", {"JobName": "genomicsanalysis-vcf-to-parquet"}],
        ["kms", "schedule_key_deletion", {"KeyId": key}],
        ["iam", "list_roles", {}],
    ]
    calls = json.dumps([*allowed, *forbidden])
    told = gluejobs.run(launched, probe, {"--calls": calls}, print)
    logs, group = launched.client("logs"), f"{told['LogGroupName']}/output"
    events = logs.get_log_events(logGroupName=group, logStreamName=told["Id"], startFromHead=True)["events"]
    answers = [event["message"].split()[-1] for event in events if event["message"].startswith("tried ")]
    assert answers[: len(allowed)] == ["done"] * len(allowed)
    assert len(answers) == len(allowed) + len(forbidden)
    for call, answer in zip(forbidden, answers[len(allowed) :], strict=True):
        assert answer in ("AccessDenied", "AccessDeniedException"), (call, answer)


def test_the_deployed_job_says_what_it_may_not(launched: boto3.Session, pipe: dict[str, str]) -> None:
    arguments = {
        "--input_path": f"s3://{pipe['DataLakeBucket']}/source/annotation/variant_summary.txt.gz",
        "--output_path": f"s3://{pipe['BuildBucket']}/tables/clinvar",
    }
    with pytest.raises(SetupError, match="S3 denies access"):
        gluejobs.run(launched, "genomicsanalysis-clinvar-to-parquet", arguments, print)


def test_a_crawler_reads_nothing_but_tables(launched: boto3.Session, pipe: dict[str, str]) -> None:
    glue, name = launched.client("glue"), "genomicsanalysis-probe"
    crawler = glue.get_crawler(Name="genomicsanalysis-sample")["Crawler"]
    taken = {key: crawler[key] for key in ("Role", "DatabaseName", "CrawlerSecurityConfiguration")}
    target = {"Path": f"s3://{pipe['DataLakeBucket']}/source/"}
    glue.create_crawler(Name=name, Targets={"S3Targets": [target]}, **taken)
    try:
        glue.start_crawler(Name=name)
        told = solution.wait_for(lambda: glue.get_crawler(Name=name)["Crawler"], lambda told: told["State"] == "READY")
        assert told["LastCrawl"]["Status"] == "FAILED"
        assert "ACCESS_DENIED" in told["LastCrawl"]["ErrorMessage"]
    finally:
        glue.delete_crawler(Name=name)


def test_nobody_else_takes_a_role(launched: boto3.Session) -> None:
    """Not even an administrator: each is for one service."""
    iam = launched.client("iam")
    roles = [role for page in iam.get_paginator("list_roles").paginate() for role in page["Roles"]]
    ours = [role for role in roles if role["Path"].startswith(f"/{names.PROJECT}/")]
    assert len(ours) == 9
    for role in ours:
        with refused():
            launched.client("sts").assume_role(RoleArn=role["Arn"], RoleSessionName="somebody")


# Plain HTTP, nobody, everybody


def asked(url: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> Any:
    """An answer to a request that nobody signed."""
    trusted = ssl.create_default_context(cafile=os.environ["AWS_CA_BUNDLE"])
    request = urllib.request.Request(url, body, headers or {})  # noqa: S310 - the rehearsal's own
    return urllib.request.urlopen(request, timeout=5, context=trusted)  # noqa: S310 - the same


@pytest.fixture(scope="module")
def buckets(pipe: dict[str, str]) -> dict[str, str]:
    """The four of them, by their outputs' names."""
    return {name: bucket for name, bucket in pipe.items() if name.endswith("Bucket")}


def test_plain_http_is_refused(launched: boto3.Session, buckets: dict[str, str]) -> None:
    """By the bucket's own policy, even to an administrator; and nothing listens for it."""
    plain = launched.client("s3", config=Config(signature_version="s3v4"))
    # as a request tells that reached a load balancer without TLS
    plain.meta.events.register(
        "before-send.s3", lambda request, **_: request.headers.__setitem__("X-Forwarded-Proto", "http")
    )
    for bucket in buckets.values():
        launched.client("s3").head_bucket(Bucket=bucket)
        with refused():
            plain.list_objects_v2(Bucket=bucket)
        with refused():
            plain.put_object(Bucket=bucket, Key="plain", Body=b"")
    with pytest.raises(OSError, match=r"Remote end closed|reset"):
        asked(os.environ["AWS_ENDPOINT_URL"].replace("https", "http"))


def test_nobody_is_let_in(buckets: dict[str, str]) -> None:
    for bucket in buckets.values():
        for path in ("", "?list-type=2", "tables/clinvar/_load.json", "?policy"):
            with pytest.raises(urllib.error.HTTPError, match="403"):
                asked(f"{os.environ['AWS_ENDPOINT_URL']}/{bucket}/{path}")


@pytest.mark.usefixtures("launched")
@pytest.mark.parametrize(
    "target",
    [
        "AWSGlue.GetTables",
        "TrentService.ListKeys",
        "AmazonAthena.ListWorkGroups",
        "CodeCommit_20150413.ListRepositories",
    ],
)
def test_nobody_is_told_anything(target: str) -> None:
    """Without a signature no service answers."""
    headers = {"X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.1"}
    with pytest.raises(urllib.error.HTTPError, match=r"40[03]"):
        asked(os.environ["AWS_ENDPOINT_URL"], b"{}", headers)


def test_a_public_policy_is_refused(launched: boto3.Session, buckets: dict[str, str]) -> None:
    s3 = launched.client("s3")
    for bucket in buckets.values():
        public = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/*"}
        with refused():
            s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [public]}))
        with pytest.raises(ClientError, match=r"AccessControlListNotSupported|AccessDenied"):
            s3.put_bucket_acl(Bucket=bucket, ACL="public-read")


# Encryption, as an auditor reads it


@pytest.fixture(scope="module")
def key(launched: boto3.Session) -> str:
    """The ARN of the one key."""
    return Stack(launched, f"{names.PROJECT}Zone").outputs()["DataKeyArn"]


def test_the_key_is_ours_and_turns(launched: boto3.Session, key: str) -> None:
    kms = launched.client("kms")
    told = kms.describe_key(KeyId=key)["KeyMetadata"]
    assert (told["KeyManager"], told["KeyState"]) == ("CUSTOMER", "Enabled")
    assert kms.get_key_rotation_status(KeyId=key)["KeyRotationEnabled"]
    policy = json.loads(kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"])
    principals = [statement["Principal"] for statement in policy["Statement"]]
    assert principals == [
        {"AWS": "arn:aws:iam::123456789012:root"},
        {"Service": "logs.us-east-1.amazonaws.com"},
    ]
    names_of_it = [
        alias["AliasName"] for alias in kms.list_aliases()["Aliases"] if alias.get("TargetKeyId", "-") in key
    ]
    assert names_of_it == ["alias/genomicsanalysis"]


def test_buckets_are_encrypted_versioned_private_and_logged(
    launched: boto3.Session, buckets: dict[str, str], key: str
) -> None:
    s3 = launched.client("s3")
    for name, bucket in buckets.items():
        (rule,) = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
        chosen = rule["ApplyServerSideEncryptionByDefault"]
        logged = s3.get_bucket_logging(Bucket=bucket).get("LoggingEnabled", {})
        if name == "LogsBucket":  # S3 delivers no access logs to a bucket with a KMS key
            assert (chosen["SSEAlgorithm"], logged) == ("AES256", {})
        else:
            assert (chosen["SSEAlgorithm"], chosen["KMSMasterKeyID"], rule["BucketKeyEnabled"]) == (
                "aws:kms",
                key,
                True,
            )
            assert logged["TargetBucket"] == buckets["LogsBucket"]
        assert all(s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"].values())
        assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
        ownership = s3.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]["Rules"]
        assert ownership == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    policy = json.loads(s3.get_bucket_policy(Bucket=buckets["LogsBucket"])["Policy"])
    (delivery,) = (one for one in policy["Statement"] if one["Effect"] == "Allow")
    assert delivery["Principal"] == {"Service": "logging.s3.amazonaws.com"}
    assert delivery["Condition"]["StringEquals"]["aws:SourceAccount"] == "123456789012"
    sources = {f"arn:aws:s3:::{bucket}" for name, bucket in buckets.items() if name != "LogsBucket"}
    assert set(delivery["Condition"]["ArnLike"]["aws:SourceArn"]) == sources


def test_every_object_is_stored_with_the_key(launched: boto3.Session, buckets: dict[str, str], key: str) -> None:
    """Sources, tables, scripts, artifacts, and what Athena answered."""
    s3, count = launched.client("s3"), 0
    for name, prefix in (
        *(("DataLakeBucket", prefix) for prefix in ("source/", "tables/", "results/")),
        *(("ResourcesBucket", prefix) for prefix in ("scripts/", "libraries/", "queries/", "notebooks/")),
        ("BuildBucket", ""),
    ):
        found = s3.list_objects_v2(Bucket=buckets[name], Prefix=prefix, MaxKeys=20).get("Contents", [])
        assert found, (name, prefix)
        for one in found:
            told = s3.head_object(Bucket=buckets[name], Key=one["Key"])
            assert (told["ServerSideEncryption"], told["SSEKMSKeyId"]) == ("aws:kms", key), one["Key"]
            count += 1
    assert count > 40


def test_glue_encrypts_catalog_logs_and_bookmarks(launched: boto3.Session, key: str) -> None:
    glue = launched.client("glue")
    catalog = glue.get_data_catalog_encryption_settings()["DataCatalogEncryptionSettings"]
    assert catalog["EncryptionAtRest"] == {"CatalogEncryptionMode": "SSE-KMS", "SseAwsKmsKeyId": key}
    assert catalog["ConnectionPasswordEncryption"] == {"ReturnConnectionPasswordEncrypted": True, "AwsKmsKeyId": key}
    told = glue.get_security_configuration(Name="genomicsanalysis")["SecurityConfiguration"]["EncryptionConfiguration"]
    assert told["S3Encryption"] == [{"S3EncryptionMode": "SSE-KMS", "KmsKeyArn": key}]
    assert told["CloudWatchEncryption"] == {"CloudWatchEncryptionMode": "SSE-KMS", "KmsKeyArn": key}
    assert told["JobBookmarksEncryption"] == {"JobBookmarksEncryptionMode": "CSE-KMS", "KmsKeyArn": key}
    jobs = glue.get_jobs()["Jobs"]
    crawlers = glue.get_crawlers()["Crawlers"]
    assert len(jobs) >= 2
    assert len(crawlers) >= 3
    assert {job["SecurityConfiguration"] for job in jobs} == {"genomicsanalysis"}
    assert {crawler["CrawlerSecurityConfiguration"] for crawler in crawlers} == {"genomicsanalysis"}


def test_logs_are_encrypted(launched: boto3.Session, key: str) -> None:
    """Of jobs, crawlers and builds. The set-up's own logs are older than the key, the notebooks' the account's."""
    pages = launched.client("logs").get_paginator("describe_log_groups").paginate()
    groups = {group["logGroupName"]: group.get("kmsKeyId") for page in pages for group in page["logGroups"]}
    older = {
        "/aws/codebuild/GenomicsAnalysisSetup",
        "/aws/lambda/GenomicsAnalysisSetup",
        "/aws/sagemaker/NotebookInstances",
    }
    assert {name for name, used in groups.items() if used is None} <= older
    assert {used for name, used in groups.items() if name not in older} == {key}
    assert "/aws-glue/genomicsanalysis/jobs/output" in groups
    assert [name for name in groups if name.startswith("/aws-glue/crawlers-role/")]


def test_results_builds_pipeline_and_notebook_are_encrypted(launched: boto3.Session, key: str) -> None:
    group = launched.client("athena").get_work_group(WorkGroup="genomicsanalysis")["WorkGroup"]["Configuration"]
    assert group["EnforceWorkGroupConfiguration"]
    assert group["ResultConfiguration"]["EncryptionConfiguration"] == {"EncryptionOption": "SSE_KMS", "KmsKey": key}
    projects = ["GenomicsAnalysisBuildHail", "GenomicsAnalysisCopyResources"]
    told = launched.client("codebuild").batch_get_projects(names=projects)["projects"]
    assert [project["encryptionKey"] for project in told] == [key, key]
    store = launched.client("codepipeline").get_pipeline(name="GenomicsAnalysisCode")["pipeline"]["artifactStore"]
    assert store["encryptionKey"] == {"id": key, "type": "KMS"}
    instance = launched.client("sagemaker").describe_notebook_instance(NotebookInstanceName="genomicsanalysis-runbook")
    assert instance["KmsKeyId"] == key
    assert instance["RootAccess"] == "Disabled"
    assert instance["InstanceMetadataServiceConfiguration"] == {"MinimumInstanceMetadataServiceVersion": "2"}


def test_the_question_is_still_answered(launched: boto3.Session) -> None:
    assert local.lake_of(launched).ask("SELECT count(*) FROM genomicsanalysis.clinvar")
