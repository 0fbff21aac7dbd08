"""Jobs whose S3 fails, or that die at a step or a request of theirs: the older table or the newer one, and the next
run ends well.
"""

import json
import os
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from random import Random
from typing import Any

import pytest

from genomicslake.errors import LakeError
from genomicslake.job import table_at
from genomicslake.publish_s3 import S3Table
from setup.rehearsal import failures
from setup.rehearsal.process import Emulator
from tests import forked, submitted
from tests.submitted import Submitted
from tests.test_failures import NEW, NEW_CLINVAR, OLD, OLD_CLINVAR
from tests.test_s3 import (
    BUCKET,
    SCRIPTS,
    Lake,
    Rows,
    buckets,
    classes,
    convert,
    converted,
    credentials,
    glue,
    lake,
    package,
    refused,
)

__all__ = ["buckets", "classes", "credentials", "glue", "lake", "package"]

pytestmark = pytest.mark.patience(120)

WRITES = "PUT|POST|DELETE"
ROWS = {"vcf": (10, 18), "clinvar": (5, 9)}
SEED = 3

Publishing = Callable[[str, str, int, int], int | None]


@contextmanager
def failing(emulator: Emulator, **rule: Any) -> Iterator[Path]:
    """S3 fails as a rule says; the file that counts the requests that matched."""
    home = Path(emulator.home)
    count = home / failures.COUNT
    count.write_text("0")
    told = {"method": ".*", "path": f"^/{BUCKET}", "after": 0, "times": 10**9} | rule
    (home / failures.FILE).write_text(json.dumps(told))
    try:
        yield count
    finally:
        (home / failures.FILE).unlink()


@pytest.fixture
def inputs(lake: Lake, glue: Submitted) -> Mapping[str, str]:
    """New input for each job, and the older tables."""
    for which, old in (("vcf", OLD), ("clinvar", OLD_CLINVAR)):
        converted(glue, which, [lake.put(f"input/old-{which}", old)], lake.table(which))
        assert len(lake.rows(which)) == ROWS[which][0]
    return {"vcf": lake.put("input/new.vcf", NEW), "clinvar": lake.put("input/new.txt", NEW_CLINVAR)}


def free(lake: Lake, which: str) -> None:
    """Take away the lock of a job that died: the next would wait for it (tests/test_s3.py has that)."""
    name = lake.table(which).rpartition("/")[2]
    lake.bucket.delete_object(Bucket=BUCKET, Key=f"{lake.folder}/tables/.lock-{name}")


def readable(lake: Lake, older: Rows, newer: Rows) -> None:
    """The table has its older rows or the newer ones; where its publication was begun, either of each sample, and then
    no record counts them.
    """

    def of(sample: str, rows: Rows) -> Rows:
        return [row for row in rows if row["sampleid"] == sample]

    found = lake.rows("vcf")
    if found in (older, newer):
        return
    assert any(key.endswith("/publish.json") for key in lake.snapshot())
    for sample in {row["sampleid"] for row in older + newer}:
        assert of(sample, found) in (of(sample, older), of(sample, newer))
    assert table_at(lake.table("vcf")).current() is None


@pytest.mark.parametrize("which", SCRIPTS)
@pytest.mark.parametrize(("status", "code"), [(503, "SlowDown"), (500, "InternalError")])
def test_a_request_that_fails_is_made_again(
    emulator: Emulator, lake: Lake, glue: Submitted, inputs: Mapping[str, str], which: str, status: int, code: str
) -> None:
    """By the AWS SDKs in the job; what Spark writes by EMRFS is none of them."""
    path = rf"^/{BUCKET}/{lake.folder}/tables/(?!.*/data/)"
    for after, on_error in ((1, "reject"), (4, "fail"), (8, "reject")):  # other options, or there is nothing to do
        with failing(emulator, method="GET|PUT", path=path, after=after, times=1, status=status, code=code) as count:
            converted(glue, which, [inputs[which]], lake.table(which), ["--on_error", on_error])
            assert int(count.read_text()) > after
        assert len(lake.rows(which)) == ROWS[which][1]
        assert lake.leftovers() == []


@pytest.mark.parametrize("which", SCRIPTS)
def test_writes_fail_from_a_moment_on(
    emulator: Emulator, lake: Lake, glue: Submitted, inputs: Mapping[str, str], which: str
) -> None:
    """Every one of them, until the job gives up. Then the table is the older one, or, once its publication has begun,
    the next run completes it.
    """
    other = Lake(emulator, f"{lake.folder}-counted")
    other.copy(lake)
    with failing(emulator, method=WRITES, times=0) as count:
        converted(glue, which, [inputs[which]], other.table(which))
        writes = int(count.read_text())
    assert writes > 8
    before = set(lake.snapshot())
    for after in sorted(Random(SEED).sample(range(1, writes - 1), 5)):  # noqa: S311 - no secret
        own = Lake(emulator, f"{lake.folder}-{after}")
        own.copy(lake)
        with failing(emulator, method=WRITES, after=after, status=500, code="InternalError"):
            ran = convert(glue, which, [inputs[which]], own.table(which))
        refused(ran, "S3 ")
        if "Nothing was published" in str(ran.error):
            assert len(own.rows(which)) == ROWS[which][0]
            assert before <= set(own.snapshot())
        else:
            assert "published" in str(ran.error)
        free(own, which)
        converted(glue, which, [inputs[which]], own.table(which))
        assert len(own.rows(which)) == ROWS[which][1]
        assert own.leftovers() == []


# Jobs that die


@pytest.fixture(scope="module")
def publishing() -> Iterator[Publishing]:
    """Publishes a table (tests/published.py) and is killed at a step; the number of steps if it comes to its end."""
    with forked.forks("tests.published") as run:
        yield run


def recovered(lake: Lake, run: str | None) -> None:
    """The next job finds the older table as it was, or completes the newer one, with all that belongs to it."""
    table = S3Table(lake.table("vcf"))
    completed = table.prepare()
    current = table.current()
    assert current
    assert current["run_id"] == (completed or current["run_id"])
    assert completed == (run or completed)
    is_new = current["run_id"] == "newer"
    samples = Counter(row["sampleid"] for row in lake.rows("vcf"))
    assert samples == ({"a": 5, "b c": 5, "newer": 5} if is_new else {"a": 4, "b c": 4, "older": 4})
    runs = {"older", "newer"} if is_new else {"older"}
    assert set(lake.snapshot("tables/loads/")) == {f"variants-{run}.parquet" for run in runs}
    assert set(lake.snapshot("tables/rejects/")) == {f"variants-{run}-00000.parquet" for run in runs}
    assert lake.leftovers() == []


@pytest.mark.parametrize("dies", ["publishing", "completing"])
def test_a_job_that_is_killed_at_any_step_of_the_publication(
    emulator: Emulator, publishing: Publishing, dies: str
) -> None:
    """Before the manifest is there the table is as it was; from then on the next job completes it."""
    reached, outcomes = None, []
    older = Lake(emulator, f"killed-{dies}")
    assert publishing(older.table("vcf"), "older", 4, 0)
    for last in range(1, 40):
        lake = Lake(emulator, f"killed-{dies}-{last}")
        lake.copy(older)
        if dies == "publishing":
            reached = publishing(lake.table("vcf"), "newer", 5, last)
            if reached is None:
                outcomes.append(any("publish.json" in key for key in lake.snapshot()))
                recovered(lake, "newer" if outcomes[-1] else None)
        else:
            assert publishing(lake.table("vcf"), "newer", 5, 7) is None  # among the copies
            reached = publishing(lake.table("vcf"), "none", 0, last)
            if reached is None:
                recovered(lake, None)
        if reached is not None:
            break
    assert reached == last - 1
    if dies == "publishing":
        assert [key for key, _ in groupby(outcomes)] == [
            False,
            True,
            False,
        ]  # until the manifest is written, until it is gone
        assert outcomes.count(False) > 2
    else:
        recovered(lake, None)


def test_what_is_to_be_published_is_gone(lake: Lake, publishing: Publishing) -> None:
    table = lake.table("vcf")
    assert publishing(table, "older", 4, 0)
    assert publishing(table, "newer", 5, 7) is None
    staged = next(key for key in lake.snapshot() if key.startswith(".staging") and "/data/" in key)
    lake.bucket.delete_object(Bucket=BUCKET, Key=f"{lake.folder}/tables/{staged}")
    with pytest.raises(LakeError, match=r"1 of the objects that are to be published are gone\. Delete what is left"):
        S3Table(table).prepare()


@pytest.mark.parametrize("kill", [*range(3), "amid the copies"])
def test_a_job_is_killed_at_any_of_its_requests(
    emulator: Emulator,
    lake: Lake,
    glue: Submitted,
    inputs: Mapping[str, str],
    classes: Path,
    package: Path,
    credentials: dict[str, str],
    kill: int | str,
) -> None:
    """The job as a whole, at moments that a seed chooses among all requests, and where one sample's file is to follow
    another's to its place.
    """
    other = Lake(emulator, f"{lake.folder}-counted")
    other.copy(lake)
    with failing(emulator, times=0) as count:
        converted(glue, "vcf", [inputs["vcf"]], other.table("vcf"))
        requests = int(count.read_text())
    own = Lake(emulator, f"{lake.folder}-killed")
    own.copy(lake)
    when: dict[str, Any] = {"after": Random(f"{SEED} {kill}").randrange(requests)}  # noqa: S311 - no secret
    if kill == "amid the copies":
        when = {"method": "PUT", "path": rf"^/{BUCKET}/{own.folder}/tables/[a-z]+/sampleid", "after": 1}
    script = submitted.RESOURCES / "scripts" / "vcf_to_parquet.py"
    arguments = ["--input_path", inputs["vcf"], "--output_path", own.table("vcf")]
    process = subprocess.Popen(
        ["sh", "-c", 'read go; exec "$@"', "sh", *submitted.command(classes, script, *arguments)],
        env=submitted.environment(package, credentials),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    with failing(emulator, **when, kill=os.getpgid(process.pid)):
        process.communicate(b"go\n")
    assert process.returncode == -9
    readable(own, lake.rows("vcf"), other.rows("vcf"))
    free(own, "vcf")
    converted(glue, "vcf", [inputs["vcf"]], own.table("vcf"))
    assert len(own.rows("vcf")) == ROWS["vcf"][1]
    assert own.leftovers() == []
