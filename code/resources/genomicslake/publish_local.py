"""Tables on a local disk: the folder written aside is renamed, so readers see the older table or the newer one.

In the moment between two renames neither is there; the older one then stands in `.previous-TABLE/`, from where the
next job takes it back.
"""

import fcntl
import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from genomicslake.errors import LakeError
from genomicslake.publish import LOAD, Table


class LocalTable(Table):
    """A table in a local folder."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._place = Path(self.path)
        self._previous = Path(self.parent) / f".previous-{self.name}"
        self._is_published = False

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other jobs of this machine away from the table. Raises LakeError where one is at work on it."""
        self._place.parent.mkdir(parents=True, exist_ok=True)
        own = hashlib.sha256(str(self._place.resolve()).encode()).hexdigest()[:16]
        with Path(tempfile.gettempdir(), f"genomicslake-{own}.lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise LakeError(
                    "another job is writing this table", where=self.path, todo="Run this one when it is done."
                ) from error
            yield

    def prepare(self) -> None:
        """Take away what a job that died left behind; the table is as it was before that job."""
        if self._previous.exists() and not self._place.exists():
            self._previous.rename(self._place)
        shutil.rmtree(self._previous, ignore_errors=True)
        self.discard()
        if self._place.exists() and not (self._place / LOAD).is_file() and not _is_empty_folder(self._place):
            raise LakeError(
                "there is something that is no table of this lake",
                where=self.path,
                todo="Pass another --output_path, or move it away.",
            )
        Path(self.staging).mkdir(parents=True)

    def folder(self, name: str) -> str:
        """A new folder aside, beside `data`, or `data` itself; Spark makes that one itself."""
        made = Path(self.staging) / name
        made.mkdir()
        return str(made)

    def discard(self) -> None:
        """Take away what was written aside."""
        shutil.rmtree(self._aside, ignore_errors=True)

    def rows_written(self) -> int:
        """The rows in the Parquet files written aside, by their footers; whatever is not Parquet is removed."""
        data = Path(self.data)
        data.mkdir(exist_ok=True)  # a table may have no rows
        for path in data.rglob("*"):
            if path.is_file() and (path.suffix != ".parquet" or path.name.startswith(".")):
                path.unlink()  # checksums that Hadoop writes on local disks
        return self._count(self._files(self.data))

    def publish(self, load: dict[str, Any]) -> None:
        """Put the table, its rejects and the record of its load in their places: all is written, then renamed."""
        data = Path(self.data)
        (data / LOAD).write_text(json.dumps(load, indent=1), encoding="utf-8")
        moves = [(Path(path), Path(to)) for path, to in self._record(load).items()]
        for _, to in moves:
            to.parent.mkdir(exist_ok=True)
        if self._place.exists():
            self._place.rename(self._previous)
        try:
            data.rename(self._place)
        except OSError:
            if self._previous.exists():
                self._previous.rename(self._place)
            for _, to in moves:
                with suppress(OSError):
                    to.parent.rmdir()  # if it is empty
            raise
        self._is_published = True
        for path, to in moves:
            path.rename(to)
        shutil.rmtree(self._previous, ignore_errors=True)

    @property
    def standing(self) -> str:
        """What has become of the table so far, to be told with a failure."""
        return "The table was published before that." if self._is_published else "Nothing was published."


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())
