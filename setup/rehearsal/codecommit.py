"""CodeCommit, with real git: each repository is a bare one under HOME/repositories.

Executed: the API's operations below, and the resource type. Not executed: git's own protocol (clone and push by git).
"""

import base64
import os
import subprocess
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

from setup.rehearsal import extend
from setup.rehearsal.extend import Request, ServiceError

_HOME = extend.HOME / "repositories"
_FILES_A_COMMIT = 100
_MODES = {"NORMAL": "100644", "EXECUTABLE": "100755", "SYMLINK": "120000"}
_repositories: dict[str, dict[str, Any]] = {}


def install() -> None:
    """Register the service and its resource type."""
    extend.add_service(
        "codecommit",
        target_prefix="CodeCommit_20150413",
        namespace="codecommit",
        operations={
            "BatchGetRepositories": _batch_get_repositories,
            "CreateCommit": _create_commit,
            "CreateRepository": _create_repository,
            "DeleteFile": _delete_file,
            "DeleteRepository": _delete_repository,
            "GetBranch": _get_branch,
            "GetCommit": _get_commit,
            "GetDifferences": _get_differences,
            "GetFile": _get_file,
            "GetFolder": _get_folder,
            "GetRepository": _get_repository,
            "ListBranches": _list_branches,
            "ListRepositories": _list_repositories,
            "ListTagsForResource": _list_tags,
            "PutFile": _put_file,
            "TagResource": _tag,
        },
        resource=_resource,
    )
    extend.add_resource("AWS::CodeCommit::Repository", _create, _update, _delete)


def _resource(operation: str, request: Request) -> str:
    if operation == "ListRepositories":
        return "*"
    return str(request.get("resourceArn") or _arn(request.get("repositoryName", "*")))


def _arn(name: str) -> str:
    return f"arn:aws:codecommit:{extend.REGION}:{extend.ACCOUNT}:{name}"


def _create(_: str, properties: dict[str, Any], __: str) -> tuple[str, dict[str, Any]]:
    if "Code" in properties or "Triggers" in properties:
        raise ServiceError(
            "InvalidRequestException", "the rehearsal executes neither Code nor Triggers of a repository"
        )
    made = _create_repository(
        {
            "repositoryName": properties["RepositoryName"],
            "repositoryDescription": properties.get("RepositoryDescription"),
            "kmsKeyId": properties.get("KmsKeyId"),
            "tags": {tag["Key"]: tag["Value"] for tag in properties.get("Tags", [])},
        }
    )["repositoryMetadata"]
    return made["repositoryId"], _attributes(made)


def _attributes(repository: dict[str, Any]) -> dict[str, Any]:
    return {
        "Arn": repository["Arn"],
        "Name": repository["repositoryName"],
        "CloneUrlHttp": repository["cloneUrlHttp"],
        "CloneUrlSsh": repository["cloneUrlSsh"],
    }


def _update(physical_id: str, old: dict[str, Any], new: dict[str, Any], _: str) -> tuple[str, dict[str, Any]]:
    repository = _repositories.pop(old["RepositoryName"])
    name = new["RepositoryName"]
    if name != old["RepositoryName"]:
        _path(old["RepositoryName"]).rename(_path(name))
    repository |= _named(name) | {
        "repositoryDescription": new.get("RepositoryDescription"),
        "tags": {tag["Key"]: tag["Value"] for tag in new.get("Tags", [])},
    }
    _repositories[name] = repository
    return physical_id, _attributes(repository)


def _delete(_: str, properties: dict[str, Any]) -> None:
    _delete_repository({"repositoryName": properties["RepositoryName"]})


def _named(name: str) -> dict[str, str]:
    host = f"git-codecommit.{extend.REGION}.amazonaws.com/v1/repos/{name}"
    return {
        "repositoryName": name,
        "Arn": _arn(name),
        "cloneUrlHttp": f"https://{host}",
        "cloneUrlSsh": f"ssh://{host}",
    }


def _create_repository(request: Request) -> dict[str, Any]:
    name = request["repositoryName"]
    if name in _repositories:
        raise ServiceError("RepositoryNameExistsException", f"Repository named {name} already exists")
    _HOME.mkdir(parents=True, exist_ok=True)
    subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", str(_path(name))], check=True)  # noqa: S607
    now = time.time()
    _repositories[name] = _named(name) | {
        "accountId": extend.ACCOUNT,
        "repositoryId": str(uuid.uuid4()),
        "repositoryDescription": request.get("repositoryDescription"),
        "kmsKeyId": request.get("kmsKeyId"),
        "creationDate": now,
        "lastModifiedDate": now,
        "tags": request.get("tags") or {},
    }
    return _get_repository(request)


def _get_repository(request: Request) -> dict[str, Any]:
    repository = _found(request)
    told = {key: value for key, value in repository.items() if key != "tags" and value is not None}
    if _head(repository["repositoryName"], "main"):
        told["defaultBranch"] = "main"
    return {"repositoryMetadata": told}


def _delete_repository(request: Request) -> dict[str, Any]:
    name = request["repositoryName"]
    repository = _repositories.pop(name, None)
    if repository is None:
        return {}
    _path(name).rename(_HOME / f"deleted-{uuid.uuid4()}")
    return {"repositoryId": repository["repositoryId"]}


def _list_repositories(_: Request) -> dict[str, Any]:
    keys = ("repositoryName", "repositoryId")
    return {"repositories": [{key: one[key] for key in keys} for _, one in sorted(_repositories.items())]}


def _batch_get_repositories(request: Request) -> dict[str, Any]:
    wanted = request["repositoryNames"]
    found = [
        _get_repository({"repositoryName": name})["repositoryMetadata"] for name in wanted if name in _repositories
    ]
    return {"repositories": found, "repositoriesNotFound": [name for name in wanted if name not in _repositories]}


def _list_branches(request: Request) -> dict[str, Any]:
    name = _found(request)["repositoryName"]
    return {"branches": _git(name, "for-each-ref", "--format=%(refname:short)", "refs/heads").decode().split()}


def _get_branch(request: Request) -> dict[str, Any]:
    name = _found(request)["repositoryName"]
    branch = request["branchName"]
    return {"branch": {"branchName": branch, "commitId": _branch_head(name, branch)}}


def _get_commit(request: Request) -> dict[str, Any]:
    name = _found(request)["repositoryName"]
    commit = request["commitId"]
    if not _is_commit(name, commit):
        raise ServiceError("CommitIdDoesNotExistException", f"Commit {commit} does not exist in {name}")
    form = "%H%x00%T%x00%P%x00%an%x00%ae%x00%ad%x00%cn%x00%ce%x00%cd%x00%B"
    told = _git(name, "show", "--no-patch", "--date=raw", f"--format={form}", commit).decode().split("\0")
    people = [dict(zip(("name", "email", "date"), told[at : at + 3], strict=True)) for at in (3, 6)]
    return {
        "commit": {
            "commitId": told[0],
            "treeId": told[1],
            "parents": told[2].split(),
            "author": people[0],
            "committer": people[1],
            "message": told[9].rstrip("\n"),
            "additionalData": "",
        }
    }


def _get_differences(request: Request) -> dict[str, Any]:
    name = _found(request)["repositoryName"]
    after = _resolved(name, request["afterCommitSpecifier"])
    empty = _git(name, "hash-object", "-t", "tree", "--stdin", given=b"").decode().strip()
    before = _resolved(name, request["beforeCommitSpecifier"]) if request.get("beforeCommitSpecifier") else empty
    told = _git(name, "diff-tree", "-r", "-z", "--no-renames", before, after).decode().split("\0")[:-1]
    differences = []
    for fields, path in zip(told[::2], told[1::2], strict=True):
        old_mode, new_mode, old_blob, new_blob, change = fields.lstrip(":").split(" ")
        difference: dict[str, Any] = {"changeType": change[0]}
        if change[0] != "A":
            difference["beforeBlob"] = {"blobId": old_blob, "path": path, "mode": old_mode}
        if change[0] != "D":
            difference["afterBlob"] = {"blobId": new_blob, "path": path, "mode": new_mode}
        differences.append(difference)
    return {"differences": differences}


def _get_file(request: Request) -> dict[str, Any]:
    name = _found(request)["repositoryName"]
    commit = _resolved(name, request.get("commitSpecifier") or "main")
    path = request["filePath"].strip("/")
    found = [entry for entry in _tree(name, commit, path) if entry["path"] == path and entry["type"] == "blob"]
    if not found:
        raise ServiceError("FileDoesNotExistException", f"{path} does not exist in {name} at {commit}")
    content = _git(name, "cat-file", "blob", found[0]["id"])
    return {
        "commitId": commit,
        "blobId": found[0]["id"],
        "filePath": path,
        "fileMode": _mode_name(found[0]["mode"]),
        "fileSize": len(content),
        "fileContent": base64.b64encode(content).decode(),
    }


def _get_folder(request: Request) -> dict[str, Any]:
    name = _found(request)["repositoryName"]
    commit = _resolved(name, request.get("commitSpecifier") or "main")
    folder = request["folderPath"].strip("/")
    entries = _tree(name, commit, f"{folder}/" if folder else "")
    if folder and not entries:
        raise ServiceError("FolderDoesNotExistException", f"{folder} does not exist in {name} at {commit}")

    def shown(entry: dict[str, str]) -> dict[str, str]:
        return {"absolutePath": entry["path"], "relativePath": Path(entry["path"]).name}

    return {
        "commitId": commit,
        "folderPath": folder,
        "subFolders": [shown(entry) | {"treeId": entry["id"]} for entry in entries if entry["type"] == "tree"],
        "files": [
            shown(entry) | {"blobId": entry["id"], "fileMode": _mode_name(entry["mode"])}
            for entry in entries
            if entry["type"] == "blob"
        ],
        "symbolicLinks": [],
        "subModules": [],
    }


def _put_file(request: Request) -> dict[str, Any]:
    put: dict[str, Any] = {key: request[key] for key in ("filePath", "fileContent", "fileMode") if key in request}
    made = _commit(request, [put], [], request.get("name"))
    return {"commitId": made["commitId"], "treeId": made["treeId"], "blobId": made["filesAdded"][0]["blobId"]}


def _delete_file(request: Request) -> dict[str, Any]:
    deleted = {"filePath": request["filePath"]}
    return _commit(request, [], [deleted], request.get("name")) | {"filePath": request["filePath"]}


def _create_commit(request: Request) -> dict[str, Any]:
    put, deleted = request.get("putFiles") or [], request.get("deleteFiles") or []
    if request.get("setFileModes"):
        raise ServiceError("InvalidRequestException", "the rehearsal does not execute setFileModes")
    if len(put) + len(deleted) > _FILES_A_COMMIT:
        message = f"A commit takes at most {_FILES_A_COMMIT} files"
        raise ServiceError("MaximumFileEntriesExceededException", message)
    return _commit(request, put, deleted, request.get("authorName"))


def _commit(
    request: Request, put: list[dict[str, Any]], deleted: list[dict[str, Any]], author: str | None
) -> dict[str, Any]:
    name, branch = _found(request)["repositoryName"], request["branchName"]
    head = _head(name, branch)
    parent = request.get("parentCommitId")
    if head and not parent:
        raise ServiceError("ParentCommitIdRequiredException", f"parentCommitId is required: {branch} has commits")
    if parent and parent != head:
        raise ServiceError("ParentCommitIdOutdatedException", f"{parent} is not the tip of {branch}")
    added = []
    with tempfile.TemporaryDirectory(dir=_HOME) as folder:
        index = {"GIT_INDEX_FILE": f"{folder}/index"}
        if head:
            _git(name, "read-tree", head, settings=index)
        entries = []
        for file in put:
            content = base64.b64decode(file["fileContent"])
            blob = _git(name, "hash-object", "-w", "--stdin", given=content).decode().strip()
            mode = _MODES[file.get("fileMode") or "NORMAL"]
            entries.append(f"{mode} {blob}\t{file['filePath'].strip('/')}")
            added.append({"absolutePath": file["filePath"], "blobId": blob, "fileMode": _mode_name(mode)})
        for file in deleted:
            path = file["filePath"].strip("/")
            if not head or not any(entry["path"] == path for entry in _tree(name, head, path)):
                raise ServiceError("FileDoesNotExistException", f"{path} does not exist in {name}")
            entries.append(f"0 {'0' * 40}\t{path}")
        _git(name, "update-index", "-z", "--index-info", given="\0".join([*entries, ""]).encode(), settings=index)
        tree = _git(name, "write-tree", settings=index).decode().strip()
    if head and tree == _git(name, "rev-parse", f"{head}^{{tree}}").decode().strip():
        raise ServiceError("NoChangeException", "The commit changes no file")
    who = author or extend.caller().rpartition("/")[2]
    person = {
        f"GIT_{role}_{part}": value
        for role in ("AUTHOR", "COMMITTER")
        for part, value in (("NAME", who), ("EMAIL", request.get("email") or "nobody@localhost"))
    }
    parents = ["-p", head] if head else []
    message = request.get("commitMessage") or "No message"
    commit = _git(name, "commit-tree", tree, *parents, "-m", message, settings=person).decode().strip()
    _git(name, "update-ref", f"refs/heads/{branch}", commit, head or "0" * 40)
    _repositories[name]["lastModifiedDate"] = time.time()
    _tell(name, branch, commit, head)
    return {
        "commitId": commit,
        "treeId": tree,
        "filesAdded": added,
        "filesUpdated": [],
        "filesDeleted": [{"absolutePath": file["filePath"]} for file in deleted],
    }


def _tell(name: str, branch: str, commit: str, old: str | None) -> None:
    """The event of a push."""
    detail = {
        "event": "referenceUpdated" if old else "referenceCreated",
        "repositoryName": name,
        "repositoryId": _repositories[name]["repositoryId"],
        "referenceType": "branch",
        "referenceName": branch,
        "referenceFullName": f"refs/heads/{branch}",
        "commitId": commit,
        "callerUserArn": extend.caller(),
    } | ({"oldCommitId": old} if old else {})
    extend.put_event("aws.codecommit", "CodeCommit Repository State Change", detail, [_arn(name)])


def archive(name: str, commit: str) -> bytes:
    """A commit's files, as a zip."""
    return _git(name, "archive", "--format=zip", commit)


def _list_tags(request: Request) -> dict[str, Any]:
    return {"tags": _repositories[request["resourceArn"].rpartition(":")[2]]["tags"]}


def _tag(request: Request) -> dict[str, Any]:
    _repositories[request["resourceArn"].rpartition(":")[2]]["tags"] |= request["tags"]
    return {}


def _found(request: Request) -> dict[str, Any]:
    name = request["repositoryName"]
    if name not in _repositories:
        raise ServiceError("RepositoryDoesNotExistException", f"{name} does not exist")
    return _repositories[name]


def _path(name: str) -> Path:
    return _HOME / f"{name}.git"


def _head(name: str, branch: str) -> str | None:
    """The commit at a branch's tip."""
    told = _git(name, "for-each-ref", "--format=%(objectname)", f"refs/heads/{branch}").decode().strip()
    return told or None


def _branch_head(name: str, branch: str) -> str:
    head = _head(name, branch)
    if head is None:
        raise ServiceError("BranchDoesNotExistException", f"Branch {branch} does not exist in {name}")
    return head


def _is_commit(name: str, commit: str) -> bool:
    path = ["git", "--git-dir", str(_path(name)), "cat-file", "-e", f"{commit}^{{commit}}"]
    return subprocess.run(path, capture_output=True).returncode == 0


def _resolved(name: str, specifier: str) -> str:
    """The commit that a branch's name, a full reference or a commit's id means."""
    head = _head(name, specifier.removeprefix("refs/heads/"))
    if head:
        return head
    if not _is_commit(name, specifier):
        raise ServiceError("CommitDoesNotExistException", f"{specifier} is no commit of {name}")
    return specifier


def _tree(name: str, commit: str, path: str) -> list[dict[str, str]]:
    """The entries of a commit's tree at a path; with a `/` at its end, those of the folder."""
    told = _git(name, "ls-tree", "-z", commit, *([path] if path else [])).decode().split("\0")[:-1]
    entries = []
    for line in told:
        facts, where = line.split("\t", 1)
        mode, kind, identity = facts.split(" ")
        entries.append({"mode": mode, "type": kind, "id": identity, "path": where})
    return entries


def _mode_name(mode: str) -> str:
    return next(name for name, number in _MODES.items() if number == mode)


def _git(name: str, *arguments: str, given: bytes | None = None, settings: dict[str, str] | None = None) -> bytes:
    """What a git command prints in a repository."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")} | (settings or {})
    done = subprocess.run(
        ["git", "--git-dir", str(_path(name)), *arguments],  # noqa: S607 - git as the PATH has it
        input=given,
        capture_output=True,
        env=environment,
    )
    if done.returncode:
        raise ServiceError("ServiceInternalError", f"git {arguments[0]}: {done.stderr.decode()}", 500)
    return done.stdout
