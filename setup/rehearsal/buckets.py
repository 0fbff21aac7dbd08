"""AWS::S3::Bucket and AWS::S3::BucketPolicy through S3's own API: every property is applied, none is dropped.

Server access logging is a setting that S3 keeps and shows; no log is ever delivered. Lifecycle rules are kept and
shown; nothing ever expires.
"""

import json
import secrets
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from setup.rehearsal import extend
from setup.rehearsal.extend import ServiceError

Properties = dict[str, Any]


def install() -> None:
    """Take the places of ministack's, which leave properties out and delete buckets that hold objects."""
    extend.add_resource("AWS::S3::Bucket", _create, _update, _delete)
    extend.add_resource("AWS::S3::BucketPolicy", _create_policy, _update_policy, _delete_policy)


def _create(logical_id: str, properties: Properties, stack: str) -> tuple[str, dict[str, Any]]:
    _check(properties)
    name = properties.get("BucketName") or f"{stack}-{logical_id}".lower()[:50].rstrip("-") + f"-{secrets.token_hex(6)}"
    place = {} if extend.REGION == "us-east-1" else {"LocationConstraint": extend.REGION}
    _call("create_bucket", Bucket=name, **({"CreateBucketConfiguration": place} if place else {}))
    try:
        _apply(name, {}, properties)
    except ServiceError:
        _call("delete_bucket", Bucket=name)
        raise
    return name, _attributes(name)


def _update(name: str, old: Properties, new: Properties, stack: str) -> tuple[str, dict[str, Any]]:
    if new.get("BucketName", name) != name:
        return _create("", new, stack)
    _check(new)
    _apply(name, old, new)
    return name, _attributes(name)


def _delete(name: str, _properties: Properties) -> None:
    """Fails where the bucket holds an object, a version or a delete marker."""
    try:
        _call("delete_bucket", Bucket=name)
    except ServiceError as error:
        if error.code != "NoSuchBucket":
            raise


def _create_policy(_logical_id: str, properties: Properties, _stack: str) -> tuple[str, dict[str, Any]]:
    bucket, document = properties["Bucket"], properties["PolicyDocument"]
    _call("put_bucket_policy", Bucket=bucket, Policy=document if isinstance(document, str) else json.dumps(document))
    return bucket, {}


def _update_policy(bucket: str, _old: Properties, new: Properties, stack: str) -> tuple[str, dict[str, Any]]:
    return _create_policy(bucket, new, stack)


def _delete_policy(bucket: str, _properties: Properties) -> None:
    try:
        _call("delete_bucket_policy", Bucket=bucket)
    except ServiceError as error:
        if error.code != "NoSuchBucket":
            raise


def _check(properties: Properties) -> None:
    if unknown := sorted(properties.keys() - _PARTS.keys() - {"BucketName"}):
        raise ServiceError("InvalidRequest", f"the rehearsal's buckets have no {', '.join(unknown)}")


def _apply(name: str, old: Properties, new: Properties) -> None:
    """Bring a bucket from one set of properties to another; what is left out has its default again."""
    for part, (operation, request, removal) in _PARTS.items():
        if old.get(part) == new.get(part):
            continue
        if part in new:
            _call(operation, Bucket=name, **request(new[part]))
        else:
            _call(removal[0], Bucket=name, **removal[1])


def _encryption(value: Properties) -> Properties:
    rules = [
        {
            "ApplyServerSideEncryptionByDefault": rule["ServerSideEncryptionByDefault"],
            "BucketKeyEnabled": _bool(rule.get("BucketKeyEnabled", False)),
        }
        for rule in value["ServerSideEncryptionConfiguration"]
    ]
    return {"ServerSideEncryptionConfiguration": {"Rules": rules}}


def _logging(value: Properties) -> Properties:
    target = value["DestinationBucketName"]
    try:
        _call("head_bucket", Bucket=target)
    except ServiceError as error:
        told = f"The target bucket for logging does not exist: {target}"
        raise ServiceError("InvalidTargetBucketForLogging", told) from error
    enabled = {"TargetBucket": target, "TargetPrefix": value.get("LogFilePrefix", "")}
    if "TargetObjectKeyFormat" in value:
        enabled["TargetObjectKeyFormat"] = value["TargetObjectKeyFormat"]
    return {"BucketLoggingStatus": {"LoggingEnabled": enabled}}


def _lifecycle(value: Properties) -> Properties:
    return {"LifecycleConfiguration": {"Rules": [_lifecycle_rule(rule) for rule in value["Rules"]]}}


def _lifecycle_rule(rule: Properties) -> Properties:
    """A rule of a template as the API takes it: a condition alone, or several inside And."""
    conditions: Properties = {key: rule[key] for key in ("Prefix",) if key in rule}
    conditions |= {key: int(rule[key]) for key in ("ObjectSizeGreaterThan", "ObjectSizeLessThan") if key in rule}
    tags = rule.get("TagFilters", [])
    if len(conditions) + len(tags) > 1:
        chosen: Properties = {"And": conditions | ({"Tags": tags} if tags else {})}
    else:
        chosen = conditions or ({"Tag": tags[0]} if tags else {"Prefix": ""})
    made: Properties = {"ID": rule.get("Id", secrets.token_hex(8)), "Status": rule["Status"], "Filter": chosen}
    expiration = {
        key: convert(rule[name])
        for name, key, convert in (
            ("ExpirationInDays", "Days", int),
            ("ExpirationDate", "Date", str),
            ("ExpiredObjectDeleteMarker", "ExpiredObjectDeleteMarker", _bool),
        )
        if name in rule
    }
    if expiration:
        made["Expiration"] = expiration
    for name in ("NoncurrentVersionExpiration", "AbortIncompleteMultipartUpload"):
        if name in rule:
            made[name] = _numbers(rule[name])
    if "Transitions" in rule:
        made["Transitions"] = [_transition(transition, "Days") for transition in rule["Transitions"]]
    if "NoncurrentVersionTransitions" in rule:
        transitions = rule["NoncurrentVersionTransitions"]
        made["NoncurrentVersionTransitions"] = [_transition(transition, "NoncurrentDays") for transition in transitions]
    known = {
        "Id", "Status", "Prefix", "ObjectSizeGreaterThan", "ObjectSizeLessThan", "TagFilters", "ExpirationInDays",
        "ExpirationDate", "ExpiredObjectDeleteMarker", "NoncurrentVersionExpiration", "AbortIncompleteMultipartUpload",
        "Transitions", "NoncurrentVersionTransitions",
    }  # fmt: skip
    if unknown := sorted(rule.keys() - known):
        raise ServiceError("InvalidRequest", f"the rehearsal's lifecycle rules have no {', '.join(unknown)}")
    return made


def _transition(value: Properties, days: str) -> Properties:
    made = _numbers({key: item for key, item in value.items() if key in ("NewerNoncurrentVersions",)})
    if "TransitionInDays" in value:
        made[days] = int(value["TransitionInDays"])
    if "TransitionDate" in value:
        made["Date"] = value["TransitionDate"]
    return made | {"StorageClass": value["StorageClass"]}


def _numbers(value: Properties) -> Properties:
    return {key: int(item) for key, item in value.items()}


def _bool(value: Any) -> bool:
    """CloudFormation may give a text for a boolean."""
    return str(value).lower() == "true"


_BLOCKED = dict.fromkeys(("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"), True)
# A property's operation, what makes its request of the template's value, and what takes it away again.
_PARTS: dict[str, tuple[str, Callable[[Any], Properties], tuple[str, Properties]]] = {
    "OwnershipControls": (
        "put_bucket_ownership_controls",
        lambda value: {"OwnershipControls": value},
        ("delete_bucket_ownership_controls", {}),
    ),
    "PublicAccessBlockConfiguration": (
        "put_public_access_block",
        lambda value: {"PublicAccessBlockConfiguration": {key: _bool(item) for key, item in value.items()}},
        ("put_public_access_block", {"PublicAccessBlockConfiguration": _BLOCKED}),
    ),
    "BucketEncryption": ("put_bucket_encryption", _encryption, ("delete_bucket_encryption", {})),
    "VersioningConfiguration": (
        "put_bucket_versioning",
        lambda value: {"VersioningConfiguration": value},
        ("put_bucket_versioning", {"VersioningConfiguration": {"Status": "Suspended"}}),
    ),
    "LoggingConfiguration": ("put_bucket_logging", _logging, ("put_bucket_logging", {"BucketLoggingStatus": {}})),
    "LifecycleConfiguration": (
        "put_bucket_lifecycle_configuration",
        _lifecycle,
        ("delete_bucket_lifecycle", {}),
    ),
    "Tags": ("put_bucket_tagging", lambda value: {"Tagging": {"TagSet": value}}, ("delete_bucket_tagging", {})),
}


def _attributes(name: str) -> dict[str, Any]:
    return {
        "Arn": f"arn:aws:s3:::{name}",
        "DomainName": f"{name}.s3.amazonaws.com",
        "DualStackDomainName": f"{name}.s3.dualstack.{extend.REGION}.amazonaws.com",
        "RegionalDomainName": f"{name}.s3.{extend.REGION}.amazonaws.com",
    }


def _call(operation: str, **request: Any) -> dict[str, Any]:
    """An operation of S3. Raises ServiceError as S3 told it."""
    try:
        answer: dict[str, Any] = getattr(extend.client("s3"), operation)(**request)
    except ClientError as error:
        told = error.response["Error"]
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        message = f"{told['Message']} ({request['Bucket']}; Status Code: {status})"
        raise ServiceError(told["Code"], message, status) from error
    return answer
