"""The publication of a table of three files on S3 that kills itself at a step, of those that tests/forked.py runs: with
the table, the run's name, the rows of a file, and the step. The run `none` only completes what another left.

A step is a copy or a deletion of objects, or a file written.
"""

import os
import signal
from collections.abc import Callable, Iterable
from typing import Any
from unittest import mock

import pyarrow as pa
import pyarrow.parquet as pq

from genomicslake import publish_s3, rejects, s3
from genomicslake.job import table_at
from genomicslake.publish_s3 import S3Table
from genomicslake.reasons import Problem, Reason
from tests import forked


def publish(path: str, run: str, rows: int, last: int) -> int:
    """Publish a table, and die at a step; without that, the number of steps."""
    steps = 0

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def step(*given: Any, **named: Any) -> Any:
            nonlocal steps
            steps += 1
            if steps == last:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*given, **named)

        return step

    def each(copy: Callable[..., Any], values: Iterable[Any]) -> list[Any]:
        return [counted(copy)(value) for value in values]

    table = table_at(path)
    assert isinstance(table, S3Table)
    if run != "none":
        table.prepare()
        for name in ("a", "b c", run):
            made = pa.table({"position": range(rows)})
            pq.write_table(made, f"{table._data}/sampleid={name}/part-0.parquet", filesystem=table.system)
        rejected = rejects.Writer(f"{table.folder('source-0')}/rejects-00000.parquet", "source")
        rejected.add(rejects.Rejected(7, Problem(Reason.CALL, "bad"), b"record"))
        rejected.close()
    with (
        mock.patch.object(publish_s3, "each", each),
        mock.patch.object(s3, "delete", counted(s3.delete)),
        mock.patch.object(S3Table, "_write", counted(S3Table._write)),
        mock.patch.object(pq, "write_table", counted(pq.write_table)),
    ):
        if run == "none":
            table.prepare()
        else:
            assert table.rows_written() == 3 * rows
            table.publish({"dataset": table.name, "run_id": run, "rows": 3 * rows, "identity": run})
            table.discard()
    return steps


if __name__ == "__main__":
    s3._client()  # here, once, and not in each process
    forked.serve(publish)
