"""CloudFormation in the rehearsal, where ministack's engine was made to do as AWS's: custom resources that fail."""

import json
from typing import Any

import boto3
import pytest

from setup.stacks import Stack

pytestmark = pytest.mark.usefixtures("emulator")

# Fails as the log groups that stand say, and leaves one when it is deleted.
FUNCTION = """
import json, urllib.request
import boto3

def handle(event, context):
    logs = boto3.client("logs")
    told = {key: event[key] for key in ("StackId", "RequestId", "LogicalResourceId")}
    told["PhysicalResourceId"] = event.get("PhysicalResourceId") or "made-here"
    name = event["ResourceProperties"]["Name"]
    refuse = f"/{name}/refuse/{event['RequestType']}"
    found = logs.describe_log_groups(logGroupNamePrefix=refuse)["logGroups"]
    told |= {"Status": "FAILED" if found else "SUCCESS", "Reason": "as it was asked"}
    if event["RequestType"] == "Delete" and not found:
        logs.create_log_group(logGroupName=f"/{name}/deleted/{told['PhysicalResourceId']}")
    body = json.dumps(told).encode()
    urllib.request.urlopen(urllib.request.Request(event["ResponseURL"], body, {"Content-Type": ""}, method="PUT"))
"""


def template(name: str) -> str:
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    everything = {"Effect": "Allow", "Action": "logs:*", "Resource": "*"}
    role = {
        "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [trust]},
        "Policies": [{"PolicyName": "P", "PolicyDocument": {"Version": "2012-10-17", "Statement": [everything]}}],
    }
    function = {
        "FunctionName": name,
        "Code": {"ZipFile": FUNCTION},
        "Runtime": "python3.13",
        "Handler": "index.handle",
        "Role": {"Fn::GetAtt": ["Role", "Arn"]},
        "Timeout": 60,
    }
    custom = {"ServiceToken": {"Fn::GetAtt": ["Function", "Arn"]}, "Name": name, "ServiceTimeout": 60}
    resources: dict[str, Any] = {
        "Role": {"Type": "AWS::IAM::Role", "Properties": role},
        "Function": {"Type": "AWS::Lambda::Function", "Properties": function},
        "Thing": {"Type": "Custom::Thing", "Properties": custom},
        "Apart": {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": f"/{name}/apart"}},
    }
    return json.dumps({"Resources": resources})


def create(name: str) -> Stack:
    client = boto3.client("cloudformation")
    client.create_stack(StackName=name, TemplateBody=template(name), Capabilities=["CAPABILITY_IAM"])
    stack = Stack(boto3.Session(), name)
    stack.wait(print)
    return stack


def delete(stack: Stack) -> str | None:
    boto3.client("cloudformation").delete_stack(StackName=stack.name)
    return stack.wait(print)


def groups(name: str) -> list[str]:
    told = boto3.client("logs").describe_log_groups(logGroupNamePrefix=f"/{name}/")["logGroups"]
    return [group["logGroupName"] for group in told]


def refuse(name: str, request: str) -> None:
    boto3.client("logs").create_log_group(logGroupName=f"/{name}/refuse/{request}")


def allow(name: str, request: str) -> None:
    boto3.client("logs").delete_log_group(logGroupName=f"/{name}/refuse/{request}")


def test_one_that_is_not_created_is_deleted_with_its_id() -> None:
    refuse("rolled", "Create")
    stack = create("rolled")
    assert stack.status() == "ROLLBACK_COMPLETE"
    assert "as it was asked" in stack.first_failure()
    assert groups("rolled") == ["/rolled/deleted/made-here", "/rolled/refuse/Create"]


def test_a_rollback_that_fails_is_ended_by_a_later_delete() -> None:
    refuse("stuck", "Create")
    refuse("stuck", "Delete")
    stack = create("stuck")
    assert stack.status() == "ROLLBACK_FAILED"
    assert {"Thing", "Function", "Role"} == set(stack.resources())
    allow("stuck", "Delete")
    assert delete(stack) in (None, "DELETE_COMPLETE")
    assert groups("stuck") == ["/stuck/deleted/made-here", "/stuck/refuse/Create"]


def test_what_one_needs_stays_until_it_is_deleted() -> None:
    stack = create("kept")
    assert stack.status() == "CREATE_COMPLETE"
    refuse("kept", "Delete")
    assert delete(stack) == "DELETE_FAILED"
    assert set(stack.resources()) == {"Thing", "Function", "Role"}
    assert stack.first_failure().startswith("Thing (Custom::Thing): ")
    allow("kept", "Delete")
    assert delete(stack) in (None, "DELETE_COMPLETE")
    assert groups("kept") == ["/kept/deleted/made-here"]


def test_one_that_is_retained_holds_nothing_back() -> None:
    stack = create("retained")
    refuse("retained", "Delete")
    assert delete(stack) == "DELETE_FAILED"
    boto3.client("cloudformation").delete_stack(StackName="retained", RetainResources=["Thing"])
    assert stack.wait(print) in (None, "DELETE_COMPLETE")
    assert groups("retained") == ["/retained/refuse/Delete"]
