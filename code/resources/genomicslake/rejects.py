"""The table `rejects`: every record that could not be loaded, with where it stands and why."""

from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import fs

from genomicslake.records import Problem
from genomicslake.sources import filesystem

RECORD_LENGTH = 65_536  # characters of a record that are kept
SHOWN = 5  # records that a message shows
SCHEMA = pa.schema(
    [
        ("dataset", pa.string()),
        ("source", pa.string()),
        ("line", pa.int64()),  # from 1
        ("reason", pa.string()),  # records.Reason
        ("detail", pa.string()),
        ("record", pa.string()),
        ("run_id", pa.string()),
    ]
)


@dataclass(frozen=True)
class Rejected:
    """A record that can't be loaded; `line` counts from 1."""

    line: int
    problem: Problem
    record: bytes

    def moved(self, lines: int) -> "Rejected":
        """The same, that many lines further down."""
        return replace(self, line=self.line + lines)


def write(path: str, source: str, rejected: list[Rejected]) -> None:
    """Write rejected records, if any, to a Parquet file."""
    rows: list[dict[str, Any]] = [
        {
            "source": source,
            "line": bad.line,
            "reason": str(bad.problem.reason),
            "detail": bad.problem.detail,
            "record": bad.record.decode("utf-8", "backslashreplace")[:RECORD_LENGTH],
        }
        for bad in rejected
    ]
    if rows:
        system, inside = filesystem(path)
        pq.write_table(pa.Table.from_pylist(rows, SCHEMA), inside, filesystem=system)


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
