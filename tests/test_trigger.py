"""The Lambda function between CloudFormation and the set-up's build: every request is answered, whatever happens."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace
from typing import Any

import boto3
import pytest

from setup.trigger import trigger

CONTEXT = SimpleNamespace(log_group_name="/aws/lambda/x", log_stream_name="y")
PROJECT = "GenomicsAnalysisSetup"
answers: list[dict[str, Any]] = []

pytestmark = pytest.mark.usefixtures("emulator", "project")


class Handler(BaseHTTPRequestHandler):
    def do_PUT(self) -> None:
        answers.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        return


@pytest.fixture
def cloudformation() -> Iterator[str]:
    """Where CloudFormation waits for answers."""
    answers.clear()
    listening = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{listening.server_port}/answer"
    listening.shutdown()


@pytest.fixture(scope="module")
def project(emulator: Any) -> None:  # noqa: ARG001 - it comes first
    """A build project that does what its variable COMMAND says, with a role of its own."""
    iam = boto3.client("iam")
    trust = {"Effect": "Allow", "Principal": {"Service": "codebuild.amazonaws.com"}, "Action": "sts:AssumeRole"}
    logs = {"Effect": "Allow", "Action": ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"]}
    role = iam.create_role(RoleName="Build", AssumeRolePolicyDocument=policy(trust))["Role"]["Arn"]
    iam.put_role_policy(RoleName="Build", PolicyName="WriteLogs", PolicyDocument=policy(logs | {"Resource": "*"}))
    spec = 'version: 0.2\nphases:\n  build:\n    commands:\n      - eval "$COMMAND"\n'
    boto3.client("codebuild").create_project(
        name=PROJECT,
        serviceRole=role,
        source={"type": "NO_SOURCE", "buildspec": spec},
        artifacts={"type": "NO_ARTIFACTS"},
        environment={
            "type": "LINUX_CONTAINER",
            "image": "aws/codebuild/amazonlinux-x86_64-standard:5.0",
            "computeType": "BUILD_GENERAL1_SMALL",
            "environmentVariables": [{"name": "COMMAND", "value": "true"}],
        },
    )


def policy(statement: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def request(url: str, kind: str = "Create", **more: Any) -> dict[str, Any]:
    return {
        "RequestType": kind,
        "ResponseURL": url,
        "StackId": "stack",
        "RequestId": f"request-{time.monotonic_ns()}",
        "LogicalResourceId": "Setup",
        "ResourceType": "Custom::Setup",
        "ResourceProperties": {},
    } | more


def ended(build: str) -> dict[str, Any]:
    """What EventBridge tells of a build, once it has ended."""
    client = boto3.client("codebuild")
    while client.batch_get_builds(ids=[build])["builds"][0]["buildStatus"] == "IN_PROGRESS":
        time.sleep(0.2)
    arn = f"arn:aws:codebuild:us-east-1:123456789012:build/{build}"
    return {"source": "aws.codebuild", "detail": {"build-id": arn}}


def newest() -> str:
    return str(boto3.client("codebuild").list_builds_for_project(projectName=PROJECT)["ids"][0])


def variables(build: str) -> dict[str, str]:
    told = boto3.client("codebuild").batch_get_builds(ids=[build])["builds"][0]["environment"]["environmentVariables"]
    return {one["name"]: one["value"] for one in told}


@pytest.mark.parametrize(("kind", "action"), [("Create", "deploy"), ("Update", "deploy"), ("Delete", "teardown")])
def test_a_request_starts_a_build_and_its_end_answers(
    kind: str, action: str, cloudformation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROJECT_NAME", PROJECT)
    asked = request(cloudformation, kind) | ({} if kind == "Create" else {"PhysicalResourceId": "the-first"})
    trigger.handle(asked, CONTEXT)
    build = newest()
    assert variables(build)["ACTION"] == action
    assert answers == []
    trigger.handle(ended(build), CONTEXT)
    (answer,) = answers
    assert (answer["Status"], answer["RequestId"]) == ("SUCCESS", asked["RequestId"])
    assert answer["PhysicalResourceId"] == variables(build)["DEPLOYMENT_ID"]
    assert kind == "Create" or answer["PhysicalResourceId"] == "the-first"


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (
            "echo 'error: the first' && echo 'error: the reason,' && echo 'on two lines' && false",
            "error: the reason,\non two",
        ),
        ("echo 'no such word' && exit 3", "no such word"),
    ],
)
def test_a_build_that_fails_answers_with_its_reason(command: str, reason: str, cloudformation: str) -> None:
    asked = trigger._request(request(cloudformation))
    given = [{"name": "REQUEST", "value": json.dumps(asked)}, {"name": "COMMAND", "value": command}]
    build = boto3.client("codebuild").start_build(projectName=PROJECT, environmentVariablesOverride=given)["build"][
        "id"
    ]
    trigger.handle(ended(build), CONTEXT)
    (answer,) = answers
    assert answer["Status"] == "FAILED"
    assert answer["Reason"].startswith(reason)
    assert "log-groups" in answer["Reason"]
    assert len(json.dumps(answer)) < 4096


def test_a_build_that_was_started_by_hand_answers_nobody() -> None:
    answers.clear()
    trigger.handle(ended(boto3.client("codebuild").start_build(projectName=PROJECT)["build"]["id"]), CONTEXT)
    assert answers == []


def test_no_build_can_be_started(cloudformation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROJECT_NAME", "NoSuchProject")
    trigger.handle(request(cloudformation), CONTEXT)  # raises nothing: Lambda would call it again
    (answer,) = answers
    assert answer["Status"] == "FAILED"
    assert "could not be started" in answer["Reason"]


def test_a_request_that_comes_twice_has_one_build(cloudformation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lambda delivers at least once."""
    monkeypatch.setenv("PROJECT_NAME", PROJECT)
    asked = request(cloudformation)
    trigger.handle(asked, CONTEXT)
    build = newest()
    trigger.handle(asked, CONTEXT)
    assert newest() == build
    assert answers == []
    trigger.handle(ended(build), CONTEXT)
    assert [answer["Status"] for answer in answers] == ["SUCCESS"]


def test_a_delete_stops_the_build_that_runs(cloudformation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROJECT_NAME", PROJECT)
    client = boto3.client("codebuild")
    given = [{"name": "COMMAND", "value": "sleep 60"}]
    running = client.start_build(projectName=PROJECT, environmentVariablesOverride=given)["build"]["id"]
    trigger.handle(request(cloudformation, "Delete", PhysicalResourceId="p"), CONTEXT)
    assert client.batch_get_builds(ids=[running])["builds"][0]["buildStatus"] == "STOPPED"


def test_the_prefix_is_answered_at_once(cloudformation: str) -> None:
    asked = request(cloudformation, ResourceType="Custom::Prefix", ResourceProperties={"Project": "GenomicsAnalysis"})
    trigger.handle(asked, CONTEXT)
    (answer,) = answers
    assert (answer["Status"], answer["Data"]) == ("SUCCESS", {"Value": "genomicsanalysis"})
