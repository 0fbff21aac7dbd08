"""What the set-up does with a stack, for every status that CloudFormation has; templates, failures, re-runs."""

import json
from typing import Any

import boto3
import pytest

from setup.errors import SetupError
from setup.rehearsal.process import Emulator
from setup.stacks import COURSES, Course, Stack


def test_every_status_has_its_course() -> None:
    model = boto3.client("cloudformation", region_name="us-east-1").meta.service_model
    known = set(model.shape_for("StackStatus").enum)
    assert {status for status in COURSES if status} == known
    for status in known:
        assert (COURSES[status] is Course.WAIT) == (status.endswith("_IN_PROGRESS") and status != "REVIEW_IN_PROGRESS")


def template(*, bad: bool = False, name: str = "first") -> str:
    resources: dict[str, Any] = {
        "Good": {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": f"/test/{name}"}},
    }
    if bad:
        named = {"BucketName": "Not_A_Bucket"}
        resources["Bad"] = {"Type": "AWS::S3::Bucket", "Properties": named, "DependsOn": "Good"}
    return json.dumps({"Resources": resources, "Outputs": {"Name": {"Value": {"Ref": "Good"}}}})


def quiet(_: str) -> None:
    return


@pytest.mark.usefixtures("emulator")
def test_made_updated_left_alone_and_deleted() -> None:
    stack = Stack(boto3.Session(), "one")
    assert stack.status() is None
    assert stack.resources() == {}
    assert stack.deploy(template(), {}, quiet)
    assert stack.outputs() == {"Name": "/test/first"}
    assert not stack.deploy(template(), {}, quiet)
    assert stack.deploy(template(name="second"), {}, quiet)
    assert (stack.status(), stack.resources()) == ("UPDATE_COMPLETE", {"Good": "/test/second"})
    stack.delete(quiet)
    stack.delete(quiet)
    assert stack.status() in (None, "DELETE_COMPLETE")


@pytest.mark.usefixtures("emulator")
def test_a_failure_names_the_resource_and_a_later_run_succeeds() -> None:
    stack = Stack(boto3.Session(), "two")
    with pytest.raises(SetupError, match=r"Stack two ended ROLLBACK_COMPLETE: Bad \(AWS::S3::Bucket\): \S"):
        stack.deploy(template(bad=True), {}, quiet)
    assert stack.status() == "ROLLBACK_COMPLETE"
    assert stack.deploy(template(), {}, quiet)
    with pytest.raises(SetupError, match=r"Stack two ended UPDATE_ROLLBACK_COMPLETE: Bad \(AWS::S3::Bucket\)"):
        stack.deploy(template(bad=True), {}, quiet)
    assert stack.resources() == {"Good": "/test/first"}
    stack.delete(quiet)


def test_the_fixture_leads_to_the_emulator(emulator: Emulator) -> None:
    assert boto3.client("cloudformation").meta.endpoint_url == emulator.endpoint
