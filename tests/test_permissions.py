"""Every role may do what it needs and nothing else: the templates' policies against AWS's own resource schemas, and
against the calls that a rehearsal recorded (tests/permissions.py, which .ci/run calls, compares those with a new one).
"""

import os
import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from setup import names
from tests.iam import account, check, needs, services
from tests.iam.account import EVERYTHING, GIVEN, Resource
from tests.iam.check import Case
from tests.iam.policies import Request, Statement, allows, managed, statements

TEMPLATES = account.parsed()
CALLS = needs.load()
HELD = {"iam:PassedToService", "kms:ViaService", "cloudwatch:namespace", "aws:RequestTag/Project"}
SAMPLE = 2  # actions that are added to a statement, one after the other; all of its services with EVERY_MUTATION=1
# What looks at everybody's things: the catalog and its key are one for all, and are not to be taken from others.
LOOKS = {"glue:GetDatabases", "glue:GetTables", "kms:DescribeKey", "kms:ListResourceTags"}
SECOND = "Genomics"  # a project whose name the first one's begins with


def resources(**parameters: str) -> list[Resource]:
    given = GIVEN | EVERYTHING | parameters
    return [one for path, content in TEMPLATES.items() for one in account.resources(path, content, given)]


def roles(found: list[Resource]) -> list[Resource]:
    return [one for one in found if one.kind == "AWS::IAM::Role"]


def test_policies_are_what_roles_need_and_no_more() -> None:
    assert check.problems(TEMPLATES, CALLS) == []


# The test of that test


Mutation = tuple[str, list[Case]]


def without(both: list[Case]) -> Iterator[Mutation]:
    """A role with an action less, for each."""
    for statement in of_either(both):
        for action in statement.actions:
            yield f"{statement}, without {action}", changed(both, statement, set(statement.actions) - {action})


def with_one_more(both: list[Case]) -> Iterator[Mutation]:
    """A role with an action more that nothing needs: some of the statement's services, and one of another."""
    for statement in of_either(both):
        there = {action.lower() for action in statement.actions}
        used = {action.partition(":")[0] for action in statement.actions}
        others = [action for service in sorted(used) for action in services.actions(service) if action not in there]
        if not os.environ.get("EVERY_MUTATION"):
            sample = random.Random(str(statement)).sample  # noqa: S311 - the same ones each time
            others = sample(others, min(SAMPLE, len(others)))
        for action in [*others, "sqs:sendmessage"]:
            yield f"{statement}, with {action}", changed(both, statement, {*statement.actions, action})


def without_a_condition(both: list[Case]) -> Iterator[Mutation]:
    """A role with a condition less, for each that a test holds: on what is passed, on keys, on metrics."""
    for number, statement in enumerate(both[-1].statements):
        for operator, keys in statement.conditions.items():
            for key in keys if both[-1].is_role else ():
                if key not in HELD or operator.endswith("IfExists"):
                    continue
                rest = {name: value for name, value in keys.items() if name != key}
                mutant = replace(statement, conditions={**statement.conditions, operator: rest})
                case = both[-1]
                changed_all = (*case.statements[:number], mutant, *case.statements[number + 1 :])
                yield f"{statement}, without the condition on {key}", [replace(case, statements=changed_all)]


def of_either(both: list[Case]) -> list[Statement]:
    """The statements of a role, each once, whatever is optional."""
    return list({check.whatever_is_optional(one): None for case in both for one in case.statements})


def changed(both: list[Case], statement: Statement, actions: set[str]) -> list[Case]:
    """A role with other actions in one of its statements."""

    def mutant(one: Statement) -> Statement:
        is_it = check.whatever_is_optional(one) == statement
        return replace(one, actions=tuple(sorted(actions))) if is_it else one

    return [replace(case, statements=tuple(map(mutant, case.statements))) for case in both]


@pytest.mark.parametrize("mutate", [without, with_one_more, without_a_condition])
def test_a_mutation_of_any_policy_is_noticed(mutate: Any, capsys: pytest.CaptureFixture[str]) -> None:
    noticed = {
        f"{role}: {told}": bool(check.wrong(mutant))
        for role, both in check.cases(TEMPLATES, CALLS).items()
        for told, mutant in mutate(both)
    }
    with capsys.disabled():
        print(f"\n{mutate.__name__}: {sum(noticed.values())} of {len(noticed)} mutations of policies noticed")
    assert len(noticed) > 10
    assert [name for name, is_noticed in noticed.items() if not is_noticed] == []


# What the comparison rests on


def test_exceptions_are_of_the_schemas() -> None:
    """A permission that a schema no longer has, or a type that no template has, needs no exception."""
    kinds = {one.kind for one in resources()}
    exceptions = [
        *(
            (kind, action)
            for kind, paths in needs.FOR_PROPERTY.items()
            for actions in paths.values()
            for action in actions
        ),
        *(
            (kind, action)
            for kind, paths in needs.WITHOUT_PROPERTY.items()
            for actions in paths.values()
            for action in actions
        ),
        *needs.NEVER,
    ]
    for kind, action in exceptions:
        told = {permission for handler in services.permissions(kind).values() for permission in handler}
        assert kind in kinds
        assert action in told | {"logs:AssociateKmsKey"}, (kind, action)
    assert all(len(reason) > 20 for reason in needs.NEVER.values())


def test_what_is_no_action_of_iam_is_known() -> None:
    """Schemas name operations, too; an action that AWS adds is not to be taken for one."""
    told = {
        permission
        for kind in {one.kind for one in resources() if one.template in needs.DEPLOYERS}
        for permissions in services.permissions(kind).values()
        for permission in permissions
        if not services.is_action(permission)
    }
    assert told == needs.NO_ACTIONS


def test_types_without_a_schema_are_listed() -> None:
    deployed = [one for one in resources() if one.template in needs.DEPLOYERS]
    without_schema = {one.kind for one in deployed if not services.permissions(one.kind)}
    assert without_schema <= set(needs.BESIDE)
    told = {permission for one in deployed for permission, _ in needs.permissions_of(one)}
    assert {"codebuild:CreateProject", "sagemaker:CreateNotebookInstance", "iam:PassRole", "kms:CreateGrant"} <= told
    assert not {action for action in told if action.startswith("ec2:")}  # the notebook is in no VPC


def test_every_role_is_told_of() -> None:
    for role in roles(resources()):
        assert len(role.metadata["role"]["what_for"]) > 20, role.name
        told = [one["reason"] for key in ("permissions", "wildcards") for one in role.metadata.get(key, [])]
        assert all(reason.endswith(".") and len(reason) > 20 for reason in told), role.name


# Trust, boundaries, keys, buckets


def test_trust_is_for_one_service_of_this_account() -> None:
    """Lambda tells neither account nor function when it takes a role, and Glue and CloudFormation no resource.

    IfExists where AWS's documentation is not clear: where a service tells it, it has to be right.
    """
    without_account, without_arn = {"TriggerRole"}, {"TriggerRole", "JobRole", "CrawlerRole", "CloudFormationRole"}
    for role in roles(resources()):
        (trust,) = role.properties["AssumeRolePolicyDocument"]["Statement"]
        assert set(trust["Principal"]) == {"Service"}
        assert isinstance(trust["Principal"]["Service"], str)
        keys = {key: value for condition in trust.get("Condition", {}).values() for key, value in condition.items()}
        assert keys.get("aws:SourceAccount") == (None if role.name in without_account else account.ACCOUNT), role.name
        assert ("aws:SourceArn" not in keys) == (role.name in without_arn), role.name


def test_every_role_can_be_bounded() -> None:
    for role in roles(resources()):
        assert role.properties["PermissionsBoundary"] == account.BOUNDARY
    for role in roles(resources(PermissionsBoundary="")):
        assert "PermissionsBoundary" not in role.properties


@pytest.mark.parametrize("name", ["SetupRole", "CloudFormationRole"])
def test_who_makes_roles_makes_no_unbounded_one(name: str) -> None:
    all_of_it = resources()
    (role,) = (one for one in roles(all_of_it) if one.name == name)
    may = [statement for owner in (role, *managed(role, all_of_it)) for statement in statements(owner)]
    via = {"aws:CalledVia": ["cloudformation.amazonaws.com"]}
    path = f"{account.PROJECT}/{'Pipe' if name == 'SetupRole' else 'Code'}"
    made = f"arn:aws:iam::{account.ACCOUNT}:role/{path}/{account.PROJECT}New"
    for action in ("iam:CreateRole", "iam:PutRolePermissionsBoundary"):
        assert allows(may, Request(action, made, via | {"iam:PermissionsBoundary": account.BOUNDARY}))
        assert not allows(
            may, Request(action, made, via | {"iam:PermissionsBoundary": "arn:aws:iam::aws:policy/AdministratorAccess"})
        )
        assert not allows(may, Request(action, made, via))
    assert not allows(may, Request("iam:DeleteRolePermissionsBoundary", made, via))
    for above in (
        ("", "/Pipe") if name == "CloudFormationRole" else ("", "/Code")
    ):  # nor changes itself, or others' roles
        other = f"arn:aws:iam::{account.ACCOUNT}:role/{account.PROJECT}{above}/{account.PROJECT}{name}"
        assert not allows(may, Request("iam:PutRolePolicy", other, via))
        assert not allows(may, Request("iam:UpdateAssumeRolePolicy", other, via))


def test_the_build_itself_makes_nothing_but_through_cloudformation() -> None:
    all_of_it = resources()
    (role,) = (one for one in roles(all_of_it) if one.name == "SetupRole")
    may = [statement for owner in (role, *managed(role, all_of_it)) for statement in statements(owner)]
    made = [request for case in check.cases(TEMPLATES, {})["SetupRole"] for request in case.requests]
    direct = LOOKS | {  # what the orchestrator calls, too
        *("codecommit:GetRepository", "codecommit:ListRepositories", "codepipeline:GetPipeline"),
        *("logs:DescribeLogGroups", "s3:ListBucket", "s3:PutBucketLogging"),
    }
    for request in made:
        context = {key: value for key, value in request.context.items() if key != "aws:CalledVia"}
        assert allows(may, replace(request, context=context)) == (request.action in direct), request


def test_another_project_reaches_nothing() -> None:
    """What one project's roles may, tried on what another one needs for itself. But for the catalog's key, whosever it
    is: the catalog is one for all projects, and through Glue alone they use it.
    """
    wanted = {
        (request.action, request.resource): request
        for both in check.cases(TEMPLATES, CALLS).values()
        for case in both
        for request in case.requests
        if account.PROJECT.lower() in request.resource.lower() or request.resource == account.KEY
        if not str(request.context.get("kms:ViaService", request.context.get("kms:viaservice"))).startswith("glue.")
    }
    assert len(wanted) > 300
    theirs = resources(**account.given(SECOND))
    for role in roles(theirs):
        may = [statement for owner in (role, *managed(role, theirs)) for statement in statements(owner)]
        for request in wanted.values():
            looks = role.name == "SetupRole" and request.action in LOOKS
            assert looks or not allows(may, request), (role.name, str(request))


def test_what_is_handed_over_is_short_enough() -> None:
    """CloudFormation takes a template's text of 51,200 bytes, CodePipeline 1,000 characters of parameters."""
    for template in ("zone/zone_cfn.yml", "pipe/pipe_cfn.yml"):
        assert len((names.ROOT / template).read_bytes()) < 51_200
    longest = account.given("G" * 24) | {"CatalogKeyArn": f"arn:aws-us-gov:kms:us-gov-west-1:{'1' * 12}:key/{'0' * 36}"}
    longest |= {"PermissionsBoundary": f"arn:aws-us-gov:iam::{'1' * 12}:policy/{'b' * 200}"}
    (pipeline,) = (one for one in resources(**longest) if one.kind == "AWS::CodePipeline::Pipeline")
    overrides = pipeline.properties["Stages"][-1]["Actions"][0]["Configuration"]["ParameterOverrides"]
    assert len(overrides) < 1000


def test_keys_policies_name_no_one_of_elsewhere() -> None:
    (key,) = (one for one in resources() if one.kind == "AWS::KMS::Key")
    assert key.properties["EnableKeyRotation"] is True
    for statement in key.properties["KeyPolicy"]["Statement"]:
        assert statement["Effect"] == "Allow"
        assert statement["Principal"] in (
            {"AWS": f"arn:aws:iam::{account.ACCOUNT}:root"},
            {"Service": f"logs.{account.REGION}.amazonaws.com"},
        )
        assert "Service" not in statement["Principal"] or statement["Condition"]
        assert all(services.is_action(action) for action in statement["Action"])


def test_no_bucket_is_meant_by_a_part_of_its_name() -> None:
    owners = [one for one in resources() if one.kind in ("AWS::IAM::Role", "AWS::IAM::ManagedPolicy")]
    for role in owners:
        for statement in statements(role):
            for resource in statement.resources:
                if ":s3:::" in resource:
                    bucket = resource.partition(":::")[2].partition("/")[0]
                    assert bucket == f"{account.PREFIX}pipe-*" or "*" not in bucket, (role.name, resource)
