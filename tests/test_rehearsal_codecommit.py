"""CodeCommit in the rehearsal: commits, branches, differences, AWS's refusals, the event of a push, IAM."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from setup.rehearsal.process import Emulator
from tests.emulator import client

NAME = "GenomicsAnalysisCode"


def refused(code: str) -> Any:
    return pytest.raises(ClientError, match=rf"\({code}\)")


def commit(codecommit: Any, name: str, parent: str | None, deleted: tuple[str, ...] = (), **files: bytes) -> str:
    request = {
        "repositoryName": name,
        "branchName": "main",
        "authorName": "someone",
        "commitMessage": "A message\n\nof two paragraphs",
        "putFiles": [{"filePath": path.replace("__", "/"), "fileContent": text} for path, text in files.items()],
        "deleteFiles": [{"filePath": path} for path in deleted],
    } | ({"parentCommitId": parent} if parent else {})
    return str(codecommit.create_commit(**request)["commitId"])


def content(codecommit: Any, name: str, path: str) -> bytes:
    return bytes(codecommit.get_file(repositoryName=name, filePath=path)["fileContent"])


@pytest.fixture
def codecommit(emulator: Emulator, request: pytest.FixtureRequest) -> Any:
    made = client(emulator, "codecommit")
    made.create_repository(repositoryName=request.node.name)
    return made


def test_commits(codecommit: Any, request: pytest.FixtureRequest) -> None:
    name = request.node.name
    with refused("BranchDoesNotExistException"):
        codecommit.get_branch(repositoryName=name, branchName="main")
    first = commit(codecommit, name, None, a=b"1", folder__b=bytes(range(256)))
    assert codecommit.get_branch(repositoryName=name, branchName="main")["branch"]["commitId"] == first
    second = commit(codecommit, name, first, ("a",), folder__b=b"2", folder__deep__c="ä".encode())
    assert content(codecommit, name, "folder/b") == b"2"
    assert codecommit.get_file(repositoryName=name, filePath="folder/b", commitSpecifier=first)["fileContent"] == bytes(
        range(256)
    )
    with refused("FileDoesNotExistException"):
        content(codecommit, name, "a")
    told = codecommit.get_commit(repositoryName=name, commitId=second)["commit"]
    assert (told["parents"], told["author"]["name"], told["message"]) == (
        [first],
        "someone",
        "A message\n\nof two paragraphs",
    )
    changes = codecommit.get_differences(repositoryName=name, beforeCommitSpecifier=first, afterCommitSpecifier="main")[
        "differences"
    ]
    assert sorted((one["changeType"], (one.get("afterBlob") or one["beforeBlob"])["path"]) for one in changes) == [
        ("A", "folder/deep/c"),
        ("D", "a"),
        ("M", "folder/b"),
    ]
    whole = codecommit.get_differences(repositoryName=name, afterCommitSpecifier=second)["differences"]
    assert sorted(one["afterBlob"]["path"] for one in whole) == ["folder/b", "folder/deep/c"]
    folder = codecommit.get_folder(repositoryName=name, folderPath="folder")
    assert [one["absolutePath"] for one in folder["files"]] == ["folder/b"]
    assert [one["absolutePath"] for one in folder["subFolders"]] == ["folder/deep"]
    assert [
        one["absolutePath"] for one in codecommit.get_folder(repositoryName=name, folderPath="/")["subFolders"]
    ] == ["folder"]


def test_refusals(codecommit: Any, request: pytest.FixtureRequest) -> None:
    name = request.node.name
    first = commit(codecommit, name, None, a=b"1")
    with refused("ParentCommitIdRequiredException"):
        commit(codecommit, name, None, a=b"2")
    with refused("NoChangeException"):
        commit(codecommit, name, first, a=b"1")
    second = commit(codecommit, name, first, a=b"2")
    with refused("ParentCommitIdOutdatedException"):
        commit(codecommit, name, first, a=b"3")
    with refused("MaximumFileEntriesExceededException"):
        commit(codecommit, name, second, (), **{f"file{number}": b"" for number in range(101)})
    with refused("FileDoesNotExistException"):
        commit(codecommit, name, second, ("nothing",))
    with refused("RepositoryNameExistsException"):
        codecommit.create_repository(repositoryName=name)
    with refused("CommitDoesNotExistException"):
        codecommit.get_folder(repositoryName=name, folderPath="/", commitSpecifier="no-such-branch")
    assert content(codecommit, name, "a") == b"2"
    codecommit.delete_repository(repositoryName=name)
    with refused("RepositoryDoesNotExistException"):
        codecommit.get_repository(repositoryName=name)


def test_a_role_reaches_only_the_repository_that_it_may(emulator: Emulator) -> None:
    root = client(emulator, "codecommit")
    for name in ("mine", "theirs"):
        root.create_repository(repositoryName=name)
    iam = client(emulator, "iam")
    trust = {"Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}]}
    role = iam.create_role(RoleName="Committer", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17"} | trust))
    allowed = {"Effect": "Allow", "Action": "codecommit:GetRepository", "Resource": "arn:aws:codecommit:*:*:mine"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    iam.put_role_policy(RoleName="Committer", PolicyName="ReadMine", PolicyDocument=policy)
    told = client(emulator, "sts").assume_role(RoleArn=role["Role"]["Arn"], RoleSessionName="test")["Credentials"]
    limited = client(
        emulator,
        "codecommit",
        aws_access_key_id=told["AccessKeyId"],
        aws_secret_access_key=told["SecretAccessKey"],
        aws_session_token=told["SessionToken"],
    )
    assert limited.get_repository(repositoryName="mine")["repositoryMetadata"]["repositoryName"] == "mine"
    with refused("AccessDenied(Exception)?"):
        limited.get_repository(repositoryName="theirs")
    with refused("AccessDenied(Exception)?"):
        limited.list_branches(repositoryName="mine")


def test_cloudformation_and_the_event_of_a_push(emulator: Emulator) -> None:
    sqs, events = client(emulator, "sqs"), client(emulator, "events")
    queue = sqs.create_queue(QueueName="pushes")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    pattern = {"source": ["aws.codecommit"], "detail": {"referenceName": ["main"], "referenceType": ["branch"]}}
    events.put_rule(Name="pushes", EventPattern=json.dumps(pattern))
    events.put_targets(Rule="pushes", Targets=[{"Id": "1", "Arn": arn}])
    properties = {"RepositoryName": NAME}
    template = {"Resources": {"Code": {"Type": "AWS::CodeCommit::Repository", "Properties": properties}}}
    cloudformation = client(emulator, "cloudformation")
    cloudformation.create_stack(StackName="repository", TemplateBody=json.dumps(template))
    cloudformation.get_waiter("stack_create_complete").wait(StackName="repository", WaiterConfig={"Delay": 1})
    codecommit = client(emulator, "codecommit")
    first = commit(codecommit, NAME, None, a=b"1")
    second = commit(codecommit, NAME, first, a=b"2")
    messages: list[dict[str, Any]] = []
    for _ in range(10):
        received = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=1, MaxNumberOfMessages=10).get("Messages", [])
        messages += [json.loads(message["Body"]) for message in received]
        if len(messages) >= 2:
            break
    told = [(message["detail"]["event"], message["detail"]["commitId"]) for message in messages]
    assert sorted(told) == [("referenceCreated", first), ("referenceUpdated", second)]
    cloudformation.delete_stack(StackName="repository")
    cloudformation.get_waiter("stack_delete_complete").wait(StackName="repository", WaiterConfig={"Delay": 1})
    with refused("RepositoryDoesNotExistException"):
        codecommit.get_repository(repositoryName=NAME)
