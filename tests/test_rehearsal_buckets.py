"""The rehearsal's buckets: CloudFormation applies every property, and deletes no bucket that holds something."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError, WaiterError

from setup.rehearsal.process import ACCOUNT, Emulator
from tests.emulator import client

WAIT = {"Delay": 1, "MaxAttempts": 60}
TLS_ONLY = {
    "Effect": "Deny",
    "Principal": "*",
    "Action": "s3:*",
    "Resource": [{"Fn::GetAtt": ["Lake", "Arn"]}, {"Fn::Sub": "${Lake.Arn}/*"}],
    "Condition": {"Bool": {"aws:SecureTransport": False}},
}
LAKE: dict[str, Any] = {
    "BucketEncryption": {
        "ServerSideEncryptionConfiguration": [
            {
                "ServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "alias/lake"},
                "BucketKeyEnabled": True,
            }
        ]
    },
    "LifecycleConfiguration": {
        "Rules": [
            {"Id": "Results", "Status": "Enabled", "Prefix": "results/", "ExpirationInDays": "30"},
            {
                "Id": "Versions",
                "Status": "Enabled",
                "NoncurrentVersionExpiration": {"NoncurrentDays": 90, "NewerNoncurrentVersions": "2"},
                "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
                "ExpiredObjectDeleteMarker": True,
            },
            {
                "Id": "Old",
                "Status": "Disabled",
                "Prefix": "old/",
                "TagFilters": [{"Key": "age", "Value": "old"}],
                "ObjectSizeGreaterThan": 1000,
                "Transitions": [{"StorageClass": "GLACIER", "TransitionInDays": 60}],
            },
        ]
    },
    "LoggingConfiguration": {"DestinationBucketName": {"Ref": "Logs"}, "LogFilePrefix": "lake/"},
    "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
    "PublicAccessBlockConfiguration": {
        "BlockPublicAcls": True,
        "BlockPublicPolicy": "true",
        "IgnorePublicAcls": True,
        "RestrictPublicBuckets": True,
    },
    "Tags": [{"Key": "OnDelete", "Value": "DeleteData"}],
    "VersioningConfiguration": {"Status": "Enabled"},
}


class Stack:
    """A stack of the tests, by its resources."""

    def __init__(self, emulator: Emulator, name: str) -> None:
        self.name = name
        self.api = client(emulator, "cloudformation")

    def create(self, **resources: Any) -> dict[str, str]:
        self.api.create_stack(StackName=self.name, TemplateBody=json.dumps({"Resources": resources}))
        self.api.get_waiter("stack_create_complete").wait(StackName=self.name, WaiterConfig=WAIT)
        return self.names()

    def update(self, **resources: Any) -> dict[str, str]:
        self.api.update_stack(StackName=self.name, TemplateBody=json.dumps({"Resources": resources}))
        self.api.get_waiter("stack_update_complete").wait(StackName=self.name, WaiterConfig=WAIT)
        return self.names()

    def delete(self) -> None:
        self.api.delete_stack(StackName=self.name)
        self.api.get_waiter("stack_delete_complete").wait(StackName=self.name, WaiterConfig=WAIT)

    def names(self) -> dict[str, str]:
        resources = self.api.describe_stack_resources(StackName=self.name)["StackResources"]
        return {resource["LogicalResourceId"]: resource["PhysicalResourceId"] for resource in resources}

    def reasons(self) -> str:
        events = self.api.describe_stack_events(StackName=self.name)["StackEvents"]
        return "\n".join(event.get("ResourceStatusReason", "") for event in events)


def _bucket(**properties: Any) -> dict[str, Any]:
    return {"Type": "AWS::S3::Bucket", "Properties": properties}


def _policy(bucket: str, *statements: dict[str, Any]) -> dict[str, Any]:
    document = {"Version": "2012-10-17", "Statement": list(statements)}
    return {"Type": "AWS::S3::BucketPolicy", "Properties": {"Bucket": {"Ref": bucket}, "PolicyDocument": document}}


def test_every_property_is_applied(emulator: Emulator) -> None:
    s3, stack = client(emulator, "s3"), Stack(emulator, "Properties")
    names = stack.create(Logs=_bucket(), Lake=_bucket(**LAKE))
    lake = names["Lake"]
    assert lake.startswith("properties-lake-")
    rule = s3.get_bucket_encryption(Bucket=lake)["ServerSideEncryptionConfiguration"]["Rules"][0]
    assert rule["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "alias/lake"}
    assert rule["BucketKeyEnabled"]
    assert s3.get_bucket_versioning(Bucket=lake)["Status"] == "Enabled"
    assert s3.get_bucket_tagging(Bucket=lake)["TagSet"] == LAKE["Tags"]
    logging = s3.get_bucket_logging(Bucket=lake)["LoggingEnabled"]
    assert (logging["TargetBucket"], logging["TargetPrefix"]) == (names["Logs"], "lake/")
    controls = s3.get_bucket_ownership_controls(Bucket=lake)["OwnershipControls"]
    assert controls == LAKE["OwnershipControls"]
    assert all(s3.get_public_access_block(Bucket=lake)["PublicAccessBlockConfiguration"].values())
    results, versions, old = s3.get_bucket_lifecycle_configuration(Bucket=lake)["Rules"]
    assert results == {
        "ID": "Results", "Status": "Enabled", "Filter": {"Prefix": "results/"}, "Expiration": {"Days": 30}
    }  # fmt: skip
    assert versions["NoncurrentVersionExpiration"] == {"NoncurrentDays": 90, "NewerNoncurrentVersions": 2}
    assert versions["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 7}
    assert versions["Expiration"] == {"ExpiredObjectDeleteMarker": True}
    assert old["Filter"]["And"]["Tags"] == [{"Key": "age", "Value": "old"}]
    assert old["Transitions"] == [{"Days": 60, "StorageClass": "GLACIER"}]

    # an object is encrypted as the bucket says
    assert s3.put_object(Bucket=lake, Key="x", Body=b"")["ServerSideEncryption"] == "aws:kms"
    for version in s3.list_object_versions(Bucket=lake)["Versions"]:
        s3.delete_object(Bucket=lake, Key=version["Key"], VersionId=version["VersionId"])

    # what a new template leaves out has its default again, and the bucket is the same
    assert stack.update(Logs=_bucket(), Lake=_bucket(Tags=[{"Key": "OnDelete", "Value": "KeepData"}]))["Lake"] == lake
    assert s3.get_bucket_tagging(Bucket=lake)["TagSet"][0]["Value"] == "KeepData"
    assert s3.get_bucket_versioning(Bucket=lake)["Status"] == "Suspended"
    assert "LoggingEnabled" not in s3.get_bucket_logging(Bucket=lake)
    assert all(s3.get_public_access_block(Bucket=lake)["PublicAccessBlockConfiguration"].values())
    with pytest.raises(ClientError, match="NoSuchLifecycleConfiguration"):
        s3.get_bucket_lifecycle_configuration(Bucket=lake)
    stack.delete()
    with pytest.raises(ClientError, match="404"):
        s3.head_bucket(Bucket=lake)


def test_a_property_that_is_unknown_fails(emulator: Emulator) -> None:
    stack = Stack(emulator, "Unknown")
    with pytest.raises(WaiterError):
        stack.create(Lake=_bucket(AccessControl="LogDeliveryWrite"))
    assert "buckets have no AccessControl" in stack.reasons()
    with pytest.raises(WaiterError):
        Stack(emulator, "Unlogged").create(Lake=_bucket(LoggingConfiguration={"DestinationBucketName": "nowhere"}))
    assert "target bucket for logging does not exist: nowhere" in Stack(emulator, "Unlogged").reasons()
    assert not [
        bucket for bucket in client(emulator, "s3").list_buckets()["Buckets"] if bucket["Name"].startswith("un")
    ]


@pytest.mark.parametrize("content", ["object", "version", "delete marker"])
def test_a_bucket_that_holds_something_is_not_deleted(emulator: Emulator, content: str) -> None:
    s3, stack = client(emulator, "s3"), Stack(emulator, "Full" + content.replace(" ", ""))
    lake = stack.create(Lake=_bucket(VersioningConfiguration={"Status": "Enabled"}))["Lake"]
    put = s3.put_object(Bucket=lake, Key="x", Body=b"x")
    if content != "object":
        s3.delete_object(Bucket=lake, Key="x")
    if content == "delete marker":
        s3.delete_object(Bucket=lake, Key="x", VersionId=put["VersionId"])
    with pytest.raises(ClientError, match="BucketNotEmpty"):
        s3.delete_bucket(Bucket=lake)
    with pytest.raises(WaiterError):
        stack.delete()
    found = client(emulator, "cloudformation").describe_stacks(StackName=stack.name)["Stacks"][0]
    assert found["StackStatus"] == "DELETE_FAILED"
    assert "The bucket you tried to delete is not empty" in stack.reasons()
    listed = s3.list_object_versions(Bucket=lake)
    for version in [*listed.get("Versions", []), *listed.get("DeleteMarkers", [])]:
        s3.delete_object(Bucket=lake, Key="x", VersionId=version["VersionId"])
    stack.delete()


def test_a_bucket_that_is_gone_already_is_no_failure(emulator: Emulator) -> None:
    stack = Stack(emulator, "Gone")
    lake = stack.create(Lake=_bucket(), Policy=_policy("Lake", TLS_ONLY))["Lake"]
    client(emulator, "s3").delete_bucket(Bucket=lake)
    stack.delete()


def test_public_policies_are_refused(emulator: Emulator) -> None:
    stack = Stack(emulator, "Public")
    everybody = {
        "Effect": "Allow",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": {"Fn::Sub": "${Lake.Arn}/*"},
    }
    with pytest.raises(WaiterError):
        stack.create(Lake=_bucket(), Policy=_policy("Lake", everybody))  # a new bucket's access is blocked
    assert "BlockPublicPolicy" in stack.reasons()


def test_a_policy_is_for_roles_too(emulator: Emulator) -> None:
    """What comes over TLS passes the policy that wants TLS; that it did is what the policy for `closed` denies."""
    s3, iam, stack = client(emulator, "s3"), client(emulator, "iam"), Stack(emulator, "Policies")
    over_tls = {"Bool": {"aws:SecureTransport": True}}
    closed = {**TLS_ONLY, "Resource": {"Fn::Sub": "${Lake.Arn}/closed/*"}, "Condition": over_tls}
    names = stack.create(Lake=_bucket(), Policy=_policy("Lake", TLS_ONLY, closed))
    lake = names["Lake"]
    assert len(json.loads(s3.get_bucket_policy(Bucket=lake)["Policy"])["Statement"]) == 2
    trust = {"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "sts:AssumeRole"}
    rights = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    role = iam.create_role(RoleName="Reader", AssumeRolePolicyDocument=_document(trust))["Role"]["Arn"]
    iam.put_role_policy(RoleName="Reader", PolicyName="All", PolicyDocument=_document(rights))
    assumed = client(emulator, "sts").assume_role(RoleArn=role, RoleSessionName="someone")["Credentials"]
    reader = client(
        emulator,
        "s3",
        aws_access_key_id=assumed["AccessKeyId"],
        aws_secret_access_key=assumed["SecretAccessKey"],
        aws_session_token=assumed["SessionToken"],
    )
    reader.put_object(Bucket=lake, Key="open/x", Body=b"x")
    assert reader.get_object(Bucket=lake, Key="open/x")["Body"].read() == b"x"
    with pytest.raises(ClientError, match="explicit deny in a resource-based policy"):
        reader.put_object(Bucket=lake, Key="closed/x", Body=b"x")
    assert stack.update(Lake=_bucket(), Policy=_policy("Lake", TLS_ONLY)) == names
    reader.put_object(Bucket=lake, Key="closed/x", Body=b"x")
    stack.update(Lake=_bucket())
    with pytest.raises(ClientError, match="NoSuchBucketPolicy"):
        s3.get_bucket_policy(Bucket=lake)


def _document(statement: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})
