"""The one module that reaches into ministack: services, resource types, events and credentials are added through it.

Written for the version of VERSION. `check()` says what moved when another one is installed.
"""

import base64
import contextvars
import hashlib
import importlib
import importlib.metadata
import json
import os
import secrets
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import boto3
from botocore.config import Config
from ministack import app
from ministack.core import concurrency, iam_actions, iam_evaluator, responses, router
from ministack.services import cloudwatch_logs, eventbridge, glue, iam, kms, s3, sts
from ministack.services.cloudformation import provisioners

from setup.rehearsal import process

VERSION = "1.5.33"

HOME = Path(os.environ["REHEARSAL_HOME"])
CHECKOUT = str(Path(__file__).resolve().parents[2])
PYTHON = Path(os.environ["REHEARSAL_PYTHON"])  # of the main venv
JAVA_HOME = Path(os.environ["REHEARSAL_JAVA_HOME"])
ACCOUNT = os.environ["MINISTACK_ACCOUNT_ID"]
REGION = os.environ["MINISTACK_REGION"]
CERTIFICATE = HOME / "tls" / "certificate.pem"
CRAWLERS, JOBS, JOB_RUNS = glue._crawlers, glue._jobs, glue._job_runs  # Glue's, by name
ENDPOINT = f"https://127.0.0.1:{os.environ['GATEWAY_PORT']}"

Request = dict[str, Any]
Operation = Callable[[Request], dict[str, Any] | None]
Resource = Callable[[str, Request], "str | list[str] | None"]
Check = Callable[[str, str], Iterator[tuple[str, str, dict[str, Any]]]]  # action, resource: what has to be allowed too
Decision = Callable[[str, str, str, str, Mapping[str, Any], bool], None]  # caller, user agent, action, resource, …

_USED: dict[ModuleType, tuple[str, ...]] = {
    app: ("SERVICE_HANDLERS", "SERVICE_REGISTRY", "app", "AUTH"),
    concurrency: ("run_reentrant",),
    iam_actions: ("SERVICE_TO_IAM_NAMESPACE", "extract_resource_arn", "identity_denial_message"),
    iam_evaluator: (
        *("enforce", "caller_arn", "evaluate_resource_policy", "resolve_principal", "AuthError", "EvalContext"),
    ),
    responses: ("get_account_id", "get_region", "set_request_account_id", "set_request_region"),
    router: ("SERVICE_PATTERNS",),
    cloudwatch_logs: ("_log_groups",),
    eventbridge: ("_put_events", "_invoke_target", "_SUPPORTED_TARGET_SERVICES"),
    glue: ("_crawlers", "_jobs", "_job_runs", "_create_security_configuration", "_delete_security_configuration"),
    s3: ("_get_object_data", "_buckets", "_bucket_default_sse_headers"),
    iam: ("_roles",),
    kms: ("key_policy_for_arn",),
    sts: ("register_session",),
    provisioners: ("_RESOURCE_HANDLERS",),
}
_OURS = Config(user_agent_appid=process.APPLICATION)
_STORED_KEY = "x-amz-server-side-encryption-aws-kms-key-id"
_access_key: contextvars.ContextVar[str] = contextvars.ContextVar("access_key", default="")
_agent: contextvars.ContextVar[str] = contextvars.ContextVar("agent", default="")
_refused: contextvars.ContextVar[tuple[str, str] | None] = contextvars.ContextVar("refused", default=None)
_resources: dict[str, Resource] = {}
_checks: list[Check] = []
_decisions: list[Decision] = []
_callers: dict[str, str] = {}  # by access key
_targets: dict[str, Callable[[str, dict[str, Any], str | None], None]] = {}
_kinds: set[str] = set()  # of resources that were added
_at_stop: list[Callable[[], None]] = []


class ServiceError(Exception):
    """An error as a service answers it: its code, a message, the HTTP status."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code, self.message, self.status = code, message, status


class _Resources(str):
    """The ARN that an action is checked on first, and those that it is checked on besides."""

    further: tuple[str, ...] = ()


def check() -> None:
    """Raise RuntimeError if the installed ministack is not the one that this module knows."""
    installed = importlib.metadata.version("ministack")
    places = [(module, name) for module, names in _USED.items() for name in names]
    moved = [f"{module.__name__}.{name}" for module, name in places if not hasattr(module, name)]
    if installed != VERSION or moved:
        raise RuntimeError(
            f"setup/rehearsal/extend.py knows ministack {VERSION}; {installed} is installed"
            + (f", and it has no {', '.join(moved)}" if moved else "")
            + ". Install requirements/emulator.txt, or mend extend.py."
        )


def add_service(
    name: str,
    *,
    target_prefix: str,
    namespace: str,
    operations: Mapping[str, Operation],
    resource: Resource,
) -> None:
    """A service of the JSON 1.1 protocol. `resource` gives the ARN (or ARNs) that IAM checks an operation on."""

    async def unknown(_: str, __: str, headers: Mapping[str, str], ___: bytes, ____: Any) -> tuple[int, Any, bytes]:
        operation = headers.get("x-amz-target", "").rpartition(".")[2]
        return _error(ServiceError("UnknownOperationException", f"the rehearsal's {name} has no {operation}"))

    app.SERVICE_REGISTRY[name] = {"module": name}
    app.SERVICE_HANDLERS[name] = unknown
    router.SERVICE_PATTERNS[name] = {"target_prefixes": [target_prefix], "host_patterns": [rf"^{name}\."]}
    iam_actions.SERVICE_TO_IAM_NAMESPACE[name] = namespace
    add_operations(name, operations, resource)


def add_operations(service: str, operations: Mapping[str, Operation], resource: Resource | None = None) -> None:
    """Operations that a service lacks, or has otherwise. They run off the event loop, so they may call the endpoint."""
    handle = app.SERVICE_HANDLERS[service]

    async def handler(method: str, path: str, headers: Mapping[str, str], body: bytes, query: Any) -> Any:
        operation = operations.get(headers.get("x-amz-target", "").rpartition(".")[2])
        if operation is None:
            return await handle(method, path, headers, body, query)
        return await concurrency.run_reentrant(_answer, operation, body, thread_name=f"rehearsal-{service}")

    app.SERVICE_HANDLERS[service] = handler
    if resource:
        resource_of(service, resource)


def resource_of(service: str, resource: Resource) -> None:
    """Tell IAM the ARN of an operation's resource; several are all checked; None is what ministack says."""
    _resources[service] = resource


def add_check(check: Check) -> None:
    """What a caller has to be allowed beside an action: the key of what is encrypted."""
    _checks.append(check)


def on_decision(told: Decision) -> None:
    """Call a function with each decision of IAM: caller's ARN, user agent, action, resource, conditions, allowed."""
    _decisions.append(told)


def add_resource(
    kind: str,
    create: Callable[[str, dict[str, Any], str], tuple[str, dict[str, Any]]],
    update: Callable[[str, dict[str, Any], dict[str, Any], str], tuple[str, dict[str, Any]]],
    delete: Callable[[str, dict[str, Any]], None],
) -> None:
    """A resource type of CloudFormation. A ServiceError that its functions raise is the reason that the event tells.

    Its functions run off the event loop, so they may call the endpoint.
    """
    _kinds.add(kind)
    provisioners._RESOURCE_HANDLERS[kind] = {
        "create": _told(kind, create),
        "update": _told(kind, update),
        "delete": _told(kind, delete),
    }


def resource_handlers(kind: str) -> dict[str, Any]:
    """The functions behind a resource type that ministack has: create, update, delete."""
    handlers: dict[str, Any] = provisioners._RESOURCE_HANDLERS[kind]
    return handlers


def get(module: str, name: str) -> Any:
    """One of ministack's own functions or tables. Raises RuntimeError if it isn't there."""
    found = importlib.import_module(module)
    if not hasattr(found, name):
        raise RuntimeError(f"ministack {VERSION} was expected to have {module}.{name}; mend setup/rehearsal")
    return getattr(found, name)


def replace(module: str, name: str, function: Any) -> Any:
    """Put `function` in the place of one of ministack's, which is returned. Raises RuntimeError if it isn't there."""
    original = get(module, name)
    setattr(importlib.import_module(module), name, function)
    return original


def put_event(source: str, detail_type: str, detail: dict[str, Any], resources: list[str]) -> None:
    """An event of an AWS service, to the default bus."""
    entry = {"Source": source, "DetailType": detail_type, "Detail": json.dumps(detail), "Resources": resources}
    eventbridge._put_events({"Entries": [entry]}, allow_aws_source=True)


def add_target(service: str, function: Callable[[str, dict[str, Any], str | None], None]) -> None:
    """What a rule does whose target's ARN is of `service`: function(target's ARN, event, the target's role ARN)."""
    _targets[service] = function


def role_environment(role_arn: str, session_name: str) -> dict[str, str]:
    """The environment of a child process that acts as a role, and as nobody else."""
    key, secret, token = _session(role_arn, session_name)
    return {
        "AWS_ACCESS_KEY_ID": key,
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_SESSION_TOKEN": token,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ENDPOINT_URL": ENDPOINT,
        "AWS_CA_BUNDLE": str(CERTIFICATE),
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def client(service: str, role_arn: str | None = None, session_name: str = "rehearsal") -> Any:
    """A boto3 client through the endpoint, with a role's credentials; without a role, the account root's."""
    key, secret, token = (
        _session(role_arn, session_name)
        if role_arn
        else (os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"], None)
    )
    session = boto3.Session(
        aws_access_key_id=key, aws_secret_access_key=secret, aws_session_token=token, region_name=REGION
    )
    return session.client(service, endpoint_url=ENDPOINT, verify=str(CERTIFICATE), config=_OURS)


def caller() -> str:
    """The ARN of who made the request that is being answered."""
    return str(iam_evaluator.caller_arn())


def denied(action: str, resource_arn: str, context: Mapping[str, str] | None = None) -> str | None:
    """None where the caller of the request that is being answered may do this; AWS's text where it may not.

    `context` has the condition keys of the service itself, such as s3:prefix.
    """
    return _denied(_access_key.get(), caller(), action, resource_arn, context)


def denied_to(role_arn: str, action: str, resource_arn: str, context: Mapping[str, str] | None = None) -> str | None:
    """The same for a role: for the actions of a service that no client can call."""
    key, _, _ = _session(role_arn, "rehearsal")
    return _denied(key, role_arn, action, resource_arn, context)


def check_trust(role_arn: str, service: str, source_arn: str) -> None:
    """Raise ServiceError unless a role lets a service assume it: `codebuild.amazonaws.com` for one of its resources."""
    role = client("iam").get_role(RoleName=role_arn.rpartition("/")[2])["Role"]
    context = iam_evaluator.EvalContext(
        principal_arn=service,
        principal_type="Service",
        principal_account=ACCOUNT,
        action="sts:AssumeRole",
        resource_arn=role_arn,
        region=REGION,
        service_context={"aws:sourceaccount": ACCOUNT, "aws:sourcearn": source_arn},
    )
    trusted = iam_evaluator.evaluate_resource_policy(role["AssumeRolePolicyDocument"], context, service)
    if trusted.decision != "Allow":
        raise ServiceError("AccessDeniedException", f"the trust policy of {role_arn} does not let {service} assume it")


def check_key(key_arn: str, service: str, actions: Iterable[str], keys: Mapping[str, str]) -> None:
    """Raise ServiceError unless a key's policy lets a service do all this, with these condition keys."""
    found = kms.key_policy_for_arn(key_arn)
    for action in actions:
        context = iam_evaluator.EvalContext(
            principal_arn=service,
            principal_type="Service",
            principal_account=ACCOUNT,
            action=action,
            resource_arn=key_arn,
            region=REGION,
            service_context={key.lower(): value for key, value in keys.items()},
        )
        if not found or iam_evaluator.evaluate_resource_policy(found[0], context, service).decision != "Allow":
            raise ServiceError("InvalidParameterException", f"the policy of {key_arn} does not let {service} {action}")


def read_object(bucket: str, key: str) -> bytes:
    """The bytes of an object, without a request and without a check."""
    found = s3._get_object_data(bucket, key)
    if found is None:
        raise ServiceError("NoSuchKey", f"s3://{bucket}/{key}: no such object", 404)
    return bytes(found)


def stored_role(name: str) -> dict[str, Any]:
    """The record of a role, to be changed."""
    found: dict[str, Any] = iam._roles[name]
    return found


def stored_log_group(name: str) -> dict[str, Any] | None:
    """The record of a log group, to be changed; None where there is none."""
    found: dict[str, Any] | None = cloudwatch_logs._log_groups.get(name)
    return found


def object_encryption(bucket: str, key: str) -> str:
    """The ARN of the KMS key that an object is stored with; empty for none."""
    found = s3._buckets.get(bucket, {}).get("objects", {}).get(key, {})
    return str(found.get("preserved_headers", {}).get(_STORED_KEY, ""))


def bucket_encryption(bucket: str) -> str:
    """The ARN of the KMS key that a bucket stores objects with; empty for none."""
    return str(s3._bucket_default_sse_headers(bucket).get(_STORED_KEY, ""))


def in_background(function: Callable[..., None], *arguments: Any) -> threading.Thread:
    """Run in a thread that knows the account, the region and the caller of this one."""
    context = contextvars.copy_context()
    thread = threading.Thread(target=lambda: context.run(function, *arguments), daemon=True)
    thread.start()
    return thread


def at_stop(function: Callable[[], None]) -> None:
    """Call a function when the server stops."""
    _at_stop.append(function)


def stop() -> None:
    """Call what is to be called when the server stops."""
    for function in _at_stop:
        function()


def install() -> None:
    """Take the places in ministack through which all of this works."""
    check()

    def resource_arn(
        service: str, method: str, path: str, headers: Any, body: bytes, query: Any, region: str, account: str
    ) -> str:
        _agent.set(headers.get("user-agent", ""))
        theirs: str = extract(service, method, path, headers, body, query, region, account)
        operation = headers.get("x-amz-target", "").rpartition(".")[2]
        if service not in _resources or not operation:
            return theirs
        try:
            request = json.loads(body or b"{}")
        except ValueError:
            return theirs
        ours = _resources[service](operation, request)
        if not ours:
            return theirs
        first, *further = [ours] if isinstance(ours, str) else ours
        arn = _Resources(first)
        arn.further = tuple(further)
        return arn

    def invoke_target(target: dict[str, Any], event: dict[str, Any], rule: Any, view: Any = None) -> None:
        service = target["Arn"].split(":")[2]
        if service in _targets:
            _targets[service](target["Arn"], event, target.get("RoleArn") or rule.get("RoleArn"))
        else:
            invoke(target, event, rule, view)

    stacks = "ministack.services.cloudformation.stacks"
    blocks: Any = replace(stacks, "_runs_on_worker_thread", lambda kind: kind in _kinds or blocks(kind))
    extract: Any = replace("ministack.core.iam_actions", "extract_resource_arn", resource_arn)
    _install_decisions()
    invoke: Any = replace("ministack.services.eventbridge", "_invoke_target", invoke_target)


def _decided(access_key: str, action: str, resource: str, context: Mapping[str, Any], allowed: bool) -> None:
    if access_key not in _callers:
        found = iam_evaluator.resolve_principal(access_key or "", ACCOUNT)
        _callers[access_key] = (
            "anonymous" if isinstance(found, iam_evaluator.AuthError) or not access_key else found.arn
        )
    lower = {key.lower(): value for key, value in context.items()}
    for told in _decisions:
        told(_callers[access_key], _agent.get(), action, resource, lower, allowed)


def _session(role_arn: str, session_name: str) -> tuple[str, str, str]:
    """Temporary credentials of a role, as the service that assumes it would get them."""
    if message := iam_evaluator.validate_role_arn(role_arn):
        raise ServiceError("InvalidInputException", message)
    role = role_arn.rpartition("/")[2]
    digest = hashlib.sha256(secrets.token_bytes(32)).hexdigest()
    key, secret, token = f"ASIA{digest[:16].upper()}", secrets.token_hex(20), secrets.token_hex(64)
    sts.register_session(
        key,
        {
            "Arn": f"arn:aws:sts::{role_arn.split(':')[4]}:assumed-role/{role}/{session_name}",
            "UserId": f"{role}:{session_name}",
            "SecretAccessKey": secret,
            "SessionToken": token,
        },
    )
    return key, secret, token


def _install_decisions() -> None:
    """Have IAM ask for what is needed beside an action, and tell what it decided."""

    def enforced(
        access_key: str, action: str, service: str, region: str, resource_arn: str = "*", service_context: Any = None
    ) -> Any:
        _access_key.set(access_key)
        _refused.set(None)
        own = [
            (action, str(arn), service_context or {}) for arn in (resource_arn, *getattr(resource_arn, "further", ()))
        ]
        needed = [more for check in _checks for more in check(action, str(resource_arn))]
        for asked, arn, context in (*own, *needed):
            of = service if asked == action else asked.partition(":")[0]
            result = enforce(access_key, asked, of, region, arn, context)
            if not isinstance(result, iam_evaluator.AuthError):
                _decided(access_key, asked, arn, context, result is None)
            if result:
                _refused.set((asked, arn))
                return result
        return None

    def denied_response(service: str, action: str, who: str, *rest: Any, **options: Any) -> Any:
        refused = _refused.get()
        if refused and refused[0].partition(":")[0] != action.partition(":")[0]:  # the key, not the object
            options["message"] = iam_actions.identity_denial_message(refused[0], who, refused[1], False)
        return deny(service, action, who, *rest, **options)

    enforce: Any = replace("ministack.core.iam_evaluator", "enforce", enforced)
    deny: Any = replace("ministack.core.iam_actions", "access_denied_response", denied_response)


def _denied(
    access_key: str, who: str, action: str, resource_arn: str, context: Mapping[str, str] | None = None
) -> str | None:
    service = action.partition(":")[0]
    result = iam_evaluator.enforce(access_key, action, service, REGION, resource_arn, dict(context or {}))
    if result is None:
        return None
    if isinstance(result, iam_evaluator.AuthError):
        return str(result.message)
    refused = _refused.get() or (action, resource_arn)  # perhaps the key's, not the object's
    return str(iam_actions.identity_denial_message(refused[0], who, refused[1], result.decision == "Deny"))


def _answer(operation: Operation, body: bytes) -> tuple[int, dict[str, str], bytes]:
    try:
        return _json(200, operation(json.loads(body or b"{}")) or {})
    except ServiceError as error:
        return _error(error)


def _error(error: ServiceError) -> tuple[int, dict[str, str], bytes]:
    return _json(error.status, {"__type": error.code, "message": error.message})


def _json(status: int, answer: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
    def told(value: Any) -> Any:
        if isinstance(value, datetime):
            return value.timestamp()
        if isinstance(value, bytes):
            return base64.b64encode(value).decode()
        raise TypeError(f"{type(value).__name__} can't be told in JSON")

    return status, {"Content-Type": "application/x-amz-json-1.1"}, json.dumps(answer, default=told).encode()


def _told(kind: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, with a ServiceError as CloudFormation tells it."""

    def called(*arguments: Any) -> Any:
        try:
            return function(*arguments)
        except ServiceError as error:
            raise ValueError(f"{kind}: {error.message} (Service: {kind.split('::')[1]}, {error.code})") from error

    return called
