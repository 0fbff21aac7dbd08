"""Tables are written aside, counted, and only then put in the place where readers look.

A table is a folder of Parquet files and `_load.json`, the record of the load that made it. Beside it stand
`rejects/` and `loads/`, Parquet files of one load each; while a job runs, also `.staging-TABLE/`. How a table
gets to its place depends on what the folder is: see publish_local and publish_s3.
"""

import json
import posixpath
import re
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from genomicslake import s3
from genomicslake.errors import LakeError
from genomicslake.sources import HADOOP_SAFE, filesystem, scheme

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
THREADS = 32  # requests at a time; they wait for S3 more than they compute

_NAME = re.compile(r"[a-z][a-z0-9_]*")  # what Athena takes as a table's name


class Table(ABC):
    """A table of the lake: the folder `path`, whose last part is the table's name.

    Paths are local ones or S3 URIs, as Spark and sources.filesystem take them. A job writes into `data` and into
    folders of `folder`, all in its own part of `.staging-TABLE/`: tasks of one that failed may still be writing.
    """

    def __init__(self, path: str) -> None:
        self.system, self._inside = filesystem(path.rstrip("/"))
        before = scheme(path)
        self.path = before + self._inside
        parent, self.name = posixpath.split(self._inside)
        if not re.fullmatch(HADOOP_SAFE, self._inside):
            raise LakeError(
                "Spark takes characters of this path for something else",
                where=path,
                todo="Use letters, digits, spaces and /_.@+=- in --output_path.",
            )
        if not _NAME.fullmatch(self.name):
            raise LakeError(
                f"{self.name!r} can't be a table's name", where=path, todo="Use lower-case letters, digits and _."
            )
        self.parent = before + parent
        self._parent = parent
        self._aside = f"{parent}/.staging-{self.name}"
        self._staging = f"{self._aside}/{uuid.uuid4().hex}"
        self._data = f"{self._staging}/data"
        self.staging, self.data = before + self._staging, before + self._data

    @abstractmethod
    def locked(self) -> AbstractContextManager[None]:
        """Keep other jobs away from the table, as far as the place allows. Raises LakeError where one is at work."""

    @abstractmethod
    def prepare(self) -> str | None:
        """Put right what a job that died left behind; the run whose publication that completed, if any.

        Raises LakeError where something else than a table stands in its place.
        """

    @abstractmethod
    def folder(self, name: str) -> str:
        """A new folder aside, beside `data`, or `data` itself; Spark makes that one itself."""

    @abstractmethod
    def rows_written(self) -> int:
        """The rows in the Parquet files written aside, by their footers; nothing else there is part of the table."""

    @abstractmethod
    def publish(self, load: dict[str, Any]) -> None:
        """Put the table, its rejects and the record of its load in their places, once all is written."""

    @abstractmethod
    def discard(self) -> None:
        """Take away what was written aside, unless it is needed to complete the publication."""

    @property
    @abstractmethod
    def standing(self) -> str:
        """What has become of the table so far, to be told with a failure."""

    def current(self) -> dict[str, Any] | None:
        """The record of the load that made the table as it stands; None where there is no whole table."""
        try:
            with self.system.open_input_stream(f"{self._inside}/{LOAD}") as file:
                load: dict[str, Any] = json.loads(file.read())
            return load if self._count(self._files(self._inside)) == load["rows"] else None
        except (OSError, ValueError, KeyError, pa.ArrowException) as error:
            if s3.is_failure(error):
                raise
            return None  # none, or damaged: made anew

    def _files(self, folder: str) -> list[str]:
        """The Parquet files in a folder and below, without those that Spark and Athena pass over by their names."""
        listed = self.system.get_file_info(fs.FileSelector(folder, recursive=True, allow_not_found=True))
        paths = [info.path for info in listed if info.is_file and info.path.endswith(".parquet")]
        return [path for path in paths if not re.search(r"/[_.]", path.removeprefix(folder))]

    def _count(self, paths: Iterable[str]) -> int:
        """The rows of Parquet files, by their footers."""
        return sum(each(lambda path: int(pq.read_metadata(path, filesystem=self.system).num_rows), paths))

    def _record(self, load: dict[str, Any]) -> dict[str, str]:
        """Complete the rejected records written aside and write the record of the load; where each of these files
        stands, and where it goes.
        """
        moves = {}
        asides = [path for path in self._files(self._staging) if posixpath.basename(path).startswith("rejects-")]
        for number, path in enumerate(sorted(asides)):
            rejects = pq.read_table(path, filesystem=self.system)
            for name in ("dataset", "run_id"):
                index = rejects.schema.get_field_index(name)
                rejects = rejects.set_column(index, name, pa.repeat(load[name], len(rejects)))
            pq.write_table(rejects, path, filesystem=self.system)
            moves[path] = f"{self._parent}/rejects/{self.name}-{load['run_id']}-{number:05d}.parquet"
        record = f"{self._staging}/load.parquet"
        pq.write_table(pa.Table.from_pylist([load], LOADS), record, filesystem=self.system)
        return moves | {record: f"{self._parent}/loads/{self.name}-{load['run_id']}.parquet"}


def each(function: Callable[[Any], Any], values: Iterable[Any]) -> list[Any]:
    """What a function returns for each value, by threads; the first error is raised."""
    with ThreadPoolExecutor(THREADS) as threads:
        return list(threads.map(function, values))
