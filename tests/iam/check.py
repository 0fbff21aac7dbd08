"""Whether policies are what their roles need, and no more: a line for each thing that is wrong.

The policies of the key and of the buckets are held to the same: a key's has to let the account do what its roles need.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from tests.iam import account, needs, services
from tests.iam.account import EVERYTHING, GIVEN, KEY, Record, Resource, listed
from tests.iam.policies import Request, Statement, managed, statements

LONGEST = {"AWS::IAM::Role": 10_240, "AWS::IAM::ManagedPolicy": 6_144}  # characters without white space
# Actions with a resource level that the templates' use of them has not.
RESOURCE_POLICIES = ("AWS::KMS::Key", "AWS::S3::BucketPolicy")
LOOKS = {"kms:DescribeKey", "kms:ListAliases", "kms:ListResourceTags"}
WITHOUT_RESOURCE = {
    "cloudwatch:PutMetricData": "Its resource is a dataset; a metric of a namespace is in none.",
}


@dataclass(frozen=True)
class Case:
    """A role with its statements and what it needs, for one set of parameters."""

    role: str
    statements: tuple[Statement, ...]
    requests: tuple[Request, ...]
    reasons: frozenset[tuple[str, str]]  # statement and action: what the metadata give a reason for
    wild: frozenset[str]  # statements whose * the metadata give a reason for
    keys: frozenset[str] = frozenset()  # statements that use a key without a condition, for which there is a reason
    is_role: bool = True


def cases(templates: Mapping[str, Record], calls: Mapping[str, list[str]]) -> dict[str, list[Case]]:
    """Every role, key and bucket with a policy, with what is optional and without it."""
    found: dict[str, list[Case]] = {}
    for parameters in (GIVEN, GIVEN | EVERYTHING):
        made = {path: account.resources(path, content, parameters) for path, content in templates.items()}
        for resources in made.values():
            for role in (one for one in resources if one.kind == "AWS::IAM::Role"):
                requests = [*needs.recorded(calls, role.name, parameters)]
                for template, deployer in needs.DEPLOYERS.items():
                    if deployer == role.name:
                        requests += needs.of_template(made[template], parameters)
                found.setdefault(role.name, []).append(_case(role, [role, *managed(role, resources)], requests))
        used = [request for both in found.values() for request in both[-1].requests if request.resource == KEY]
        for owner in (one for resources in made.values() for one in resources if one.kind in RESOURCE_POLICIES):
            # in a key's policy, * is the key; its conditions are for services
            requests = [Request(one.action, "*", {}, one.why) for one in used] if owner.kind == "AWS::KMS::Key" else []
            found.setdefault(owner.name, []).append(_case(owner, [owner], requests))
    return found


def problems(templates: Mapping[str, Record], calls: Mapping[str, list[str]]) -> list[str]:
    """What is wrong with any of them."""
    found = [f"{role}: {told}" for role, both in cases(templates, calls).items() for told in wrong(both)]
    return [*found, *_too_long(templates)]


def _case(role: Resource, owners: list[Resource], requests: list[Request]) -> Case:
    reasons, wild, keys = set(), set(), set()
    for owner in owners:
        keys |= {told["statement"] for told in owner.metadata.get("keys", [])}
        for told in owner.metadata.get("permissions", []):
            reasons |= {(told["policy"], action) for action in told["actions"]}
        wild |= {name for told in owner.metadata.get("wildcards", []) for name in listed(told["statement"])}
    inside = [one for owner in owners for one in statements(owner)]
    if role.kind == "AWS::IAM::Role":
        return Case(role.name, tuple(inside), tuple(requests), frozenset(reasons), frozenset(wild), frozenset(keys))
    allowed = tuple(one for one in inside if one.effect == "Allow")  # what is refused there, nobody needs
    return Case(role.name, allowed, tuple(requests), frozenset(reasons), frozenset(wild), is_role=False)


def wrong(both: list[Case]) -> list[str]:
    """What a role lacks, and what it has that it needs neither with what is optional nor without."""
    found: dict[str, None] = {}
    needed: dict[tuple[Statement, str], bool] = {}
    for case in both:
        lacking, needed_here = _needed(case)
        found |= dict.fromkeys(lacking)
        known = [whatever_is_optional(one) for one in case.statements]
        found |= {f"{one}: there are two; give them names (Sid)": None for one in known if known.count(one) > 1}
        for statement in case.statements:
            for action in statement.actions:
                key = (whatever_is_optional(statement), action)
                needed[key] = needed.get(key, False) or (statement, action) in needed_here
            found |= dict.fromkeys(_of_resources(statement, case))
            if case.is_role:
                found |= dict.fromkeys(_of_conditions(statement, case.keys))
    reasons = both[0].reasons
    for (statement, action), is_needed in needed.items():
        found |= dict.fromkeys(_of_action(statement, action, is_needed, (statement.policy, action) in reasons))
    for policy, action in sorted(reasons):
        number = sum(one.policy == policy and action == has for one, has in needed)
        if number != 1:
            told = f"{policy}: the metadata give a reason for {action}, which {number} statements have"
            found[told] = None
    return list(found)


def _needed(case: Case) -> tuple[list[str], set[tuple[Statement, str]]]:
    """What no statement allows; and which actions of which statements no other could stand in for."""
    lacking: list[str] = []
    needed_here: set[tuple[Statement, str]] = set()
    having: dict[str, list[Statement]] = {}
    for statement in case.statements:
        for action in statement.actions:
            having.setdefault(action.lower(), []).append(statement)
    for request in case.requests:
        about = [one for one in having.get(request.action.lower(), []) if one.covers(request)]
        if {one.effect for one in about} != {"Allow"}:
            lacking.append(f"lacks {request}")
        elif len(about) == 1:
            needed_here.add((about[0], request.action))
    return lacking, needed_here


def whatever_is_optional(statement: Statement) -> Statement:
    """A statement as it is the same whatever the parameters are."""
    return replace(statement, number=0, resources=())


def _of_conditions(statement: Statement, has_reason: frozenset[str]) -> Iterator[str]:
    """What has to be limited by conditions, beside its resource."""
    present = {key for keys in statement.conditions.values() for key in keys}
    by_service = {"kms:ViaService", "aws:CalledVia"} & present
    for action in statement.actions:
        of_any_key = action.startswith("kms:") and any(resource.endswith(":key/*") for resource in statement.resources)
        wanted: set[str] = set()
        if action == "iam:PassRole":
            wanted |= {"iam:PassedToService"}
        if action == "cloudwatch:PutMetricData":
            wanted |= {"cloudwatch:namespace"}
        if action.startswith("kms:") and action not in LOOKS and not by_service and statement.policy not in has_reason:
            wanted |= {"kms:ViaService"}
        if of_any_key and action not in LOOKS and not _is_via(statement, "glue."):
            wanted |= {"aws:ResourceTag/Project"}
        if action == "kms:CreateKey":
            wanted |= {"aws:RequestTag/Project"}
        if missing := wanted - present:
            yield f"{statement}: {action} wants a condition on {', '.join(sorted(missing))}"


def _is_via(statement: Statement, service: str) -> bool:
    """Whether it is for calls through one service only: the catalog's key may be anybody's."""
    via = statement.conditions.get("StringEquals", {}).get("kms:ViaService", "")
    return str(via).startswith(service)


def _of_action(statement: Statement, action: str, is_needed: bool, has_reason: bool) -> Iterator[str]:
    if "*" in action or "?" in action:
        yield f"{statement}: {action} is a pattern of actions"
    elif not services.is_action(action):
        yield f"{statement}: AWS has no action {action}"
    elif not is_needed and not has_reason:
        yield f"{statement}: nothing needs {action} here; take it out, or say why in the role's metadata"
    elif is_needed and has_reason:
        yield f"{statement}: {action} is used; its reason in the role's metadata is not needed"


def _of_resources(statement: Statement, case: Case) -> Iterator[str]:
    if "*" not in statement.resources:
        return
    for action in statement.actions if case.is_role else ():  # in a key's policy, * is the key
        if services.is_action(action) and services.has_resource_level(action) and action not in WITHOUT_RESOURCE:
            yield f"{statement}: {action} has a resource level, and stands on *"
    if statement.policy not in case.wild:
        yield f"{statement}: the metadata do not say why it stands on *"


def _too_long(templates: Mapping[str, Record]) -> Iterator[str]:
    longest = account.given("G" * 24) | EVERYTHING
    for path, content in templates.items():
        for owner in account.resources(path, content, longest):
            if owner.kind in LONGEST:
                policies = [one["PolicyDocument"] for one in owner.properties.get("Policies", [owner.properties])]
                length = sum(len(json.dumps(one, separators=(",", ":"))) for one in policies)
                if length > LONGEST[owner.kind] * 0.95:  # regions and partitions have longer names, too
                    yield f"{owner.name} has {length} characters of policies; IAM takes {LONGEST[owner.kind]}"
