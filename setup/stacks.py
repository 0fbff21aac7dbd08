"""CloudFormation stacks: made, updated, deleted, whatever state an earlier run left them in."""

import time
from collections.abc import Mapping
from enum import Enum
from typing import Any

import boto3
from botocore.exceptions import ClientError

from setup.errors import SetupError
from setup.progress import Doing

POLL = 2  # seconds
PATIENCE = 45 * 60  # seconds for one operation
CAPABILITIES = ["CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"]


class Course(Enum):
    """What to do with a stack that is to stand."""

    CREATE = "create it"
    UPDATE = "update it"
    WAIT = "wait for what is under way, then look again"
    REPLACE = "delete it, for it can't be updated, then create it"
    CONTINUE_ROLLBACK = "bring its rollback to an end, then update it"


# Every status that CloudFormation has; None is a stack that isn't there.
COURSES: dict[str | None, Course] = {
    None: Course.CREATE,
    "CREATE_COMPLETE": Course.UPDATE,
    "CREATE_FAILED": Course.REPLACE,
    "CREATE_IN_PROGRESS": Course.WAIT,
    "DELETE_COMPLETE": Course.CREATE,
    "DELETE_FAILED": Course.REPLACE,
    "DELETE_IN_PROGRESS": Course.WAIT,
    "IMPORT_COMPLETE": Course.UPDATE,
    "IMPORT_IN_PROGRESS": Course.WAIT,
    "IMPORT_ROLLBACK_COMPLETE": Course.UPDATE,
    "IMPORT_ROLLBACK_FAILED": Course.CONTINUE_ROLLBACK,
    "IMPORT_ROLLBACK_IN_PROGRESS": Course.WAIT,
    "REVIEW_IN_PROGRESS": Course.REPLACE,  # a change set that nobody executed: there is nothing in it
    "ROLLBACK_COMPLETE": Course.REPLACE,
    "ROLLBACK_FAILED": Course.REPLACE,
    "ROLLBACK_IN_PROGRESS": Course.WAIT,
    "UPDATE_COMPLETE": Course.UPDATE,
    "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS": Course.WAIT,
    "UPDATE_FAILED": Course.UPDATE,
    "UPDATE_IN_PROGRESS": Course.WAIT,
    "UPDATE_ROLLBACK_COMPLETE": Course.UPDATE,
    "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS": Course.WAIT,
    "UPDATE_ROLLBACK_FAILED": Course.CONTINUE_ROLLBACK,
    "UPDATE_ROLLBACK_IN_PROGRESS": Course.WAIT,
}


class Stack:
    """A stack by its name."""

    def __init__(self, session: boto3.Session, name: str) -> None:
        self.name = name
        self._client = session.client("cloudformation")

    def describe(self) -> dict[str, Any] | None:
        """As DescribeStacks tells it; None where there is none."""
        try:
            told: dict[str, Any] = self._client.describe_stacks(StackName=self.name)["Stacks"][0]
        except ClientError as error:
            if "does not exist" in error.response["Error"]["Message"]:
                return None
            raise
        return told

    def status(self) -> str | None:
        """Its status; None where there is none."""
        told = self.describe()
        return str(told["StackStatus"]) if told else None

    def parameters(self) -> dict[str, str]:
        """The values of its parameters; empty where there is no stack."""
        told = self.describe() or {}
        return {one["ParameterKey"]: one["ParameterValue"] for one in told.get("Parameters", [])}

    def outputs(self) -> dict[str, str]:
        """Its outputs. Raises SetupError where there is no stack."""
        told = self.describe()
        if told is None:
            raise SetupError(f"There is no stack {self.name}. Has the solution been launched in this region?")
        return {output["OutputKey"]: output["OutputValue"] for output in told.get("Outputs", [])}

    def resources(self) -> dict[str, str]:
        """The physical ids of what it holds, by logical ids; empty where there is no stack."""
        return {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in self._listed()}

    def _listed(self) -> list[dict[str, Any]]:
        """Its resources that exist, as ListStackResources tells them."""
        try:
            pages = self._client.get_paginator("list_stack_resources").paginate(StackName=self.name)
            found = [resource for page in pages for resource in page["StackResourceSummaries"]]
        except ClientError as error:
            if "does not exist" in error.response["Error"]["Message"]:
                return []
            raise
        return [one for one in found if one["ResourceStatus"] != "DELETE_COMPLETE" and "PhysicalResourceId" in one]

    def physical_ids(self, kind: str) -> list[str]:
        """Those of its resources of one type; empty where there is no stack."""
        return [one["PhysicalResourceId"] for one in self._listed() if one["ResourceType"] == kind]

    def deploy(self, template: str, parameters: Mapping[str, str], doing: Doing) -> bool:
        """Make the stack what the template says; whether anything changed. Raises SetupError with the reason of the
        first resource that failed.
        """
        request: dict[str, Any] = {
            "StackName": self.name,
            "TemplateBody": template,
            "Capabilities": CAPABILITIES,
            "Parameters": [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
        }
        course = self.settle(doing)
        try:
            if course is Course.CREATE:
                self._client.create_stack(**request, OnFailure="ROLLBACK")
            else:
                self._client.update_stack(**request)
        except ClientError as error:
            if "No updates are to be performed" in error.response["Error"]["Message"]:
                return False
            raise SetupError(f"Stack {self.name}: {error.response['Error']['Message']}") from error
        ended = self.wait(doing)
        if ended not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
            raise SetupError(
                f"Stack {self.name} ended {ended}: {self.first_failure()}. Mend that, then run this again."
            )
        return True

    def settle(self, doing: Doing) -> Course:
        """Bring it to where it can be created or updated, and say which: wait, end a rollback, delete what can't be
        updated any more. Raises SetupError.
        """
        deadline = time.monotonic() + PATIENCE
        while (course := self._course()) not in (Course.CREATE, Course.UPDATE):
            if time.monotonic() > deadline:
                raise SetupError(
                    f"Stack {self.name} is still {self.status()}. Look at its events; then run this again."
                )
            doing(f"{self.name} is {self.status()}: {course.value}")
            if course is Course.REPLACE:
                self.delete(doing)
            elif course is Course.CONTINUE_ROLLBACK:
                self._client.continue_update_rollback(StackName=self.name)
                if self.wait(doing) == "UPDATE_ROLLBACK_FAILED":
                    raise SetupError(
                        f"Stack {self.name} can't be rolled back: {self.first_failure()}. Mend that, or skip the "
                        "resource with aws cloudformation continue-update-rollback; then run this again."
                    )
            else:
                self.wait(doing)
        return course

    def delete(self, doing: Doing) -> None:
        """Delete it, and wait until it is gone. Raises SetupError with the first resource that could not be deleted."""
        if self.status() is None:
            return
        self.wait(doing)
        self._client.delete_stack(StackName=self.name)
        ended = self.wait(doing)
        if ended not in (None, "DELETE_COMPLETE"):
            raise SetupError(f"Stack {self.name} ended {ended}: {self.first_failure()}.")

    def wait(self, doing: Doing) -> str | None:
        """Wait until nothing is under way; the status then."""
        deadline = time.monotonic() + PATIENCE
        while (status := self.status()) and status.endswith("_IN_PROGRESS") and status != "REVIEW_IN_PROGRESS":
            if time.monotonic() > deadline:
                raise SetupError(f"Stack {self.name} is still {status} after {PATIENCE // 60} minutes.")
            doing(f"{self.name} {status}")
            time.sleep(POLL)
        return status

    def first_failure(self) -> str:
        """The first resource that failed in the last operation, and why."""
        events = self._client.describe_stack_events(StackName=self.name)["StackEvents"]
        failed = []
        for event in events:  # newest first
            status = event["ResourceStatus"]
            if status.endswith("_FAILED") and event["PhysicalResourceId"] != event["StackId"]:
                failed.append(event)
            if event["LogicalResourceId"] == self.name and status in (
                "CREATE_IN_PROGRESS",
                "UPDATE_IN_PROGRESS",
                "DELETE_IN_PROGRESS",
            ):
                break
        if not failed:
            return next((event["ResourceStatusReason"] for event in events if "ResourceStatusReason" in event), "")
        first = failed[-1]
        return f"{first['LogicalResourceId']} ({first['ResourceType']}): {first.get('ResourceStatusReason', first)}"

    def _course(self) -> Course:
        status = self.status()
        if status not in COURSES:
            raise SetupError(f"Stack {self.name} is {status}, which this version does not know.")
        return COURSES[status]
