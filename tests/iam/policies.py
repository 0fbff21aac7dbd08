"""Policies as IAM reads them: which statement of a role allows a request."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from tests.iam.account import Resource, listed


@dataclass(frozen=True)
class Request:
    """Something that a role has to be allowed, and what tells so. `context` has the condition keys that are there."""

    action: str
    resource: str  # an ARN; * for an action without a resource level
    context: Mapping[str, Any] = field(default_factory=dict, hash=False)
    why: str = ""

    def __str__(self) -> str:
        context = "".join(f", {key} {value}" for key, value in sorted(self.context.items()))
        return f"{self.action} on {self.resource}{context} ({self.why})"


@dataclass(frozen=True)
class Statement:
    """A statement of one of a role's policies."""

    policy: str  # its name, or the statement's own (Sid)
    number: int  # in its policy, from 0
    effect: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    conditions: Mapping[str, Mapping[str, Any]] = field(hash=False, compare=False)

    def __str__(self) -> str:
        return f"{self.policy} ({', '.join(self.actions[:2])}{' …' if len(self.actions) > 2 else ''})"

    def matches(self, request: Request) -> bool:
        """Whether it is about the request."""
        named = any(_pattern(action.lower()).fullmatch(request.action.lower()) for action in self.actions)
        return named and self.covers(request)

    def covers(self, request: Request) -> bool:
        """The same, whatever its actions are."""
        return any(_pattern(resource).fullmatch(request.resource) for resource in self.resources) and all(
            _holds(operator, _present(request.context, key), listed(expected))
            for operator, keys in self.conditions.items()
            for key, expected in keys.items()
        )


def managed(role: Resource, resources: Iterable[Resource]) -> list[Resource]:
    """The managed policies of its template that a role has."""
    attached = role.properties.get("ManagedPolicyArns", [])
    return [one for one in resources if one.kind == "AWS::IAM::ManagedPolicy" and one.arn in attached]


def statements(owner: Resource) -> Iterator[Statement]:
    """Those of a role's own policies, of a managed policy, or of the policy of a key or bucket."""
    document = owner.properties.get("KeyPolicy", owner.properties.get("PolicyDocument"))
    named: dict[str, Any] = {"PolicyName": owner.name, "PolicyDocument": document}
    for policy in owner.properties.get("Policies", []) if owner.kind == "AWS::IAM::Role" else [named]:
        for number, one in enumerate(listed(policy["PolicyDocument"]["Statement"])):
            actions, resources = (tuple(listed(one.get(key, []))) for key in ("Action", "Resource"))
            name = one.get("Sid", policy["PolicyName"])
            yield Statement(name, number, one["Effect"], actions, resources, one.get("Condition", {}))


def allows(policies: Iterable[Statement], request: Request) -> bool:
    """Whether a role with these statements may: one allows it, and none denies it."""
    about = [one.effect for one in policies if one.matches(request)]
    return "Allow" in about and "Deny" not in about


@cache
def _pattern(text: str) -> re.Pattern[str]:
    """With IAM's * and ?."""
    parts = (".*" if char == "*" else "." if char == "?" else re.escape(char) for char in text)
    return re.compile("".join(parts), re.DOTALL)


def _present(context: Mapping[str, Any], key: str) -> Any:
    """A condition key's value; their names have no case."""
    return next((value for name, value in context.items() if name.lower() == key.lower()), None)


def _holds(operator: str, actual: Any, expected: list[Any]) -> bool:
    """One condition. Raises NotImplementedError for an operator that the templates don't use."""
    name = operator.removesuffix("IfExists")
    if actual is None:
        return name != operator
    values = [str(value) for value in listed(actual)]
    match name:
        case "StringEquals" | "ForAnyValue:StringEquals":
            return any(value in map(str, expected) for value in values)
        case "ArnLike" | "StringLike":
            return any(_pattern(str(one)).fullmatch(value) for one in expected for value in values)
    raise NotImplementedError(operator)
