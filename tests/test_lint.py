"""./setup.sh lint: each Guard rule can fail, each linter's end is told as it was, what can't run is passed over."""

import json
from collections.abc import Callable
from typing import Any

import cfn_guard_rs
import pytest

from tests import lint
from tests.lint import Outcome

GONE = object()
RULES = lint.RULES.read_text()
SETUP, ZONE, PIPE, CODE = lint.TEMPLATES
TRUST = "AssumeRolePolicyDocument/Statement/0"
PERMISSION = "Policies/0/PolicyDocument/Statement/0"

# rule, template, the property that is changed, to what
BROKEN = [
    ("athena_encrypts_and_bounds_queries", CODE, "WorkGroup/WorkGroupConfiguration/BytesScannedCutoffPerQuery", GONE),
    (
        "athena_encrypts_and_bounds_queries",
        CODE,
        "WorkGroup/WorkGroupConfiguration/ResultConfiguration/EncryptionConfiguration",
        GONE,
    ),
    ("codebuild_logs", PIPE, "BuildHailProject/LogsConfig", GONE),
    ("codebuild_logs", PIPE, "BuildHailProject/Environment/PrivilegedMode", True),
    (
        "glue_encrypts_the_catalog",
        CODE,
        "CatalogEncryptionSettings/DataCatalogEncryptionSettings/EncryptionAtRest",
        GONE,
    ),
    ("glue_encrypts_what_it_writes", CODE, "VcfToParquetJob/SecurityConfiguration", GONE),
    ("glue_encrypts_what_it_writes", CODE, "SampleCrawler/CrawlerSecurityConfiguration", GONE),
    (
        "glue_encrypts_what_it_writes",
        CODE,
        "SecurityConfiguration/EncryptionConfiguration/S3Encryptions/0/S3EncryptionMode",
        "DISABLED",
    ),
    ("glue_jobs_have_a_version_and_a_log", CODE, "ClinvarToParquetJob/GlueVersion", GONE),
    ("glue_jobs_have_a_version_and_a_log", CODE, "ClinvarToParquetJob/DefaultArguments", {"--layout": "by_sample"}),
    ("iam_allows_no_wildcard_action", PIPE, f"CodeBuildRole/{PERMISSION}/Action", "s3:*"),
    ("iam_allows_no_wildcard_action", PIPE, f"CodeBuildRole/{PERMISSION}/Action", ["s3:GetObject", "s3:List*"]),
    ("iam_allows_no_wildcard_action", PIPE, f"CodeBuildRole/{PERMISSION}/Action", GONE),
    (
        "iam_passes_roles_to_named_services",
        PIPE,
        "CloudFormationRole/Policies/0/PolicyDocument/Statement",
        [{"Effect": "Allow", "Action": "iam:PassRole", "Resource": "*"}],
    ),
    (
        "iam_passes_roles_to_named_services",
        SETUP,
        "PipelinePolicy/PolicyDocument/Statement",
        [{"Effect": "Allow", "Action": "iam:PassRole", "Resource": "*"}],
    ),
    ("iam_roles_have_the_projects_name", CODE, "JobRole/RoleName", {"Fn::Sub": "My${Project}"}),
    ("iam_roles_have_the_projects_name", CODE, "JobRole/RoleName", GONE),
    ("iam_trusts_services_of_this_account", CODE, f"JobRole/{TRUST}/Condition", GONE),
    ("iam_trusts_services_of_this_account", CODE, f"JobRole/{TRUST}/Principal", {"AWS": "*"}),
    ("kms_keys_are_not_for_everybody", ZONE, "DataKey/KeyPolicy/Statement/0/Principal", "*"),
    ("kms_keys_are_not_for_everybody", ZONE, "DataKey/KeyPolicy/Statement/0/Principal", {"AWS": "*"}),
    ("kms_keys_are_not_for_everybody", ZONE, "DataKey/KeyPolicy/Statement/0/Principal", {"AWS": ["*"]}),
    ("kms_rotates_keys", ZONE, "DataKey/EnableKeyRotation", False),
    ("lambda_is_called_by_named_services", SETUP, "BuildEndedPermission/SourceArn", GONE),
    ("lambda_is_called_by_named_services", SETUP, "BuildEndedPermission/Principal", "*"),
    ("lambda_logs_where_logs_expire", SETUP, "Trigger/LoggingConfig", GONE),
    ("logs_expire", PIPE, "BuildHailLogs/RetentionInDays", GONE),
    ("s3_allows_nobody_unnamed", PIPE, "LogsBucketPolicy/PolicyDocument/Statement/1/Principal", "*"),
    ("s3_allows_nobody_unnamed", PIPE, "LogsBucketPolicy/PolicyDocument/Statement/1/Principal", {"AWS": "*"}),
    ("s3_allows_nobody_unnamed", PIPE, "LogsBucketPolicy/PolicyDocument/Statement/1/Condition", GONE),
    ("s3_blocks_public_access", PIPE, "DataLakeBucket/PublicAccessBlockConfiguration", GONE),
    ("s3_blocks_public_access", PIPE, "DataLakeBucket/PublicAccessBlockConfiguration/BlockPublicPolicy", False),
    ("s3_encrypts_with_a_key", PIPE, "DataLakeBucket/BucketEncryption", GONE),
    (
        "s3_encrypts_with_a_key",
        PIPE,
        "BuildBucket/BucketEncryption/ServerSideEncryptionConfiguration/0/ServerSideEncryptionByDefault",
        {"SSEAlgorithm": "AES256"},
    ),
    ("s3_expires_what_is_old", PIPE, "LogsBucket/LifecycleConfiguration", GONE),
    ("s3_has_no_acls", PIPE, "DataLakeBucket/OwnershipControls", GONE),
    ("s3_has_no_acls", PIPE, "DataLakeBucket/AccessControl", "Private"),
    ("s3_keeps_versions", PIPE, "ResourcesBucket/VersioningConfiguration/Status", "Suspended"),
    ("s3_logs_access", PIPE, "DataLakeBucket/LoggingConfiguration", GONE),
    ("s3_refuses_requests_without_tls", PIPE, "DataLakeBucketPolicy/PolicyDocument/Statement/0/Condition", GONE),
    ("s3_refuses_requests_without_tls", PIPE, "DataLakeBucketPolicy/PolicyDocument/Statement/0/Effect", "Allow"),
    ("sagemaker_notebooks_are_closed", CODE, "Notebook/RootAccess", "Enabled"),
    ("sagemaker_notebooks_are_closed", CODE, "Notebook/RootAccess", GONE),
    ("sagemaker_notebooks_are_closed", CODE, "Notebook/InstanceMetadataServiceConfiguration", GONE),
]


def changed(template: str, path: str, value: Any) -> dict[str, Any]:
    """A template with one property of a resource changed or gone."""
    content = lint.parsed(template)
    name, *steps = path.split("/")
    place: Any = content["Resources"][name]["Properties"]
    *way, last = [int(step) if step.isdigit() else step for step in steps]
    for step in way:
        place = place[step]
    if value is GONE:
        del place[last]
    else:
        place[last] = value
    return content


@pytest.mark.parametrize(("rule", "template", "path", "value"), BROKEN)
def test_guard_rules_can_fail(rule: str, template: str, path: str, value: Any) -> None:
    broken = lint.broken_rules(changed(template, path, value), RULES)
    assert [path.split("/")[0], rule] in [line.split(": ")[:2] for line in broken]


def test_guard_looks_at_managed_policies_and_both_branches_of_a_condition() -> None:
    actions = ["s3:GetObject", {"Fn::If": ["HasBoundary", "s3:List*", {"Ref": "AWS::NoValue"}]}]
    statement = {"Effect": "Allow", "Action": actions, "Resource": "*"}
    policy = {"Type": "AWS::IAM::ManagedPolicy", "Properties": {"PolicyDocument": {"Statement": [statement]}}}
    template = lint.unfolded({"Resources": {"Policy": policy}})
    (line,) = lint.broken_rules(template, RULES)
    assert line.startswith("Policy: iam_allows_no_wildcard_action: ")


def test_every_guard_rule_is_held_and_broken() -> None:
    held = {
        rule for template in lint.TEMPLATES for rule in cfn_guard_rs.run_checks(lint.parsed(template), RULES).compliant
    }
    assert held == {rule for rule, *_ in BROKEN}
    assert lint.guard() == Outcome("passed")


def test_a_report_that_guard_cuts_is_no_pass() -> None:
    resources = {"SetupRole": changed(SETUP, "SetupRole/RoleName", GONE)["Resources"]["SetupRole"]}
    with pytest.raises(json.JSONDecodeError):
        cfn_guard_rs.run_checks({"Resources": resources}, RULES)
    assert [line.split(": ")[1] for line in lint.broken_rules({"Resources": resources}, RULES)] == [
        "iam_roles_have_the_projects_name"
    ]


def lock_of(**packages: Any) -> str:
    """What pip-audit prints of a lock file."""
    return json.dumps({"dependencies": [{"name": name, "version": "1", **told} for name, told in packages.items()]})


@pytest.mark.parametrize(
    ("output", "errors", "state", "said"),
    [
        (lock_of(six={"vulns": []}), "", "passed", ""),
        (lock_of(six={"skip_reason": "not found"}), "", "not run", "advisory data can't be reached"),
        (
            "",
            "requests.exceptions.ConnectionError: …",
            "not run",
            "advisory data can't be reached",
        ),
        ("", "ERROR: requirements are not hashed", "failed", "a.txt: ERROR: requirements are not hashed"),
        (
            lock_of(six={"vulns": [{"id": "PYSEC-1", "fix_versions": ["2"]}]}, rich={"vulns": []}),
            "",
            "failed",
            "a.txt: six 1: PYSEC-1, mended in 2",
        ),
        (lock_of(six={"skip_reason": "not found"}, rich={"vulns": []}), "", "failed", "a.txt: no advisory data of six"),
    ],
)
def test_audit_tells_findings_from_missing_data(output: str, errors: str, state: str, said: str) -> None:
    assert lint.audited("a.txt", output, errors) == Outcome(state, said)


def test_accepted_advisories_have_a_reason() -> None:
    assert all(len(reason) > 20 for reason in lint.ACCEPTED_ADVISORIES.values())


def test_a_failure_ends_lint_after_all_linters_ran(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    linters: dict[str, Callable[[], Outcome]] = {
        "one": lambda: Outcome("failed", "a.py:1: what it found"),
        "two": lambda: Outcome("not run", "two is not on the PATH."),
        "three": lambda: Outcome("passed"),
    }
    monkeypatch.setattr(lint, "LINTERS", linters)
    assert lint.main() == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["failed", "one"],
        ["a.py:1:", "what"],
        ["not", "run"],
        ["passed", "three"],
        ["1", "of"],
    ]
    monkeypatch.setattr(lint, "LINTERS", {name: linters[name] for name in ("two", "three")})
    assert lint.main() == 0


def test_a_missing_program_fails_unless_it_is_optional() -> None:
    said = "no-such-linter is not on the PATH. Debian: apt-get install it."
    assert lint.command("no-such-linter", install="Debian: apt-get install it.") == Outcome("failed", said)
    assert lint.command("no-such-linter", optional=True).state == "not run"


def test_cfn_nag_runs_where_it_is_installed(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "cfn_nag_scan"
    program.write_text('#!/bin/sh\ncase "$*" in *zone*) echo "WARN W28 $*"; exit 1 ;; esac\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert lint.cfn_nag() == Outcome("failed", f"WARN W28 --fail-on-warnings --input-path {ZONE}")
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    assert lint.cfn_nag().state == "not run"
