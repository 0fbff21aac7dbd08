"""Tables on a local disk: the folder written aside and the table's change places, so readers see the one or the other.

Linux exchanges two folders at once. Where the system or the file system can't, there are two renames, between which
neither table is there; the older one then stands in `.previous-TABLE/`, from where the next job takes it back.

What belongs to the table, its rejects and the record of its load, is moved behind that. `.staging-TABLE/publish.json`
lists it before; of a job that dies in between, the next one moves the rest.
"""

import ctypes
import errno
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from genomicslake.errors import LakeError
from genomicslake.publish import LOAD, MANIFEST, Table


class LocalTable(Table):
    """A table in a local folder."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._place = Path(self.path)
        self._previous = Path(self.parent) / f".previous-{self.name}"
        self._manifest = Path(self.parent) / f".staging-{self.name}" / MANIFEST
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

    def prepare(self) -> str | None:
        """Complete the publication that a job began before it died, or take away what it wrote before that; the run
        that was completed, if any.
        """
        if self._previous.exists() and not self._place.exists():
            self._previous.rename(self._place)
        shutil.rmtree(self._previous, ignore_errors=True)
        run = self._completed()
        self.discard()
        if self._place.exists() and not (self._place / LOAD).is_file() and not _is_empty_folder(self._place):
            raise LakeError(
                "there is something that is no table of this lake",
                where=self.path,
                todo="Pass another --output_path, or move it away.",
            )
        Path(self.staging).mkdir(parents=True)
        return run

    def _completed(self) -> str | None:
        """Move the records of the table that stands, if a job died before it had moved them all; its run."""
        try:
            manifest = json.loads(self._manifest.read_text(encoding="utf-8"))
            current = json.loads((self._place / LOAD).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        if manifest["run_id"] != current["run_id"]:
            return None
        self._move(manifest["moves"])
        return str(manifest["run_id"])

    def folder(self, name: str) -> str:
        """A new folder aside, beside `data`, or `data` itself; Spark makes that one itself."""
        made = Path(self.staging) / name
        made.mkdir()
        return str(made)

    def discard(self) -> None:
        """Take away what was written aside, unless it is needed to complete the publication."""
        if not (self._is_published and self._manifest.exists()):
            shutil.rmtree(self.aside, ignore_errors=True)

    def written(self) -> list[str]:
        """The paths of the Parquet files written aside; whatever is not Parquet is removed."""
        data = Path(self.data)
        data.mkdir(exist_ok=True)  # a table may have no rows
        for path in data.rglob("*"):
            if path.is_file() and (path.suffix != ".parquet" or path.name.startswith(".")):
                path.unlink()  # checksums that Hadoop writes on local disks
        return self._files(self.data)

    def publish(self, load: dict[str, Any], kept: Collection[str] = ()) -> None:
        """Put the table, its rejects and the record of its load in their places: all is written, then renamed."""
        data = Path(self.data)
        stay = {path: self._data + path.removeprefix(self.path) for path in kept}
        for path, to in self._places(
            self._data, stay.values()
        ).items():  # a table copied to S3 has the names that its next load gives
            Path(path).rename(to)
        for path, to in stay.items():
            _link(Path(path), Path(to))
        (data / LOAD).write_text(json.dumps(load, indent=1), encoding="utf-8")
        manifest = {"run_id": load["run_id"], "moves": self._record(load)}
        self._manifest.write_text(json.dumps(manifest, indent=1), encoding="utf-8")
        if not self._place.exists():
            data.rename(self._place)
        elif not _exchanged(data, self._place):
            self._place.rename(self._previous)
            try:
                data.rename(self._place)
            except OSError:
                self._previous.rename(self._place)
                raise
        self._is_published = True
        self._move(manifest["moves"])
        self._manifest.unlink()
        shutil.rmtree(self._previous, ignore_errors=True)

    def _move(self, moves: dict[str, str]) -> None:
        for path, to in moves.items():
            if Path(path).exists():  # else a job that died has moved it
                Path(to).parent.mkdir(exist_ok=True)
                Path(path).rename(to)

    @property
    def standing(self) -> str:
        """What has become of the table so far, to be told with a failure."""
        return "The table was published before that." if self._is_published else "Nothing was published."


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())


def _link(path: Path, to: Path) -> None:
    """Give a file a second name, or, where the file system has no links, a copy."""
    to.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(path, to)
    except OSError:
        shutil.copy2(path, to)


def _exchanged(one: Path, other: Path) -> bool:
    """Let two folders change places, at once; False where this system or its file system can't. Raises OSError."""
    exchange = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if not exchange:
        return False
    if not exchange(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE):
        return True
    code = ctypes.get_errno()
    if code in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
        return False
    raise OSError(code, os.strerror(code), str(one), None, str(other))


_HERE, _EXCHANGE = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of Linux
