"""CloudFormation where ministack's engine differs from AWS's.

A custom resource whose creation failed is deleted in the rollback, with the id that its answer gave. What a resource
needs stays for as long as that resource can't be deleted, so a later delete finds it. What a rollback could not delete
stays in the stack. Roles get their permissions boundary.
"""

from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from setup.rehearsal import extend

_STACKS = "ministack.services.cloudformation.stacks"
_HANDLERS = "ministack.services.cloudformation.handlers"
_ROLE = "AWS::IAM::Role"
_CUSTOM = "ministack.services.cloudformation.custom_resource"
Record = dict[str, Any]

_answered: dict[tuple[str, str], str] = {}  # the physical ids that answers gave, by stack's ARN and logical id
_not_created: dict[tuple[str, str], Record] = {}  # custom resources, by stack and logical id
_not_deleted: dict[str, set[str]] = defaultdict(set)  # logical ids in the operation under way, by stack
_ministacks: dict[str, Any] = {}


def install() -> None:
    """Put these in the place of ministack's."""
    for module, name, function in (
        (_CUSTOM, "deliver_response", _deliver),
        (_CUSTOM, "invoke_custom_resource", _invoke),
        (_STACKS, "_roll_back_operation", _roll_back),
        (_STACKS, "_delete_resource", _delete),
        (_HANDLERS, "_delete_stack_async", _delete_stack),
    ):
        _ministacks[name] = extend.replace(module, name, function)
    roles = extend.resource_handlers(_ROLE)
    for verb in ("create", "update"):
        roles[verb] = _bounded(roles[verb])
    _ministacks["dependencies"] = extend.get(_STACKS, "_with_dependencies")
    _ministacks["stacks"] = extend.get("ministack.services.cloudformation", "_stacks")


def _bounded(make: Callable[..., Any]) -> Callable[..., Any]:
    """What creates or updates a role, with the boundary that its new properties have; ministack's passes it over."""

    def made(*arguments: Any, **options: Any) -> Any:
        told = make(*arguments, **options)
        new = [one for one in arguments if isinstance(one, dict)][-1]
        role = extend.stored_role(told[0])
        if boundary := new.get("PermissionsBoundary"):
            role["PermissionsBoundary"] = boundary
        else:
            role.pop("PermissionsBoundary", None)
        return told

    return made


def _deliver(token: str, response: Record) -> bool:
    key = (str(response.get("StackId")), str(response.get("LogicalResourceId")))
    _answered[key] = str(response.get("PhysicalResourceId") or "")
    return bool(_ministacks["deliver_response"](token, response))


def _invoke(
    request_type: str,
    logical_id: str,
    props: Record,
    stack_name: str,
    stack_id: str,
    resource_type: str,
    physical_id: str | None = None,
    old_props: Record | None = None,
) -> Any:
    arguments = (request_type, logical_id, props, stack_name, stack_id, resource_type, physical_id, old_props)
    try:
        return _ministacks["invoke_custom_resource"](*arguments)
    except Exception:
        if request_type == "Create":
            _not_created[stack_name, logical_id] = {
                # where there was no answer, AWS makes an id
                "PhysicalResourceId": _answered.get((stack_id, logical_id)) or f"{stack_name}-{logical_id}",
                "ResourceType": resource_type,
                "ResourceStatus": "CREATE_FAILED",
                "LogicalResourceId": logical_id,
                "Properties": props,
                "Attributes": {},
                "Timestamp": _now(),
            }
        raise


def _now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.000Z}"


async def _roll_back(name: str, stack_id: str, stack: Record, operation: Record, reason_override: str = "") -> None:
    _not_deleted.pop(name, None)
    logical_id = operation.get("failed_logical_id")
    if logical_id and (record := _not_created.pop((name, logical_id), None)):
        stack["_resources"][logical_id] = record
        operation["created"] = [*operation["created"], logical_id]
    await _ministacks["_roll_back_operation"](name, stack_id, stack, operation, reason_override)
    if stack["StackStatus"] == "ROLLBACK_FAILED":
        for left, record in stack["_rollback_failed"].items():
            kept = {"LogicalResourceId": left, "ResourceStatus": "DELETE_FAILED", "Timestamp": _now()}
            stack["_resources"][left] = record | kept


async def _delete_stack(name: str, stack_id: str, *arguments: Any, **options: Any) -> None:
    _not_deleted.pop(name, None)
    await _ministacks["_delete_stack_async"](name, stack_id, *arguments, **options)


def _delete(
    kind: str, physical_id: str, props: Record, stack_name: str | None = None, logical_id: str | None = None
) -> None:
    stack, me = stack_name or "", logical_id or ""
    here = _ministacks["stacks"].get(stack) or {}
    declared = (here.get("_template") or {}).get("Resources", {})
    for other in sorted(_not_deleted[stack] - {me}):
        if me in _ministacks["dependencies"]([other], declared, set(declared)):
            raise RuntimeError(f"Not tried: {other} needs it and could not be deleted")
    try:
        _ministacks["_delete_resource"](kind, physical_id, props, stack_name, logical_id)
    except Exception:
        _not_deleted[stack].add(me)
        raise
    _not_deleted[stack].discard(me)
