"""The table `rejects`: every record, and every field of one, that could not be loaded, with where it stands and why."""

from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import fs

from genomicslake.reasons import Problem
from genomicslake.sources import filesystem

RECORD_LENGTH = 65_536  # characters of a record that are kept
SHOWN = 5  # records that a message shows
BATCH = 1_000  # records that are held before they are written
SCHEMA = pa.schema(
    [
        ("dataset", pa.string()),
        ("source", pa.string()),
        ("line", pa.int64()),  # from 1
        ("field", pa.string()),  # QUAL, INFO/… or FORMAT/…, where that alone was left out; null for a whole record
        ("reason", pa.string()),  # reasons.Reason
        ("detail", pa.string()),
        ("record", pa.string()),
        ("run_id", pa.string()),
    ]
)


@dataclass(frozen=True)
class Rejected:
    """A record that can't be loaded, or not with all its fields; `line` counts from 1."""

    line: int
    problem: Problem
    record: bytes

    def moved(self, lines: int) -> "Rejected":
        """The same, that many lines further down."""
        return replace(self, line=self.line + lines)


class Writer:
    """Writes rejected records, if any, to a Parquet file."""

    def __init__(self, path: str, source: str) -> None:
        self.count = 0
        self._path, self._source = path, source
        self._rows: list[dict[str, Any]] = []
        self._file: Any = None

    def add(self, bad: Rejected) -> None:
        """Take a record, cut at RECORD_LENGTH characters."""
        self.count += 1
        self._rows.append(
            {
                "source": self._source,
                "line": bad.line,
                "field": bad.problem.field,
                "reason": str(bad.problem.reason),
                "detail": bad.problem.detail,
                "record": bad.record[: 4 * RECORD_LENGTH].decode("utf-8", "backslashreplace")[:RECORD_LENGTH],
            }
        )
        if len(self._rows) == BATCH:
            self._flush()

    def close(self) -> None:
        """Write what is still held."""
        self._flush()
        if self._file:
            self._file.close()

    def _flush(self) -> None:
        if self._rows and not self._file:
            system, inside = filesystem(self._path)
            self._file = pq.ParquetWriter(inside, SCHEMA, filesystem=system)
        if self._rows:
            self._file.write_table(pa.Table.from_pylist(self._rows, SCHEMA))
            self._rows = []


def move(path: str, lines: int) -> None:
    """Add to the line numbers in a Parquet file of rejected records, if it is there."""
    system, inside = filesystem(path)
    if lines and system.get_file_info(inside).type == fs.FileType.File:
        table = pq.read_table(inside, filesystem=system)
        moved = table.set_column(SCHEMA.get_field_index("line"), "line", pc.add(table["line"], lines))
        pq.write_table(moved, inside, filesystem=system)


def shown(rejected: list[Rejected]) -> str:
    """The first of some rejected records, a line each."""
    return "\n".join(f"  line {bad.line}: {bad.problem.detail}" for bad in rejected[:SHOWN])
