"""Tables are written aside, counted, and only then put in the place where readers look.

A table is a folder of Parquet files and `_load.json`, the record of the load that made it. Beside it stand
`rejects/` and `loads/`, Parquet files of one load each; while a job runs, also `.staging-TABLE/`. How a table
gets to its place depends on what the folder is: see publish_local and publish_s3.
"""

import itertools
import json
import posixpath
import re
import uuid
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
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
MANIFEST = "publish.json"  # beside what is written aside: what a publication that has begun is to do
LOADS = pa.schema(
    [
        ("dataset", pa.string()),
        ("run_id", pa.string()),
        ("mode", pa.string()),
        ("loaded_at", pa.string()),  # ISO 8601, UTC
        ("identity", pa.string()),  # SHA-256 of inputs, options and code: the same identity makes the same table
        ("rows", pa.int64()),  # of the table, once this load stood
        ("rows_written", pa.int64()),
        ("rows_removed", pa.int64()),
        ("genotypes", pa.string()),  # the checksum of the table's (see checksums), in hexadecimal; null for ClinVar
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
                        ("contigs", pa.list_(pa.string())),  # of the loaded records, by the reference's names
                        ("records", pa.int64()),
                        ("loaded", pa.int64()),
                        ("rejected", pa.int64()),
                        ("rejected_fields", pa.int64()),
                        ("rows", pa.int64()),  # that its loaded records make
                        ("genotypes", pa.string()),
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

_PLACED = re.compile(r"/part-\d{5}\.parquet$")
_NAME = re.compile(r"[a-z][a-z0-9_]*")  # what Athena takes as a table's name


class Table(ABC):
    """A table of the lake: the folder `path`, whose last part is the table's name.

    Paths are local ones or S3 URIs, as Spark and sources.filesystem take them. A job writes into `data` and into
    folders of `folder`, all in its own part of `.staging-TABLE/`: tasks of one that failed may still be writing.
    """

    def __init__(self, path: str) -> None:
        self.system, self.inside = filesystem(path.rstrip("/"))
        before = scheme(path)
        self.path = before + self.inside
        parent, self.name = posixpath.split(self.inside)
        if not re.fullmatch(HADOOP_SAFE, self.inside):
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
        self.aside = f"{parent}/.staging-{self.name}"
        self._staging = f"{self.aside}/{uuid.uuid4().hex}"
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

    def clear(self) -> None:
        """Take away `data` and what was written into it."""
        if self.system.get_file_info(self._data).type == fs.FileType.Directory:
            self.system.delete_dir(self._data)

    @abstractmethod
    def written(self) -> list[str]:
        """The paths of the Parquet files written aside; nothing else there is part of the table."""

    def rows_written(self) -> int:
        """The rows in the Parquet files written aside, by their footers."""
        return self._count(filesystem(path)[1] for path in self.written())

    def files(self) -> list[str]:
        """The paths of the Parquet files of the table as it stands."""
        return [self.path + path.removeprefix(self.inside) for path in self._files(self.inside)]

    @abstractmethod
    def publish(self, load: dict[str, Any], kept: Collection[str] = ()) -> None:
        """Put the table, its rejects and the record of its load in their places, once all is written. Of the files that
        stand, those `kept` stay part of it.
        """

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
            with self.system.open_input_stream(f"{self.inside}/{LOAD}") as file:
                load: dict[str, Any] = json.loads(file.read())
            return load if self._count(self._files(self.inside)) == load["rows"] else None
        except (OSError, ValueError, KeyError, pa.ArrowException) as error:
            if s3.is_failure(error):
                raise
            return None  # none, or damaged: made anew

    def _files(self, folder: str) -> list[str]:
        """The Parquet files in a folder and below, without those that Spark and Athena pass over by their names."""
        listed = self.system.get_file_info(fs.FileSelector(folder, recursive=True, allow_not_found=True))
        paths = [info.path for info in listed if info.is_file and info.path.endswith(".parquet")]
        return [path for path in paths if not re.search(r"/[_.]", path.removeprefix(folder))]

    def _places(self, to: str, kept: Collection[str] = ()) -> dict[str, str]:
        """Where each file written aside goes in the folder `to`. The names are those of every load, so that in S3 a
        sample's newer file takes the place of its older one at once. Those of files that are `kept` there are taken; a
        file that has such a name already is one of the table's, rewritten.
        """
        places: dict[str, str] = {}
        taken = set(kept)
        numbers: dict[str, Iterator[int]] = defaultdict(itertools.count)  # of the files in a folder
        for path in sorted(self._files(self._data), key=lambda path: (not _PLACED.search(path), path)):
            place = to + path.removeprefix(self._data)
            if not _PLACED.search(path):
                folder = posixpath.dirname(place)
                named = (f"{folder}/part-{number:05d}.parquet" for number in numbers[folder])
                place = next(name for name in named if name not in taken)
            places[path] = place
            taken.add(place)
        return places

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
        if "own_sources" in load:  # its row has those of its run, not all that stand
            load = load | {"sources": load["own_sources"]}
        pq.write_table(pa.Table.from_pylist([load], LOADS), record, filesystem=self.system)
        return moves | {record: f"{self._parent}/loads/{self.name}-{load['run_id']}.parquet"}


def each(function: Callable[[Any], Any], values: Iterable[Any]) -> list[Any]:
    """What a function returns for each value, by threads; the first error is raised."""
    with ThreadPoolExecutor(THREADS) as threads:
        return list(threads.map(function, values))
