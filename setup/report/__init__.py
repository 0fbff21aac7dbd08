"""The drug-response report: a table on the console, drug_response.csv, and index.html.

    from setup.report import DrugResponse, Facts, show, write

    show(rows, console)          # the table
    write(folder, rows, facts)   # folder/drug_response.csv, folder/index.html

The page is one file that asks the network for nothing; the same rows and facts give the same bytes.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from setup.report.page import page
from setup.report.rows import DrugResponse, Facts, csv_text
from setup.report.table import show

__all__ = ["DrugResponse", "Facts", "show", "write"]


def write(folder: Path, rows: Sequence[DrugResponse], facts: Facts) -> None:
    """Write drug_response.csv and index.html into `folder`, which is made if it is not there.

    Both are complete under a temporary name before either takes its place: a reader sees the old
    file or the new one, never half of one, and a failure leaves what was there.
    """
    contents = {"drug_response.csv": csv_text(rows), "index.html": page(rows, facts)}
    folder.mkdir(parents=True, exist_ok=True)
    parts = {name: folder / f".{name}.{os.getpid()}.part" for name in contents}
    try:
        for name, text in contents.items():
            parts[name].write_text(text, encoding="utf-8", newline="")
        for name, part in parts.items():
            part.replace(folder / name)
    finally:
        for part in parts.values():
            part.unlink(missing_ok=True)
