"""Contenders on one input, in turns: cold is a whole process, its imports and the start of Spark included; warm is the
same again in a process that has done it once.
"""

import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.measured import Ran, Runs
from benchmarks.measured import run as measured

ROOT = Path(__file__).resolve().parents[1]
PEERS = ROOT / ".venv-bench" / "bin" / "python"
TIMES = 3
SLOW = 30  # seconds cold, from which on a contender runs no more than TWICE
TWICE = 2

Rows = tuple[int, str | None]  # how many, and their checksum


def run(contests: Sequence["Contest"], path: Path, output: Path, warm: int = SLOW) -> dict[str, Any]:
    """Run all on an input, warm, too, if they take less than so many seconds cold; what each took and made."""
    for turn in range(TIMES):
        for one in contests:
            if turn >= TWICE and min(one.runs.cold) > SLOW:
                continue
            one.run_cold(path, output)
            print(f"turn {turn + 1}, {one.label}: {one.runs.cold[-1]:.1f} s cold", flush=True)
    for one in contests:
        if min(one.runs.cold) < warm:
            one.run_warm(path, output)
            print(f"{one.label}: {', '.join(f'{seconds:.1f}' for seconds in one.runs.warm)} s warm", flush=True)
    return {one.label: one.told() for one in contests}


class Contest:
    """What one contender takes and makes."""

    def __init__(self, label: str, python: str, module: str, rows: Callable[[str, list[Path]], Rows]) -> None:
        self.label, self.runs, self._rows_of = label, Runs(), rows
        self.command = [python, "-m", f"benchmarks.{module}", label]
        self.rows: Rows = (0, None)
        self.bytes, self.files = 0, 0

    def run_cold(self, path: Path, folder: Path) -> None:
        """Run it as a process of its own."""
        ran = self._run(path, folder, 1)
        self.runs.cold.append(ran.seconds)
        self.runs.memory.append(ran.memory)

    def run_warm(self, path: Path, folder: Path) -> None:
        """Run it several times in one process, the first of which does not count."""
        self.runs.warm = json.loads(self._run(path, folder, 1 + TIMES).output.splitlines()[-1])[1:]

    def _run(self, path: Path, folder: Path, times: int) -> Ran:
        folder.mkdir(exist_ok=True)
        output = Path(tempfile.mkdtemp(dir=folder))  # inodes that were just deleted cost who makes new ones on ext4
        modules = f"{ROOT}:{ROOT / 'code' / 'resources'}:{ROOT / 'code' / 'resources' / 'scripts'}"
        ran = measured([*self.command, str(path), str(output), str(times)], {"PYTHONPATH": modules})
        files = [
            file for file in (output / "0").rglob("*.parquet") if not {"loads", "rejects", "clustered"} & {*file.parts}
        ]
        self.bytes, self.files = sum(file.stat().st_size for file in files), len(files)
        self.rows = self.rows if self.rows[0] else self._rows_of(self.label, files)
        return ran

    def told(self) -> dict[str, Any]:
        """All of it."""
        return {
            "cold": self.runs.cold,
            "warm": self.runs.warm,
            "memory": self.runs.memory,
            "bytes": self.bytes,
            "files": self.files,
            "rows": self.rows[0],
            "checksum": self.rows[1],
        }
