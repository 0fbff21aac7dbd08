"""The pipeline: its execution for a commit, waited for."""

import json
import time
from collections.abc import Mapping
from typing import Any

import boto3

from setup.errors import SetupError
from setup.progress import Doing

POLL = 3  # seconds
PATIENCE = 90 * 60  # seconds for one execution
LINES = 20  # of a log, where a build failed
TO_BEGIN = 60  # seconds that the push has to start one
_OVER = ("Succeeded", "Failed", "Stopped", "Cancelled", "Superseded")


class Pipeline:
    """A pipeline by its name."""

    def __init__(self, session: boto3.Session, name: str) -> None:
        self.name = name
        self._session = session
        self._client = session.client("codepipeline")

    def bring(self, commit: str, doing: Doing, *, anew: bool) -> None:
        """Have a commit deployed: by the execution that the push started, or by one that is started here; with `anew`
        also where one succeeded before. Raises SetupError with the action that failed, and why.
        """
        before = self._of(commit)
        if before is None:
            execution = self._begun(commit, doing)
        elif before["status"] == "Succeeded" and not anew:
            return
        elif before["status"] == "InProgress":
            execution = str(before["pipelineExecutionId"])
        else:
            execution = self._start()
        self._wait(execution, doing)

    def parameters(self) -> dict[str, str]:
        """The parameters that the pipeline deploys the code stack with."""
        declared = self._client.get_pipeline(name=self.name)["pipeline"]
        for stage in declared["stages"]:
            for action in stage["actions"]:
                if "ParameterOverrides" in action["configuration"]:
                    return dict(json.loads(action["configuration"]["ParameterOverrides"]))
        return {}

    def stop(self, doing: Doing) -> None:
        """Stop what runs, and wait until it has stopped."""
        try:
            executions = self._executions()
        except self._client.exceptions.PipelineNotFoundException:
            return  # somebody deleted it by hand
        for execution in executions:
            if execution["status"] in ("InProgress", "Stopping"):
                name = execution["pipelineExecutionId"]
                try:
                    if execution["status"] == "InProgress":
                        self._client.stop_pipeline_execution(
                            pipelineName=self.name, pipelineExecutionId=name, abandon=True, reason="teardown"
                        )
                except (
                    self._client.exceptions.PipelineExecutionNotStoppableException,
                    self._client.exceptions.DuplicatedStopRequestException,
                ):
                    doing(f"execution {name} of {self.name} ended by itself")
                deadline = time.monotonic() + PATIENCE
                while self._status(name) not in _OVER and time.monotonic() < deadline:
                    doing(f"stopping execution {name} of {self.name}")
                    time.sleep(POLL)

    def _executions(self) -> list[dict[str, Any]]:
        """Newest first."""
        told = self._client.list_pipeline_executions(pipelineName=self.name, maxResults=100)
        return list(told["pipelineExecutionSummaries"])

    def _of(self, commit: str) -> dict[str, Any] | None:
        """The newest execution of a commit."""
        for execution in self._executions():
            if any(revision.get("revisionId") == commit for revision in execution.get("sourceRevisions", [])):
                return execution
        return None

    def _begun(self, commit: str, doing: Doing) -> str:
        """The execution that the push starts; if it doesn't, one that is started here."""
        deadline = time.monotonic() + TO_BEGIN
        while time.monotonic() < deadline:
            if found := self._of(commit):
                return str(found["pipelineExecutionId"])
            doing(f"waiting for the push of {commit[:8]} to start {self.name}")
            time.sleep(POLL)
        return self._start()

    def _start(self) -> str:
        return str(self._client.start_pipeline_execution(name=self.name)["pipelineExecutionId"])

    def _status(self, execution: str) -> str:
        told = self._client.get_pipeline_execution(pipelineName=self.name, pipelineExecutionId=execution)
        return str(told["pipelineExecution"]["status"])

    def _actions(self, execution: str) -> list[dict[str, Any]]:
        """In the order in which they began."""
        told = self._client.list_action_executions(
            pipelineName=self.name, filter={"pipelineExecutionId": execution}, maxResults=100
        )
        return sorted(told["actionExecutionDetails"], key=lambda action: str(action["startTime"]))

    def _wait(self, execution: str, doing: Doing) -> None:
        deadline = time.monotonic() + PATIENCE
        while (status := self._status(execution)) not in _OVER:
            if time.monotonic() > deadline:
                raise SetupError(
                    f"Pipeline {self.name}: execution {execution} still {status}. Look at it in the console."
                )
            actions = [f"{action['actionName']} {action['status']}" for action in self._actions(execution)]
            doing(", ".join(actions) or f"{self.name} starts")
            time.sleep(POLL)
        if status == "Superseded":
            newer = next(one for one in self._executions() if one["status"] != "Superseded")
            self._wait(str(newer["pipelineExecutionId"]), doing)
        elif status != "Succeeded":
            failed = [action for action in self._actions(execution) if action["status"] in ("Failed", "Abandoned")]
            told = "\n".join(self._failure(action) for action in failed)
            raise SetupError(f"Pipeline {self.name}, execution {execution}: {status}\n{told}")

    def _failure(self, action: Mapping[str, Any]) -> str:
        result = action.get("output", {}).get("executionResult", {})
        message = result.get("errorDetails", {}).get("message") or result.get("externalExecutionSummary", "")
        text = f"{action['stageName']}, {action['actionName']}: {message}"
        if action["input"]["actionTypeId"]["provider"] == "CodeBuild" and "externalExecutionId" in result:
            text += f"\n{self._log_tail(result['externalExecutionId'])}"
        return text

    def _log_tail(self, build: str) -> str:
        """The last lines that a build's commands wrote."""
        logs = self._session.client("codebuild").batch_get_builds(ids=[build])["builds"][0].get("logs", {})
        if "streamName" not in logs:
            return ""
        events = self._session.client("logs").get_log_events(
            logGroupName=logs["groupName"], logStreamName=logs["streamName"], startFromHead=False, limit=200
        )["events"]
        lines = [event["message"].rstrip() for event in events if not event["message"].startswith("[Container]")]
        return "".join(f"  | {line}\n" for line in lines[-LINES:])


def needs_deployment(parameters: Mapping[str, str], stack: Mapping[str, Any] | None) -> bool:
    """Whether the code stack is not what the pipeline would make of it."""
    if stack is None or stack["StackStatus"] not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
        return True
    stands = {one["ParameterKey"]: one["ParameterValue"] for one in stack.get("Parameters", [])}
    return any(stands.get(key) != value for key, value in parameters.items())
