"""The jobs from S3 to S3, as Glue runs them: the same tables as on a local disk, and no other when something fails."""

import gzip
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from botocore.stub import Stubber
from pyarrow import fs

from genomicslake import lease, s3, sources
from genomicslake.errors import LakeError
from genomicslake.job import table_at
from genomicslake.publish_s3 import S3Table
from setup.rehearsal.process import Emulator
from tests import submitted
from tests.emulator import client
from tests.submitted import Ran, Submitted
from tests.test_failures import (
    NEW,
    NEW_CLINVAR,
    OLD,
    OLD_CLINVAR,
    bgzf,
    clinvar_rows,
    clinvar_text,
    head,
    record,
    records,
)

BUCKET = "lake"
SCRIPTS = {"vcf": "vcf_to_parquet", "clinvar": "clinvar_to_parquet"}
pytestmark = pytest.mark.patience(120)

Rows = list[dict[str, Any]]


# The bucket


@pytest.fixture(scope="module", autouse=True)
def buckets(emulator: Emulator) -> None:
    for cached in (sources._bucket, s3._client):
        cached.cache_clear()  # another module's emulator
    for name in (BUCKET, "others", "versioned"):
        client(emulator, "s3").create_bucket(Bucket=name)
    kept = {"Status": "Enabled"}
    client(emulator, "s3").put_bucket_versioning(Bucket="versioned", VersioningConfiguration=kept)


@pytest.fixture(scope="module")
def credentials(emulator: Emulator) -> dict[str, str]:
    """Those of a role that may do what a job needs to, but under `readonly/`, `secret/` and `undeletable/`."""
    bucket = f"arn:aws:s3:::{BUCKET}"
    denied = {
        "readonly": "s3:PutObject",
        "dataless/*/data": "s3:PutObject",  # where Spark writes
        "secret": "s3:GetObject",
        "undeletable": "s3:DeleteObject",
    }
    statements: list[dict[str, Any]] = [
        {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": bucket},
        {"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"], "Resource": f"{bucket}/*"},
        {"Effect": "Allow", "Action": "s3:*", "Resource": ["arn:aws:s3:::versioned", "arn:aws:s3:::versioned/*"]},
        *(
            {"Effect": "Deny", "Action": action, "Resource": f"{bucket}/{folder}/*"}
            for folder, action in denied.items()
        ),
    ]
    trust = {"Effect": "Allow", "Principal": {"Service": "glue.amazonaws.com", "AWS": "*"}, "Action": "sts:AssumeRole"}
    iam = client(emulator, "iam")
    role = iam.create_role(RoleName="Job", AssumeRolePolicyDocument=_policy([trust]))["Role"]["Arn"]
    iam.put_role_policy(RoleName="Job", PolicyName="Job", PolicyDocument=_policy(statements))
    given = client(emulator, "sts").assume_role(RoleArn=role, RoleSessionName="job")["Credentials"]
    return {
        "AWS_ACCESS_KEY_ID": given["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": given["SecretAccessKey"],
        "AWS_SESSION_TOKEN": given["SessionToken"],
    }


def _policy(statements: Sequence[dict[str, Any]]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return submitted.jar(tmp_path_factory.mktemp("classes"))


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return submitted.package(tmp_path_factory.mktemp("package"))


@pytest.fixture(scope="module")
def glue(
    classes: Path, package: Path, credentials: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Submitted]:
    log = tmp_path_factory.mktemp("glue") / "log"
    with submitted.submitted(classes, package, credentials, log) as started:
        yield started


class Lake:
    """A folder of the bucket, of one test's own: its tables, its input."""

    def __init__(self, emulator: Emulator, folder: str) -> None:
        self.bucket = client(emulator, "s3")
        self.folder = folder
        self.uri = f"s3://{BUCKET}/{folder}"

    def put(self, key: str, content: str | bytes) -> str:
        self.bucket.put_object(Bucket=BUCKET, Key=f"{self.folder}/{key}", Body=content)
        return f"{self.uri}/{key}"

    def table(self, which: str) -> str:
        return f"{self.uri}/tables/{table_name(which)}"

    def snapshot(self, below: str = "tables/") -> dict[str, tuple[str, Any]]:
        """Every object's name, with its content's checksum and its time."""
        pages = self.bucket.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=f"{self.folder}/{below}")
        found = [one for page in pages for one in page.get("Contents", ())]
        return {one["Key"].removeprefix(f"{self.folder}/{below}"): (one["ETag"], one["LastModified"]) for one in found}

    def copy(self, other: "Lake") -> None:
        """Take over what another has."""
        for key in other.snapshot(""):
            source = {"Bucket": BUCKET, "Key": f"{other.folder}/{key}"}
            self.bucket.copy_object(Bucket=BUCKET, Key=f"{self.folder}/{key}", CopySource=source)

    def rows(self, which: str) -> Rows:
        return rows_of(self.table(which))

    def leftovers(self) -> list[str]:
        return [key for key in self.snapshot() if key.startswith(".") or key.endswith("/") or "_SUCCESS" in key]


def table_name(which: str) -> str:
    return {"vcf": "variants"}.get(which, which)


def rows_of(table: str) -> Rows:
    """A table's rows, as a reader sees them who knows nothing of the job, in order."""
    system, inside = sources.filesystem(table)
    partitions = ds.partitioning(pa.schema([("sampleid", pa.string())]), flavor="hive")
    found = ds.dataset(inside, filesystem=system, format="parquet", partitioning=partitions)
    return sorted(found.to_table().to_pylist(), key=str)


@pytest.fixture
def lake(emulator: Emulator, request: pytest.FixtureRequest) -> Lake:
    return Lake(emulator, "".join(char if char.isalnum() else "-" for char in request.node.name))


def convert(glue: Submitted, which: str, inputs: Sequence[str], table: str, options: Sequence[str] = ()) -> Ran:
    arguments = ["--input_path", *inputs, "--output_path", table, *options]
    ran = glue.run(submitted.job, SCRIPTS[which], arguments)
    assert isinstance(ran, Ran)
    return ran


def converted(glue: Submitted, which: str, inputs: Sequence[str], table: str, options: Sequence[str] = ()) -> str:
    ran = convert(glue, which, inputs, table, options)
    assert ran.error is None
    return ran.told


# The same as on a local disk

NAMES = ("a b", "50%25", "x=1:2", "ä[1]{2}", "S'5\"", "NA12878")
STRANGE = head(NAMES) + "".join(record(20_000_000 + n, *["0|1", "1|1", "./1", "0/.", ".|.", "1"]) for n in range(40))
INFO = '##INFO=<ID=AF,Number=A,Type=Float,Description="">\n##FORMAT=<ID=AD,Number=R,Type=Integer,Description="">\n'
WITH_FIELDS = head().replace("#CHROM", INFO + "#CHROM") + "".join(
    f"22\t{20_000_000 + n}\trs{n}\tA\tC,G\t{n}.5\tPASS\tAF=0.1,0.2\tGT:AD\t0|1:1,2,3\t1/2:.\n" for n in range(500)
)
HALF = head() + records(50) + record(30_000_000, "./1", "0|0") + record(30_000_007, "1|.", "1/1")
BAD = head() + records(50) + record(5, "0|7", "0|0") + record(6, "x", "0|0")
CASES = {
    "cohort": ("vcf", {"cohort.vcf.gz": bgzf((head() + records(30_000, 1000)).encode())}, []),
    "cohort in text": ("vcf", {"cohort.vcf": head() + records(60_000, 1000)}, []),  # two parts
    "plain gzip": ("vcf", {"cohort.vcf.gz": gzip.compress(NEW.encode())}, []),
    "individual": ("vcf", {"sample.vcf": WITH_FIELDS}, ["--layout", "by_variant"]),
    "calls that are half missing": ("vcf", {"half.vcf": HALF}, []),
    "calls that are half missing, every field": ("vcf", {"half.vcf": HALF}, ["--layout", "by_variant"]),
    "names of samples": ("vcf", {"names.vcf": STRANGE}, []),
    "a name that Hail can't read": ("vcf", {"my [a]{b} cohort: 1,2 50%20+ä.gz": NEW}, []),
    "two files": ("vcf", {"one.vcf": OLD, "two.vcf": head(("S3",)) + record(5, "0|1")}, []),
    "rejects": ("vcf", {"bad.vcf": BAD}, ["--on_error", "reject"]),
    "no rows": ("vcf", {"none.vcf": head()}, []),
    "clustered": ("vcf", {"names.vcf": STRANGE}, ["--clustered", "clustered"]),
    "clinvar": ("clinvar", {"variant_summary.txt": clinvar_text(clinvar_rows(5000))}, []),
    "clinvar in gzip": ("clinvar", {"variant_summary_2026-06.txt.gz": gzip.compress(NEW_CLINVAR.encode())}, []),
    "clinvar rejects": ("clinvar", {"new.txt": NEW_CLINVAR + "ragged\n"}, ["--on_error", "reject"]),
}


@pytest.mark.parametrize(("which", "files", "options"), CASES.values(), ids=CASES)
def test_the_same_table_as_on_a_local_disk(
    glue: Submitted, lake: Lake, tmp_path: Path, which: str, files: dict[str, str | bytes], options: list[str]
) -> None:
    for name, content in files.items():
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        lake.put(f"input/{name}", content)
    local = str(tmp_path / "tables" / table_name(which))
    converted(glue, which, [str(tmp_path / name) for name in files], local, options)
    converted(glue, which, [f"{lake.uri}/input/{name}" for name in files], lake.table(which), options)
    assert lake.rows(which) == rows_of(local)
    assert [files_of(f"{lake.uri}/tables"), columns_of(lake.table(which))] == [
        files_of(str(tmp_path / "tables")),
        columns_of(local),
    ]
    assert [told_of(table_at(lake.table(which)).current()), told_of(rejects_of(f"{lake.uri}/tables"))] == [
        told_of(table_at(local).current()),
        told_of(rejects_of(str(tmp_path / "tables"))),
    ]
    assert lake.leftovers() == []


def files_of(folder: str) -> Counter[str]:
    """How many files stand in each folder below one."""
    listed = [path.removeprefix(sources.filesystem(folder)[1]) for path in all_files(folder)]
    return Counter(path.rsplit("/", 1)[0] for path in listed)


def all_files(folder: str) -> list[str]:
    system, inside = sources.filesystem(folder)
    return [info.path for info in system.get_file_info(fs.FileSelector(inside, recursive=True)) if info.is_file]


def columns_of(table: str) -> Any:
    paths = [path for path in all_files(table) if path.endswith(".parquet")]
    return pq.read_schema(paths[0], filesystem=sources.filesystem(table)[0]) if paths else None


def rejects_of(tables: str) -> Rows:
    system = sources.filesystem(tables)[0]
    paths = sorted(path for path in all_files(tables) if "/rejects/" in path)
    return [row for path in paths for row in pq.read_table(path, filesystem=system).to_pylist()]


def told_of(value: Any) -> Any:
    """Without what differs from run to run and from place to place."""
    if isinstance(value, list):
        return [told_of(one) for one in value]
    if isinstance(value, dict):
        left_out = ("run_id", "loaded_at", "path", "source")
        return {name: told_of(one) for name, one in value.items() if name not in left_out}
    return value


def test_executors_that_are_processes_of_their_own(
    lake: Lake, classes: Path, package: Path, credentials: dict[str, str], tmp_path: Path
) -> None:
    """As on Glue's workers: they have the package from spark-submit, and the class path that spark-submit gives."""
    for name in ("bin", "jars", "python"):
        (tmp_path / name).symlink_to(submitted.PYSPARK / name)
    script = submitted.RESOURCES / "scripts" / "vcf_to_parquet.py"
    moved = shutil.copy(script, tmp_path)
    paths = ["--input_path", lake.put("input/half.vcf", HALF), "--output_path", lake.table("vcf")]
    cluster = {"spark_master": "local-cluster[2,1,1024]", "spark_submit_pyFiles": str(package)}
    ran = subprocess.run(
        submitted.command(classes, Path(moved), *paths, **cluster),
        env={**submitted.environment(package, credentials), "SPARK_HOME": str(tmp_path), "PYTHONPATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert len(list(tmp_path.glob("work/app-*/*/genomicslake.zip"))) == 2
    assert len(lake.rows("vcf")) == 103
    assert lake.leftovers() == []


# Doing it again, and something else


@pytest.mark.parametrize("which", SCRIPTS)
def test_the_same_input_changes_nothing(glue: Submitted, lake: Lake, which: str) -> None:
    path = lake.put("input/old.vcf", OLD if which == "vcf" else OLD_CLINVAR)
    converted(glue, which, [path], lake.table(which))
    before = lake.snapshot()
    assert "nothing to do" in converted(glue, which, [path], lake.table(which))
    assert lake.snapshot() == before


def test_a_zip_of_the_package_is_the_same_code(glue: Submitted, lake: Lake) -> None:
    """What Glue has made, a run from the checkout has not to make again; and it needs no Spark to see that."""
    path = lake.put("input/old.vcf", OLD)
    converted(glue, "vcf", [path], lake.table("vcf"))
    ran = submitted.job("vcf_to_parquet", ["--input_path", path, "--output_path", lake.table("vcf")])
    assert ran.error is None
    assert "nothing to do" in ran.told


def test_a_new_load_takes_the_place_of_the_older_one(glue: Submitted, lake: Lake) -> None:
    """More objects than S3 lists or deletes in one request."""
    samples = [f"NA{number:05d}" for number in range(1_100)]
    large = head(samples) + record(20_000_000, *["0|1"] * len(samples)) + record(20_000_007, *["1|1"] * len(samples))
    converted(glue, "vcf", [lake.put("input/old.vcf", large)], lake.table("vcf"))
    assert len(lake.snapshot("tables/variants/")) == len(samples) + 1
    assert len(lake.rows("vcf")) == 2 * len(samples)
    converted(glue, "vcf", [lake.put("input/new.vcf", NEW)], lake.table("vcf"))
    folders = {key.split("/")[0] for key in lake.snapshot("tables/variants/")}
    assert folders == {"_load.json", "sampleid=S1", "sampleid=S2"}
    assert len(lake.rows("vcf")) == 18
    assert len(lake.snapshot("tables/loads/")) == 2
    assert lake.leftovers() == []


def test_the_clustered_table_keeps_in_step(glue: Submitted, lake: Lake) -> None:
    """In every mode, and when it lost an object."""
    first, second = lake.put("input/first.vcf", NEW), lake.put("input/second.vcf", head(("S3",)) + record(5, "0|1"))
    third = lake.put("input/third.vcf", OLD)
    clustered = f"{lake.uri}/tables/clustered"

    def check(rows: int) -> None:
        assert len(lake.rows("vcf")) == rows
        assert rows_of(clustered) == lake.rows("vcf")
        assert lake.leftovers() == []

    converted(glue, "vcf", [first], lake.table("vcf"), ["--clustered", "clustered"])
    check(18)
    converted(glue, "vcf", [second], lake.table("vcf"), ["--mode", "append"])
    check(19)
    converted(glue, "vcf", [third], lake.table("vcf"), ["--mode", "replace"])
    check(11)
    lost = next(key for key in lake.snapshot("tables/clustered/") if key.endswith(".parquet"))
    lake.bucket.delete_object(Bucket=BUCKET, Key=f"{lake.folder}/tables/clustered/{lost}")
    assert "is now" in converted(glue, "vcf", [third], lake.table("vcf"), ["--mode", "replace"])
    check(11)


@pytest.mark.parametrize("which", SCRIPTS)
def test_a_table_that_lost_an_object_is_made_again(glue: Submitted, lake: Lake, which: str) -> None:
    path = lake.put("input/old", OLD if which == "vcf" else OLD_CLINVAR)
    converted(glue, which, [path], lake.table(which))
    before = lake.rows(which)
    lost = next(key for key in lake.snapshot() if key.startswith(table_name(which)) and key.endswith(".parquet"))
    lake.bucket.delete_object(Bucket=BUCKET, Key=f"{lake.folder}/tables/{lost}")
    assert "nothing to do" not in converted(glue, which, [path], lake.table(which))
    assert lake.rows(which) == before


def test_folders_and_globs(glue: Submitted, lake: Lake) -> None:
    lake.put("input/one/a.vcf", OLD)
    lake.put("input/one/deeper/b.vcf.gz", bgzf((head(("S3",)) + record(5, "0|1")).encode()))
    lake.put("input/one/readme.txt", "not a VCF")
    lake.bucket.put_object(Bucket=BUCKET, Key=f"{lake.folder}/input/one/")  # as the console makes a folder
    converted(glue, "vcf", [f"{lake.uri}/input/one/"], lake.table("vcf"))
    assert len(lake.rows("vcf")) == 11
    converted(glue, "vcf", [f"{lake.uri}/input/one/*.vcf"], lake.table("vcf"))
    assert len(lake.rows("vcf")) == 10


def test_a_sample_that_is_taken_out_has_no_older_versions(emulator: Emulator, glue: Submitted) -> None:
    """Of all that stood before, whatever the objects were called."""
    api = client(emulator, "s3")

    def older() -> set[str]:
        """The names of objects that have older versions, without the locks."""
        pages = api.get_paginator("list_object_versions").paginate(Bucket="versioned", Prefix="tables/")
        versions = [one for page in pages for kind in ("Versions", "DeleteMarkers") for one in page.get(kind, ())]
        names = {one["Key"] for one in versions if not one["IsLatest"]} | {
            one["Key"] for one in versions if "Size" not in one
        }
        return {name for name in names if "/.lock-" not in name}

    for name, text in {"old.vcf": OLD + record(5, "x", "0|0"), "new.vcf": NEW}.items():
        api.put_object(Bucket="versioned", Key=f"input/{name}", Body=text)
        for table, layout in {"variants": "by_sample", "sample": "by_variant"}.items():
            options = ["--layout", layout, "--on_error", "reject"]
            converted(glue, "vcf", [f"s3://versioned/input/{name}"], f"s3://versioned/tables/{table}", options)
    assert {name.split("/")[1] for name in older()} == {"variants", "sample", ".staging-variants", ".staging-sample"}
    removed = ["--mode", "remove", "--samples", "S2", "--output_path", "s3://versioned/tables/variants"]
    ran = glue.run(submitted.job, "vcf_to_parquet", removed)
    assert ran.error is None, ran.error
    assert re.search(r"[1-9]\d* older versions of objects are deleted", ran.told)
    assert older() == set()
    for table in ("variants", "sample"):
        assert {row["sampleid"] for row in rows_of(f"s3://versioned/tables/{table}")} == {"S1"}


# Two jobs at once

HOLDING = """
import sys, time
from genomicslake.job import table_at
with table_at(sys.argv[1]).locked():
    print("held", flush=True)
    time.sleep(600)
"""


@contextmanager
def held_elsewhere(table: str) -> Iterator[subprocess.Popen[str]]:
    """Another process has the lock of a table."""
    environment = os.environ | {"PYTHONPATH": str(submitted.RESOURCES)}
    command = [sys.executable, "-c", HOLDING, table]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def test_a_table_that_another_job_writes(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "LOOKED", 1)
    with held_elsewhere(lake.table("vcf")):
        before = lake.snapshot()
        with pytest.raises(LakeError, match="another job is writing this table"), table_at(lake.table("vcf")).locked():
            pass
        assert set(lake.snapshot()) == set(before) == {".lock-variants"}


def test_the_lock_of_a_job_that_died_is_taken_over(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "LOOKED", 1)
    monkeypatch.setattr(lease, "LEASE", 3)
    with held_elsewhere(lake.table("vcf")) as other:
        other.kill()
        other.wait()
        start = time.monotonic()
        with table_at(lake.table("vcf")).locked():
            assert time.monotonic() - start > 1
    assert lake.snapshot() == {}


def test_a_lock_that_is_lost(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """What another job has taken, this one leaves alone, the other's lock too."""
    monkeypatch.setattr(lease, "RENEWED", 0.2)
    table = table_at(lake.table("vcf"))
    with table.locked():
        lake.put("tables/.lock-variants", "another's")
        time.sleep(1)
        with pytest.raises(LakeError, match="lost its lock of the table"):
            table.publish({"dataset": table.name, "run_id": "late", "rows": 0, "identity": "late"})
    assert set(lake.snapshot()) == {".lock-variants"}


def test_a_lock_is_renewed(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "RENEWED", 0.2)
    table = table_at(lake.table("vcf"))
    assert isinstance(table, S3Table)
    with table.locked():
        etags = set()
        for _ in range(20):
            etags.add(lake.bucket.head_object(Bucket=BUCKET, Key=f"{lake.folder}/tables/.lock-variants")["ETag"])
            time.sleep(0.1)
        assert len(etags) > 3
        assert table._lease
        table._lease.check()
    assert lake.snapshot() == {}


# Jobs that die


def test_a_job_that_is_killed_while_spark_writes(
    lake: Lake, glue: Submitted, classes: Path, package: Path, credentials: dict[str, str]
) -> None:
    converted(glue, "vcf", [lake.put("input/old.vcf", OLD)], lake.table("vcf"))
    before, rows = lake.snapshot("tables/variants/"), lake.rows("vcf")
    samples = [f"S{number}" for number in range(300)]
    text = head(samples) + "".join(record(20_000_000 + number, *["0|1"] * 300) for number in range(100))
    path = lake.put("input/new.vcf", text)
    script = submitted.RESOURCES / "scripts" / "vcf_to_parquet.py"
    process = subprocess.Popen(
        submitted.command(classes, script, "--input_path", path, "--output_path", lake.table("vcf")),
        env=submitted.environment(package, credentials),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    while not any("/data/" in key and key.endswith(".parquet") for key in lake.snapshot("tables/.staging-variants/")):
        assert process.poll() is None, "the job ended before it could be killed"
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert lake.snapshot("tables/variants/") == before
    assert lake.rows("vcf") == rows
    assert lake.leftovers()
    lake.bucket.delete_object(Bucket=BUCKET, Key=f"{lake.folder}/tables/.lock-variants")  # or it is waited for
    converted(glue, "vcf", [path], lake.table("vcf"))
    assert len(lake.rows("vcf")) == 30_000
    assert lake.leftovers() == []


# What fails says so, and leaves the tables as they were


def refused(ran: Ran, *told: str) -> None:
    assert ran.error
    for words in told:
        assert words in ran.error
    assert "Traceback" not in ran.error
    assert "\n" not in ran.error
    assert ran.error.endswith(".")


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("input/missing.vcf", "no such file"),
        ("input/*.bcf", "no such file"),
        ("input/folder", "the folder has no file that ends in"),
        ("input/empty.vcf", "the file is empty"),
        ("input/bad.vcf", "2 of 52 records can't be loaded"),
    ],
)
def test_input_that_can_not_be_loaded(glue: Submitted, lake: Lake, path: str, told: str) -> None:
    converted(glue, "vcf", [lake.put("input/old.vcf", OLD)], lake.table("vcf"))
    for key, content in {"folder/readme.txt": "nothing", "empty.vcf": "", "bad.vcf": BAD}.items():
        lake.put(f"input/{key}", content)
    before = lake.snapshot()
    ran = convert(glue, "vcf", [f"{lake.uri}/{path}"], lake.table("vcf"))
    assert ran.error
    assert ran.error.startswith(f"{lake.uri}/{path}: {told}")
    assert lake.snapshot() == before


@pytest.mark.parametrize("which", SCRIPTS)
def test_access_denied(glue: Submitted, lake: Lake, which: str) -> None:
    path = lake.put("input/new", NEW if which == "vcf" else NEW_CLINVAR)
    name = table_name(which)
    for folder in ("readonly", "dataless", "secret", "undeletable"):
        lake.bucket.put_object(Bucket=BUCKET, Key=f"{folder}/new.vcf", Body=NEW)
    refused(
        convert(glue, which, [f"s3://{BUCKET}/secret/new.vcf"], lake.table(which)),
        "S3 denies access",
        "secret/new.vcf",
        "Nothing was published",
    )
    refused(convert(glue, which, ["s3://others/new.vcf"], lake.table(which)), "S3 denies access", "s3://others")
    refused(convert(glue, which, [path], f"s3://others/tables/{name}"), "S3 denies access", "s3://others", "Nothing")
    for folder, place in {"readonly": "tables", "dataless": f"tables/.staging-{name}"}.items():  # the lock comes first
        ran = convert(glue, which, [path], f"s3://{BUCKET}/{folder}/tables/{name}")
        refused(ran, "S3 denies access", f"s3://{BUCKET}/{folder}/{place}", "s3:PutObject", "Nothing")
    assert all(f"/{name}/" not in path for path in all_files(f"s3://{BUCKET}/readonly"))
    ran = convert(glue, which, [path], f"s3://{BUCKET}/undeletable/tables/{name}")
    refused(ran, "S3 denies access", f"s3://{BUCKET}/undeletable", "s3:DeleteObject", "published in part: run the job")
    assert lake.snapshot() == {}


@pytest.mark.parametrize("which", SCRIPTS)
def test_no_such_bucket(lake: Lake, which: str) -> None:
    arguments = ["--input_path", "s3://nowhere/new.vcf", "--output_path", lake.table(which)]
    refused(submitted.job(SCRIPTS[which], arguments), "s3://nowhere", "no such bucket")
    path = lake.put("input/new", NEW if which == "vcf" else NEW_CLINVAR)
    arguments = ["--input_path", path, "--output_path", f"s3://nowhere/tables/{table_name(which)}"]
    refused(submitted.job(SCRIPTS[which], arguments), "s3://nowhere", "no such bucket")


def script(which: str, arguments: Sequence[str], **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run a job's script with this Python, without spark-submit."""
    path = submitted.RESOURCES / "scripts" / f"{SCRIPTS[which]}.py"
    command = [sys.executable, str(path), *arguments]
    return subprocess.run(command, env=os.environ | variables, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("wrong", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"])
def test_credentials_that_s3_does_not_accept(lake: Lake, credentials: dict[str, str], wrong: str) -> None:
    path = lake.put("input/new.vcf", NEW)
    ran = script(
        "vcf", ["--input_path", path, "--output_path", lake.table("vcf")], **credentials | {wrong: "ASIAOTHER"}
    )
    assert ran.returncode == 1
    assert ran.stderr.startswith("error: s3://lake/")
    assert "S3 does not accept the AWS credentials" in ran.stderr or "S3 denies access" in ran.stderr  # HEAD tells less
    assert lake.snapshot() == {}


def test_a_spark_without_s3(lake: Lake) -> None:
    path = lake.put("input/new.vcf", NEW)
    ran = script("vcf", ["--input_path", path, "--output_path", lake.table("vcf"), "--reader", "hail"])
    assert ran.returncode == 1
    assert "error: " in ran.stderr
    assert "this Spark can't read s3://. Nothing was published. Run the job on Glue or EMR" in ran.stderr
    assert lake.snapshot() == {}
    ran = script("vcf", ["--input_path", path, "--output_path", lake.table("vcf")])
    assert ran.returncode == 0  # the direct reader needs none
    assert len(lake.rows("vcf")) == 18


@pytest.mark.parametrize("which", SCRIPTS)
@pytest.mark.parametrize("key", ["thesis.txt", "", "deeper/part-0.parquet"])
def test_output_that_is_no_table_is_not_replaced(glue: Submitted, lake: Lake, which: str, key: str) -> None:
    lake.put(f"tables/{table_name(which)}{key and '/'}{key}", "four years")
    before = lake.snapshot()
    path = lake.put("input/new", NEW if which == "vcf" else NEW_CLINVAR)
    ran = convert(glue, which, [path], lake.table(which))
    refused(ran, f"{lake.table(which)}: there is something that is no table of this lake")
    assert lake.snapshot() == before


@pytest.mark.parametrize("uri", ["s3://lake", "s3://lake/", "s3://lake/tables/My-Table", "s3://lake/a%20b/c"])
def test_output_that_can_not_be_a_table(uri: str) -> None:
    ran = submitted.job("vcf_to_parquet", ["--input_path", "new.vcf", "--output_path", uri])
    assert ran.error
    assert uri.rstrip("/") in ran.error


SAID = {
    "pyarrow": "When getting information for key 'in/a.vcf' in bucket 'lake': AWS Error ACCESS_DENIED during "
    "HeadObject operation: No response body.",
    "boto3": "An error occurred (AccessDenied) when calling the DeleteObjects operation: User: x is not authorized",
    "the rehearsal": "org.apache.hadoop.security.AccessControlException: PUT s3://lake/in/a.vcf: AccessDenied: Denied",
    "S3A": "java.nio.file.AccessDeniedException: s3://lake/in/a.vcf: open s3://lake/in/a.vcf: (Service: S3, Status "
    "Code: 403, Request ID: 1)",
    "EMRFS": "com.amazon.ws.emr.hadoop.fs.shaded.com.amazonaws.services.s3.model.AmazonS3Exception: Access Denied "
    "(Service: Amazon S3; Status Code: 403; Error Code: AccessDenied; Request ID: 1)",
}


@pytest.mark.parametrize("text", SAID.values(), ids=SAID)
def test_who_ever_says_that_access_is_denied(text: str) -> None:
    error = str(s3.explained(text, "s3://lake/tables", "Nothing was published."))
    place = "s3://lake/in/a.vcf" if "a.vcf" in text else "s3://lake/tables"
    assert error.startswith(f"{place}: S3 denies access")
    assert ". Nothing was published. The role that runs the job needs s3:ListBucket" in error


def test_expired_credentials() -> None:
    text = "An error occurred (ExpiredToken) when calling the ListObjectsV2 operation: The provided token has expired."
    error = str(s3.explained(text, "s3://lake/tables", "Nothing was published."))
    assert error.startswith(
        "s3://lake/tables: S3 does not accept the AWS credentials (The provided token has expired)."
    )


def test_single_objects_that_are_not_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS tells of them in an answer that is no error; the emulator refuses the request as a whole."""
    api = boto3.client("s3", region_name="us-east-1")
    answer = {"Errors": [{"Key": "tables/a", "Code": "AccessDenied", "Message": "Access Denied"}]}
    monkeypatch.setattr(s3, "_client", lambda: api)
    with Stubber(api) as stubber:
        stubber.add_response("delete_objects", answer)
        with pytest.raises(OSError, match="key 'tables/a' in bucket 'lake': AccessDenied: Access Denied"):
            s3.delete(["lake/tables/a"])


# The file system under Spark and Hail


def walked(uri: str) -> dict[str, Any]:
    """What the file system over there makes of files and folders."""
    from genomicslake import session

    context = session.start().sparkContext
    jvm: Any = context._jvm
    hadoop = jvm.org.apache.hadoop
    files = hadoop.fs.FileSystem.get(jvm.java.net.URI(uri), context._jsc.hadoopConfiguration())

    def path(name: str) -> Any:
        return hadoop.fs.Path(f"{uri}/{name}")

    def write(name: str, count: int) -> None:
        stream = files.create(path(name))
        for _ in range(count):
            stream.write(bytearray(b"0123456789" * 100_000))
        stream.close()

    def listed(name: str) -> list[str]:
        return sorted(
            f"{one.getPath().getName()}{'/' if one.isDirectory() else ''}" for one in files.listStatus(path(name))
        )

    def told(ask: Any) -> str:
        try:
            return str(ask())
        except Exception as error:
            return str(error).splitlines()[0]

    for name, count in {"a b/50%25.txt": 1, "a b/deeper/ä+=&?.txt": 1, "large": 20, "a b2": 0}.items():
        write(name, count)
    stream = files.open(path("large"))
    stream.seek(19_999_998)
    ends = [stream.read(), stream.read(), stream.read()]
    stream.seek(12_345_671)
    found = {
        "ends": ends,
        "middle": [stream.read(), stream.getPos()],
        "behind": told(lambda: stream.seek(20_000_001)),
        "length": files.getFileStatus(path("large")).getLen(),
        "folder": listed("a b"),
        "file": listed("a b/50%25.txt"),
        "none": told(lambda: files.listStatus(path("none"))),
        "half a name": files.exists(path("a")),
        "not recursive": told(lambda: files.delete(path("a b"), False)),
        "exists": told(lambda: files.create(path("large"), False)),
        "into itself": files.rename(path("a b"), path("a b/deeper/x")),
        "renamed": files.rename(path("a b"), path("c")),
        "top": listed("."),
        "moved": listed("c/deeper"),
        "made": [files.mkdirs(path("d/e")), *listed("d"), *listed("d/e")],
        "into": [files.rename(path("large"), path("d")), *listed("d")],
        "deleted": [files.delete(path("c"), True), files.exists(path("c")), files.delete(path("c"), True)],
        "denied": told(lambda: files.open(hadoop.fs.Path(f"s3://{BUCKET}/secret/new.vcf")).read()),
    }
    files.delete(path("."), True)
    return found | {"left": files.exists(path("."))}


def test_spark_s_file_system(glue: Submitted, lake: Lake) -> None:
    lake.bucket.put_object(Bucket=BUCKET, Key="secret/new.vcf", Body=NEW)
    uri = f"{lake.uri}/files"
    found = glue.run(walked, uri)
    denied = found.pop("denied")
    assert "AccessControlException" in denied
    assert f"s3://{BUCKET}/secret/new.vcf: AccessDenied" in denied
    assert found == {
        "ends": [ord("8"), ord("9"), -1],
        "middle": [ord("1"), 12_345_672],
        "behind": "EOFException: byte 20000001 of 20000000",
        "length": 20_000_000,
        "folder": ["50%25.txt", "deeper/"],
        "file": ["50%25.txt"],
        "none": f"FileNotFoundException: {uri}/none does not exist",
        "half a name": False,
        "not recursive": f"PathIsNotEmptyDirectoryException: `{uri}/a b': Directory is not empty",
        "exists": f"FileAlreadyExistsException: {uri}/large exists",
        "into itself": False,
        "renamed": True,
        "top": ["a b2", "c/", "large"],
        "moved": ["ä+=&?.txt"],
        "made": [True, "e/"],
        "into": [True, "e/", "large"],
        "deleted": [True, False, False],
        "left": False,
    }


def test_the_file_system_is_compiled_once(classes: Path) -> None:
    before = classes.stat().st_mtime_ns
    assert submitted.jar(classes.parent) == classes
    assert classes.stat().st_mtime_ns == before
    assert [path.name for path in classes.parent.iterdir()] == [classes.name]
