"""What AWS publishes of itself, as cfn-lint ships it: the permissions that a resource type's handlers need, and which
actions have a resource level.
"""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import cfnlint.data

DATA = Path(cfnlint.data.__file__).parent
HANDLERS = ("create", "read", "update", "delete")


@cache
def permissions(kind: str) -> Mapping[str, tuple[str, ...]]:
    """Of a resource type, by handler; empty where AWS publishes none."""
    handlers = _schema(kind).get("handlers", {})
    return {handler: tuple(handlers[handler].get("permissions", [])) for handler in HANDLERS if handler in handlers}


@cache
def has_resource_level(action: str) -> bool:
    """Whether a policy can say on what. Raises KeyError for an action that AWS doesn't have."""
    service, _, name = action.partition(":")
    return bool(_actions(service)[name.lower()].get("Resources"))


def is_action(action: str) -> bool:
    """Whether AWS has it."""
    service, _, name = action.partition(":")
    return service in _services() and name.lower() in _actions(service)


def actions(service: str) -> list[str]:
    """Every action of a service, in lower case."""
    return sorted(f"{service}:{name}" for name in _actions(service))


def _actions(service: str) -> dict[str, Any]:
    found: dict[str, Any] = _services()[service]["Actions"]
    return found


@cache
def _services() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((DATA / "AdditionalSpecs" / "Policies.json").read_text(encoding="utf-8"))
    return found


@cache
def _schema(kind: str) -> dict[str, Any]:
    folder = DATA / "schemas"
    number = json.loads((folder / "providers" / "us-east-1.json").read_text(encoding="utf-8"))[kind]
    found: dict[str, Any] = json.loads((folder / "resources" / f"{number}.json").read_text(encoding="utf-8"))
    return found
