"""IAM in the rehearsal: the launching user, the key of what is encrypted, boundaries, the record of every decision."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from setup import names
from setup.rehearsal import process
from setup.rehearsal.process import Emulator
from setup.stacks import Stack
from tests.emulator import client

BOUNDARY = "arn:aws:iam::123456789012:policy/NoKeys"


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(*actions: str, **condition: dict[str, Any]) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": list(actions), "Resource": "*"} | condition


@pytest.fixture(scope="module")
def somebody(emulator: Emulator) -> Callable[..., Callable[[str], Any]]:
    """Clients of a new user with these statements, and perhaps a boundary."""

    def made(name: str, *statements: dict[str, Any], boundary: str = "") -> Callable[[str], Any]:
        iam = client(emulator, "iam")
        iam.create_user(UserName=name, **({"PermissionsBoundary": boundary} if boundary else {}))
        iam.put_user_policy(UserName=name, PolicyName="Own", PolicyDocument=policy(*statements))
        key = iam.create_access_key(UserName=name)["AccessKey"]
        chosen = {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}
        return lambda service: client(emulator, service, **chosen)

    return made


@pytest.fixture(scope="module")
def key(emulator: Emulator) -> str:
    """The ARN of the zone stack's key."""
    session = boto3.Session(region_name=process.REGION)
    zone = Stack(session, f"{names.PROJECT}Zone")
    zone.deploy((names.ROOT / "zone" / "zone_cfn.yml").read_text(), {}, print)
    assert client(emulator, "kms").describe_key(KeyId=zone.outputs()["DataKeyArn"])
    return zone.outputs()["DataKeyArn"]


def refused(action: str) -> Any:
    return pytest.raises(ClientError, match=f"not authorized to perform: {action}")


def test_the_launching_user_is_an_administrator_and_not_the_root(emulator: Emulator) -> None:
    arn = client(emulator, "sts").get_caller_identity()["Arn"]
    assert arn == f"arn:aws:iam::{process.ACCOUNT}:user/{process.ADMINISTRATOR}"


def test_encrypted_objects_need_the_key(emulator: Emulator, key: str, somebody: Any) -> None:
    s3 = client(emulator, "s3")
    s3.create_bucket(Bucket="encrypted")
    default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
    rules = [{"ApplyServerSideEncryptionByDefault": default}]
    s3.put_bucket_encryption(Bucket="encrypted", ServerSideEncryptionConfiguration={"Rules": rules})
    s3.put_object(Bucket="encrypted", Key="a", Body=b"x")
    without = somebody("without", allow("s3:*"))("s3")
    with refused("kms:Decrypt"):
        without.get_object(Bucket="encrypted", Key="a")
    with refused("kms:GenerateDataKey"):
        without.put_object(Bucket="encrypted", Key="b", Body=b"x")
    without.delete_object(Bucket="encrypted", Key="a")
    via_s3 = {"Condition": {"StringEquals": {"kms:ViaService": "s3.us-east-1.amazonaws.com"}}}
    uses = somebody("uses", allow("s3:*"), allow("kms:Decrypt", "kms:GenerateDataKey", **via_s3))
    uses("s3").put_object(Bucket="encrypted", Key="b", Body=b"x")
    uses("s3").get_object(Bucket="encrypted", Key="b")
    with refused("kms:GenerateDataKey"):  # not by himself
        uses("kms").generate_data_key(KeyId=key, KeySpec="AES_256")
    tagged = {"Condition": {"StringEquals": {"aws:ResourceTag/Project": "Another"}}}
    other = somebody("other", allow("s3:*"), allow("kms:Decrypt", **tagged))
    with refused("kms:Decrypt"):
        other("s3").get_object(Bucket="encrypted", Key="b")


def test_an_encrypted_catalog_needs_the_key(emulator: Emulator, key: str, somebody: Any) -> None:
    glue = client(emulator, "glue")
    at_rest = {"CatalogEncryptionMode": "SSE-KMS", "SseAwsKmsKeyId": key}
    glue.put_data_catalog_encryption_settings(DataCatalogEncryptionSettings={"EncryptionAtRest": at_rest})
    glue.create_database(DatabaseInput={"Name": "lake"})
    without = somebody("reader", allow("glue:*"))("glue")
    with refused("kms:Decrypt"):
        without.get_table(DatabaseName="lake", Name="clinvar")
    without.get_crawlers()  # is no metadata of the catalog
    via_glue = {"Condition": {"StringEquals": {"kms:ViaService": "glue.us-east-1.amazonaws.com"}}}
    reads = somebody("reads", allow("glue:*"), allow("kms:Decrypt", **via_glue))("glue")
    assert reads.get_database(Name="lake")["Database"]["Name"] == "lake"
    with refused("kms:Encrypt"):
        reads.create_table(DatabaseName="lake", TableInput={"Name": "clinvar"})
    off = {"EncryptionAtRest": {"CatalogEncryptionMode": "DISABLED"}}
    glue.put_data_catalog_encryption_settings(DataCatalogEncryptionSettings=off)


def test_a_log_group_needs_a_key_that_lets_the_service(emulator: Emulator, key: str) -> None:
    """Its policy names the log groups."""
    logs = client(emulator, "logs")
    for name in ("/aws-glue/genomicsanalysis/jobs/output", "/somebody/else"):
        logs.create_log_group(logGroupName=name)
    logs.associate_kms_key(logGroupName="/aws-glue/genomicsanalysis/jobs/output", kmsKeyId=key)
    with pytest.raises(ClientError, match="does not let logs"):
        logs.associate_kms_key(logGroupName="/somebody/else", kmsKeyId=key)
    groups = {one["logGroupName"]: one.get("kmsKeyId") for one in logs.describe_log_groups()["logGroups"]}
    assert groups == {"/aws-glue/genomicsanalysis/jobs/output": key, "/somebody/else": None}
    logs.disassociate_kms_key(logGroupName="/aws-glue/genomicsanalysis/jobs/output")
    assert "kmsKeyId" not in logs.describe_log_groups(logGroupNamePrefix="/aws-glue/")["logGroups"][0]


def test_a_boundary_holds(emulator: Emulator, somebody: Any) -> None:
    denied = {"Effect": "Deny", "Action": "kms:*", "Resource": "*"}
    client(emulator, "iam").create_policy(PolicyName="NoKeys", PolicyDocument=policy(allow("*"), denied))
    bounded = somebody("bounded", allow("*"), boundary=BOUNDARY)
    bounded("s3").list_buckets()
    with pytest.raises(ClientError, match="AccessDenied"):
        bounded("kms").list_keys()


def test_roles_of_a_stack_get_their_boundary_and_lose_it(emulator: Emulator, key: str) -> None:
    session = boto3.Session(region_name=process.REGION)
    pipe, template = Stack(session, f"{names.PROJECT}Pipe"), (names.ROOT / "pipe" / "pipe_cfn.yml").read_text()
    iam = client(emulator, "iam")

    def boundaries() -> set[str]:
        found = [role["RoleName"] for role in iam.list_roles()["Roles"] if role["Path"] == f"/{names.PROJECT}/Pipe/"]
        roles = [iam.get_role(RoleName=name)["Role"] for name in found]
        assert len(roles) == 4
        return {role.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn", "") for role in roles}

    pipe.deploy(template, {"DataKeyArn": key, "PermissionsBoundary": BOUNDARY}, print)
    assert boundaries() == {BOUNDARY}
    pipe.deploy(template, {"DataKeyArn": key}, print)
    assert boundaries() == {""}


def test_every_decision_is_recorded_once(emulator: Emulator, somebody: Any) -> None:
    somebody("noted", allow("s3:ListAllMyBuckets"))("s3").list_buckets()
    nosy = somebody("nosy", allow("glue:GetJob"))
    for _ in range(3):
        with pytest.raises(ClientError, match="AccessDenied"):
            nosy("s3").get_object(Bucket="encrypted", Key="deep/down/below")
    lines = [json.loads(line) for line in Path(emulator.home, "calls.jsonl").read_text().splitlines()]
    told = [(line["action"], line["resource"], line["allowed"]) for line in lines if line["caller"] == "user/nosy"]
    assert told == [("s3:GetObject", "arn:aws:s3:::encrypted/deep/…", False)]
    assert ("user/noted", "s3:ListAllMyBuckets", True) in {
        (line["caller"], line["action"], line["allowed"]) for line in lines
    }
    assert {line["application"] for line in lines if line["caller"] == "root"} == {"rehearsal"}
