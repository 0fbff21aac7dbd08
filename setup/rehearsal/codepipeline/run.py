"""The run of one execution of a pipeline: its stages, its actions, the artifacts that they hand on."""

import io
import json
import time
import uuid
import zipfile
from collections.abc import Callable
from itertools import groupby
from typing import Any

from botocore.exceptions import ClientError

from setup.rehearsal import codecommit, extend

LONGEST = 51_200  # bytes of a template in a request to CloudFormation

_POLL = 0.5  # seconds


class ActionFailedError(Exception):
    """Why an action failed, as its `errorDetails` tell it."""


class Run:
    """The run of one execution: its pipeline, the artifacts that its actions have made."""

    def __init__(self, name: str, arn: str, pipeline: dict[str, Any], execution: dict[str, Any]) -> None:
        self.name, self.arn, self.pipeline, self.execution = name, arn, pipeline, execution
        self.store = pipeline["artifactStore"]["location"]
        self.key = pipeline["artifactStore"].get("encryptionKey", {}).get("id")
        self.artifacts: dict[str, str] = {}  # name: key in the store

    def client(self, service: str) -> Any:
        """A client with the pipeline's role."""
        return extend.client(service, self.pipeline["roleArn"], self.name)

    def stages(self) -> str:
        """Do all stages; how the execution ended."""
        extend.check_trust(self.pipeline["roleArn"], "codepipeline.amazonaws.com", self.arn)
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
            PROVIDERS[kind["category"], kind["provider"]](self, action, result)
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


def _source(run: Run, action: dict[str, Any], result: dict[str, Any]) -> None:
    """CodeCommit: the tip of a branch, as a zip in the store."""
    settings = action["configuration"]
    repository, branch = settings["RepositoryName"], settings["BranchName"]
    client = run.client("codecommit")
    commit = client.get_branch(repositoryName=repository, branchName=branch)["branch"]["commitId"]
    told = client.get_commit(repositoryName=repository, commitId=commit)["commit"]
    _checked_upload(run, repository)
    key = run.object_of(action["outputArtifacts"][0]["name"]) + ".zip"
    # without a key of the store's, the bucket's own encryption
    encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": run.key} if run.key else {}
    run.client("s3").put_object(Bucket=run.store, Key=key, Body=codecommit.archive(repository, commit), **encryption)
    run.artifacts[action["outputArtifacts"][0]["name"]] = key
    result["externalExecutionId"] = commit
    result["externalExecutionSummary"] = told["message"]
    revision = {"actionName": action["name"], "revisionId": commit, "revisionSummary": told["message"]}
    run.execution["sourceRevisions"].append(revision)


def _build(run: Run, action: dict[str, Any], result: dict[str, Any]) -> None:
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

    run.wait(goes_on, lambda: client.stop_build(id=started))
    result["externalExecutionUrl"] = build.get("logs", {}).get("deepLink", "")
    if build["buildStatus"] != "SUCCEEDED":
        contexts = [context["message"] for phase in build["phases"] for context in phase.get("contexts", [])]
        told = next(filter(None, contexts), "")
        raise ActionFailedError(f"Build terminated with state: {build['buildStatus']}. {told}".strip())
    for artifact in action.get("outputArtifacts", []):
        run.artifacts[artifact["name"]] = run.object_of(artifact["name"])


def _output(run: Run, action: dict[str, Any]) -> dict[str, Any]:
    outputs = action.get("outputArtifacts", [])
    if not outputs:
        return {}
    place = {"type": "CODEPIPELINE", "location": run.store, "name": run.object_of(outputs[0]["name"])}
    return {"artifactsOverride": place}


def _deploy(run: Run, action: dict[str, Any], result: dict[str, Any]) -> None:
    """CloudFormation: a stack from a template of an artifact."""
    settings = action["configuration"]
    mode, stack = settings["ActionMode"], settings["StackName"]
    client = run.client("cloudformation")
    passed = {"iam:PassedToService": "cloudformation.amazonaws.com"}
    if message := extend.denied_to(run.pipeline["roleArn"], "iam:PassRole", settings["RoleArn"], passed):
        raise ActionFailedError(message)
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
        **_template(run, settings["TemplatePath"]),
        "RoleARN": settings["RoleArn"],
        "Capabilities": [one for one in settings.get("Capabilities", "").split(",") if one],
        "Parameters": [{"ParameterKey": key, "ParameterValue": str(value)} for key, value in parameters.items()],
    }
    try:
        (client.update_stack if _stack_status(client, stack) else client.create_stack)(**request)
    except ClientError as error:
        if "No updates are to be performed" in str(error):
            return
        raise
    ended = _wait_for_stack(run, client, stack)
    result["externalExecutionId"] = stack
    if ended not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
        raise ActionFailedError(f"Stack {stack} ended in {ended}: {_first_failure(client, stack)}")


def _template(run: Run, path: str) -> dict[str, str]:
    """A stack's template as CloudFormation takes it: one that is too long for a request from the store, as on AWS."""
    text = run.file(path)
    if len(text.encode()) <= LONGEST:
        return {"TemplateBody": text}
    client, key = run.client("s3"), f"{run.object_of('Templates')}.yml"
    encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": run.key} if run.key else {}
    client.put_object(Bucket=run.store, Key=key, Body=text.encode(), **encryption)
    return {"TemplateURL": f"{client.meta.endpoint_url}/{run.store}/{key}"}


def _wait_for_stack(run: Run, client: Any, stack: str) -> str | None:
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


def _checked_upload(run: Run, repository: str) -> None:
    """The right to upload an archive, which is in no SDK: asked for as IAM sees it."""
    arn = f"arn:aws:codecommit:{extend.REGION}:{extend.ACCOUNT}:{repository}"
    for action in ("codecommit:UploadArchive", "codecommit:GetUploadArchiveStatus"):
        if message := extend.denied_to(run.pipeline["roleArn"], action, arn):
            raise ActionFailedError(message)


PROVIDERS: dict[tuple[str, str], Callable[[Run, dict[str, Any], dict[str, Any]], None]] = {
    ("Source", "CodeCommit"): _source,
    ("Build", "CodeBuild"): _build,
    ("Deploy", "CloudFormation"): _deploy,
}
