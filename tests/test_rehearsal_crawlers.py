"""Crawlers in the rehearsal: types, partitions, exclusions, changes, the role's rights."""

import io
import json
import time
from typing import Any

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytestmark = pytest.mark.usefixtures("emulator")
BUCKET = "crawled"
CATALOG = [f"arn:aws:glue:*:*:{rest}" for rest in ("catalog", "database/lake", "table/lake/*")]


@pytest.fixture(scope="module", autouse=True)
def lake(emulator: Any) -> None:  # noqa: ARG001 - it comes first
    boto3.client("s3").create_bucket(Bucket=BUCKET)
    boto3.client("glue").create_database(DatabaseInput={"Name": "lake"})


def role(name: str, *statements: dict[str, Any]) -> str:
    iam = boto3.client("iam")
    trust = {"Effect": "Allow", "Principal": {"Service": "glue.amazonaws.com"}, "Action": "sts:AssumeRole"}
    made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document(trust))["Role"]["Arn"]
    iam.put_role_policy(RoleName=name, PolicyName="Crawl", PolicyDocument=document(*statements, LOG))
    return str(made)


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(actions: list[str], *resources: str) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": actions, "Resource": list(resources)}


LOG = allow(
    ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"], "arn:aws:logs:*:*:log-group:/aws-glue/*"
)
READ = allow(["s3:ListBucket", "s3:GetObject"], f"arn:aws:s3:::{BUCKET}", f"arn:aws:s3:::{BUCKET}/*")
WRITE = allow(["glue:*"], *CATALOG)


def put(key: str, table: pa.Table) -> None:
    written = io.BytesIO()
    pq.write_table(table, written)
    boto3.client("s3").put_object(Bucket=BUCKET, Key=key, Body=written.getvalue())


def crawl(name: str, crawler_role: str | None = None, **more: Any) -> dict[str, Any]:
    """How the crawl of the folder NAME ended; the crawler is made where it isn't there."""
    glue = boto3.client("glue")
    if crawler_role:
        target = {"Path": f"s3://{BUCKET}/{name}/", "Exclusions": ["_*", "**/_*"]}
        policy = {"UpdateBehavior": "UPDATE_IN_DATABASE", "DeleteBehavior": "DELETE_FROM_DATABASE"}
        glue.create_crawler(
            Name=name,
            Role=crawler_role,
            DatabaseName="lake",
            Targets={"S3Targets": [target]},
            SchemaChangePolicy=policy,
            **more,
        )
    glue.start_crawler(Name=name)
    with pytest.raises(glue.exceptions.CrawlerRunningException):
        glue.start_crawler(Name=name)
    while (told := glue.get_crawler(Name=name)["Crawler"])["State"] != "READY":
        time.sleep(0.2)
    return dict(told["LastCrawl"])


def metrics(name: str) -> tuple[int, int]:
    (told,) = boto3.client("glue").get_crawler_metrics(CrawlerNameList=[name])["CrawlerMetricsList"]
    return told["TablesCreated"], told["TablesUpdated"]


def test_types_and_facts_that_stay() -> None:
    columns = {
        "text": pa.array(["a"]),
        "Number": pa.array([1], pa.int32()),
        "big": pa.array([1], pa.int64()),
        "real": pa.array([1.0], pa.float64()),
        "single": pa.array([1.0], pa.float32()),
        "yes": pa.array([True]),
        "many": pa.array([[1, 2]], pa.list_(pa.int32())),
        "both": pa.array([{"a": "x", "b": 1}], pa.struct([("a", pa.string()), ("b", pa.int64())])),
    }
    put("typed/part.parquet", pa.table(columns))
    boto3.client("s3").put_object(Bucket=BUCKET, Key="typed/_load.json", Body=b"{}")
    assert crawl("typed", role("Typed", READ, WRITE))["Status"] == "SUCCEEDED"
    glue = boto3.client("glue")
    table = glue.get_table(DatabaseName="lake", Name="typed")["Table"]
    assert {column["Name"]: column["Type"] for column in table["StorageDescriptor"]["Columns"]} == {
        "text": "string",
        "number": "int",
        "big": "bigint",
        "real": "double",
        "single": "float",
        "yes": "boolean",
        "many": "array<int>",
        "both": "struct<a:string,b:bigint>",
    }
    assert (table["Parameters"]["classification"], table["Parameters"]["recordCount"]) == ("parquet", "1")
    given = {key: table[key] for key in ("Name", "StorageDescriptor", "PartitionKeys", "TableType")}
    facts = table["Parameters"] | {"reference_genome": "GRCh37"}
    glue.update_table(DatabaseName="lake", TableInput=given | {"Parameters": facts})
    crawl("typed")
    assert metrics("typed") == (1, 1)
    after = glue.get_table(DatabaseName="lake", Name="typed")["Table"]
    assert after["Parameters"]["reference_genome"] == "GRCh37"


def partitions(name: str) -> list[list[str]]:
    pages = boto3.client("glue").get_paginator("get_partitions").paginate(DatabaseName="lake", TableName=name)
    return sorted(partition["Values"] for page in pages for partition in page["Partitions"])


def test_partitions_come_and_go() -> None:
    for number in range(230):
        put(f"cohort/sampleid=NA{number:05d}/part.parquet", pa.table({"position": [number]}))
    put("cohort/sampleid=a%20b/part.parquet", pa.table({"position": [1]}))
    assert crawl("cohort", role("Cohort", READ, WRITE))["Status"] == "SUCCEEDED"
    table = boto3.client("glue").get_table(DatabaseName="lake", Name="cohort")["Table"]
    assert table["PartitionKeys"] == [{"Name": "sampleid", "Type": "string"}]
    assert partitions("cohort") == [*([f"NA{number:05d}"] for number in range(230)), ["a b"]]
    boto3.client("s3").delete_object(Bucket=BUCKET, Key="cohort/sampleid=NA00000/part.parquet")
    assert crawl("cohort")["Status"] == "SUCCEEDED"
    assert len(partitions("cohort")) == 230
    assert ["NA00000"] not in partitions("cohort")


def test_files_that_are_no_one_table() -> None:
    put("mixed/a.parquet", pa.table({"x": pa.array([1], pa.int64())}))
    put("mixed/b.parquet", pa.table({"x": pa.array(["1"])}))
    told = crawl("mixed", role("Mixed", READ, WRITE))
    assert told["Status"] == "FAILED"
    assert "x is bigint and, in b.parquet, string" in told["ErrorMessage"]


@pytest.mark.parametrize(
    ("name", "statements", "told"),
    [("unread", [WRITE], "ACCESS_DENIED|AccessDenied"), ("unwritten", [READ], "not authorized to perform: glue:")],
)
def test_a_role_without_the_right_fails(name: str, statements: list[dict[str, Any]], told: str) -> None:
    put(f"{name}/a.parquet", pa.table({"x": [1]}))
    last = crawl(name, role(name.capitalize(), *statements))
    assert last["Status"] == "FAILED"
    assert any(words in last["ErrorMessage"] for words in told.split("|"))


def test_no_security_configuration_and_no_files() -> None:
    told = crawl("secured", role("Secured", READ, WRITE), CrawlerSecurityConfiguration="none-such")
    assert told["Status"] == "FAILED"
    assert crawl("nothing", role("Nothing", READ, WRITE))["Status"] == "SUCCEEDED"
    assert metrics("nothing") == (0, 0)
