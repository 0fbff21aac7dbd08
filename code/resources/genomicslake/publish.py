"""Tables are written aside, counted, and only then put in the place where readers look.

A table is a folder of Parquet files and `_load.json`, the record of the load that made it. Beside it stand
`rejects/` and `loads/`, Parquet files of one load each; while a job runs, also `.staging-TABLE/` and
`.previous-TABLE/`.
"""

import fcntl
import hashlib
import json
import re
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from genomicslake.errors import LakeError
from genomicslake.sources import HADOOP_SAFE, filesystem

LOAD = "_load.json"
LOADS = pa.schema(
    [
        ("dataset", pa.string()),
        ("run_id", pa.string()),
        ("loaded_at", pa.string()),  # ISO 8601, UTC
        ("identity", pa.string()),  # SHA-256 of inputs, options and code: the same identity makes the same table
        ("rows", pa.int64()),
        ("reference_genome", pa.string()),
        ("coordinate_base", pa.string()),
        ("release_date", pa.string()),
        (
            "sources",
            pa.list_(
                pa.struct(
                    [
                        ("path", pa.string()),
                        ("sha256", pa.string()),
                        ("bytes", pa.int64()),
                        ("samples", pa.list_(pa.string())),  # of the header; none for ClinVar
                        ("records", pa.int64()),
                        ("loaded", pa.int64()),
                        ("rejected", pa.int64()),
                    ]
                )
            ),
        ),
        ("options", pa.string()),  # JSON
        ("hail_version", pa.string()),
        ("spark_version", pa.string()),
        ("code_version", pa.string()),
        ("code_commit", pa.string()),
    ]
)

_NAME = re.compile(r"[a-z][a-z0-9_]*")  # what Athena takes as a table's name


class Table:
    """A table of the lake: the folder `path`, whose last part is the table's name."""

    def __init__(self, path: str) -> None:
        if "://" in path and not path.startswith("file://"):
            raise LakeError(
                "tables are published to local folders only so far",
                where=path,
                todo="Publishing to S3 comes with the stacks; pass a local --output_path.",
            )
        _, inside = filesystem(path.rstrip("/"))
        self.path = Path(inside)
        self.name = self.path.name
        if not re.fullmatch(HADOOP_SAFE, inside):
            raise LakeError(
                "Spark takes characters of this path for something else",
                where=path,
                todo="Use letters, digits, spaces and /_.@+=- in --output_path.",
            )
        if not _NAME.fullmatch(self.name):
            raise LakeError(
                f"{self.name!r} can't be a table's name", where=path, todo="Use lower-case letters, digits and _."
            )
        self.parent = self.path.parent
        self._aside = self.parent / f".staging-{self.name}"
        self.staging = self._aside / uuid.uuid4().hex  # its own: tasks of a job that failed may still be writing
        self.data = self.staging / "data"
        self.is_published = False
        self._previous = self.parent / f".previous-{self.name}"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other jobs away from the table. Raises LakeError where one is at work on it."""
        self.parent.mkdir(parents=True, exist_ok=True)
        own = hashlib.sha256(str(self.path.resolve()).encode()).hexdigest()[:16]
        with Path(tempfile.gettempdir(), f"genomicslake-{own}.lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise LakeError(
                    "another job is writing this table", where=str(self.path), todo="Run this one when it is done."
                ) from error
            yield

    def prepare(self) -> None:
        """Take away what a job that died left behind; the table is as it was before that job."""
        if self._previous.exists() and not self.path.exists():
            self._previous.rename(self.path)
        shutil.rmtree(self._previous, ignore_errors=True)
        self.discard()
        if self.path.exists() and not (self.path / LOAD).is_file() and not _is_empty_folder(self.path):
            raise LakeError(
                "there is something that is no table of this lake",
                where=str(self.path),
                todo="Pass another --output_path, or move it away.",
            )
        self.staging.mkdir(parents=True)

    def discard(self) -> None:
        """Take away what was written aside."""
        shutil.rmtree(self._aside, ignore_errors=True)

    def rows_written(self) -> int:
        """The rows in the Parquet files written aside, by their footers; whatever is not Parquet is removed."""
        self.data.mkdir(exist_ok=True)  # a table may have no rows
        for path in self.data.rglob("*"):
            if path.is_file() and (path.suffix != ".parquet" or path.name.startswith(".")):
                path.unlink()  # checksums that Hadoop writes on local disks
        return count_rows(self.data)

    def publish(self, load: dict[str, Any]) -> None:
        """Put the table, its rejects and the record of its load in their places: all is written, then renamed."""
        (self.data / LOAD).write_text(json.dumps(load, indent=1), encoding="utf-8")
        moves = self._rejects(load)
        record = self.staging / "load.parquet"
        pq.write_table(pa.Table.from_pylist([load], LOADS), record)
        moves.append((record, self.parent / "loads" / f"{self.name}-{load['run_id']}.parquet"))
        for _, to in moves:
            to.parent.mkdir(exist_ok=True)
        if self.path.exists():
            self.path.rename(self._previous)
        try:
            self.data.rename(self.path)
        except OSError:
            if self._previous.exists():
                self._previous.rename(self.path)
            for _, to in moves:
                with suppress(OSError):
                    to.parent.rmdir()  # if it is empty
            raise
        self.is_published = True
        for path, to in moves:
            path.rename(to)
        shutil.rmtree(self._previous, ignore_errors=True)

    def _rejects(self, load: dict[str, Any]) -> list[tuple[Path, Path]]:
        """Complete the rejected records written aside; where they stand, and where they go."""
        moves = []
        for number, part in enumerate(sorted(self.staging.glob("*/rejects-*.parquet"))):
            rejects = pq.read_table(part)
            for name in ("dataset", "run_id"):
                index = rejects.schema.get_field_index(name)
                rejects = rejects.set_column(index, name, pa.repeat(load[name], len(rejects)))
            pq.write_table(rejects, part)
            moves.append((part, self.parent / "rejects" / f"{self.name}-{load['run_id']}-{number:05d}.parquet"))
        return moves

    def current(self) -> dict[str, Any] | None:
        """The record of the load that made the table as it stands; None where there is no whole table."""
        try:
            load: dict[str, Any] = json.loads((self.path / LOAD).read_text(encoding="utf-8"))
            return load if count_rows(self.path) == load["rows"] else None
        except (OSError, ValueError, KeyError, pa.ArrowException):
            return None  # none, or damaged: made anew


def count_rows(folder: Path) -> int:
    """The rows of a folder's Parquet files, by their footers."""
    with ThreadPoolExecutor(16) as threads:
        return sum(threads.map(lambda path: int(pq.read_metadata(path).num_rows), folder.rglob("*.parquet")))


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())
