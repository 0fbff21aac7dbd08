"""CodePipeline: an execution really does what its actions say, with the pipeline's role and nothing else.

Executed: Source by CodeCommit, Build by CodeBuild, Deploy by CloudFormation (CREATE_UPDATE, DELETE_ONLY); stages one
after another, actions of one RunOrder together; a newer execution supersedes one that waits. What a pipeline asks for
beyond that is refused when it is made.
"""

import json
import threading
import time
import uuid
from typing import Any

from setup.rehearsal import extend
from setup.rehearsal.codepipeline.run import PROVIDERS, Run
from setup.rehearsal.extend import Request, ServiceError

_PIPELINE_KEYS = {"name", "roleArn", "artifactStore", "stages", "version", "executionMode", "pipelineType"}
_ACTION_KEYS = {
    *("name", "actionTypeId", "configuration", "inputArtifacts", "outputArtifacts", "roleArn", "runOrder", "region"),
    *("namespace", "timeoutInMinutes"),
}
_pipelines: dict[str, dict[str, Any]] = {}
_executions: dict[str, list[dict[str, Any]]] = {}
_locks: dict[str, threading.Lock] = {}


def install() -> None:
    """Register the service, its resource type and the target of rules."""
    extend.add_service(
        "codepipeline",
        target_prefix="CodePipeline_20150709",
        namespace="codepipeline",
        operations={
            "DeletePipeline": _delete_pipeline,
            "GetPipeline": _get_pipeline,
            "GetPipelineExecution": _get_pipeline_execution,
            "GetPipelineState": _get_pipeline_state,
            "ListActionExecutions": _list_action_executions,
            "ListPipelineExecutions": _list_pipeline_executions,
            "ListPipelines": _list_pipelines,
            "StartPipelineExecution": _start_pipeline_execution,
            "StopPipelineExecution": _stop_pipeline_execution,
        },
        resource=_resource,
    )
    extend.add_resource("AWS::CodePipeline::Pipeline", _create, _update, _delete)
    extend.add_target("codepipeline", _started_by_rule)


def _resource(operation: str, request: Request) -> str:
    if operation == "ListPipelines":
        return "*"
    return _arn(str(request.get("pipelineName") or request.get("name")))


def _arn(name: str) -> str:
    return f"arn:aws:codepipeline:{extend.REGION}:{extend.ACCOUNT}:{name}"


def _started_by_rule(arn: str, event: dict[str, Any], role_arn: str | None) -> None:
    if role_arn is None:
        raise ServiceError("ValidationException", f"the rule's target {arn} has no role")
    cause = {"triggerType": "CloudWatchEvent", "triggerDetail": event.get("id", "")}
    client = extend.client("codepipeline", role_arn, "AwsEventsRule")
    extend.in_background(_start_as, client, arn.rpartition(":")[2], cause)


def _start_as(client: Any, name: str, cause: dict[str, str]) -> None:
    execution = client.start_pipeline_execution(name=name)["pipelineExecutionId"]
    _found_execution(name, execution)["trigger"] = cause


def _declared(properties: dict[str, Any]) -> dict[str, Any]:
    """CloudFormation's properties as the API has them: keys begin in lower case, but those of Configuration."""

    def lower(value: Any, *, keys_too: bool = True) -> Any:
        if isinstance(value, list):
            return [lower(item, keys_too=keys_too) for item in value]
        if isinstance(value, dict):
            return {
                (key[0].lower() + key[1:] if keys_too else key): lower(
                    item, keys_too=keys_too and key != "Configuration"
                )
                for key, item in value.items()
            }
        return value

    declared: dict[str, Any] = lower({key: value for key, value in properties.items() if key != "Tags"})
    declared.pop("restartExecutionOnUpdate", None)
    unknown = set(declared) - _PIPELINE_KEYS
    for stage in declared["stages"]:
        unknown |= set(stage) - {"name", "actions"}
        for action in stage["actions"]:
            action["runOrder"] = int(action.get("runOrder", 1))
            unknown |= set(action) - _ACTION_KEYS
            kind = action["actionTypeId"]
            if (kind["category"], kind["provider"]) not in PROVIDERS:
                unknown.add(f"{kind['category']} by {kind['provider']}")
    if unknown:
        message = f"the rehearsal does not execute {', '.join(sorted(unknown))} of a pipeline"
        raise ServiceError("InvalidStructureException", message)
    return declared


def _create(_: str, properties: dict[str, Any], __: str) -> tuple[str, dict[str, Any]]:
    declared = _declared(properties)
    name = declared["name"]
    if name in _pipelines:
        raise ServiceError("PipelineNameInUseException", f"A pipeline named {name} already exists")
    _pipelines[name] = declared | {"version": 1}
    _executions[name], _locks[name] = [], threading.Lock()
    # as AWS does: a new pipeline runs at once
    extend.in_background(_first_execution, name)
    return name, {"Version": "1"}


def _first_execution(name: str) -> None:
    _start(name, {"triggerType": "CreatePipeline", "triggerDetail": ""})


def _update(physical_id: str, old: dict[str, Any], new: dict[str, Any], _: str) -> tuple[str, dict[str, Any]]:
    if old["Name"] != new["Name"]:
        made = _create("", new, "")
        _delete_pipeline({"name": old["Name"]})
        return made
    version = _pipelines[physical_id]["version"] + 1
    _pipelines[physical_id] = _declared(new) | {"version": version}
    if new.get("RestartExecutionOnUpdate"):
        _start(physical_id, {"triggerType": "UpdatePipeline", "triggerDetail": ""})
    return physical_id, {"Version": str(version)}


def _delete(physical_id: str, _: dict[str, Any]) -> None:
    _delete_pipeline({"name": physical_id})


def _delete_pipeline(request: Request) -> None:
    for execution in _executions.pop(request["name"], []):
        execution["stop"].set()
    _pipelines.pop(request["name"], None)


def _get_pipeline(request: Request) -> dict[str, Any]:
    return {"pipeline": _found(request["name"]), "metadata": {"pipelineArn": _arn(request["name"])}}


def _list_pipelines(_: Request) -> dict[str, Any]:
    return {"pipelines": [{"name": name, "version": one["version"]} for name, one in sorted(_pipelines.items())]}


def _start_pipeline_execution(request: Request) -> dict[str, Any]:
    if request.get("variables") or request.get("sourceRevisions"):
        raise ServiceError("ValidationException", "the rehearsal executes neither variables nor sourceRevisions")
    _found(request["name"])
    cause = {"triggerType": "StartPipelineExecution", "triggerDetail": extend.caller()}
    return {"pipelineExecutionId": _start(request["name"], cause)}


def _stop_pipeline_execution(request: Request) -> dict[str, Any]:
    execution = _found_execution(request["pipelineName"], request["pipelineExecutionId"])
    if execution["status"] not in ("InProgress", "Stopping"):
        raise ServiceError("PipelineExecutionNotStoppableException", f"the execution is {execution['status']}")
    execution["status"] = "Stopping"
    execution["stop"].set()
    return {"pipelineExecutionId": execution["pipelineExecutionId"]}


def _list_pipeline_executions(request: Request) -> dict[str, Any]:
    _found(request["pipelineName"])
    keys = (
        "pipelineExecutionId",
        "status",
        "startTime",
        "lastUpdateTime",
        "sourceRevisions",
        "trigger",
        "executionMode",
    )
    newest_first = reversed(_executions[request["pipelineName"]])
    shown = [{key: one[key] for key in keys} for one in newest_first]
    return {"pipelineExecutionSummaries": shown[: request.get("maxResults", 100)]}


def _get_pipeline_execution(request: Request) -> dict[str, Any]:
    execution = _found_execution(request["pipelineName"], request["pipelineExecutionId"])
    keys = ("pipelineExecutionId", "status", "trigger", "executionMode")
    revisions = [
        {"name": one["actionName"], "revisionId": one["revisionId"], "revisionSummary": one["revisionSummary"]}
        for one in execution["sourceRevisions"]
    ]
    told = {key: execution[key] for key in keys} | {
        "pipelineName": request["pipelineName"],
        "pipelineVersion": execution["version"],
        "artifactRevisions": revisions,
    }
    return {"pipelineExecution": told}


def _list_action_executions(request: Request) -> dict[str, Any]:
    _found(request["pipelineName"])
    wanted = request.get("filter", {}).get("pipelineExecutionId")
    shown = [
        action
        for execution in reversed(_executions[request["pipelineName"]])
        if wanted in (None, execution["pipelineExecutionId"])
        for action in reversed(execution["actions"])
    ]
    return {"actionExecutionDetails": shown}


def _get_pipeline_state(request: Request) -> dict[str, Any]:
    pipeline = _found(request["name"])
    stages = []
    for stage in pipeline["stages"]:
        last = next(
            (
                execution
                for execution in reversed(_executions[request["name"]])
                if any(action["stageName"] == stage["name"] for action in execution["actions"])
            ),
            None,
        )
        told: dict[str, Any] = {"stageName": stage["name"], "actionStates": []}
        if last:
            done = [action for action in last["actions"] if action["stageName"] == stage["name"]]
            status = _stage_status([action["status"] for action in done])
            told["latestExecution"] = {"pipelineExecutionId": last["pipelineExecutionId"], "status": status}
            for action in done:
                result = action["output"]["executionResult"]
                latest = {"actionExecutionId": action["actionExecutionId"], "status": action["status"]} | {
                    key: result[key] for key in ("externalExecutionId", "errorDetails") if key in result
                }
                told["actionStates"].append({"actionName": action["actionName"], "latestExecution": latest})
        stages.append(told)
    return {"pipelineName": request["name"], "pipelineVersion": pipeline["version"], "stageStates": stages}


def _stage_status(statuses: list[str]) -> str:
    for status in ("Failed", "Abandoned", "InProgress"):
        if status in statuses:
            return "Stopped" if status == "Abandoned" else status
    return "Succeeded"


def _found(name: str) -> dict[str, Any]:
    if name not in _pipelines:
        raise ServiceError("PipelineNotFoundException", f"Account {extend.ACCOUNT} has no pipeline named {name}")
    return _pipelines[name]


def _found_execution(name: str, execution: str) -> dict[str, Any]:
    _found(name)
    for one in _executions[name]:
        if one["pipelineExecutionId"] == execution:
            return one
    raise ServiceError("PipelineExecutionNotFoundException", f"{name} has no execution {execution}")


def _start(name: str, cause: dict[str, str]) -> str:
    pipeline = _pipelines[name]
    now = time.time()
    execution: dict[str, Any] = {
        "pipelineExecutionId": str(uuid.uuid4()),
        "status": "InProgress",
        "startTime": now,
        "lastUpdateTime": now,
        "sourceRevisions": [],
        "trigger": cause,
        "executionMode": pipeline.get("executionMode", "SUPERSEDED"),
        "version": pipeline["version"],
        "actions": [],
        "stop": threading.Event(),
    }
    _executions[name].append(execution)
    extend.in_background(_execute, name, json.loads(json.dumps(pipeline)), execution)
    return str(execution["pipelineExecutionId"])


def _execute(name: str, pipeline: dict[str, Any], execution: dict[str, Any]) -> None:
    """One execution at a time; of those that wait, the newest goes on."""
    _tell(name, execution, "STARTED")
    with _locks[name]:
        waiting = [one for one in _executions.get(name, []) if one["status"] == "InProgress"]
        if execution["executionMode"] == "SUPERSEDED" and waiting and waiting[-1] is not execution:
            status = "Superseded"
        else:
            status = Run(name, _arn(name), pipeline, execution).stages()
    execution["status"] = status
    execution["lastUpdateTime"] = time.time()
    _tell(name, execution, status.upper())


def _tell(name: str, execution: dict[str, Any], state: str) -> None:
    detail = {"pipeline": name, "execution-id": execution["pipelineExecutionId"], "state": state}
    extend.put_event("aws.codepipeline", "CodePipeline Pipeline Execution State Change", detail, [_arn(name)])
