"""A job that is killed at whatever step leaves the older table or the newer one; the next run puts things right."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests import killed

ROOT = Path(__file__).resolve().parents[1]
OLDER, NEWER = ["o1", "o2", "bad"], ["n1", "n2", "n3", "bad", "bad"]
MOST = 400  # steps

kills: list[str] = []


def given(folder: Path, name: str, lines: list[str]) -> str:
    path = folder / f"{name}.txt"
    path.write_text("\n".join(lines), encoding="utf-8")
    return str(path)


class Jobs:
    """Runs small jobs (tests/killed.py), each in a process of its own."""

    def __init__(self) -> None:
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.killed"],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'code' / 'resources'}"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def dies(self, table: Path, path: str, step: int) -> int | None:
        """Load a file with a job that is killed at a step; the number of steps where it comes to its end first."""
        assert self._server.stdin
        assert self._server.stdout
        print(json.dumps([str(table), path, step]), file=self._server.stdin, flush=True)
        code, steps = json.loads(self._server.stdout.readline())
        if code == -signal.SIGKILL:
            kills.append(table.name)
            return None
        assert code == 0
        return int(steps)

    def end(self) -> None:
        self._server.communicate()


@pytest.fixture(scope="module")
def jobs() -> Iterator[Jobs]:
    jobs = Jobs()
    yield jobs
    jobs.end()


def rows(table: Path) -> list[str]:
    """What a reader finds who knows nothing of jobs."""
    files = sorted(table.rglob("*.parquet"))
    return sorted(value for file in files for value in pq.read_table(file)["value"].to_pylist())


def whole(lines: list[str]) -> list[str]:
    return sorted(2 * [line for line in lines if line != "bad"])


def records(lake: Path, name: str) -> list[str]:
    """The input files of the rows in `loads` or `rejects`."""
    found = [row for file in sorted(lake.glob(f"{name}/*.parquet")) for row in pq.read_table(file).to_pylist()]
    paths = [row["source"] if name == "rejects" else row["sources"][0]["path"] for row in found]
    return sorted(Path(path).stem for path in paths)


def is_right(lake: Path) -> bool:
    """The newer table and all that belongs to it, and nothing else."""
    return (
        rows(lake / "variants") == whole(NEWER)
        and records(lake, "loads") == ["newer", "older"]
        and records(lake, "rejects") == ["newer", "newer", "older"]
        and not [path.name for path in lake.iterdir() if path.name.startswith(".")]
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a lake that has a table made of OLDER."""
    folder = tmp_path_factory.mktemp("made")
    killed.run(str(folder / "lake" / "variants"), given(folder, "older", OLDER))
    return folder


def test_a_job_that_is_killed_at_any_step(made: Path, jobs: Jobs, tmp_path: Path) -> None:
    newer = given(tmp_path, "newer", NEWER)
    found, step, last = [], 0, None
    while last is None:
        step += 1
        assert step < MOST
        lake = tmp_path / f"lake-{step}"
        shutil.copytree(made / "lake", lake)
        last = jobs.dies(lake / "variants", newer, step)
        found.append(rows(lake / "variants"))
        killed.run(str(lake / "variants"), newer)
        assert is_right(lake), step
    assert last == step - 1
    changes = [number for number in range(1, len(found)) if found[number] != found[number - 1]]
    assert (found[0], len(changes), found[-1]) == (whole(OLDER), 1, whole(NEWER))
    assert len(kills) >= 30
    print(f"killed at {len(kills)} steps")


def test_a_job_that_is_killed_while_it_completes_another(made: Path, jobs: Jobs, tmp_path: Path) -> None:
    """The first died when the newer table stood and its records did not; each next one dies a step later."""
    newer, table = given(tmp_path, "newer", NEWER), tmp_path / "lake" / "variants"
    shutil.copytree(made / "lake", table.parent)
    step = 0
    while rows(table) != whole(NEWER):
        step += 1
        assert jobs.dies(table, newer, step) is None
    assert records(table.parent, "loads") == ["older"]
    step = 0
    while jobs.dies(table, newer, step := step + 1) is None:
        assert rows(table) == whole(NEWER)
    assert is_right(table.parent)
