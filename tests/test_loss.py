"""The real job, killed at random moments or bereft of an executor or a Python worker: right counts or nothing."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests import killed, submitted
from tests.test_failures import head, record
from tests.test_kills import OLDER, given

SCRIPT = submitted.RESOURCES / "scripts" / "vcf_to_parquet.py"
SAMPLES, RECORDS = 400, 2_000
SEED = 5
PATIENCE = 150  # seconds
WRITTEN = ("sampleid=*", "_temporary/0/_temporary")  # by the direct reader's tasks, and by Spark
COMMITS = "spark_sql_sources_commitProtocolClass"
PLAINLY = "org.apache.spark.sql.execution.datasources.SQLHadoopMapReduceCommitProtocol"


def rows(table: Path) -> int:
    return sum(pq.read_metadata(path).num_rows for path in table.rglob("*.parquet"))


def leftovers(lake: Path) -> list[str]:
    return [path.name for path in lake.iterdir() if path.name.startswith(".")]


def processes(folder: Path, word: str) -> list[int]:
    """Those with a word in their command line that work below a folder."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            if word in (process / "cmdline").read_text() and str((process / "cwd").readlink()).startswith(str(folder)):
                found.append(int(process.name))
        except (OSError, ValueError):
            continue  # none, ended, or somebody else's
    return found


@pytest.fixture(scope="module")
def newer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    new = tmp_path_factory.mktemp("inputs") / "new.vcf"
    calls = ["0|1"] * SAMPLES
    text = "".join(record(20_000_000 + number, *calls) for number in range(RECORDS))
    new.write_text(head([f"S{number}" for number in range(SAMPLES)]) + text)
    return new


class Job:
    """The job as a process of its own, by spark-submit, with executors that are processes, too."""

    def __init__(self, folder: Path, path: Path, master: str, *options: str) -> None:
        home = folder / "spark"
        home.mkdir(exist_ok=True)
        for name in ("bin", "jars", "python"):
            if not (home / name).exists():
                (home / name).symlink_to(submitted.PYSPARK / name)
        zipped = submitted.package(folder) if not (folder / "genomicslake.zip").exists() else None
        package = zipped or folder / "genomicslake.zip"
        self.home, self.table = home, folder / "lake" / "variants"
        self._log = folder / "log"
        arguments = ["--input_path", str(path), "--output_path", str(self.table), *options]
        settings = {"spark_master": master, "spark_submit_pyFiles": str(package), COMMITS: PLAINLY}
        with self._log.open("w") as output:
            self.process = subprocess.Popen(
                submitted.command(Path("none.jar"), Path(shutil.copy(SCRIPT, folder)), *arguments, **settings),
                env=os.environ
                | {"SPARK_HOME": str(home), "PYTHONPATH": str(package), "PYSPARK_PYTHON": sys.executable},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def told(self) -> str:
        return self._log.read_text()

    def reaches(self, moment: str) -> None:
        """Wait until executors are there and rows are being written, or records read."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            assert self.process.poll() is None, self.told
            aside = self.table.parent.glob(".staging-variants/*/data")
            if moment == "writing" and any(list(data.glob(name)) for data in aside for name in WRITTEN):
                return
            if moment == "reading" and processes(self.home, "pyspark.daemon"):
                return
            time.sleep(0.02)
        pytest.fail(f"it was never {moment}")

    def kill(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def end(self) -> int:
        return self.process.wait(PATIENCE)


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A folder whose lake has a table."""
    killed.run(str(tmp_path / "lake" / "variants"), given(tmp_path, "older", OLDER))
    return tmp_path


@pytest.mark.parametrize(
    ("moment", "victim", "reader"),
    [
        ("reading", "pyspark.daemon", "direct"),
        ("writing", "CoarseGrainedExecutorBackend", "direct"),
        ("writing", "CoarseGrainedExecutorBackend", "hail"),
    ],
)
def test_an_executor_is_lost(made: Path, newer: Path, moment: str, victim: str, reader: str) -> None:
    """Its tasks are done again by another, and count once."""
    job = Job(made, newer, "local-cluster[2,1,1024]", "--reader", reader)
    try:
        job.reaches(moment)
        lost = processes(job.home, victim)
        assert lost
        os.kill(lost[0], signal.SIGKILL)
        assert job.end() == 0, job.told
    finally:
        if job.process.poll() is None:
            job.kill()
    assert f"{RECORDS:,} records = {RECORDS:,} loaded + 0 rejected" in job.told
    assert rows(job.table) == SAMPLES * RECORDS
    assert leftovers(job.table.parent) == []


def test_the_job_is_killed_at_random_moments(made: Path, newer: Path) -> None:
    chosen = random.Random(SEED)  # noqa: S311 - no secret
    before = rows(made / "lake" / "variants")
    assert before
    for longest in (0, 1, 4):
        job = Job(made, newer, "local[2]")
        job.reaches("writing")
        time.sleep(chosen.uniform(0, longest))
        job.kill()
        assert rows(job.table) in (before, SAMPLES * RECORDS)
        if rows(job.table) != before:
            break  # it was done: the next has nothing to do
    job = Job(made, newer, "local[2]")
    assert job.end() == 0, job.told
    assert rows(job.table) == SAMPLES * RECORDS
    assert leftovers(job.table.parent) == []
    assert len(list(job.table.parent.glob("loads/*.parquet"))) == 2
