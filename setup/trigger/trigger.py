"""Between CloudFormation and the set-up's build: starts the build when the root stack asks, and answers when it ended.

Called with two kinds of event: CloudFormation's, for the custom resource `Setup` (and for `Prefix`, which is answered
at once: the project's name in lower case), and EventBridge's, for the end of a build. The build carries
CloudFormation's request in its environment, so nothing is kept in between. Whatever fails, CloudFormation gets an
answer: without one the stack would wait for an hour.
"""

import json
import os
import time
import traceback
import urllib.request
import uuid
from typing import Any

import boto3

LONGEST_REASON = 2000  # bytes; CloudFormation takes an answer of 4,096
LAST_LINES = 8  # of a log that tells no error
TRIES = 4


def handle(event: dict[str, Any], context: Any) -> None:
    """Lambda's entry point."""
    if event.get("source") == "aws.codebuild":
        _ended(event["detail"]["build-id"])
        return
    if event["ResourceType"] == "Custom::Prefix":
        prefix = event["ResourceProperties"]["Project"].lower()
        _answer(_request(event) | {"PhysicalResourceId": prefix}, "SUCCESS", "in lower case", {"Value": prefix})
        return
    try:
        _asked(event)
    except Exception as error:
        # not raised: Lambda would call this again, and CloudFormation has its answer
        traceback.print_exc()
        log = f"log group {context.log_group_name}, stream {context.log_stream_name}"
        _answer(_request(event), "FAILED", f"The set-up's build could not be started: {error}. See {log}.")


def _asked(event: dict[str, Any]) -> None:
    """Start the build that a request of CloudFormation asks for."""
    client = boto3.client("codebuild")
    project = os.environ["PROJECT_NAME"]
    newest = client.list_builds_for_project(projectName=project, sortOrder="DESCENDING")["ids"][:10]
    builds = client.batch_get_builds(ids=newest)["builds"] if newest else []
    if any(_carried(build).get("RequestId") == event["RequestId"] for build in builds):
        print(f"{event['RequestType']}: request {event['RequestId']} came again, and has its build already")
        return
    _stop_builds(client, newest)
    request = _request(event)
    action = "teardown" if event["RequestType"] == "Delete" else "deploy"
    variables = {"ACTION": action, "REQUEST": json.dumps(request), "DEPLOYMENT_ID": request["PhysicalResourceId"]}
    build = client.start_build(
        projectName=project,
        environmentVariablesOverride=[{"name": name, "value": value} for name, value in variables.items()],
    )["build"]
    print(f"{event['RequestType']}: {build['id']} does {action}")


def _request(event: dict[str, Any]) -> dict[str, str]:
    """What an answer needs. The deployment's id is made when the stack is created, and stays."""
    keys = ("RequestType", "ResponseURL", "StackId", "RequestId", "LogicalResourceId")
    return {key: event[key] for key in keys} | {
        "PhysicalResourceId": event.get("PhysicalResourceId") or str(uuid.uuid4())
    }


def _carried(build: dict[str, Any]) -> dict[str, str]:
    """The request that a build carries; empty for one that somebody started by hand."""
    variables = {variable["name"]: variable["value"] for variable in build["environment"]["environmentVariables"]}
    request: dict[str, str] = json.loads(variables.get("REQUEST") or "{}")
    return request


def _stop_builds(client: Any, running: list[str]) -> None:
    """Two set-ups at once would undo each other: a delete may come while a create still runs."""
    while running:
        builds = client.batch_get_builds(ids=running)["builds"]
        running = [build["id"] for build in builds if build["buildStatus"] == "IN_PROGRESS"]
        for build in running:
            client.stop_build(id=build)
        if running:
            time.sleep(2)


def _ended(build_id: str) -> None:
    """Answer the request that a build carries. A build that somebody started by hand carries none."""
    build = boto3.client("codebuild").batch_get_builds(ids=[build_id.rpartition("build/")[2]])["builds"][0]
    request = _carried(build)
    if not request:
        print(f"{build['id']} was started by hand: nobody waits for an answer")
        return
    if build["buildStatus"] == "SUCCEEDED":
        _answer(request, "SUCCESS", f"{build['id']} succeeded")
        return
    logs = build.get("logs", {})
    reason = (
        f"{_reason(build)} The build {build['id']} ended {build['buildStatus']}; its log: {logs.get('deepLink', '')}"
    )
    _answer(request, "FAILED", reason)


def _reason(build: dict[str, Any]) -> str:
    """The error that the log ends with, or else what the phase that failed says."""
    logs = build.get("logs", {})
    try:
        events = boto3.client("logs").get_log_events(
            logGroupName=logs["groupName"], logStreamName=logs["streamName"], startFromHead=False, limit=200
        )["events"]
        lines = [event["message"].rstrip("\n") for event in events if not event["message"].startswith("[Container]")]
        errors = [number for number, line in enumerate(lines) if line.startswith("error: ")]
        if told := "\n".join(lines[errors[-1] :] if errors else lines[-LAST_LINES:]).strip():
            return _cut(told)
    except Exception as error:  # the answer matters more than its words
        print(f"the log could not be read: {error}")
    contexts = [context["message"] for phase in build["phases"] for context in phase.get("contexts", [])]
    return _cut(next(filter(None, contexts), "No phase says why."))


def _cut(text: str) -> str:
    return text.encode()[:LONGEST_REASON].decode(errors="ignore")


def _answer(request: dict[str, str], status: str, reason: str, data: dict[str, str] | None = None) -> None:
    """PUT the answer where CloudFormation waits for it."""
    keys = ("StackId", "RequestId", "LogicalResourceId", "PhysicalResourceId")
    told = {"Status": status, "Reason": reason, "Data": data or {}} | {key: request[key] for key in keys}
    body = json.dumps(told, ensure_ascii=False).encode()
    put = urllib.request.Request(request["ResponseURL"], body, {"Content-Type": ""}, method="PUT")  # noqa: S310 - CloudFormation's
    for attempt in range(TRIES):
        try:
            with urllib.request.urlopen(put, timeout=10) as answer:  # noqa: S310
                print(f"answered {status} for {request['RequestId']}: {answer.status}")
                return
        except OSError as error:
            print(f"answer {attempt + 1} of {TRIES}: {error}")
            if attempt + 1 == TRIES:
                raise
            time.sleep(2**attempt)
