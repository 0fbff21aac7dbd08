"""CloudWatch Logs: the ARNs that IAM checks on, and what a service writes with the role that it was given.

What is about a stream is checked on the stream, below its group.
"""

import contextlib
import time
from collections.abc import Sequence
from typing import Any

from setup.rehearsal import extend
from setup.rehearsal.extend import Request, ServiceError

_OF_STREAMS = {"CreateLogStream", "DeleteLogStream", "GetLogEvents", "PutLogEvents"}
_WITHOUT_RESOURCE = {"DescribeLogGroups"}
_OF_KEYS = (
    "kms:Decrypt",
    "kms:Encrypt",
    "kms:GenerateDataKey",
    "kms:ReEncryptFrom",
    "kms:ReEncryptTo",
    "kms:DescribeKey",
)
_BATCH = 1000  # events a call


def install() -> None:
    """Tell IAM, and register what ministack lacks."""
    operations = {"AssociateKmsKey": _associate, "DisassociateKmsKey": _disassociate}
    extend.add_operations("logs", operations, _resource)
    groups = extend.resource_handlers("AWS::Logs::LogGroup")
    create = groups["create"]

    def created(logical_id: str, properties: dict[str, Any], stack: str) -> Any:
        made = create(logical_id, properties, stack)
        if key := properties.get("KmsKeyId"):
            _associate({"logGroupName": made[0], "kmsKeyId": key})
        return made

    groups["create"] = created


def _associate(request: Request) -> None:
    """CloudWatch Logs encrypts a group itself, so the key's policy has to let it."""
    name, key = request["logGroupName"], request["kmsKeyId"]
    arn = f"arn:aws:logs:{extend.REGION}:{extend.ACCOUNT}:log-group:{name}"
    context = {"kms:EncryptionContext:aws:logs:arn": arn}
    extend.check_key(key, f"logs.{extend.REGION}.amazonaws.com", _OF_KEYS, context)
    _group(name)["kmsKeyId"] = key


def _disassociate(request: Request) -> None:
    _group(request["logGroupName"])["kmsKeyId"] = None


def _group(name: str) -> dict[str, Any]:
    found = extend.stored_log_group(name)
    if found is None:
        raise ServiceError("ResourceNotFoundException", f"The specified log group does not exist: {name}")
    return found


def write(role: str, session: str, group: str, stream: str, lines: Sequence[str], key: str = "") -> None:
    """Lines to a stream, with the rights of a role; group and stream are made where they are not there, the group
    encrypted with a KMS key. Raises ClientError where the role may not.
    """
    client = extend.client("logs", role, session)
    with contextlib.suppress(client.exceptions.ResourceAlreadyExistsException):
        client.create_log_group(logGroupName=group)
        if key:
            client.associate_kms_key(logGroupName=group, kmsKeyId=key)
    with contextlib.suppress(client.exceptions.ResourceAlreadyExistsException):
        client.create_log_stream(logGroupName=group, logStreamName=stream)
    now = int(time.time() * 1000)
    for start in range(0, len(lines), _BATCH):
        events = [{"timestamp": now, "message": line or " "} for line in lines[start : start + _BATCH]]
        client.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)


def _resource(operation: str, request: Request) -> str | None:
    if operation in _WITHOUT_RESOURCE:
        return "*"
    if operation not in _OF_STREAMS:
        return None
    group = f"arn:aws:logs:{extend.REGION}:{extend.ACCOUNT}:log-group:{request.get('logGroupName', '')}"
    return f"{group}:log-stream:{request.get('logStreamName', '')}"
