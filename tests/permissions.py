"""The calls that a rehearsal recorded, compared with those of tests/iam/recorded_calls.json, which the policies are
held against. Called by .ci/run after tests/rehearsal.py, tests/security.py and tests/faults.py, in the same process.

RECORD_CALLS=1 writes the file anew: then tests/test_permissions.py says what the policies have too much or too little.
"""

import json
import os
from typing import Any

import pytest

from tests import solution
from tests.acceptance import DATA
from tests.iam import account, check, needs

# What the emulated services do in AWS's place: the launching user; the buckets and security configurations of stacks;
# what Athena reads and writes, once the caller's rights are asked for.
OF_ROOT = {
    *("iam:AttachUserPolicy", "iam:CreateAccessKey", "iam:CreateUser", "iam:GetRole"),
    *("s3:CreateBucket", "s3:DeleteBucket", "s3:DeleteBucketPolicy", "s3:PutBucketLogging", "s3:PutBucketPolicy"),
    *(
        "s3:PutBucketOwnershipControls",
        "s3:PutBucketPublicAccessBlock",
        "s3:PutBucketTagging",
        "s3:PutBucketVersioning",
    ),
    *("s3:PutEncryptionConfiguration", "s3:PutLifecycleConfiguration"),
    *("glue:CreateSecurityConfiguration", "glue:DeleteSecurityConfiguration"),
    *("glue:GetDatabase", "glue:GetPartitions", "glue:GetTable", "s3:GetObject", "s3:ListBucket", "s3:PutObject"),
    *("kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey"),
}
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="../shared/data is absent")


@pytest.fixture(scope="module")
def lines(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    """What IAM decided, from the launch on."""
    request.getfixturevalue("session")
    file = solution.home() / "calls.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_the_recorded_calls_are_those_of_this_rehearsal(lines: list[dict[str, Any]]) -> None:
    """What the file has was called again; what is new is allowed by the policies and has its reason there."""
    found = needs.normalized(lines)
    if os.environ.get("RECORD_CALLS"):
        needs.RECORDED.write_text(json.dumps(found, indent=1) + "\n")
    known = needs.load()
    stale = {role: sorted(set(calls) - set(found.get(role, []))) for role, calls in known.items()}
    assert {role: calls for role, calls in stale.items() if calls} == {}, "no longer called; RECORD_CALLS=1 updates"
    templates = account.parsed()
    together = {role: sorted({*known.get(role, []), *calls}) for role, calls in found.items()}
    more = [told for told in check.problems(templates, together) if told not in check.problems(templates, known)]
    assert [told for told in more if "lacks" in told] == []


def test_everybody_acts_as_himself(lines: list[dict[str, Any]]) -> None:
    """The account's root is the emulated AWS alone, the administrator the launching user alone: each call tells by the
    application that its program names. Everybody else has a role of his own.
    """
    callers = {(line["caller"], line["application"]) for line in lines}
    assert {application for caller, application in callers if caller == "root"} == {"rehearsal"}
    assert {line["action"] for line in lines if line["caller"] == "root"} <= OF_ROOT
    assert {application for caller, application in callers if caller == "user/administrator"} == {"launching-user"}
    others = {caller for caller, _ in callers if caller not in ("root", "user/administrator", "anonymous")}
    roles = {one.removeprefix(account.PROJECT) for one in others if one.startswith(account.PROJECT)}
    expected = {"Setup", "Trigger", "CodePipeline", "CodeBuild", "SourceEvent", "Job", "Crawler", "Runbook"}
    assert roles == {f"{role}Role" for role in expected}
    assert all(caller.endswith("Role") for caller in others)


def test_what_was_refused_was_meant_to_be(lines: list[dict[str, Any]]) -> None:
    """Only tests/security.py and the faults ask for what they may not."""
    refused = {(line["caller"], line["action"]) for line in lines if not line["allowed"]}
    quiet = {"Setup", "Trigger", "CodePipeline", "CodeBuild", "SourceEvent"}
    assert [one for one in refused if one[0] in {f"{account.PROJECT}{role}Role" for role in quiet}] == []
