"""A small job that kills itself at a step, of those that tests/forked.py runs: with its table, its input and the step.

It is the real job around a conversion of its own, which is quick: a line of the input is a row of two samples, or, if
it is `bad`, a rejected record. A step is whatever Python asks of the file system: making, opening, renaming or
deleting a file or folder of the lake.
"""

import argparse
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from genomicslake import job
from genomicslake.job import Counts, Result
from genomicslake.publish import Table
from genomicslake.publish_local import LocalTable
from genomicslake.reasons import Problem, Reason
from genomicslake.rejects import Rejected, Writer
from genomicslake.sources import filesystem
from tests import forked

STEPS = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.scandir", "shutil.rmtree", "ctypes.dlsym"}


def convert(_: argparse.Namespace, counts: list[Counts], table: Table) -> Result:
    """Write the rows aside, a folder a sample."""
    count = counts[0]
    lines = Path(count.source.path).read_text(encoding="utf-8").split()
    good = [line for line in lines if line != "bad"]
    for sample in ("a", "b c"):
        system, folder = filesystem(f"{table.data}/sampleid={sample}")
        if isinstance(table, LocalTable):
            Path(folder).mkdir(parents=True)
        pq.write_table(pa.table({"value": good}), f"{folder}/part-{count.sha256}.parquet", filesystem=system)
    rejected = Writer(f"{table.folder('source-0')}/rejects-00000.parquet", count.source.path)
    for number, line in enumerate(lines, 1):
        if line == "bad":
            rejected.add(Rejected(number, Problem(Reason.COLUMNS, "bad"), line.encode()))
    rejected.close()
    count.records, count.loaded, count.rejected = len(lines), len(good), rejected.count
    count.rows = 2 * len(good)
    return Result(False, None, "", None, "", counts)


def run(table: str, path: str) -> None:
    """Load a file."""
    options = job.parser("A small job.").parse_args(
        ["--input_path", path, "--output_path", table, "--on_error", "reject"]
    )
    job.run(options, (".txt",), convert)


def counted(table: str, path: str, last: int) -> int:
    """Load a file, and die at a step; without that, the number of steps."""
    lake, step = str(Path(table).parent), 0

    def count(event: str, given: tuple[Any, ...]) -> None:
        nonlocal step
        if event in STEPS and (event == "ctypes.dlsym" or any(str(one).startswith(lake) for one in given)):
            step += 1
            if step == last:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)
    run(table, path)
    return step


if __name__ == "__main__":
    forked.serve(counted)
