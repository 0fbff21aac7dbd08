"""What cfn_nag and checkov would say of the templates: each finding has its reason, each reason its finding.

cfn_nag is a Ruby gem that CI can't install. Its rules for the types that the templates have are written anew here, by
its documentation. checkov runs in ./setup.sh lint; here is what its skips are for.
"""

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from tests.iam.account import listed
from tests.lint import ROOT, TEMPLATES, parsed

Properties = dict[str, Any]
Resources = dict[str, dict[str, Any]]


class Rule(NamedTuple):
    """A finding: what cfn_nag and checkov call it, on which type, and whether a resource has it."""

    cfn_nag: str | None
    checkov: str | None
    type: str
    finds: Callable[[Properties, Resources], bool]


def lacks(name: str) -> Callable[[Properties, Resources], bool]:
    return lambda properties, _: not properties.get(name)


def allowed(document: Any) -> list[dict[str, Any]]:
    return [statement for statement in listed(document["Statement"]) if statement["Effect"] == "Allow"]


def wild(document: Any, part: str) -> bool:
    """Whether a policy allows every action of a service, every resource or everybody."""
    for statement in allowed(document):
        values = listed(statement.get(part))
        texts = [one for value in values for one in (value.values() if isinstance(value, dict) else [value])]
        if any(text == "*" or (part == "Action" and str(text).endswith(":*")) for text in texts):
            return True
    return False


def inline(finds: Callable[[Any], bool]) -> Callable[[Properties, Resources], bool]:
    """What is found in one of a role's policies."""
    return lambda role, _: any(finds(policy["PolicyDocument"]) for policy in role.get("Policies", []))


def excepts(document: Any, *parts: str) -> bool:
    """Whether a policy allows all but what it names."""
    return any(part in statement for statement in allowed(document) for part in parts)


def passes_any_role(document: Any) -> bool:
    return any(
        "iam:PassRole" in listed(statement.get("Action")) and "*" in listed(statement.get("Resource"))
        for statement in allowed(document)
    )


def complexity(document: Any) -> int:
    """Stelligent's policy complexity metric. A name that CloudFormation fills in counts as a service of its own."""
    total = 0
    for statement in listed(document["Statement"]):
        actions = {action.split(":")[0] for action in listed(statement.get("Action"))} - {"*"}
        places = listed(statement.get("Resource"))
        named = {
            place.split(":")[2] if isinstance(place, str) else json.dumps(place) for place in places if place != "*"
        }
        total += 1 + 2 * max(len(actions | named) - 1, 0) + (len(named - actions) if places != ["*"] else 0)
        operators = list(statement.get("Condition", {}))
        total += (statement["Effect"] == "Deny") + 2 * len(operators) + operators.count("Null")
        total += sum(operator.endswith("IfExists") + 2 * operator.startswith("ForAllValues") for operator in operators)
    return total


def has_no_policy(bucket: str, resources: Resources) -> bool:
    return not any(
        one["Type"] == "AWS::S3::BucketPolicy" and one["Properties"]["Bucket"] == {"Ref": bucket}
        for one in resources.values()
    )


def cannot_make_its_log(function: Properties, resources: Resources) -> bool:
    role = resources[listed(function["Role"]["Fn::GetAtt"])[0].split(".")[0]]["Properties"]
    needed = {"logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"}
    statements = [one for policy in role["Policies"] for one in allowed(policy["PolicyDocument"])]
    return not any(needed <= set(listed(statement["Action"])) for statement in statements)


RULES = [
    Rule("W32", None, "AWS::CodeBuild::Project", lacks("EncryptionKey")),
    Rule("F2", None, "AWS::IAM::Role", lambda role, _: wild(role["AssumeRolePolicyDocument"], "Action")),
    Rule("F3", None, "AWS::IAM::Role", inline(lambda document: wild(document, "Action"))),
    Rule("F38", None, "AWS::IAM::Role", inline(passes_any_role)),
    Rule("W11", None, "AWS::IAM::Role", inline(lambda document: wild(document, "Resource"))),
    Rule("W14", None, "AWS::IAM::Role", lambda role, _: excepts(role["AssumeRolePolicyDocument"], "NotAction")),
    Rule("F6", None, "AWS::IAM::Role", lambda role, _: excepts(role["AssumeRolePolicyDocument"], "NotPrincipal")),
    Rule("W15", None, "AWS::IAM::Role", inline(lambda document: excepts(document, "NotAction"))),
    Rule("W21", None, "AWS::IAM::Role", inline(lambda document: excepts(document, "NotResource"))),
    Rule("W28", None, "AWS::IAM::Role", lambda role, _: "RoleName" in role),
    Rule("W76", None, "AWS::IAM::Role", inline(lambda document: complexity(document) >= 25)),
    Rule("F5", None, "AWS::IAM::ManagedPolicy", lambda policy, _: wild(policy["PolicyDocument"], "Action")),
    Rule("F40", None, "AWS::IAM::ManagedPolicy", lambda policy, _: passes_any_role(policy["PolicyDocument"])),
    Rule("W13", None, "AWS::IAM::ManagedPolicy", lambda policy, _: wild(policy["PolicyDocument"], "Resource")),
    Rule("W17", None, "AWS::IAM::ManagedPolicy", lambda policy, _: excepts(policy["PolicyDocument"], "NotAction")),
    Rule("W23", None, "AWS::IAM::ManagedPolicy", lambda policy, _: excepts(policy["PolicyDocument"], "NotResource")),
    Rule("W28", None, "AWS::IAM::ManagedPolicy", lambda policy, _: "ManagedPolicyName" in policy),
    Rule("F19", None, "AWS::KMS::Key", lacks("EnableKeyRotation")),
    Rule("F76", None, "AWS::KMS::Key", lambda key, _: wild(key["KeyPolicy"], "Principal")),
    Rule("W58", None, "AWS::Lambda::Function", cannot_make_its_log),
    Rule("W89", "CKV_AWS_117", "AWS::Lambda::Function", lacks("VpcConfig")),
    Rule("W92", "CKV_AWS_115", "AWS::Lambda::Function", lacks("ReservedConcurrentExecutions")),
    Rule(None, "CKV_AWS_116", "AWS::Lambda::Function", lacks("DeadLetterConfig")),
    Rule(None, "CKV_AWS_173", "AWS::Lambda::Function", lacks("KmsKeyArn")),
    Rule("F13", None, "AWS::Lambda::Permission", lambda permission, _: permission["Principal"] == "*"),
    Rule("W24", None, "AWS::Lambda::Permission", lambda allows, _: allows["Action"] != "lambda:InvokeFunction"),
    Rule("W84", "CKV_AWS_158", "AWS::Logs::LogGroup", lacks("KmsKeyId")),
    Rule("W86", None, "AWS::Logs::LogGroup", lacks("RetentionInDays")),
    Rule("W35", "CKV_AWS_18", "AWS::S3::Bucket", lacks("LoggingConfiguration")),
    Rule("W41", None, "AWS::S3::Bucket", lacks("BucketEncryption")),
    Rule("F15", None, "AWS::S3::BucketPolicy", lambda policy, _: wild(policy["PolicyDocument"], "Action")),
    Rule("F16", None, "AWS::S3::BucketPolicy", lambda policy, _: wild(policy["PolicyDocument"], "Principal")),
    Rule("F9", None, "AWS::S3::BucketPolicy", lambda policy, _: excepts(policy["PolicyDocument"], "NotPrincipal")),
    Rule("W1201", None, "AWS::SageMaker::NotebookInstance", lacks("KmsKeyId")),
]


def found(name: str, resources: Resources) -> tuple[set[str], set[str]]:
    """What cfn_nag and what checkov find on a resource, of the rules above."""
    resource = resources[name]
    rules = [
        rule
        for rule in RULES
        if rule.type == resource["Type"] and rule.finds(resource.get("Properties", {}), resources)
    ]
    nag = {rule.cfn_nag for rule in rules if rule.cfn_nag}
    if resource["Type"] == "AWS::S3::Bucket" and has_no_policy(name, resources):
        nag.add("W51")
    return nag, {rule.checkov for rule in rules if rule.checkov}


def suppressed(resource: dict[str, Any]) -> tuple[set[str], set[str]]:
    metadata = resource.get("Metadata", {})
    return (
        {one["id"] for one in metadata.get("cfn_nag", {}).get("rules_to_suppress", [])},
        {one["id"] for one in metadata.get("checkov", {}).get("skip", [])},
    )


RESOURCES = {template: parsed(template)["Resources"] for template in TEMPLATES}
EVERY_RESOURCE = [
    pytest.param(name, resources, id=f"{template}:{name}")
    for template, resources in RESOURCES.items()
    for name in resources
]


@pytest.mark.parametrize(("name", "resources"), EVERY_RESOURCE)
def test_each_finding_is_suppressed_and_nothing_else(name: str, resources: Resources) -> None:
    assert suppressed(resources[name]) == found(name, resources)


@pytest.mark.parametrize(("name", "resources"), EVERY_RESOURCE)
def test_each_suppression_has_a_reason(name: str, resources: Resources) -> None:
    metadata = resources[name].get("Metadata", {})
    reasons = [one["reason"] for one in metadata.get("cfn_nag", {}).get("rules_to_suppress", [])]
    reasons += [one["comment"] for one in metadata.get("checkov", {}).get("skip", [])]
    assert all(len(reason) > 20 for reason in reasons), reasons


EVERYTHING = {"Effect": "Allow", "Action": "s3:*", "Resource": "*", "Principal": "*"}
ALL_BUT = {"Effect": "Allow", "NotAction": "s3:*", "NotResource": "a", "NotPrincipal": "b"}
TANGLED = {"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": [{"Ref": str(n)} for n in range(9)]}
PASSING = {"Effect": "Allow", "Action": "iam:PassRole", "Resource": "*"}
FAULTY: dict[str, Properties] = {
    "AWS::CodeBuild::Project": {},
    "AWS::IAM::Role": {
        "RoleName": "any",
        "AssumeRolePolicyDocument": {"Statement": [EVERYTHING, ALL_BUT]},
        "Policies": [{"PolicyDocument": {"Statement": [EVERYTHING, ALL_BUT, TANGLED, PASSING]}}],
    },
    "AWS::IAM::ManagedPolicy": {
        "ManagedPolicyName": "any",
        "PolicyDocument": {"Statement": [EVERYTHING, ALL_BUT, PASSING]},
    },
    "AWS::KMS::Key": {"KeyPolicy": {"Statement": EVERYTHING}},
    "AWS::Lambda::Function": {"Role": {"Fn::GetAtt": "Role.Arn"}},
    "AWS::Lambda::Permission": {"Principal": "*", "Action": "lambda:*"},
    "AWS::Logs::LogGroup": {},
    "AWS::S3::Bucket": {},
    "AWS::S3::BucketPolicy": {"PolicyDocument": {"Statement": [EVERYTHING, ALL_BUT]}, "Bucket": "other"},
    "AWS::SageMaker::NotebookInstance": {},
}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.cfn_nag or rule.checkov)
def test_each_rule_can_find_something(rule: Rule) -> None:
    role = {"Type": "AWS::IAM::Role", "Properties": {"Policies": []}}
    assert rule.finds(FAULTY[rule.type], {"Role": role})


def test_a_bucket_without_a_policy_is_found() -> None:
    assert "W51" in found("Bucket", {"Bucket": {"Type": "AWS::S3::Bucket", "Properties": {}}})[0]


def test_every_template_is_looked_at() -> None:
    assert set(TEMPLATES) == {str(path.relative_to(ROOT)) for path in ROOT.glob("*/*_cfn.yml")}
