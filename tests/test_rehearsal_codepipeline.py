"""CodePipeline in the rehearsal: what an execution really does, as the pipeline's role, and how it fails."""

import json
import time
from typing import Any

import boto3
import pytest

from setup.errors import SetupError
from setup.pipeline import Pipeline
from setup.stacks import Stack

pytestmark = pytest.mark.usefixtures("emulator")

EVERYTHING = {"Effect": "Allow", "Action": "*", "Resource": "*"}


def role(services: list[str], *further: dict[str, str]) -> dict[str, Any]:
    trust = {"Effect": "Allow", "Principal": {"Service": services}, "Action": "sts:AssumeRole"}
    document = {"Version": "2012-10-17", "Statement": [EVERYTHING, *further]}
    properties = {
        "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [trust]},
        "Policies": [{"PolicyName": "Policy", "PolicyDocument": document}],
    }
    return {"Type": "AWS::IAM::Role", "Properties": properties}


def action(category: str, provider: str, configuration: dict[str, Any], **artifacts: str) -> dict[str, Any]:
    kind = {"Category": category, "Owner": "AWS", "Provider": provider, "Version": "1"}
    named = {f"{which}Artifacts": [{"Name": name}] for which, name in artifacts.items()}
    return {"Name": provider, "ActionTypeId": kind, "Configuration": configuration} | named


def stack(name: str, *denied: str, deploys: str = "CloudFormation") -> dict[str, Any]:
    """A repository, and a pipeline that deploys template.json of it as the stack NAMEDeployed."""
    deny = [{"Effect": "Deny", "Action": one, "Resource": "*"} for one in denied]
    source = {"RepositoryName": {"Fn::GetAtt": ["Repository", "Name"]}, "BranchName": "main"}
    deploy = {
        "ActionMode": "CREATE_UPDATE",
        "StackName": f"{name}Deployed",
        "RoleArn": {"Fn::GetAtt": ["Deployer", "Arn"]},
        "TemplatePath": "Source::template.json",
    }
    stages = [
        {"Name": "Source", "Actions": [action("Source", "CodeCommit", source, Output="Source")]},
        {"Name": "Deploy", "Actions": [action("Deploy", deploys, deploy, Input="Source")]},
    ]
    pipeline = {
        "Name": name,
        "RoleArn": {"Fn::GetAtt": ["Role", "Arn"]},
        "ArtifactStore": {"Type": "S3", "Location": {"Ref": "Store"}},
        "Stages": stages,
    }
    return {
        "Resources": {
            "Store": {"Type": "AWS::S3::Bucket"},
            "Repository": {"Type": "AWS::CodeCommit::Repository", "Properties": {"RepositoryName": name}},
            "Role": role(["codepipeline.amazonaws.com"], *deny),
            "Deployer": role(["cloudformation.amazonaws.com"]),
            "Pipeline": {"Type": "AWS::CodePipeline::Pipeline", "Properties": pipeline},
        }
    }


def template(log_group: str, bucket: str = "") -> str:
    resources: dict[str, Any] = {"Group": {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": log_group}}}
    if bucket:
        resources["Bucket"] = {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": bucket}}
    return json.dumps({"Resources": resources})


def made(name: str, described: dict[str, Any]) -> Pipeline:
    Stack(boto3.Session(), name).deploy(json.dumps(described), {}, print)
    return Pipeline(boto3.Session(), name)


def commit(name: str, parent: str | None, text: str) -> str:
    given = {"parentCommitId": parent} if parent else {}
    put = [{"filePath": "template.json", "fileContent": text.encode()}]
    return str(
        boto3.client("codecommit").create_commit(
            repositoryName=name, branchName="main", authorName="a", putFiles=put, **given
        )["commitId"]
    )


def test_a_commit_is_deployed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("setup.pipeline.TO_BEGIN", 0)  # no rule starts it
    pipeline = made("whole", stack("whole"))
    first = commit("whole", None, template("/pipeline/first"))
    pipeline.bring(first, print, anew=False)
    assert Stack(boto3.Session(), "wholeDeployed").resources() == {"Group": "/pipeline/first"}
    second = commit("whole", first, template("/pipeline/second"))
    pipeline.bring(second, print, anew=False)
    pipeline.bring(second, print, anew=False)  # nothing to do
    executions = boto3.client("codepipeline").list_pipeline_executions(pipelineName="whole")
    told = [
        [revision["revisionId"] for revision in one["sourceRevisions"]]
        for one in executions["pipelineExecutionSummaries"]
    ]
    assert told == [[second], [first], []]  # the oldest is that of the pipeline's creation, without a commit
    assert Stack(boto3.Session(), "wholeDeployed").resources() == {"Group": "/pipeline/second"}


def test_a_stack_whose_creation_failed_is_not_updated(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on AWS with CREATE_UPDATE; the set-up deletes it first."""
    monkeypatch.setattr("setup.pipeline.TO_BEGIN", 0)
    pipeline = made("mended", stack("mended"))
    bad = commit("mended", None, template("/pipeline/mended", "Not_A_Bucket"))
    with pytest.raises(SetupError, match="Bucket") as failed:
        pipeline.bring(bad, print, anew=False)
    assert "Deploy, CloudFormation: Stack mendedDeployed ended in ROLLBACK_COMPLETE" in str(failed.value)
    good = commit("mended", bad, template("/pipeline/mended"))
    with pytest.raises(SetupError, match="ROLLBACK_COMPLETE"):
        pipeline.bring(good, print, anew=False)
    Stack(boto3.Session(), "mendedDeployed").settle(print)
    pipeline.bring(good, print, anew=False)
    assert Stack(boto3.Session(), "mendedDeployed").status() == "CREATE_COMPLETE"


def test_a_template_that_is_too_long_for_a_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("setup.pipeline.TO_BEGIN", 0)
    pipeline = made("long", stack("long"))
    longer = json.loads(template("/pipeline/long")) | {"Metadata": {"Long": "x" * 51_200}}
    pipeline.bring(commit("long", None, json.dumps(longer)), print, anew=False)
    assert Stack(boto3.Session(), "longDeployed").resources() == {"Group": "/pipeline/long"}


@pytest.mark.parametrize("right", ["codecommit:UploadArchive", "s3:PutObject", "cloudformation:CreateStack"])
def test_it_has_only_its_roles_rights(right: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("setup.pipeline.TO_BEGIN", 0)
    name = right.replace(":", "")
    pipeline = made(name, stack(name, right))
    with pytest.raises(SetupError, match=right):
        pipeline.bring(commit(name, None, template("/never")), print, anew=False)
    assert Stack(boto3.Session(), f"{name}Deployed").status() is None


def test_what_is_not_executed_is_refused() -> None:
    with pytest.raises(SetupError, match="the rehearsal does not execute Deploy by ECS of a pipeline"):
        made("unknown", stack("unknown", deploys="ECS"))


def test_of_executions_that_wait_the_newest_goes_on() -> None:
    made("queue", stack("queue"))
    commit("queue", None, template("/pipeline/queue"))
    client = boto3.client("codepipeline")
    started = [client.start_pipeline_execution(name="queue")["pipelineExecutionId"] for _ in range(4)]

    def statuses() -> list[str]:
        told = [client.get_pipeline_execution(pipelineName="queue", pipelineExecutionId=one) for one in started]
        return [one["pipelineExecution"]["status"] for one in told]

    while "InProgress" in (now := statuses()):
        time.sleep(0.2)
    assert now[-1] == "Succeeded"
    assert set(now) <= {"Succeeded", "Superseded"}
    assert "Superseded" in now
