"""The rehearsal's settings of the catalog's encryption: put whole, by CloudFormation too, and with the right to it."""

import json
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from setup.rehearsal import process
from setup.stacks import Stack

pytestmark = pytest.mark.usefixtures("emulator")
KEY = f"arn:aws:kms:us-east-1:{process.ACCOUNT}:key/11111111-1111-4111-8111-111111111111"
AT_REST = {"CatalogEncryptionMode": "SSE-KMS", "SseAwsKmsKeyId": KEY}
NOT_AT_REST = {"CatalogEncryptionMode": "DISABLED"}
NO_PASSWORDS = {"ReturnConnectionPasswordEncrypted": False}


def put(session: boto3.Session | None = None, **parts: Any) -> None:
    client = (session or boto3.Session()).client("glue")
    client.put_data_catalog_encryption_settings(DataCatalogEncryptionSettings=parts)


def stands() -> tuple[dict[str, Any], dict[str, Any]]:
    told = boto3.client("glue").get_data_catalog_encryption_settings()["DataCatalogEncryptionSettings"]
    return told["EncryptionAtRest"], told["ConnectionPasswordEncryption"]


def test_a_part_that_is_not_put_is_off() -> None:
    put(EncryptionAtRest=AT_REST)
    assert stands() == (AT_REST, NO_PASSWORDS)
    put(ConnectionPasswordEncryption={"ReturnConnectionPasswordEncrypted": True})
    assert stands() == (NOT_AT_REST, {"ReturnConnectionPasswordEncrypted": True, "AwsKmsKeyId": "alias/aws/glue"})
    put()
    assert stands() == (NOT_AT_REST, NO_PASSWORDS)


def test_a_stacks_settings() -> None:
    """Created over what stands, changed, and off when they are deleted, whatever stood before."""
    put(EncryptionAtRest=AT_REST)
    stack = Stack(boto3.Session(), "settings")
    passwords = {"ReturnConnectionPasswordEncrypted": True, "KmsKeyId": KEY}
    stack.deploy(template(ConnectionPasswordEncryption=passwords), {}, print)
    as_told = {"ReturnConnectionPasswordEncrypted": True, "AwsKmsKeyId": KEY}
    assert stands() == (NOT_AT_REST, as_told)
    stack.deploy(template(ConnectionPasswordEncryption=passwords, EncryptionAtRest=AT_REST), {}, print)
    assert stands() == (AT_REST, as_told)
    stack.delete(print)
    assert stands() == (NOT_AT_REST, NO_PASSWORDS)


def template(**parts: Any) -> str:
    properties = {"CatalogId": process.ACCOUNT, "DataCatalogEncryptionSettings": parts}
    resource = {"Type": "AWS::Glue::DataCatalogEncryptionSettings", "Properties": properties}
    return json.dumps({"Resources": {"Settings": resource}})


@pytest.mark.parametrize(
    ("resource", "allowed"), [("catalog", True), ("database/lake", False)], ids=["catalog", "another"]
)
def test_the_right_to_put_them(resource: str, allowed: bool) -> None:
    arn = f"arn:aws:glue:us-east-1:{process.ACCOUNT}:{resource}"
    iam, name = boto3.client("iam"), f"Puts{allowed}"
    trust = {"Effect": "Allow", "Principal": {"AWS": process.ACCOUNT}, "Action": "sts:AssumeRole"}
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document(trust))["Role"]["Arn"]
    statement = {"Effect": "Allow", "Action": "glue:PutDataCatalogEncryptionSettings", "Resource": arn}
    iam.put_role_policy(RoleName=name, PolicyName="Put", PolicyDocument=document(statement))
    told = boto3.client("sts").assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
    session = boto3.Session(told["AccessKeyId"], told["SecretAccessKey"], told["SessionToken"])
    put()
    if allowed:
        put(session, EncryptionAtRest=AT_REST)
    else:
        with pytest.raises(ClientError, match="AccessDenied"):
            put(session, EncryptionAtRest=AT_REST)
    assert stands()[0] == (AT_REST if allowed else NOT_AT_REST)


def document(statement: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})
