"""CodeBuild whose builds really run: the service's operations, and AWS::CodeBuild::Project of CloudFormation."""

import secrets
import time
import uuid
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from setup.rehearsal import extend
from setup.rehearsal.codebuild.build import Build, deep_link
from setup.rehearsal.extend import ServiceError

Record = dict[str, Any]

_PROPERTIES = {  # of a project: those that are executed, or that say nothing about how a build runs
    "artifacts", "badgeEnabled", "cache", "concurrentBuildLimit", "description", "encryptionKey", "environment",
    "logsConfig", "name", "queuedTimeoutInMinutes", "serviceRole", "source", "sourceVersion", "tags",
    "timeoutInMinutes",
}  # fmt: skip
_OVERRIDES = {
    "artifactsOverride", "buildspecOverride", "encryptionKeyOverride", "environmentVariablesOverride",
    "idempotencyToken", "projectName", "sourceLocationOverride", "sourceTypeOverride", "sourceVersion",
    "timeoutInMinutesOverride",
}  # fmt: skip
_NO_ROLE = (
    "CodeBuild is not authorized to perform: sts:AssumeRole on service role. Please verify that: 1) The provided "
    "service role exists, 2) The role name is case-sensitive and matches exactly, and 3) The role has the necessary "
    "trust policy configured."
)

_projects: dict[str, Record] = {}
_builds: dict[str, Build] = {}
_tokens: dict[str, str] = {}  # idempotency token: build id


def install() -> None:
    """Put it in the place of the emulator's own, whose builds only pretend."""
    extend.add_operations(
        "codebuild",
        {
            "CreateProject": _create_project,
            "UpdateProject": _update_project,
            "DeleteProject": _delete_project,
            "BatchGetProjects": _batch_get_projects,
            "ListProjects": _list_projects,
            "StartBuild": _start_build,
            "StopBuild": _stop_build,
            "BatchGetBuilds": _batch_get_builds,
            "BatchDeleteBuilds": _batch_delete_builds,
            "ListBuilds": _list_builds,
            "ListBuildsForProject": _list_builds_for_project,
        },
        _resource,
    )
    extend.add_resource("AWS::CodeBuild::Project", _create_resource, _update_resource, _delete_resource)
    extend.at_stop(_stop_all)


def _resource(_operation: str, request: Mapping[str, Any]) -> str:
    """The ARN that IAM checks: always a project's, for builds too."""
    given = [request.get(key) for key in ("projectName", "name", "id")]
    given += [*request.get("names", []), *request.get("ids", [])]
    projects = {name.split(":")[0] for name in map(_bare, filter(None, given))}
    # for several projects at once, only a right to all of them will do
    return _arn("project", projects.pop()) if len(projects) == 1 else "*"


def _bare(name: str) -> str:
    """A project's name or a build's id, which may be given by ARN."""
    return name.split("/", 1)[1] if name.startswith("arn:") else name


def _arn(kind: str, name: str) -> str:
    return f"arn:aws:codebuild:{extend.REGION}:{extend.ACCOUNT}:{kind}/{name}"


def _project(name: str) -> Record:
    try:
        return _projects[_bare(name)]
    except KeyError:
        raise ServiceError("ResourceNotFoundException", f"Project cannot be found: {_arn('project', name)}") from None


def _build(name: str) -> Build:
    try:
        return _builds[_bare(name)]
    except KeyError:
        raise ServiceError("ResourceNotFoundException", f"Build cannot be found: {_arn('build', name)}") from None


def _create_project(request: Record) -> Record:
    name = request["name"]
    if name in _projects:
        raise ServiceError("ResourceAlreadyExistsException", f"Project already exists: {_arn('project', name)}")
    now = time.time()
    default = {
        "artifacts": {"type": "NO_ARTIFACTS"},
        "cache": {"type": "NO_CACHE"},
        "encryptionKey": f"arn:aws:kms:{extend.REGION}:{extend.ACCOUNT}:alias/aws/s3",
        "queuedTimeoutInMinutes": 480,
        "source": {"type": "NO_SOURCE"},
        "tags": [],
        "timeoutInMinutes": 60,
    }
    _projects[name] = _checked(default | request) | {"arn": _arn("project", name), "created": now, "lastModified": now}
    return {"project": _projects[name]}


def _update_project(request: Record) -> Record:
    old = _project(request["name"])
    kept = {key: old[key] for key in ("arn", "created")}
    settings = {key: value for key, value in old.items() if key in _PROPERTIES}
    _projects[old["name"]] = _checked(settings | request) | kept | {"lastModified": time.time()}
    return {"project": _projects[old["name"]]}


def _checked(project: Record) -> Record:
    """A project's settings. Raises ServiceError where the rehearsal's builds would leave one out."""
    if unknown := sorted(project.keys() - _PROPERTIES):
        raise ServiceError("InvalidInputException", f"the rehearsal's CodeBuild does not execute {', '.join(unknown)}")
    for part, known in (
        ("source", ("NO_SOURCE", "S3", "CODEPIPELINE")),
        ("artifacts", ("NO_ARTIFACTS", "CODEPIPELINE")),
    ):
        if project[part]["type"] not in known:
            told = f"the rehearsal's CodeBuild knows {part} of {', '.join(known)}, not of {project[part]['type']}"
            raise ServiceError("InvalidInputException", told)
    if project.get("logsConfig", {}).get("s3Logs", {}).get("status") == "ENABLED":
        raise ServiceError("InvalidInputException", "the rehearsal's CodeBuild writes no logs to S3")
    return project


def _delete_project(request: Record) -> Record:
    _projects.pop(_bare(request["name"]), None)
    return {}


def _batch_get_projects(request: Record) -> Record:
    found = {name: _projects.get(_bare(name)) for name in request["names"]}
    return {
        "projects": [project for project in found.values() if project],
        "projectsNotFound": [name for name, project in found.items() if not project],
    }


def _list_projects(request: Record) -> Record:
    names = sorted(_projects, reverse=request.get("sortOrder") == "DESCENDING")
    return {"projects": names}


def _start_build(request: Record) -> Record:
    if unknown := sorted(request.keys() - _OVERRIDES):
        raise ServiceError("InvalidInputException", f"the rehearsal's CodeBuild does not execute {', '.join(unknown)}")
    token = request.get("idempotencyToken")
    if token in _tokens:
        return {"build": _builds[_tokens[token]].snapshot()}
    project = _project(request["projectName"])
    running = [build for build in _of_project(project["name"]) if not build.record["buildComplete"]]
    limit = project.get("concurrentBuildLimit")
    if limit and len(running) >= limit:
        raise ServiceError("AccountLimitExceededException", f"Cannot have more than {limit} builds for the project")
    try:
        build = Build(_record(project, request), project["arn"])
    except (ServiceError, ClientError) as error:
        raise ServiceError("InvalidInputException", f"{_NO_ROLE} ({error})") from error
    _builds[build.record["id"]] = build
    if token:
        _tokens[token] = build.record["id"]
    answer = {"build": build.snapshot()}
    extend.in_background(build.run)
    return answer


def _record(project: Record, request: Record) -> Record:
    """The record of a new build: its project's settings, and what the request puts over them."""
    name, now = project["name"], time.time()
    number = str(uuid.uuid4())
    logs = project.get("logsConfig", {}).get("cloudWatchLogs", {})
    group = logs.get("groupName") or f"/aws/codebuild/{name}"
    stream = "/".join(filter(None, [logs.get("streamName"), number]))
    source = project["source"] | {
        key: request[override]
        for key, override in (
            ("type", "sourceTypeOverride"),
            ("location", "sourceLocationOverride"),
            ("buildspec", "buildspecOverride"),
        )
        if override in request
    }
    environment = project.get("environment", {})
    variables = {
        variable["name"]: variable
        for variable in [
            *environment.get("environmentVariables", []),
            *request.get("environmentVariablesOverride", []),
        ]
    }
    version = request.get("sourceVersion") or project.get("sourceVersion") or ""
    from_pipeline = source["type"] == "CODEPIPELINE"
    return {
        "id": f"{name}:{number}",
        "arn": _arn("build", f"{name}:{number}"),
        "buildNumber": len(_of_project(name)) + 1,
        "projectName": name,
        "startTime": now,
        "buildStatus": "IN_PROGRESS",
        "buildComplete": False,
        "currentPhase": "QUEUED",
        "phases": [
            {
                "phaseType": "SUBMITTED",
                "phaseStatus": "SUCCEEDED",
                "startTime": now,
                "endTime": now,
                "durationInSeconds": 0,
            }
        ],
        # the revision of a pipeline's source is a commit; what the build reads is its zip in S3
        "sourceVersion": f"arn:aws:s3:::{source.get('location', '')}" if from_pipeline else version,
        "resolvedSourceVersion": version,
        "source": source,
        "artifacts": project["artifacts"] | request.get("artifactsOverride", {}),
        "cache": project["cache"],
        "environment": environment | {"environmentVariables": list(variables.values())},
        "serviceRole": project["serviceRole"],
        "logs": {
            "groupName": group,
            "streamName": stream,
            "deepLink": deep_link(group, stream),
            "cloudWatchLogs": logs or {"status": "ENABLED"},
            "cloudWatchLogsArn": f"arn:aws:logs:{extend.REGION}:{extend.ACCOUNT}:log-group:{group}:log-stream:{stream}",
        },
        "timeoutInMinutes": request.get("timeoutInMinutesOverride", project["timeoutInMinutes"]),
        "queuedTimeoutInMinutes": project["queuedTimeoutInMinutes"],
        "initiator": _initiator(extend.caller(), from_pipeline=from_pipeline),
        "encryptionKey": request.get("encryptionKeyOverride", project["encryptionKey"]),
    }


def _initiator(caller: str, *, from_pipeline: bool) -> str:
    """Who started a build, in CodeBuild's words: a user, ROLE/SESSION or codepipeline/PIPELINE."""
    who = caller.split(":")[-1].split("/")
    return f"codepipeline/{who[-1]}" if from_pipeline else "/".join(who[1:]) or who[0]


def _of_project(name: str) -> list[Build]:
    return [build for build in list(_builds.values()) if build.record["projectName"] == name]


def _stop_build(request: Record) -> Record:
    build = _build(request["id"])
    build.end("STOPPED")
    return {"build": build.snapshot()}


def _batch_get_builds(request: Record) -> Record:
    found = {name: _builds.get(_bare(name)) for name in request["ids"]}
    return {
        "builds": [build.snapshot() for build in found.values() if build],
        "buildsNotFound": [name for name, build in found.items() if not build],
    }


def _batch_delete_builds(request: Record) -> Record:
    deleted, kept = [], []
    for name in request["ids"]:
        build = _builds.get(_bare(name))
        if build and build.record["buildComplete"]:
            del _builds[_bare(name)]
            deleted.append(_arn("build", _bare(name)))
        else:
            kept.append({"id": name, "statusCode": "BUILD_IN_PROGRESS" if build else "BUILD_NOT_FOUND"})
    return {"buildsDeleted": deleted, "buildsNotDeleted": kept}


def _list_builds(request: Record) -> Record:
    return {"ids": _newest_first(list(_builds.values()), request)}


def _list_builds_for_project(request: Record) -> Record:
    return {"ids": _newest_first(_of_project(_project(request["projectName"])["name"]), request)}


def _newest_first(builds: list[Build], request: Record) -> list[str]:
    newest_first = request.get("sortOrder", "DESCENDING") == "DESCENDING"
    return [
        build.record["id"] for build in sorted(builds, key=lambda one: one.record["startTime"], reverse=newest_first)
    ]


def _stop_all() -> None:
    """The server stops: nothing that it started outlives it."""
    for build in list(_builds.values()):
        build.end("STOPPED")


def _create_resource(logical_id: str, properties: Record, _stack: str) -> tuple[str, Record]:
    name = properties.get("Name") or f"{logical_id}-{secrets.token_hex(6)}"
    _create_project(_settings(properties) | {"name": name})
    return name, {"Arn": _arn("project", name)}


def _update_resource(physical_id: str, _old: Record, new: Record, stack: str) -> tuple[str, Record]:
    if new.get("Name", physical_id) != physical_id:
        return _create_resource(new["Name"], new, stack)
    created = _project(physical_id)["created"]
    _delete_project({"name": physical_id})  # what the new template leaves out has its default again
    _create_project(_settings(new) | {"name": physical_id})
    _projects[physical_id]["created"] = created
    return physical_id, {"Arn": _arn("project", physical_id)}


def _delete_resource(physical_id: str, _properties: Record) -> None:
    _delete_project({"name": physical_id})


def _settings(properties: Record) -> Record:
    """A template's properties in the words of the API; CloudFormation may give numbers and booleans as texts."""
    settings: Record = _camel(properties)
    for name in ("timeoutInMinutes", "queuedTimeoutInMinutes", "concurrentBuildLimit"):
        if name in settings:
            settings[name] = int(settings[name])
    if "privilegedMode" in settings.get("environment", {}):
        settings["environment"]["privilegedMode"] = str(settings["environment"]["privilegedMode"]).lower() == "true"
    return settings


def _camel(value: Any) -> Any:
    if isinstance(value, list):
        return [_camel(item) for item in value]
    if isinstance(value, dict):
        return {
            "buildspec" if key == "BuildSpec" else key[:1].lower() + key[1:]: _camel(item)
            for key, item in value.items()
        }
    return value
