"""Input files: where they are, what container they come in (by their bytes, not their names), their checksums."""

import fnmatch
import hashlib
import os
import posixpath
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlencode

from pyarrow import fs

from genomicslake.errors import LakeError

Container = Literal["plain", "gzip", "bgzf"]
ENCODINGS = ("utf-8", "latin-1")

GZIP_MAGIC = b"\x1f\x8b"
HADOOP_SAFE = r"(\w+://)?[\w/.@+= -]+"  # paths without what Hadoop takes for a glob or a scheme
BGZF_EOF = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")  # SAMv1, section 4.1.2


@dataclass(frozen=True)
class Source:
    """One input file: its path or URI, size in bytes, container, and the encoding of its text, one of ENCODINGS."""

    path: str
    size: int
    container: Container
    encoding: str = "utf-8"


def filesystem(path: str) -> tuple[Any, str]:
    """The pyarrow filesystem of a path or URI, and the path inside it: local ones made absolute, BUCKET/KEY in S3."""
    if path.startswith("s3://"):  # what follows is no URI: keys are not percent-encoded
        inside = path.removeprefix("s3://")
        return _bucket(inside.split("/")[0]), inside
    if "://" not in path:
        return fs.LocalFileSystem(), str(Path(path).absolute())
    system, inside = fs.FileSystem.from_uri(path)
    return system, inside


@cache
def _bucket(name: str) -> Any:
    """S3 in the bucket's region, by the environment's credentials, endpoint (AWS_ENDPOINT_URL) and certificates."""
    options = {"allow_delayed_open": "true"}  # a small file is one request
    if certificates := os.environ.get("AWS_CA_BUNDLE"):
        options["tls_ca_file_path"] = certificates
    try:
        return fs.FileSystem.from_uri(f"s3://{name}?{urlencode(options)}")[0]
    except OSError as error:  # it asks AWS for the bucket's region
        raise LakeError(
            f"the bucket is not found ({error})", where=f"s3://{name}", todo="Check its name, and that S3 is reachable."
        ) from error


def scheme(path: str) -> str:
    """`s3://` of an S3 URI, nothing for a local path: what has to stand before a path that pyarrow returns."""
    start = path.split("://")[0] + "://" if "://" in path else ""
    return "" if start == "file://" else start


def find(paths: Sequence[str], endings: Iterable[str], *, whole: bool = True, encoding: str = "utf-8") -> list[Source]:
    """The files that paths name, each a file, a folder (its files with one of `endings`) or a glob in
    the last part, sorted by path.

    Raises LakeError where a path names nothing, a file is empty or, if they are to be `whole`, a truncated BGZF.
    """
    found = {file: None for path in paths for file in _files(path, tuple(endings))}
    return [replace(inspect(path, whole=whole), encoding=encoding) for path in sorted(found)]


def _files(path: str, endings: tuple[str, ...]) -> list[str]:
    system, inside = filesystem(path)
    kind = system.get_file_info(inside).type
    if kind == fs.FileType.File:
        return [scheme(path) + inside]
    if kind == fs.FileType.Directory:
        listed = system.get_file_info(fs.FileSelector(inside, recursive=True))
        names = [info.path for info in listed if info.is_file and info.path.endswith(endings)]
        nothing = f"the folder has no file that ends in {', '.join(endings)}"
    else:
        try:
            listed = system.get_file_info(fs.FileSelector(posixpath.dirname(inside)))
        except FileNotFoundError:  # allow_not_found would also pass over a bucket that is not there
            listed = []
        names = [info.path for info in listed if info.is_file and fnmatch.fnmatch(info.path, inside)]
        nothing = "no such file"
    if not names:
        raise LakeError(nothing, where=path, todo="Check the path: a file, a folder or a glob is taken.")
    return [scheme(path) + name for name in names]


def inspect(path: str, *, whole: bool = True) -> Source:
    """The size and container of a file. Raises LakeError for an empty one and, if it is to be `whole`, for BGZF without
    its end: reading it tells of that (lines.Gap), too.
    """
    system, inside = filesystem(path)
    size = system.get_file_info(inside).size
    if not size:
        raise LakeError("the file is empty", where=path, todo="Fetch it again.")
    with system.open_input_file(inside) as file:
        head = file.read(18)
        if not head.startswith(GZIP_MAGIC):
            return Source(path, size, "plain")
        if not (len(head) == 18 and head[3] & 4 and head[12:14] == b"BC"):
            return Source(path, size, "gzip")
        file.seek(max(0, size - len(BGZF_EOF)))
        if whole and file.read() != BGZF_EOF:
            raise LakeError(
                "the BGZF file is truncated: its end-of-file block is missing",
                where=path,
                todo="Fetch it again, or, if it is known to be whole, write it anew with bgzip.",
            )
    return Source(path, size, "bgzf")


def sha256(path: str) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    system, inside = filesystem(path)
    digest = hashlib.sha256()
    with system.open_input_stream(inside, compression=None) as file:
        while block := file.read(8 << 20):  # in S3 each is a request
            digest.update(block)
    return digest.hexdigest()
