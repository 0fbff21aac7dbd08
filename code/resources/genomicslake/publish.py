"""Tables are written aside, counted, and only then put in the place where readers look.

Beside a table's folder stand `rejects/` and `loads/`, one Parquet file a load that had any, and, only while
a job runs, `.staging-TABLE/` and `.previous-TABLE/`.
"""

import posixpath
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from genomicslake.errors import LakeError
from genomicslake.sources import filesystem

LOADS = pa.schema(
    [
        ("dataset", pa.string()),
        ("run_id", pa.string()),
        ("loaded_at", pa.string()),  # ISO 8601, UTC
        (
            "identity",
            pa.string(),
        ),  # SHA-256 of inputs, options and code: the same identity makes the same table
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


class Table:
    """A table of the lake: the folder `path`, whose last part is the table's name."""

    def __init__(self, path: str) -> None:
        self.path = path.rstrip("/")
        self.parent, self.name = posixpath.split(self.path)
        if "://" in path and not path.startswith("file://"):
            raise LakeError(
                "tables are published to local folders only so far",
                where=path,
                todo="Publishing to S3 comes with the stacks; pass a local --output_path.",
            )
        self.staging = f"{self.parent}/.staging-{self.name}"
        self.data = f"{self.staging}/data"
        self._previous = f"{self.parent}/.previous-{self.name}"

    def prepare(self) -> None:
        """Take away what a job that died left behind; the table is as it was before that job."""
        previous = Path(self._previous)
        if previous.exists() and not Path(self.path).exists():
            previous.rename(self.path)
        shutil.rmtree(previous, ignore_errors=True)
        self.discard()
        Path(self.staging).mkdir(parents=True)

    def discard(self) -> None:
        """Take away what was written aside."""
        shutil.rmtree(self.staging, ignore_errors=True)

    def rows_written(self) -> int:
        """The rows in the Parquet files written aside, by their footers; whatever is not Parquet is removed."""
        system, inside = filesystem(self.data)
        listed = system.get_file_info(fs.FileSelector(inside, recursive=True, allow_not_found=True))
        files = [info.path for info in listed if info.is_file]
        for path in files:
            if not path.endswith(".parquet") or posixpath.basename(path).startswith("."):
                system.delete_file(path)  # checksums that Hadoop writes on local disks
        return count_rows(system, [path for path in files if path.endswith(".parquet")])

    def publish(self, load: dict[str, Any]) -> None:
        """Put the table, its rejects and the record of its load in their places."""
        for part in sorted(Path(self.staging).glob("*/rejects-*.parquet")):
            rejects = pq.read_table(part)
            for name in ("dataset", "run_id"):
                index = rejects.schema.get_field_index(name)
                rejects = rejects.set_column(index, name, pa.repeat(load[name], len(rejects)))
            name = f"{self.name}-{load['run_id']}-{part.parent.name}-{part.stem.removeprefix('rejects-')}.parquet"
            _write(Path(self.parent, "rejects", name), rejects)
        if Path(self.path).exists():
            Path(self.path).rename(self._previous)
        Path(self.data).mkdir(exist_ok=True)  # a table may have no rows
        Path(self.data).rename(self.path)
        shutil.rmtree(self._previous, ignore_errors=True)
        _write(
            Path(self.parent, "loads", f"{self.name}-{load['run_id']}.parquet"),
            pa.Table.from_pylist([load], LOADS),
        )

    def current(self) -> dict[str, Any] | None:
        """The record of the load that made the table as it stands; None where there is no table, or not that one."""
        system, inside = filesystem(self.path)
        if system.get_file_info(inside).type != fs.FileType.Directory:
            return None
        loads = [
            pq.read_table(path).to_pylist()[0] for path in Path(self.parent, "loads").glob(f"{self.name}-*.parquet")
        ]
        latest = max(
            (load for load in loads if load["dataset"] == self.name),
            key=lambda load: load["loaded_at"],
            default=None,
        )
        if latest is None:
            return None
        listed = system.get_file_info(fs.FileSelector(inside, recursive=True))
        files = [info.path for info in listed if info.is_file]
        return latest if count_rows(system, files) == latest["rows"] else None


def count_rows(system: Any, files: list[str]) -> int:
    """The rows of Parquet files, by their footers."""
    with ThreadPoolExecutor(16) as threads:
        return sum(threads.map(lambda path: pq.read_metadata(path, filesystem=system).num_rows, files))


def _write(path: Path, table: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}")
    pq.write_table(table, aside)
    aside.rename(path)
