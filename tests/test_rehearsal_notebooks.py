"""Notebook instances of the rehearsal: their start script really runs, as their role, and its failure is theirs."""

import base64
import json
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from setup.rehearsal.process import Emulator
from setup.stacks import Stack

SCRIPT = """#!/bin/bash
set -euo pipefail
aws sts get-caller-identity --query Arn --output text >/home/ec2-user/SageMaker/who
"""


def template(script: str, service: str = "sagemaker.amazonaws.com") -> str:
    trust = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return json.dumps(
        {
            "Resources": {
                "Role": {
                    "Type": "AWS::IAM::Role",
                    "Properties": {"AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [trust]}},
                },
                "Lifecycle": {
                    "Type": "AWS::SageMaker::NotebookInstanceLifecycleConfig",
                    "Properties": {
                        "NotebookInstanceLifecycleConfigName": {"Ref": "AWS::StackName"},
                        "OnStart": [{"Content": base64.b64encode(script.encode()).decode()}],
                    },
                },
                "Notebook": {
                    "Type": "AWS::SageMaker::NotebookInstance",
                    "Properties": {
                        "NotebookInstanceName": {"Ref": "AWS::StackName"},
                        "InstanceType": "ml.t3.medium",
                        "RoleArn": {"Fn::GetAtt": ["Role", "Arn"]},
                        "LifecycleConfigName": {
                            "Fn::GetAtt": ["Lifecycle", "NotebookInstanceLifecycleConfigName"],
                        },
                    },
                },
            }
        }
    )


def created(name: str, template: str) -> str:
    """Why the stack failed; nothing if it didn't."""
    client = boto3.client("cloudformation")
    client.create_stack(StackName=name, TemplateBody=template, Capabilities=["CAPABILITY_IAM"])
    stack = Stack(boto3.Session(), name)
    ended = stack.wait(print)
    return "" if ended == "CREATE_COMPLETE" else stack.first_failure()


def status(name: str) -> Any:
    return boto3.client("sagemaker").describe_notebook_instance(NotebookInstanceName=name)["NotebookInstanceStatus"]


def test_the_start_script_runs_as_the_role(emulator: Emulator) -> None:
    folder = Path(emulator.home, "notebooks", "whole")
    assert created("whole", template(SCRIPT)) == ""
    assert ":assumed-role/whole-Role" in (folder / "home/ec2-user/SageMaker/who").read_text()
    variables = folder / "environment.json"
    assert variables.stat().st_mode & 0o077 == 0
    assert status("whole") == "InService"
    client = boto3.client("sagemaker")
    client.stop_notebook_instance(NotebookInstanceName="whole")
    with pytest.raises(ClientError, match="not in"):
        client.stop_notebook_instance(NotebookInstanceName="whole")
    assert status("whole") == "Stopped"
    Stack(boto3.Session(), "whole").delete(print)
    assert client.list_notebook_instances()["NotebookInstances"] == []
    assert not folder.exists()


@pytest.mark.usefixtures("emulator")
def test_a_start_script_that_fails() -> None:
    told = created("broken", template("#!/bin/bash\necho the reason\nexit 3\n"))
    assert told.startswith("Notebook (AWS::SageMaker::NotebookInstance)")
    assert "the reason" in told
    assert "exit code 3" in told


@pytest.mark.usefixtures("emulator")
def test_what_the_instance_would_do_with_systemd_is_not_pretended() -> None:
    told = created("units", template("#!/bin/bash\nsystemctl restart jupyter-server\n"))
    assert "the rehearsal does not execute: systemctl restart jupyter-server" in told


@pytest.mark.usefixtures("emulator")
def test_a_role_that_sagemaker_may_not_take() -> None:
    assert "Role" in created("untrusted", template(SCRIPT, "ec2.amazonaws.com"))


@pytest.mark.usefixtures("emulator")
@pytest.mark.parametrize(("mode", "told"), [("700", "another user may not read"), ("755", "")])
def test_another_user_reads_only_what_it_may(mode: str, told: str) -> None:
    """There is no other user here, so sudo looks at the rights."""
    folder = "/home/ec2-user/SageMaker/folder"
    commands = f"mkdir -m {mode} {folder}\necho text >{folder}/file\nsudo -u ec2-user cat {folder}/file\n"
    failed = created(f"rights{mode}", template(f"#!/bin/bash\nset -e\n{commands}"))
    assert (told in failed) if told else (failed == ""), failed
