"""A job that is killed at whatever step leaves the older table or the newer one; the next run puts things right."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests import forked, killed

OLDER, NEWER = ["o1", "o2", "bad"], ["n1", "n2", "n3", "bad", "bad"]
MOST = 400  # steps

Dies = Callable[[Path, str, int], int | None]


def given(folder: Path, name: str, lines: list[str]) -> str:
    path = folder / f"{name}.txt"
    path.write_text("\n".join(lines), encoding="utf-8")
    return str(path)


@pytest.fixture(scope="module")
def job_dies() -> Iterator[Dies]:
    """Runs a job that is killed at a step; the number of steps where it comes to its end first."""
    with forked.forks("tests.killed") as run:
        yield lambda table, path, step: run(str(table), path, step)


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


def test_a_job_that_is_killed_at_any_step(made: Path, job_dies: Dies, tmp_path: Path) -> None:
    newer = given(tmp_path, "newer", NEWER)
    found, step, last = [], 0, None
    while last is None:
        step += 1
        assert step < MOST
        lake = tmp_path / f"lake-{step}"
        shutil.copytree(made / "lake", lake)
        last = job_dies(lake / "variants", newer, step)
        found.append(rows(lake / "variants"))
        killed.run(str(lake / "variants"), newer)
        assert is_right(lake), step
    assert last == step - 1
    changes = [number for number in range(1, len(found)) if found[number] != found[number - 1]]
    assert (found[0], len(changes), found[-1]) == (whole(OLDER), 1, whole(NEWER))
    assert last >= 30
    print(f"killed at {last} steps")


def test_a_job_that_is_killed_while_it_completes_another(made: Path, job_dies: Dies, tmp_path: Path) -> None:
    """The first died when the newer table stood and its records did not; each next one dies a step later."""
    newer, table = given(tmp_path, "newer", NEWER), tmp_path / "lake" / "variants"
    shutil.copytree(made / "lake", table.parent)
    step = 0
    while rows(table) != whole(NEWER):
        step += 1
        assert job_dies(table, newer, step) is None
    assert records(table.parent, "loads") == ["older"]
    step = 0
    while job_dies(table, newer, step := step + 1) is None:
        assert rows(table) == whole(NEWER)
    assert is_right(table.parent)
