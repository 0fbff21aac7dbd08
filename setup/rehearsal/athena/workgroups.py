"""Athena's workgroups and named queries, through the API and as resources of CloudFormation."""

import time
import uuid
from typing import Any

from setup.rehearsal import extend
from setup.rehearsal.extend import ServiceError

Record = dict[str, Any]

_ENGINE = {"SelectedEngineVersion": "AUTO", "EffectiveEngineVersion": "Athena engine version 3"}
_ENGINES = (_ENGINE["SelectedEngineVersion"], _ENGINE["EffectiveEngineVersion"])
_SETTINGS = {  # of a workgroup: those that are executed, or that a rehearsal has no use for
    "BytesScannedCutoffPerQuery", "EnforceWorkGroupConfiguration", "EngineVersion", "PublishCloudWatchMetricsEnabled",
    "RequesterPaysEnabled", "ResultConfiguration",
}  # fmt: skip
_LEAST_CUTOFF = 10_000_000

_groups: dict[str, Record] = {
    "primary": {
        "Name": "primary",
        "State": "ENABLED",
        "Description": "",
        "CreationTime": time.time(),
        "Configuration": {"EnforceWorkGroupConfiguration": False, "EngineVersion": _ENGINE},
    }
}
_named: dict[str, Record] = {}
_used: set[str] = set()  # groups in which queries were executed
_tags: dict[str, dict[str, str]] = {}  # by ARN


def operations() -> dict[str, extend.Operation]:
    """The operations of workgroups, named queries and their tags."""
    return {
        "CreateWorkGroup": _create_group,
        "GetWorkGroup": lambda request: {"WorkGroup": get(request["WorkGroup"])},
        "ListWorkGroups": _list_groups,
        "UpdateWorkGroup": _update_group,
        "DeleteWorkGroup": _delete_group,
        "CreateNamedQuery": _create_named,
        "GetNamedQuery": lambda request: {"NamedQuery": _get_named(request["NamedQueryId"])},
        "BatchGetNamedQuery": _batch_get_named,
        "ListNamedQueries": _list_named,
        "UpdateNamedQuery": _update_named,
        "DeleteNamedQuery": _delete_named,
        "TagResource": _tag,
        "UntagResource": _untag,
        "ListTagsForResource": _list_tags,
    }


def install() -> None:
    """Add the resource types."""
    extend.add_resource("AWS::Athena::WorkGroup", _create_resource, _update_resource, _delete_resource)
    extend.add_resource(
        "AWS::Athena::NamedQuery", _create_named_resource, _update_named_resource, _delete_named_resource
    )


def get(name: str) -> Record:
    """A workgroup. Raises ServiceError where there is none."""
    try:
        return _groups[name]
    except KeyError:
        raise ServiceError("InvalidRequestException", f"WorkGroup {name} is not found.") from None


def group_of_named(number: str) -> str | None:
    """The workgroup of a named query, for IAM."""
    return _named[number]["WorkGroup"] if number in _named else None


def use(name: str) -> None:
    """Remember that a query was executed in a workgroup: it is not empty any more."""
    _used.add(name)


def arn(name: str) -> str:
    """The ARN of a workgroup."""
    return f"arn:aws:athena:{extend.REGION}:{extend.ACCOUNT}:workgroup/{name}"


def _create_group(request: Record) -> Record:
    name = request["Name"]
    if name in _groups:
        raise ServiceError("InvalidRequestException", f"WorkGroup {name} is already created")
    configuration = {"EnforceWorkGroupConfiguration": True, "PublishCloudWatchMetricsEnabled": False}
    _groups[name] = {
        "Name": name,
        "State": "ENABLED",
        "Description": request.get("Description", ""),
        "CreationTime": time.time(),
        "Configuration": _checked(configuration | request.get("Configuration", {})),
    }
    _tags[arn(name)] = {tag["Key"]: tag["Value"] for tag in request.get("Tags", [])}
    return {}


def _checked(configuration: Record) -> Record:
    """A workgroup's settings. Raises ServiceError for what Athena refuses, or the rehearsal does not execute."""
    if unknown := sorted(configuration.keys() - _SETTINGS):
        raise ServiceError("InvalidRequestException", f"the rehearsal's Athena does not execute {', '.join(unknown)}")
    cutoff = configuration.get("BytesScannedCutoffPerQuery")
    if cutoff is not None and cutoff < _LEAST_CUTOFF:
        told = f"BytesScannedCutoffPerQuery must be at least {_LEAST_CUTOFF}, not {cutoff}"
        raise ServiceError("InvalidRequestException", told)
    engine = configuration.get("EngineVersion", {}).get("SelectedEngineVersion", "AUTO")
    if engine not in _ENGINES:
        raise ServiceError("InvalidRequestException", f"EngineVersion {engine} is not one of {', '.join(_ENGINES)}")
    encryption = configuration.get("ResultConfiguration", {}).get("EncryptionConfiguration", {})
    if encryption.get("EncryptionOption") == "CSE_KMS":
        raise ServiceError("InvalidRequestException", "the rehearsal's Athena encrypts with SSE_S3 and SSE_KMS only")
    return configuration | {"EngineVersion": _ENGINE | {"SelectedEngineVersion": engine}}


def _list_groups(_request: Record) -> Record:
    shown = ("Name", "State", "Description", "CreationTime")
    groups = [
        {key: group[key] for key in shown} | {"EngineVersion": group["Configuration"]["EngineVersion"]}
        for group in _groups.values()
    ]
    return {"WorkGroups": groups}


def _update_group(request: Record) -> Record:
    group = get(request["WorkGroup"])
    updates = dict(request.get("ConfigurationUpdates", {}))
    configuration = dict(group["Configuration"])
    result = dict(configuration.get("ResultConfiguration", {}))
    for key, value in updates.pop("ResultConfigurationUpdates", {}).items():
        if key.startswith("Remove"):
            if value:
                result.pop(key.removeprefix("Remove"), None)
        else:
            result[key] = value
    if updates.pop("RemoveBytesScannedCutoffPerQuery", False):
        configuration.pop("BytesScannedCutoffPerQuery", None)
    group["Configuration"] = _checked(configuration | updates | {"ResultConfiguration": result})
    group |= {key: request[key] for key in ("Description", "State") if key in request}
    return {}


def _delete_group(request: Record) -> Record:
    name = request["WorkGroup"]
    if name == "primary":
        raise ServiceError("InvalidRequestException", "The primary workgroup can't be deleted")
    get(name)
    named = [number for number, query in _named.items() if query["WorkGroup"] == name]
    if not request.get("RecursiveDeleteOption", False) and (named or name in _used):
        raise ServiceError("InvalidRequestException", f"WorkGroup {name} is not empty")
    for number in named:
        del _named[number]
    _used.discard(name)
    del _groups[name]
    _tags.pop(arn(name), None)
    return {}


def _create_named(request: Record) -> Record:
    get(request.get("WorkGroup", "primary"))
    number = str(uuid.uuid4())
    shown = ("Name", "Description", "Database", "QueryString")
    query = {key: request[key] for key in shown if key in request}
    _named[number] = query | {"NamedQueryId": number, "WorkGroup": request.get("WorkGroup", "primary")}
    return {"NamedQueryId": number}


def _get_named(number: str) -> Record:
    try:
        return _named[number]
    except KeyError:
        raise ServiceError("InvalidRequestException", f"NamedQuery {number} was not found") from None


def _batch_get_named(request: Record) -> Record:
    missing = [number for number in request["NamedQueryIds"] if number not in _named]
    told = {"ErrorCode": "INVALID_INPUT", "ErrorMessage": "NamedQuery was not found"}
    return {
        "NamedQueries": [_named[number] for number in request["NamedQueryIds"] if number in _named],
        "UnprocessedNamedQueryIds": [{"NamedQueryId": number, **told} for number in missing],
    }


def _list_named(request: Record) -> Record:
    group = get(request.get("WorkGroup", "primary"))["Name"]
    return {"NamedQueryIds": [number for number, query in _named.items() if query["WorkGroup"] == group]}


def _update_named(request: Record) -> Record:
    shown = ("Name", "Description", "QueryString")
    _get_named(request["NamedQueryId"]).update({key: request[key] for key in shown if key in request})
    return {}


def _delete_named(request: Record) -> Record:
    _get_named(request["NamedQueryId"])
    del _named[request["NamedQueryId"]]
    return {}


def _tag(request: Record) -> Record:
    _tags.setdefault(request["ResourceARN"], {}).update({tag["Key"]: tag["Value"] for tag in request["Tags"]})
    return {}


def _untag(request: Record) -> Record:
    for key in request["TagKeys"]:
        _tags.get(request["ResourceARN"], {}).pop(key, None)
    return {}


def _list_tags(request: Record) -> Record:
    return {"Tags": [{"Key": key, "Value": value} for key, value in _tags.get(request["ResourceARN"], {}).items()]}


def _settings(properties: Record) -> Record:
    """The configuration of a template; CloudFormation may give numbers and booleans as texts."""
    settings = dict(properties.get("WorkGroupConfiguration", {}))
    if "BytesScannedCutoffPerQuery" in settings:
        settings["BytesScannedCutoffPerQuery"] = int(settings["BytesScannedCutoffPerQuery"])
    for name in ("EnforceWorkGroupConfiguration", "PublishCloudWatchMetricsEnabled", "RequesterPaysEnabled"):
        if name in settings:
            settings[name] = str(settings[name]).lower() == "true"
    return settings


def _create_resource(_logical_id: str, properties: Record, _stack: str) -> tuple[str, Record]:
    name = properties["Name"]
    _create_group(
        {
            "Name": name,
            "Description": properties.get("Description", ""),
            "Configuration": _settings(properties),
            "Tags": properties.get("Tags", []),
        }
    )
    _groups[name]["State"] = properties.get("State", "ENABLED")
    return name, _attributes(name)


def _update_resource(name: str, _old: Record, new: Record, stack: str) -> tuple[str, Record]:
    if new["Name"] != name:
        return _create_resource("", new, stack)
    created = get(name)["CreationTime"]
    del _groups[name]  # what the new template leaves out has its default again
    _create_resource("", new, stack)
    _groups[name]["CreationTime"] = created
    return name, _attributes(name)


def _attributes(name: str) -> Record:
    return {
        "CreationTime": str(_groups[name]["CreationTime"]),
        "WorkGroupConfiguration.EngineVersion.EffectiveEngineVersion": _ENGINE["EffectiveEngineVersion"],
    }


def _delete_resource(name: str, properties: Record) -> None:
    if name in _groups:
        recursive = str(properties.get("RecursiveDeleteOption", False)).lower() == "true"
        _delete_group({"WorkGroup": name, "RecursiveDeleteOption": recursive})


def _create_named_resource(logical_id: str, properties: Record, _stack: str) -> tuple[str, Record]:
    number = _create_named({"Name": logical_id, **properties})["NamedQueryId"]
    return number, {"NamedQueryId": number}


def _update_named_resource(number: str, _old: Record, new: Record, stack: str) -> tuple[str, Record]:
    """Every property of a named query needs another one; the engine deletes the old."""
    return _create_named_resource(new.get("Name", number), new, stack)


def _delete_named_resource(number: str, _properties: Record) -> None:
    _named.pop(number, None)
