"""The rehearsal's CodeBuild: builds really run, with their role's rights and nothing else."""

import io
import json
import os
import time
import uuid
import zipfile
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from botocore.config import Config
from botocore.exceptions import ClientError

from setup.rehearsal import process
from setup.rehearsal.process import ACCOUNT, REGION, Emulator
from tests.emulator import client

BUCKET = "the-build-bucket"
LOGS = {
    "Effect": "Allow",
    "Action": ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"],
    "Resource": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/aws/codebuild/*",
}
SOURCE = {
    "Effect": "Allow",
    "Action": ["s3:GetObject", "s3:PutObject"],
    "Resource": f"arn:aws:s3:::{BUCKET}/*",
}


@pytest.fixture(scope="module")
def account(emulator: Emulator) -> "Account":
    made = Account(emulator)
    made.s3.create_bucket(Bucket=BUCKET)
    made.role("Builder", [LOGS, SOURCE])
    return made


class Account:
    """An emulated account, with what the tests do in it over and over."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator
        self.s3, self.iam, self.codebuild = (client(emulator, name) for name in ("s3", "iam", "codebuild"))

    def role(self, name: str, statements: list[dict[str, Any]], service: str = "codebuild.amazonaws.com") -> str:
        principals = {"Service": service, "AWS": f"arn:aws:iam::{ACCOUNT}:root"}
        trust = {"Effect": "Allow", "Principal": principals, "Action": "sts:AssumeRole"}
        role = self.iam.create_role(RoleName=name, AssumeRolePolicyDocument=_policy([trust]))["Role"]
        self.iam.put_role_policy(RoleName=name, PolicyName="Rights", PolicyDocument=_policy(statements))
        return str(role["Arn"])

    def acting_as(self, name: str) -> Any:
        """A CodeBuild client with a role's rights."""
        assumed = client(self.emulator, "sts").assume_role(
            RoleArn=f"arn:aws:iam::{ACCOUNT}:role/{name}", RoleSessionName="someone"
        )["Credentials"]
        return client(
            self.emulator,
            "codebuild",
            aws_access_key_id=assumed["AccessKeyId"],
            aws_secret_access_key=assumed["SecretAccessKey"],
            aws_session_token=assumed["SessionToken"],
        )

    def source(self, files: dict[str, str | bytes]) -> str:
        """A zip in S3; its location. Files whose name ends with .sh may be executed."""
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as made:
            for name, content in files.items():
                member = zipfile.ZipInfo(name)
                member.external_attr = (0o755 if name.endswith(".sh") else 0o644) << 16
                made.writestr(member, content)
        key = f"{uuid.uuid4()}.zip"
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=archive.getvalue())
        return f"{BUCKET}/{key}"

    def project(self, source: dict[str, str], role: str = "Builder", **settings: Any) -> str:
        name = f"Project{uuid.uuid4().hex[:8]}"
        self.codebuild.create_project(
            name=name,
            source=source,
            serviceRole=f"arn:aws:iam::{ACCOUNT}:role/{role}",
            **{
                "artifacts": {"type": "NO_ARTIFACTS"},
                "environment": {
                    "type": "LINUX_CONTAINER",
                    "image": "aws/codebuild/amazonlinux-x86_64-standard:5.0",
                    "computeType": "BUILD_GENERAL1_SMALL",
                },
                **settings,
            },
        )
        return name

    def inline(self, spec: dict[str, Any] | str, role: str = "Builder", **settings: Any) -> str:
        """A project without a source."""
        text = spec if isinstance(spec, str) else _spec(spec)
        return self.project({"type": "NO_SOURCE", "buildspec": text}, role, **settings)

    def build(self, project: str, **request: Any) -> dict[str, Any]:
        """Run a build to its end."""
        return self.wait(self.codebuild.start_build(projectName=project, **request)["build"]["id"])

    def wait(self, build: str) -> dict[str, Any]:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            found: dict[str, Any] = self.codebuild.batch_get_builds(ids=[build])["builds"][0]
            if found["buildComplete"]:
                return found
            time.sleep(0.05)
        raise TimeoutError(build)

    def log(self, build: dict[str, Any]) -> list[str]:
        pages = (
            client(self.emulator, "logs")
            .get_paginator("filter_log_events")
            .paginate(logGroupName=build["logs"]["groupName"], logStreamNames=[build["logs"]["streamName"]])
        )
        return [event["message"] for page in pages for event in page["events"]]


def test_a_build_runs_its_commands_on_its_source(account: Account) -> None:
    spec = {
        "version": 0.2,
        "env": {"shell": "bash", "variables": {"GREETING": "hello", "NUMBER": 5, "FLAG": True}},
        "phases": {
            "install": {
                "runtime-versions": {"python": 3.11},
                "commands": ["cd data", "LOCAL=seen", "echo local $LOCAL"],
            },
            "pre_build": {"commands": ["echo in $(basename $PWD)", "export NAME='from pre_build'"]},
            "build": {
                "commands": [
                    "echo $NAME $GREETING $NUMBER $FLAG",
                    "../tool.sh",
                    "for number in 1 2; do\n  echo number $number\ndone",
                    "[[ abc == a* ]] && echo bash",
                    "python --version; python3 -c 'import sys; print(sys.version_info[:2])'",
                    "pip install --no-index ../made-1.0-py3-none-any.whl && python3.11 -c 'import made'",
                ]
            },
            "post_build": {
                "commands": [
                    "echo $CODEBUILD_BUILD_ID $CODEBUILD_INITIATOR $CODEBUILD_BUILD_SUCCEEDING $CODEBUILD_BUILD_NUMBER",
                    "test $CODEBUILD_SRC_DIR/data = $PWD && test -d $HOME && echo $HOME",
                ]
            },
        },
    }
    files = {"buildspec.yml": _spec(spec), "data/x": "", "tool.sh": "#!/bin/sh\necho the tool\n", **_wheel()}
    project = account.project({"type": "S3", "location": account.source(files)})
    build = account.build(project)
    log = account.log(build)
    assert build["buildStatus"] == "SUCCEEDED", log
    for line in (
        "local seen",
        "in data",
        "from pre_build hello 5 true",
        "the tool",
        "number 2",
        "bash",
        "(3, 11)",
        f"{build['id']} administrator 1 1",
    ):
        assert line in log
    assert [phase["phaseType"] for phase in build["phases"]] == [
        "SUBMITTED", "QUEUED", "PROVISIONING", "DOWNLOAD_SOURCE", "INSTALL", "PRE_BUILD", "BUILD", "POST_BUILD",
        "UPLOAD_ARTIFACTS", "FINALIZING", "COMPLETED",
    ]  # fmt: skip
    assert all(phase["endTime"] >= phase["startTime"] for phase in build["phases"][:-1])
    homes = [line for line in log if line.startswith(account.emulator.home)]
    again = account.build(project)
    assert homes != [line for line in account.log(again) if line.startswith(account.emulator.home)]
    assert again["buildNumber"] == 2
    assert not Path(homes[0]).exists()


def test_a_build_has_only_its_role(account: Account) -> None:
    account.s3.create_bucket(Bucket="somebody-elses")
    account.s3.put_object(Bucket=BUCKET, Key="mine.txt", Body=b"mine")
    account.s3.put_object(Bucket="somebody-elses", Key="theirs.txt", Body=b"theirs")
    commands = [
        "aws sts get-caller-identity --query Arn --output text",
        "env | grep ^AWS_ | cut -d= -f1 | LC_ALL=C sort | xargs echo",
        f"aws s3 cp s3://{BUCKET}/mine.txt - && echo",
        "aws s3 cp s3://somebody-elses/theirs.txt -",
    ]
    build = account.build(account.inline(_build(commands)))
    log = account.log(build)
    number = build["id"].split(":")[1]
    assert f"arn:aws:sts::{ACCOUNT}:assumed-role/Builder/AWSCodeBuild-{number}" in log
    assert "mine" in log
    assert "theirs" not in log
    assert any("403" in line and "HeadObject" in line for line in log)
    assert (
        "AWS_ACCESS_KEY_ID AWS_CA_BUNDLE AWS_DEFAULT_REGION AWS_EC2_METADATA_DISABLED AWS_ENDPOINT_URL AWS_REGION "
        "AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN"
    ) in log
    assert build["buildStatus"] == "FAILED"
    assert _context(build, "BUILD") == (
        "COMMAND_EXECUTION_ERROR",
        "Error while executing command: aws s3 cp s3://somebody-elses/theirs.txt -. Reason: exit status 1",
    )


def test_what_follows_a_failure(account: Account) -> None:
    def phases(spec: dict[str, Any]) -> tuple[dict[str, str], list[str], str]:
        build = account.build(account.inline({"version": 0.2, "phases": spec}))
        statuses = {phase["phaseType"]: phase.get("phaseStatus", "") for phase in build["phases"]}
        return statuses, account.log(build), build["buildStatus"]

    build = {"commands": ["exit 3", "echo never"], "finally": ["echo at last"]}
    post_build = {"commands": ["echo afterwards $CODEBUILD_BUILD_SUCCEEDING"]}
    statuses, log, status = phases({"build": build, "post_build": post_build})
    assert (statuses["BUILD"], statuses["POST_BUILD"], statuses["UPLOAD_ARTIFACTS"]) == ("FAILED", *["SUCCEEDED"] * 2)
    assert {"at last", "afterwards 0"} <= set(log)
    assert "never" not in log
    assert status == "FAILED"

    statuses, _, status = phases({"build": {**build, "on-failure": "ABORT"}, "post_build": post_build})
    assert (statuses["BUILD"], "POST_BUILD" in statuses, status) == ("FAILED", False, "FAILED")

    statuses, _, status = phases({"install": {"commands": ["false"]}, "build": {"commands": ["true"]}})
    assert (statuses["INSTALL"], "BUILD" in statuses, status) == ("FAILED", False, "FAILED")

    goes_on = {"commands": ["false"], "on-failure": "CONTINUE"}
    statuses, _, status = phases({"install": goes_on, "build": {"commands": ["true"]}})
    assert (statuses["INSTALL"], statuses["BUILD"], status) == ("FAILED", "SUCCEEDED", "FAILED")

    statuses, _, status = phases({"build": {"commands": ["exit 0", "true"], "finally": ["false"]}})
    assert (statuses["BUILD"], status) == ("FAILED", "FAILED")


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ({"version": 0.1}, "version 0.2"),
        ({"reports": {"tests": {"files": ["x"]}}}, "does not execute reports"),
        ({"env": {"exported-variables": ["A"]}}, "does not execute exported-variables"),
        ({"env": {"shell": "powershell.exe"}}, "powershell.exe"),
        ({"artifacts": {"files": ["x"], "discard-paths": True}}, "does not execute discard-paths"),
        ({"phases": {"install": {"runtime-versions": {"nodejs": 20}}}}, "Unknown runtime version named '20' of nodejs"),
        ({"phases": {"install": {"runtime-versions": {"python": 3.12}}}}, "version named '3.12' of python"),
        ({"phases": {"build": {"run-as": "somebody"}}}, "does not execute run-as"),
        ({"phases": {"build": {"commands": [{"echo a": "b"}]}}}, "Expected phases/build/commands[0] to be of string"),
        ({"phases": {"deploy": {"commands": ["true"]}}}, "does not execute deploy"),
        ("version: 0.2\n  phases: x", "no YAML"),
    ],
)
def test_a_build_spec_that_asks_for_more_fails(account: Account, spec: Any, told: str) -> None:
    whole = spec if isinstance(spec, str) else {"version": 0.2, "phases": {"build": {"commands": ["true"]}}, **spec}
    build = account.build(account.inline(whole))
    code, message = _context(build, "DOWNLOAD_SOURCE")
    assert (build["buildStatus"], code) == ("FAILED", "YAML_FILE_ERROR")
    assert told in message


def test_a_role_needs_its_rights(account: Account) -> None:
    account.role("WithoutLogs", [SOURCE])
    build = account.build(account.inline(_build(["true"]), "WithoutLogs"))
    code, message = _context(build, "PROVISIONING")
    assert (build["buildStatus"], code) == ("FAILED", "ACCESS_DENIED")
    assert "logs:CreateLogStream" in message

    account.role("WithoutSource", [LOGS])
    location = account.source({"buildspec.yml": _spec(_build(["true"]))})
    build = account.build(account.project({"type": "S3", "location": location}, "WithoutSource"))
    code, message = _context(build, "DOWNLOAD_SOURCE")
    assert (build["buildStatus"], code) == ("FAILED", "CLIENT_ERROR")
    assert message.startswith("AccessDenied: ")
    assert message.endswith(f"arn:aws:s3:::{location}")

    build = account.build(account.project({"type": "S3", "location": f"{BUCKET}/missing.zip"}))
    assert _context(build, "DOWNLOAD_SOURCE")[1].startswith("NoSuchKey: ")

    nobody = account.inline(_build(["true"]), "Nobody")
    account.role("OfAnotherService", [LOGS], service="glue.amazonaws.com")
    untrusting = account.inline(_build(["true"]), "OfAnotherService")
    for project in (nobody, untrusting):
        with pytest.raises(ClientError, match="not authorized to perform: sts:AssumeRole"):
            account.codebuild.start_build(projectName=project)


def test_variables(account: Account) -> None:
    parameters, secrets = client(account.emulator, "ssm"), client(account.emulator, "secretsmanager")
    parameters.put_parameter(Name="/the/parameter", Value="from the store", Type="SecureString")
    secrets.create_secret(Name="the-secret", SecretString=json.dumps({"key": "from the secret"}))
    read = {"Effect": "Allow", "Action": ["ssm:GetParameter", "secretsmanager:GetSecretValue"], "Resource": "*"}
    account.role("Reader", [LOGS, read])
    spec = {"env": {"variables": {"A": "spec", "B": "spec", "C": "spec"}}, **_build(["echo $A $B $C $D, $P, $S"])}
    environment = {
        "type": "LINUX_CONTAINER",
        "image": "x",
        "computeType": "BUILD_GENERAL1_SMALL",
        "environmentVariables": [
            {"name": "B", "value": "project"},
            {"name": "C", "value": "project", "type": "PLAINTEXT"},
            {"name": "P", "value": "/the/parameter", "type": "PARAMETER_STORE"},
            {"name": "S", "value": "the-secret:key", "type": "SECRETS_MANAGER"},
        ],
    }
    overrides = [{"name": "C", "value": "start"}, {"name": "D", "value": "start $HOME"}]
    build = account.build(
        account.inline(spec, "Reader", environment=environment), environmentVariablesOverride=overrides
    )
    log = account.log(build)
    assert "spec project start start $HOME, from the store, from the secret" in log

    build = account.build(account.inline(spec, environment=environment))
    code, message = _context(build, "DOWNLOAD_SOURCE")
    assert (build["buildStatus"], code) == ("FAILED", "Decrypted Variables Error")
    assert "ssm:GetParameter" in message


def test_a_build_of_a_pipeline(account: Account) -> None:
    spec = {**_build(["mkdir -p out/deep; echo made >out/deep/file; echo $CODEBUILD_RESOLVED_SOURCE_VERSION"])}
    spec["artifacts"] = {"files": ["**/*"], "base-directory": "out"}
    project = account.project(
        {"type": "CODEPIPELINE", "buildspec": "specs/own.yml"}, artifacts={"type": "CODEPIPELINE"}
    )
    request = {
        "sourceTypeOverride": "CODEPIPELINE",
        "sourceLocationOverride": account.source({"specs/own.yml": _spec(spec)}),
        "sourceVersion": "c0ffee",
        "artifactsOverride": {"type": "CODEPIPELINE", "location": BUCKET, "name": "made/out.zip"},
    }
    build = account.build(project, **request)
    assert build["buildStatus"] == "SUCCEEDED", account.log(build)
    assert "c0ffee" in account.log(build)
    made = account.s3.get_object(Bucket=BUCKET, Key="made/out.zip")["Body"].read()
    assert zipfile.ZipFile(io.BytesIO(made)).read("deep/file") == b"made\n"

    spec["artifacts"]["base-directory"] = "nowhere"
    request["sourceLocationOverride"] = account.source({"specs/own.yml": _spec(spec)})
    build = account.build(project, **request)
    assert build["buildStatus"] == "FAILED"
    assert "no matching artifact paths found" in _context(build, "UPLOAD_ARTIFACTS")[1]


def test_a_build_ends_before_its_time(account: Account) -> None:
    nap = f"{3000 + os.getpid() % 1000}.5"
    project = account.inline(_build([f"sleep {nap} & sleep {nap}"]))
    build = account.codebuild.start_build(projectName=project)["build"]["id"]
    _eventually(lambda: len(_running(nap)) == 2)
    assert account.codebuild.batch_get_builds(ids=[build])["builds"][0]["currentPhase"] == "BUILD"
    account.codebuild.stop_build(id=build)
    stopped = account.wait(build)
    statuses = {phase["phaseType"]: phase.get("phaseStatus") for phase in stopped["phases"]}
    assert (stopped["buildStatus"], statuses["BUILD"]) == ("STOPPED", "STOPPED")
    assert not _running(nap)

    unchecked = boto3.client("codebuild", config=Config(parameter_validation=False))  # the least is 5 minutes
    build = unchecked.start_build(projectName=project, timeoutInMinutesOverride=0.02)["build"]["id"]
    late = account.wait(build)
    assert late["buildStatus"] == "TIMED_OUT"
    assert _context(late, "BUILD") == ("BUILD_TIMED_OUT", "Build has timed out.")
    assert not _running(nap)


def test_events_tell_the_state(account: Account) -> None:
    events, queues = client(account.emulator, "events"), client(account.emulator, "sqs")
    queue = queues.create_queue(QueueName="states")["QueueUrl"]
    arn = queues.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    allowed = {"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": arn}
    queues.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": _policy([allowed])})
    project = account.inline(_build(["false"]))
    pattern = {
        "source": ["aws.codebuild"],
        "detail-type": ["CodeBuild Build State Change"],
        "detail": {"project-name": [project], "build-status": ["IN_PROGRESS", "FAILED"]},
    }
    events.put_rule(Name="states", EventPattern=json.dumps(pattern))
    events.put_targets(Rule="states", Targets=[{"Id": "queue", "Arn": arn}])
    build = account.build(project, environmentVariablesOverride=[{"name": "REQUEST", "value": "{}"}])
    told: list[dict[str, Any]] = []

    def both() -> bool:
        for message in queues.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", []):
            told.append(json.loads(message["Body"]))
        return len(told) == 2

    _eventually(both)
    first, last = sorted(
        (event["detail"] for event in told), key=lambda detail: str(detail["build-status"] != "IN_PROGRESS")
    )
    assert (first["build-status"], last["build-status"]) == ("IN_PROGRESS", "FAILED")
    assert last["build-id"] == build["arn"] == told[0]["resources"][0]
    assert last["current-phase"] == "COMPLETED"
    further = last["additional-information"]
    assert {"name": "REQUEST", "value": "{}"} in further["environment"]["environment-variables"]
    assert further["logs"]["deep-link"] == build["logs"]["deepLink"]
    assert "exit status 1" in next(
        phase["phase-context"][0] for phase in further["phases"] if phase["phase-type"] == "BUILD"
    )


def test_rights_are_for_a_project(account: Account) -> None:
    mine, theirs = (account.inline(_build(["true"])) for _ in range(2))
    actions = ["StartBuild", "StopBuild", "BatchGetBuilds", "ListBuildsForProject", "BatchGetProjects"]
    right = {
        "Effect": "Allow",
        "Action": [f"codebuild:{action}" for action in actions],
        "Resource": f"arn:aws:codebuild:{REGION}:{ACCOUNT}:project/{mine}",
    }
    account.role("OfMine", [right])
    limited = account.acting_as("OfMine")
    build = limited.start_build(projectName=mine)["build"]
    assert build["initiator"] == "OfMine/someone"
    assert limited.batch_get_builds(ids=[build["id"]])["builds"]
    assert limited.list_builds_for_project(projectName=mine)["ids"] == [build["id"]]
    limited.stop_build(id=build["arn"])
    other = account.build(theirs)["id"]
    refused: list[tuple[str, dict[str, Any]]] = [
        ("start_build", {"projectName": theirs}),
        ("batch_get_builds", {"ids": [other]}),
        ("batch_get_builds", {"ids": [build["id"], other]}),
        ("stop_build", {"id": other}),
        ("list_builds_for_project", {"projectName": theirs}),
        ("batch_get_projects", {"names": [theirs]}),
        ("list_builds", {}),
    ]
    for operation, request in refused:
        with pytest.raises(ClientError, match="AccessDenied"):
            getattr(limited, operation)(**request)


def test_one_build_at_a_time(account: Account) -> None:
    project = account.inline(_build(["sleep 60"]), concurrentBuildLimit=1)
    token = str(uuid.uuid4())
    first = account.codebuild.start_build(projectName=project, idempotencyToken=token)["build"]["id"]
    assert account.codebuild.start_build(projectName=project, idempotencyToken=token)["build"]["id"] == first
    with pytest.raises(account.codebuild.exceptions.AccountLimitExceededException):
        account.codebuild.start_build(projectName=project)
    account.codebuild.stop_build(id=first)
    account.wait(first)


def test_a_project_of_cloudformation(account: Account) -> None:
    cloudformation = client(account.emulator, "cloudformation")
    properties: dict[str, Any] = {
        "Name": "OfAStack",
        "Description": "Builds",
        "ServiceRole": f"arn:aws:iam::{ACCOUNT}:role/Builder",
        "Source": {"Type": "CODEPIPELINE", "BuildSpec": "a.yml"},
        "Artifacts": {"Type": "CODEPIPELINE"},
        "EncryptionKey": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1",
        "Environment": {
            "Type": "LINUX_CONTAINER",
            "Image": "aws/codebuild/amazonlinux-x86_64-standard:5.0",
            "ComputeType": "BUILD_GENERAL1_SMALL",
            "PrivilegedMode": "false",
            "EnvironmentVariables": [{"Name": "A", "Value": "1"}],
        },
        "TimeoutInMinutes": "30",
        "ConcurrentBuildLimit": 1,
        "LogsConfig": {"CloudWatchLogs": {"Status": "ENABLED", "GroupName": "/aws/codebuild/own"}},
        "Tags": [{"Key": "Project", "Value": "X"}],
    }

    def template() -> str:
        resources = {"Builds": {"Type": "AWS::CodeBuild::Project", "Properties": properties}}
        outputs = {"Arn": {"Value": {"Fn::GetAtt": ["Builds", "Arn"]}}, "Name": {"Value": {"Ref": "Builds"}}}
        return json.dumps({"Resources": resources, "Outputs": outputs})

    cloudformation.create_stack(StackName="Builds", TemplateBody=template())
    cloudformation.get_waiter("stack_create_complete").wait(StackName="Builds", WaiterConfig={"Delay": 1})
    stack = cloudformation.describe_stacks(StackName="Builds")["Stacks"][0]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
    assert outputs == {"Arn": f"arn:aws:codebuild:{REGION}:{ACCOUNT}:project/OfAStack", "Name": "OfAStack"}
    project = account.codebuild.batch_get_projects(names=["OfAStack"])["projects"][0]
    assert project["source"] == {"type": "CODEPIPELINE", "buildspec": "a.yml"}
    assert (project["timeoutInMinutes"], project["concurrentBuildLimit"]) == (30, 1)
    assert project["logsConfig"]["cloudWatchLogs"]["groupName"] == "/aws/codebuild/own"
    assert project["encryptionKey"].endswith("key/1")
    assert project["environment"]["environmentVariables"] == [{"name": "A", "value": "1"}]
    assert {"key": "Project", "value": "X"} in project["tags"]

    del properties["ConcurrentBuildLimit"]
    properties["TimeoutInMinutes"] = 45
    cloudformation.update_stack(StackName="Builds", TemplateBody=template())
    cloudformation.get_waiter("stack_update_complete").wait(StackName="Builds", WaiterConfig={"Delay": 1})
    project = account.codebuild.batch_get_projects(names=["OfAStack"])["projects"][0]
    assert (project["timeoutInMinutes"], "concurrentBuildLimit" in project) == (45, False)

    cloudformation.delete_stack(StackName="Builds")
    cloudformation.get_waiter("stack_delete_complete").wait(StackName="Builds", WaiterConfig={"Delay": 1})
    assert account.codebuild.batch_get_projects(names=["OfAStack"])["projectsNotFound"] == ["OfAStack"]


def test_what_is_not_executed_is_refused(account: Account) -> None:
    for settings in (
        {"vpcConfig": {"vpcId": "vpc-1"}},
        {"artifacts": {"type": "S3", "location": BUCKET}},
        {"logsConfig": {"s3Logs": {"status": "ENABLED", "location": BUCKET}}},
    ):
        with pytest.raises(ClientError, match="the rehearsal's CodeBuild"):
            account.inline(_build(["true"]), **settings)
    with pytest.raises(ClientError, match="of GITHUB"):
        account.project({"type": "GITHUB", "location": "x"})


@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_no_build_outlives_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "https://packages.example")
    monkeypatch.setenv("SSL_CERT_FILE", "/the/users.pem")
    monkeypatch.setenv("AWS_PROFILE", "the-users")
    running = process.start(tmp_path / "home")
    try:
        monkeypatch.delenv("AWS_PROFILE")
        for name, value in running.environment.items():
            monkeypatch.setenv(name, value)
        account = Account(running)
        account.role("Builder", [LOGS])
        nap = f"{4000 + os.getpid() % 1000}.5"
        commands = ["echo $PIP_EXTRA_INDEX_URL $SSL_CERT_FILE ${AWS_PROFILE:-nobody}", f"sleep {nap} & sleep {nap}"]
        build = account.codebuild.start_build(projectName=account.inline(_build(commands)))["build"]
        _eventually(lambda: len(_running(nap)) == 2)
        _eventually(lambda: "https://packages.example /the/users.pem nobody" in account.log(build))
        if how == "killed":
            os.kill(running.process, 9)
        else:
            process.stop(running)
        _eventually(lambda: not _running(nap))
    finally:
        process.stop(running)


def _policy(statements: list[dict[str, Any]]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def _spec(spec: dict[str, Any]) -> str:
    return str(yaml.safe_dump(spec, sort_keys=False))


def _build(commands: list[str]) -> dict[str, Any]:
    return {"version": 0.2, "phases": {"build": {"commands": commands}}}


def _context(build: dict[str, Any], kind: str) -> tuple[str, str]:
    phase = next(phase for phase in build["phases"] if phase["phaseType"] == kind)
    return phase["contexts"][0]["statusCode"], phase["contexts"][0]["message"]


def _wheel() -> dict[str, str | bytes]:
    """A package that pip can install without an index, as a file of the source."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as wheel:
        wheel.writestr("made.py", "")
        wheel.writestr("made-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: made\nVersion: 1.0\n")
        wheel.writestr("made-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("made-1.0.dist-info/RECORD", "")
    return {"made-1.0-py3-none-any.whl": archive.getvalue()}


def _running(argument: str) -> list[str]:
    """The processes of this machine with an argument."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = file.read_bytes().split(b"\0")
        except OSError:  # it ended
            continue
        if command[:2] == [b"sleep", argument.encode()]:
            found.append(file.parent.name)
    return found


def _eventually(condition: Any) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
