"""A command as a process of its own: how long it takes, and the most memory that all its processes have at a time."""

import os
import statistics
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

EVERY = 0.25  # seconds between two looks at the memory


@dataclass
class Runs:
    """What several runs of a contender took: seconds as whole processes (cold), seconds within one that has run it
    before (warm), the peak of memory in bytes.
    """

    cold: list[float] = field(default_factory=list)
    warm: list[float] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)

    def median(self, name: str) -> float | None:
        """The median of one of these."""
        found = getattr(self, name)
        return statistics.median(found) if found else None


@dataclass(frozen=True)
class Ran:
    """One run: its seconds, the peak of its memory in bytes, and what it said."""

    seconds: float
    memory: int
    output: str


def run(command: Sequence[str], environment: Mapping[str, str]) -> Ran:
    """Run a command to its end. Raises RuntimeError if it fails."""
    start = time.perf_counter()
    with subprocess.Popen(
        command,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        peak = _Peak(process.pid)
        output, errors = process.communicate()
        seconds = time.perf_counter() - start
        memory = peak.ended()
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{errors[-2_000:]}")
    return Ran(seconds, memory, output)


class _Peak:
    """Looks at the memory of a session's processes; what they share counts once (PSS)."""

    def __init__(self, session: int) -> None:
        self._session, self._peak = session, 0
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def _look(self) -> None:
        while not self._is_over.wait(EVERY):
            self._peak = max(self._peak, sum(map(_memory, _processes(self._session))))

    def ended(self) -> int:
        self._is_over.set()
        self._thread.join()
        return self._peak


def _processes(session: int) -> list[Path]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            fields = (process / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended
        if int(fields[3]) == session:
            found.append(process)
    return found


def _memory(process: Path) -> int:
    try:
        told = (process / "smaps_rollup").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) << 10 for line in told.splitlines() if line.startswith("Pss:")), 0)
