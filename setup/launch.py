"""`./setup.sh launch`: the root stack created, updated or deleted, and followed to its end."""

import time
from collections.abc import Mapping
from typing import Any

import boto3
from botocore.exceptions import ClientError

from setup.errors import SetupError
from setup.progress import Doing
from setup.stacks import CAPABILITIES, Stack

STACK = "GenomicsAnalysis-Setup"
POLL = 2  # seconds
PATIENCE = 75 * 60  # seconds


def launch(session: boto3.Session, name: str, url: str, parameters: Mapping[str, str], doing: Doing) -> dict[str, str]:
    """Create the root stack from its published template, or update it; its outputs. Raises SetupError with the reason
    that its events tell.
    """
    stack = Stack(session, name)
    status = stack.status()
    request: dict[str, Any] = {
        "StackName": name,
        "TemplateURL": url,
        "Capabilities": CAPABILITIES,
        "Parameters": [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
    }
    client = session.client("cloudformation")
    try:
        (client.update_stack if status else client.create_stack)(**request)
    except ClientError as error:
        raise SetupError(f"Stack {name}: {error.response['Error']['Message']}") from error
    ended = _follow(session, stack, doing)
    if ended not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
        raise SetupError(f"Stack {name} ended {ended}: {stack.first_failure()}")
    return stack.outputs()


def delete(session: boto3.Session, name: str, doing: Doing) -> None:
    """Delete the root stack, and so everything. Raises SetupError with the reason that its events tell."""
    stack = Stack(session, name)
    session.client("cloudformation").delete_stack(StackName=name)
    ended = _follow(session, stack, doing)
    if ended not in (None, "DELETE_COMPLETE"):
        raise SetupError(f"Stack {name} ended {ended}: {stack.first_failure()}")


def _follow(session: boto3.Session, stack: Stack, doing: Doing) -> str | None:
    """Wait for the end; what is shown is the last line of the set-up's build."""
    deadline = time.monotonic() + PATIENCE
    project = stack.resources().get("SetupProject")
    while (status := stack.status()) and status.endswith("_IN_PROGRESS"):
        if time.monotonic() > deadline:
            raise SetupError(
                f"Stack {stack.name} is still {status} after {PATIENCE // 60} minutes. Look at its events."
            )
        project = project or stack.resources().get("SetupProject")
        doing(_last_line(session, project) or f"{stack.name} {status}")
        time.sleep(POLL)
    return status


def _last_line(session: boto3.Session, project: str | None) -> str | None:
    """The last line of a running build's log."""
    if project is None:
        return None
    builds = session.client("codebuild")
    try:
        newest = builds.list_builds_for_project(projectName=project, sortOrder="DESCENDING")["ids"][:1]
        build = builds.batch_get_builds(ids=newest)["builds"][0] if newest else {}
        logs = build.get("logs", {})
        if build.get("buildStatus") != "IN_PROGRESS" or "streamName" not in logs:
            return None
        events = session.client("logs").get_log_events(
            logGroupName=logs["groupName"], logStreamName=logs["streamName"], startFromHead=False, limit=1
        )["events"]
    except ClientError:
        return None  # only for show
    return events[-1]["message"].strip() if events else None
