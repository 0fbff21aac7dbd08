"""Jobs whose S3 fails, or that die at one of their requests: the older table or the newer one, whole, and the next run
ends well.
"""

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest

from setup.rehearsal import failures
from setup.rehearsal.process import Emulator
from tests import submitted
from tests.submitted import Submitted
from tests.test_failures import NEW, NEW_CLINVAR, OLD, OLD_CLINVAR
from tests.test_s3 import (
    BUCKET,
    SCRIPTS,
    Lake,
    buckets,
    classes,
    convert,
    converted,
    credentials,
    glue,
    lake,
    package,
    patience,
    refused,
)

__all__ = ["buckets", "classes", "credentials", "glue", "lake", "package", "patience"]

WRITES = "PUT|POST|DELETE"
ROWS = {"vcf": (10, 18), "clinvar": (5, 9)}
SEED = 3


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


@pytest.mark.parametrize("kill", range(3))
def test_a_job_is_killed_at_any_of_its_requests(
    emulator: Emulator,
    lake: Lake,
    glue: Submitted,
    inputs: Mapping[str, str],
    classes: Path,
    package: Path,
    credentials: dict[str, str],
    kill: int,
) -> None:
    """The job as a whole, at moments that a seed chooses among all requests."""
    other = Lake(emulator, f"{lake.folder}-counted")
    other.copy(lake)
    with failing(emulator, times=0) as count:
        converted(glue, "vcf", [inputs["vcf"]], other.table("vcf"))
        requests = int(count.read_text())
    after = Random(f"{SEED} {kill}").randrange(requests)  # noqa: S311 - no secret
    own = Lake(emulator, f"{lake.folder}-{after}")
    own.copy(lake)
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
    with failing(emulator, after=after, kill=os.getpgid(process.pid)):
        process.communicate(b"go\n")
    assert process.returncode == -9
    assert len(own.rows("vcf")) in ROWS["vcf"]
    free(own, "vcf")
    converted(glue, "vcf", [inputs["vcf"]], own.table("vcf"))
    assert len(own.rows("vcf")) == ROWS["vcf"][1]
    assert own.leftovers() == []
