"""The demonstration data in the lake: what is missing is copied, what is of another load stays."""

import json

import boto3
import pytest

from setup import data, names

pytestmark = pytest.mark.usefixtures("emulator")


def put(bucket: str, objects: dict[str, str]) -> None:
    client = boto3.client("s3")
    client.create_bucket(Bucket=bucket)
    for key, text in objects.items():
        client.put_object(Bucket=bucket, Key=key, Body=text.encode())


def held(bucket: str) -> dict[str, str]:
    objects = boto3.resource("s3").Bucket(bucket).objects.all()
    return {one.key: one.get()["Body"].read().decode() for one in objects}


def published(run: str) -> dict[str, str]:
    tables = {f"tables/{table}/{name}": text for table in names.TABLES for name, text in table_of(run).items()}
    return {"source/variants/example.vcf": "a VCF", "tables/loads/1.parquet": run} | tables


def table_of(run: str) -> dict[str, str]:
    return {names.LOAD: json.dumps({"run_id": run}), "part.parquet": run}


@pytest.fixture(scope="module", autouse=True)
def solution(emulator: object) -> None:  # noqa: ARG001 - it comes first
    put("published", {f"v1/data/{key}": text for key, text in published("ours").items()})


def copy(lake: str) -> str:
    return data.copy(boto3.Session(), "published", "v1/", lake, print)


def test_an_empty_lake() -> None:
    put("empty", {})
    told = copy("empty")
    assert held("empty") == published("ours")
    assert told.count(" copied") == len(names.TABLES)
    assert copy("empty").count(" is there") == len(names.TABLES)


def test_a_copy_that_was_interrupted() -> None:
    """Without its record, which is copied last, a table is not whole."""
    put("half", {f"tables/{names.CLINVAR_TABLE}/part.parquet": "half of it"})
    copy("half")
    assert held("half") == published("ours")


def test_what_users_loaded_stays() -> None:
    theirs = {f"tables/{names.SAMPLE_TABLE}/{name}": text for name, text in table_of("theirs").items()}
    theirs |= {"source/variants/example.vcf": "another VCF", "source/variants/own.vcf": "own"}
    put("theirs", theirs)
    assert f"{names.SAMPLE_TABLE} is of another load and stays" in copy("theirs")
    assert held("theirs") == published("ours") | theirs


def test_a_cohort_that_users_loaded_has_no_clustered_table_of_another() -> None:
    theirs = {f"tables/{names.VARIANTS_TABLE}/{name}": text for name, text in table_of("theirs").items()}
    put("cohort", theirs)
    assert f"{names.CLUSTERED_TABLE} is made by the next load of {names.VARIANTS_TABLE}" in copy("cohort")
    clustered = f"tables/{names.CLUSTERED_TABLE}/"
    assert not [key for key in held("cohort") if key.startswith(clustered)]
    put("cohort", {f"{clustered}{name}": text for name, text in table_of("theirs").items()})
    assert f"{names.CLUSTERED_TABLE} stays" in copy("cohort")
    assert held("cohort")[f"{clustered}part.parquet"] == "theirs"
