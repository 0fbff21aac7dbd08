"""CodePipeline: an execution really does what its actions say, with the pipeline's role and nothing else.

Executed: Source by CodeCommit, Build by CodeBuild, Deploy by CloudFormation (CREATE_UPDATE, DELETE_ONLY); stages one
after another, actions of one RunOrder together; a newer execution supersedes one that waits. What a pipeline asks for
beyond that is refused when it is made.
"""

import io
import json
import threading
import time
import uuid
import zipfile
from collections.abc import Callable
from itertools import groupby
from typing import Any

from botocore.exceptions import ClientError

from setup.rehearsal import codecommit, extend
from setup.rehearsal.extend import Request, ServiceError

_POLL = 0.5  # seconds
_PIPELINE_KEYS = {"name", "roleArn", "artifactStore", "stages", "version", "executionMode", "pipelineType"}
_ACTION_KEYS = {
    *("name", "actionTypeId", "configuration", "inputArtifacts", "outputArtifacts", "roleArn", "runOrder", "region"),
    *("namespace", "timeoutInMinutes"),
}
_pipelines: dict[str, dict[str, Any]] = {}
_executions: dict[str, list[dict[str, Any]]] = {}
_locks: dict[str, threading.Lock] = {}


class ActionFailedError(Exception):
    """Why an action failed, as its `errorDetails` tell it."""


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
            if (kind["category"], kind["provider"]) not in _PROVIDERS:
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
            status = _Run(name, pipeline, execution).stages()
    execution["status"] = status
    execution["lastUpdateTime"] = time.time()
    _tell(name, execution, status.upper())


def _tell(name: str, execution: dict[str, Any], state: str) -> None:
    detail = {"pipeline": name, "execution-id": execution["pipelineExecutionId"], "state": state}
    extend.put_event("aws.codepipeline", "CodePipeline Pipeline Execution State Change", detail, [_arn(name)])


class _Run:
    """The run of one execution: its pipeline, the artifacts that its actions have made."""

    def __init__(self, name: str, pipeline: dict[str, Any], execution: dict[str, Any]) -> None:
        self.name, self.pipeline, self.execution = name, pipeline, execution
        self.store = pipeline["artifactStore"]["location"]
        self.key = pipeline["artifactStore"].get("encryptionKey", {}).get("id")
        self.artifacts: dict[str, str] = {}  # name: key in the store

    def client(self, service: str) -> Any:
        """A client with the pipeline's role."""
        return extend.client(service, self.pipeline["roleArn"], self.name)

    def stages(self) -> str:
        """Do all stages; how the execution ended."""
        extend.check_trust(self.pipeline["roleArn"], "codepipeline.amazonaws.com", _arn(self.name))
        for stage in self.pipeline["stages"]:
            actions = sorted(stage["actions"], key=lambda action: int(action["runOrder"]))
            for _, together in groupby(actions, key=lambda action: int(action["runOrder"])):
                if self.execution["stop"].is_set():
                    return "Stopped"
                records = [self._record(stage["name"], action) for action in together]
                threads = [extend.in_background(self._act, record, action) for action, record in records]
                for thread in threads:
                    thread.join()
                statuses = {record["status"] for _, record in records}
                if statuses != {"Succeeded"}:
                    return "Stopped" if self.execution["stop"].is_set() else "Failed"
        return "Succeeded"

    def _record(self, stage: str, action: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        now = time.time()
        record = {
            "pipelineExecutionId": self.execution["pipelineExecutionId"],
            "actionExecutionId": str(uuid.uuid4()),
            "pipelineVersion": self.pipeline["version"],
            "stageName": stage,
            "actionName": action["name"],
            "startTime": now,
            "lastUpdateTime": now,
            "status": "InProgress",
            "input": {"actionTypeId": action["actionTypeId"], "configuration": action.get("configuration", {})},
            "output": {"outputArtifacts": [], "executionResult": {}, "outputVariables": {}},
        }
        self.execution["actions"].append(record)
        return action, record

    def _act(self, record: dict[str, Any], action: dict[str, Any]) -> None:
        kind = action["actionTypeId"]
        result = record["output"]["executionResult"]
        try:
            _PROVIDERS[kind["category"], kind["provider"]](self, action, result)
            record["status"] = "Succeeded"
        except ActionFailedError as error:
            record["status"] = "Abandoned" if self.execution["stop"].is_set() else "Failed"
            result["errorDetails"] = {"code": "JobFailed", "message": str(error)}
        except ClientError as error:
            record["status"] = "Failed"
            code = "PermissionError" if "AccessDenied" in str(error) else "ConfigurationError"
            result["errorDetails"] = {"code": code, "message": str(error)}
        except Exception as error:  # the execution has to end, and to say why
            record["status"] = "Failed"
            result["errorDetails"] = {"code": "InternalError", "message": repr(error)}
        finally:
            record["lastUpdateTime"] = self.execution["lastUpdateTime"] = time.time()

    def object_of(self, artifact: str) -> str:
        """Where an action's output artifact goes in the store."""
        return f"{self.name[:20]}/{artifact[:10]}/{self.execution['pipelineExecutionId'][:7]}"

    def file(self, path: str) -> str:
        """The text of a file of an artifact: `Artifact::path`."""
        artifact, _, inside = path.partition("::")
        if artifact not in self.artifacts:
            raise ActionFailedError(f"there is no artifact {artifact}")
        got = self.client("s3").get_object(Bucket=self.store, Key=self.artifacts[artifact])["Body"].read()
        with zipfile.ZipFile(io.BytesIO(got)) as files:
            if inside not in files.namelist():
                raise ActionFailedError(f"File [{inside}] does not exist in artifact [{artifact}]")
            return files.read(inside).decode()

    def wait(self, doing: Callable[[], bool], stop: Callable[[], Any] | None = None) -> None:
        """Poll until `doing` is over; if the execution is stopped, stop it first."""
        while doing():
            if self.execution["stop"].is_set() and stop:
                stop()
                raise ActionFailedError("the execution was stopped")
            time.sleep(_POLL)


def _source(run: _Run, action: dict[str, Any], result: dict[str, Any]) -> None:
    """CodeCommit: the tip of a branch, as a zip in the store."""
    settings = action["configuration"]
    repository, branch = settings["RepositoryName"], settings["BranchName"]
    client = run.client("codecommit")
    commit = client.get_branch(repositoryName=repository, branchName=branch)["branch"]["commitId"]
    told = client.get_commit(repositoryName=repository, commitId=commit)["commit"]
    _checked_upload(run, repository)
    key = run.object_of(action["outputArtifacts"][0]["name"]) + ".zip"
    encryption = {"ServerSideEncryption": "aws:kms"} | ({"SSEKMSKeyId": run.key} if run.key else {})
    run.client("s3").put_object(Bucket=run.store, Key=key, Body=codecommit.archive(repository, commit), **encryption)
    run.artifacts[action["outputArtifacts"][0]["name"]] = key
    result["externalExecutionId"] = commit
    result["externalExecutionSummary"] = told["message"]
    revision = {"actionName": action["name"], "revisionId": commit, "revisionSummary": told["message"]}
    run.execution["sourceRevisions"].append(revision)


def _build(run: _Run, action: dict[str, Any], result: dict[str, Any]) -> None:
    """CodeBuild: a build of a project on the input artifact."""
    settings = action["configuration"]
    unknown = set(settings) - {"ProjectName", "EnvironmentVariables"}
    if unknown or len(action.get("inputArtifacts", [])) != 1:
        raise ActionFailedError(f"the rehearsal executes one input artifact and not {', '.join(sorted(unknown))}")
    client = run.client("codebuild")
    source = run.artifacts[action["inputArtifacts"][0]["name"]]
    started = client.start_build(
        projectName=settings["ProjectName"],
        sourceTypeOverride="CODEPIPELINE",
        sourceLocationOverride=f"{run.store}/{source}",
        sourceVersion=run.execution["sourceRevisions"][0]["revisionId"],
        environmentVariablesOverride=json.loads(settings.get("EnvironmentVariables", "[]")),
        **_output(run, action),
    )["build"]["id"]
    result["externalExecutionId"] = started
    build: dict[str, Any] = {}

    def goes_on() -> bool:
        build.update(client.batch_get_builds(ids=[started])["builds"][0])
        return bool(build["buildStatus"] == "IN_PROGRESS")

    run.wait(goes_on, lambda: extend.client("codebuild").stop_build(id=started))
    result["externalExecutionUrl"] = build.get("logs", {}).get("deepLink", "")
    if build["buildStatus"] != "SUCCEEDED":
        contexts = [context["message"] for phase in build["phases"] for context in phase.get("contexts", [])]
        told = next(filter(None, contexts), "")
        raise ActionFailedError(f"Build terminated with state: {build['buildStatus']}. {told}".strip())
    for artifact in action.get("outputArtifacts", []):
        run.artifacts[artifact["name"]] = run.object_of(artifact["name"])


def _output(run: _Run, action: dict[str, Any]) -> dict[str, Any]:
    outputs = action.get("outputArtifacts", [])
    if not outputs:
        return {}
    place = {"type": "CODEPIPELINE", "location": run.store, "name": run.object_of(outputs[0]["name"])}
    return {"artifactsOverride": place}


def _deploy(run: _Run, action: dict[str, Any], result: dict[str, Any]) -> None:
    """CloudFormation: a stack from a template of an artifact."""
    settings = action["configuration"]
    mode, stack = settings["ActionMode"], settings["StackName"]
    client = run.client("cloudformation")
    if mode == "DELETE_ONLY":
        client.delete_stack(StackName=stack, RoleARN=settings["RoleArn"])
        _wait_for_stack(run, client, stack)
        return
    unknown = set(settings) - {
        "ActionMode",
        "StackName",
        "RoleArn",
        "TemplatePath",
        "Capabilities",
        "ParameterOverrides",
    }
    if mode != "CREATE_UPDATE" or unknown:
        raise ActionFailedError(f"the rehearsal does not execute {', '.join(sorted({mode, *unknown}))}")
    parameters = json.loads(settings.get("ParameterOverrides", "{}"))
    request = {
        "StackName": stack,
        "TemplateBody": run.file(settings["TemplatePath"]),
        "RoleARN": settings["RoleArn"],
        "Capabilities": [one for one in settings.get("Capabilities", "").split(",") if one],
        "Parameters": [{"ParameterKey": key, "ParameterValue": str(value)} for key, value in parameters.items()],
    }
    status = _stack_status(client, stack)
    if status in ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED"):
        client.delete_stack(StackName=stack, RoleARN=settings["RoleArn"])
        _wait_for_stack(run, client, stack)
        status = _stack_status(client, stack)
    try:
        (client.update_stack if status else client.create_stack)(**request)
    except ClientError as error:
        if "No updates are to be performed" in str(error):
            return
        raise
    ended = _wait_for_stack(run, client, stack)
    result["externalExecutionId"] = stack
    if ended not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
        raise ActionFailedError(f"Stack {stack} ended in {ended}: {_first_failure(client, stack)}")


def _wait_for_stack(run: _Run, client: Any, stack: str) -> str | None:
    run.wait(lambda: (_stack_status(client, stack) or "").endswith("_IN_PROGRESS"))
    return _stack_status(client, stack)


def _stack_status(client: Any, stack: str) -> str | None:
    """The status of a stack; None where there is none."""
    try:
        return str(client.describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"])
    except ClientError as error:
        if "does not exist" in str(error):
            return None
        raise


def _first_failure(client: Any, stack: str) -> str:
    """The reason of the first resource that failed."""
    try:
        events = client.describe_stack_events(StackName=stack)["StackEvents"]
    except ClientError as error:  # the role may not look
        return str(error)
    failed = [event for event in events if event["ResourceStatus"].endswith("_FAILED")]
    if not failed:
        return "no resource failed"
    return f"{failed[-1]['LogicalResourceId']}: {failed[-1].get('ResourceStatusReason', '')}"


def _checked_upload(run: _Run, repository: str) -> None:
    """The right to upload an archive, which is in no SDK: asked for as IAM sees it."""
    arn = f"arn:aws:codecommit:{extend.REGION}:{extend.ACCOUNT}:{repository}"
    for action in ("codecommit:UploadArchive", "codecommit:GetUploadArchiveStatus"):
        if message := extend.denied_to(run.pipeline["roleArn"], action, arn):
            raise ActionFailedError(message)


_PROVIDERS: dict[tuple[str, str], Callable[[_Run, dict[str, Any], dict[str, Any]], None]] = {
    ("Source", "CodeCommit"): _source,
    ("Build", "CodeBuild"): _build,
    ("Deploy", "CloudFormation"): _deploy,
}
