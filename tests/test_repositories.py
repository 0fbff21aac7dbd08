"""Seeding: an empty repository, an unchanged one, one of an older version, one that its users have changed."""

from pathlib import Path

import boto3
import pytest

from setup import names
from setup.errors import SetupError
from setup.repositories import File, Repository, files_of

pytestmark = pytest.mark.usefixtures("emulator")


@pytest.fixture
def repository(request: pytest.FixtureRequest) -> Repository:
    boto3.client("codecommit").create_repository(repositoryName=request.node.name)
    return Repository(boto3.Session(), request.node.name, "Project")


FIRST = {"a": File(b"1"), "folder/b": File(b"#!/bin/sh\n", is_executable=True)}


def test_seeded_unchanged_and_upgraded(repository: Repository) -> None:
    assert repository.head() is None
    first = repository.seed(FIRST)
    assert (repository.head(), first.differs) == (first.commit, ())
    assert repository.seed(FIRST).commit == first.commit
    second = repository.seed({"a": File(b"2"), "c": File(b"3")})
    assert repository.file("a") == "2"
    assert second.told.endswith("2 files committed, 1 deleted")
    with pytest.raises(SetupError, match="has no folder/b"):
        repository.file("folder/b")


def test_what_users_committed_stays(repository: Repository) -> None:
    first = repository.seed(FIRST)
    theirs = boto3.client("codecommit").put_file(
        repositoryName=repository.name,
        branchName="main",
        filePath="a",
        fileContent=b"theirs",
        parentCommitId=first.commit,
        name="a user",
    )["commitId"]
    left = repository.seed({"a": File(b"2"), "folder/b": FIRST["folder/b"]})
    assert (left.commit, left.differs) == (theirs, ("a",))
    assert repository.head() == theirs
    assert repository.file("a") == "theirs"


def test_more_files_than_a_commit_takes(repository: Repository) -> None:
    files = {f"file{number:03d}": File(str(number).encode()) for number in range(205)}
    repository.seed(files)
    assert repository.seed(files).told.endswith("has this version's files already")
    assert repository.file("file204") == "204"


def test_the_solutions_own_files_fit_into_one_commit() -> None:
    for folder in ("pipe", "code"):
        found = files_of(names.ROOT / folder)
        assert 0 < len(found) <= 100
        assert not [path for path in found if "__pycache__" in path or Path(path).name.startswith(".")]
    assert files_of(names.ROOT / "code")["build/buildhail.sh"].content.startswith(b"#!")
