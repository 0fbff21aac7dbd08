"""CodeCommit repositories: filled by the set-up as long as nobody else has committed to them."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import ClientError

from setup import names
from setup.errors import SetupError

FILES_A_COMMIT = 100  # CodeCommit's limit


@dataclass(frozen=True)
class File:
    """A file of a repository."""

    content: bytes
    is_executable: bool = False

    @property
    def blob(self) -> str:
        """The id that git gives its content."""
        return hashlib.sha1(b"blob %d\0%b" % (len(self.content), self.content), usedforsecurity=False).hexdigest()

    @property
    def mode(self) -> str:
        """As CodeCommit names it."""
        return "EXECUTABLE" if self.is_executable else "NORMAL"


@dataclass(frozen=True)
class Seeded:
    """What a repository holds after the set-up."""

    commit: str
    told: str  # what was done, in words
    differs: tuple[str, ...] = ()  # files that users have otherwise than this version


def files_of(folder: Path) -> dict[str, File]:
    """The files of a folder of the solution, by their paths in it; nothing that is hidden or made."""
    found = {}
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        if path.is_file() and not any(part.startswith(".") or part == "__pycache__" for part in inside.parts):
            found[inside.as_posix()] = File(path.read_bytes(), bool(path.stat().st_mode & 0o100))
    return found


class Repository:
    """A repository by its name, and the name under which the set-up commits."""

    def __init__(self, session: boto3.Session, name: str, project: str) -> None:
        self.name = name
        self._author = f"{project} setup"
        self._client = session.client("codecommit")

    def head(self) -> str | None:
        """The commit at the tip of main; None where there is none yet."""
        try:
            return str(self._client.get_branch(repositoryName=self.name, branchName="main")["branch"]["commitId"])
        except self._client.exceptions.BranchDoesNotExistException:
            return None

    def file(self, path: str) -> str:
        """A file's text at the tip of main. Raises SetupError where it is missing."""
        try:
            found = self._client.get_file(repositoryName=self.name, commitSpecifier="main", filePath=path)
        except self._client.exceptions.FileDoesNotExistException as error:
            raise SetupError(f"Repository {self.name} has no {path}. Put it back, then run this again.") from error
        return str(found["fileContent"].decode())

    def seed(self, files: Mapping[str, File]) -> Seeded:
        """Make main hold these files, unless somebody else's commit is at its tip: that is left as it is."""
        head = self.head()
        there = self._blobs(head) if head else {}
        put = [path for path, file in files.items() if there.get(path) != file.blob]
        gone = [path for path in there if path not in files]
        if head and not put and not gone:
            return Seeded(head, f"{self.name} has this version's files already")
        if head and not self._is_ours(head):
            return Seeded(head, f"{self.name} was changed by its users and stays as it is", tuple(sorted(put)))
        changes: list[tuple[str, File | None]] = [(path, files[path]) for path in put] + [(path, None) for path in gone]
        for start in range(0, len(changes), FILES_A_COMMIT):
            head = self._commit(head, changes[start : start + FILES_A_COMMIT])
        if head is None:
            raise SetupError(f"There is no file for repository {self.name}. Is the solution's archive whole?")
        return Seeded(head, f"{self.name}: {len(put)} files committed, {len(gone)} deleted")

    def _is_ours(self, commit: str) -> bool:
        told = self._client.get_commit(repositoryName=self.name, commitId=commit)["commit"]
        return bool(told["author"]["name"] == self._author)

    def _blobs(self, commit: str) -> dict[str, str]:
        """The ids of a commit's files, by their paths."""
        pages = self._client.get_paginator("get_differences").paginate(
            repositoryName=self.name, afterCommitSpecifier=commit
        )
        return {one["afterBlob"]["path"]: one["afterBlob"]["blobId"] for page in pages for one in page["differences"]}

    def _commit(self, parent: str | None, changes: list[tuple[str, File | None]]) -> str:
        request: dict[str, Any] = {
            "repositoryName": self.name,
            "branchName": "main",
            "authorName": self._author,
            "email": "setup@localhost",
            "commitMessage": f"Genomics data lake {names.VERSION}",
            "putFiles": [
                {"filePath": path, "fileContent": file.content, "fileMode": file.mode}
                for path, file in changes
                if file is not None
            ],
            "deleteFiles": [{"filePath": path} for path, file in changes if file is None],
        }
        try:
            made = self._client.create_commit(**request, **({"parentCommitId": parent} if parent else {}))
        except ClientError as error:
            raise SetupError(
                f"Repository {self.name}: {error.response['Error']['Message']}. Run this again."
            ) from error
        return str(made["commitId"])
