"""Whether policies are what their roles need, and no more: a line for each thing that is wrong."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from tests.iam import account, needs, services
from tests.iam.account import EVERYTHING, GIVEN, Record, Resource, listed
from tests.iam.policies import Request, Statement, managed, statements

LONGEST = {"AWS::IAM::Role": 10_240, "AWS::IAM::ManagedPolicy": 6_144}  # characters without white space
# Actions with a resource level that the templates' use of them has not.
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


def cases(templates: Mapping[str, Record], calls: Mapping[str, list[str]]) -> dict[str, list[Case]]:
    """Every role, with what is optional and without it."""
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
    return found


def problems(templates: Mapping[str, Record], calls: Mapping[str, list[str]]) -> list[str]:
    """What is wrong with any of them."""
    found = [f"{role}: {told}" for role, both in cases(templates, calls).items() for told in wrong(both)]
    return [*found, *_too_long(templates)]


def _case(role: Resource, owners: list[Resource], requests: list[Request]) -> Case:
    reasons, wild = set(), set()
    for owner in owners:
        for told in owner.metadata.get("permissions", []):
            reasons |= {(told["policy"], action) for action in told["actions"]}
        wild |= {name for told in owner.metadata.get("wildcards", []) for name in listed(told["statement"])}
    inside = tuple(statement for owner in owners for statement in statements(owner))
    return Case(role.name, inside, tuple(requests), frozenset(reasons), frozenset(wild))


def wrong(both: list[Case]) -> list[str]:
    """What a role lacks, and what it has that it needs neither with what is optional nor without."""
    found: dict[str, None] = {}
    needed: dict[tuple[Statement, str], bool] = {}
    for case in both:
        lacking, needed_here = _needed(case)
        found |= dict.fromkeys(lacking)
        known = [_without_resources(one) for one in case.statements]
        found |= {f"{one}: there are two; give them names (Sid)": None for one in known if known.count(one) > 1}
        for statement in case.statements:
            for action in statement.actions:
                key = (_without_resources(statement), action)
                needed[key] = needed.get(key, False) or (statement, action) in needed_here
            found |= dict.fromkeys(_of_resources(statement, case.wild))
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


def _without_resources(statement: Statement) -> Statement:
    """A statement as it is the same whatever the parameters are."""
    return replace(statement, number=0, resources=())


def _of_action(statement: Statement, action: str, is_needed: bool, has_reason: bool) -> Iterator[str]:
    if "*" in action or "?" in action:
        yield f"{statement}: {action} is a pattern of actions"
    elif not services.is_action(action):
        yield f"{statement}: AWS has no action {action}"
    elif not is_needed and not has_reason:
        yield f"{statement}: nothing needs {action} here; take it out, or say why in the role's metadata"
    elif is_needed and has_reason:
        yield f"{statement}: {action} is used; its reason in the role's metadata is not needed"


def _of_resources(statement: Statement, wild: frozenset[str]) -> Iterator[str]:
    if "*" not in statement.resources:
        return
    for action in statement.actions:
        if services.is_action(action) and services.has_resource_level(action) and action not in WITHOUT_RESOURCE:
            yield f"{statement}: {action} has a resource level, and stands on *"
    if statement.policy not in wild:
        yield f"{statement}: the role's metadata do not say why it stands on *"


def _too_long(templates: Mapping[str, Record]) -> Iterator[str]:
    for path, content in templates.items():
        for owner in account.resources(path, content, GIVEN | EVERYTHING):
            if owner.kind in LONGEST:
                documents = [owner.properties.get("PolicyDocument"), *owner.properties.get("Policies", [])]
                length = len("".join(str(documents).split()))
                if length > LONGEST[owner.kind] * 0.9:  # names are longer elsewhere
                    yield f"{owner.name} has {length} characters of policies; IAM takes {LONGEST[owner.kind]}"
