"""The rehearsal's Athena: real queries on Parquet of S3, with the caller's rights, in a workgroup's settings."""

import csv
import io
import json
import os
import time
from dataclasses import dataclass
from string import Template
from typing import Any
from urllib.parse import quote

import boto3
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.fs as pa_fs
import pyarrow.parquet as pq
import pyathena
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, WaiterError
from pyathena.pandas.cursor import PandasCursor

from setup import cost, drug_response, names
from setup.rehearsal.process import ACCOUNT, REGION, Emulator
from tests.emulator import client

BUCKET, DATABASE, GROUP = "the-lake-bucket", "genomicsanalysis", "genomicsanalysis"
RESULTS = f"s3://{BUCKET}/results/"
GUIDE = names.ROOT.parent / "shared" / "guide.txt"
VARIANTS = {
    "chromosome": "string", "startposition": "bigint", "endposition": "bigint", "referenceallele": "string",
    "alternateallele": "string", "genotype0": "int", "genotype1": "int",
}  # fmt: skip
CLINVAR = {
    "rsid": "bigint", "phenotypelist": "string", "clinicalsignificance": "string", "assembly": "string",
    "chromosome": "string", "start": "bigint", "stop": "bigint", "referenceallele": "string",
    "alternateallele": "string",
}  # fmt: skip
ARROW = {"string": pa.string(), "bigint": pa.int64(), "int": pa.int32()}
GLUE = f"arn:aws:glue:{REGION}:{ACCOUNT}"
RIGHTS: dict[str, dict[str, Any]] = {
    "workgroup": {
        "Action": ["athena:StartQueryExecution", "athena:GetQueryExecution", "athena:GetQueryResults"],
        "Resource": f"arn:aws:athena:{REGION}:{ACCOUNT}:workgroup/{GROUP}",
    },
    "catalog": {
        "Action": ["glue:GetDatabase", "glue:GetTable", "glue:GetPartitions", "glue:BatchGetPartition"],
        "Resource": [f"{GLUE}:catalog", f"{GLUE}:database/{DATABASE}", f"{GLUE}:table/{DATABASE}/*"],
    },
    "location": {"Action": "s3:GetBucketLocation", "Resource": f"arn:aws:s3:::{BUCKET}"},
    "listing": {
        "Action": "s3:ListBucket",
        "Resource": f"arn:aws:s3:::{BUCKET}",
        "Condition": {"StringLike": {"s3:prefix": "tables/*"}},
    },
    "tables": {"Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{BUCKET}/tables/*"},
    "results": {"Action": ["s3:GetObject", "s3:PutObject"], "Resource": f"arn:aws:s3:::{BUCKET}/results/*"},
    "key": {"Action": ["kms:GenerateDataKey", "kms:Decrypt"], "Resource": "*"},
}


@dataclass
class Lake:
    """A lake of a few rows, whose workgroup CloudFormation made, and clients of its account."""

    emulator: Emulator
    key: str

    def client(self, service: str, role: str | None = None) -> Any:
        return client(self.emulator, service, **(self.credentials(role) if role else {}))

    def credentials(self, role: str) -> dict[str, str]:
        arn = f"arn:aws:iam::{ACCOUNT}:role/{role}"
        assumed = client(self.emulator, "sts").assume_role(RoleArn=arn, RoleSessionName="someone")["Credentials"]
        return {
            "aws_access_key_id": assumed["AccessKeyId"],
            "aws_secret_access_key": assumed["SecretAccessKey"],
            "aws_session_token": assumed["SessionToken"],
        }

    def role(self, name: str, *without: str) -> str:
        """A role with every right of RIGHTS but some."""
        iam = self.client("iam")
        trust = {"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "sts:AssumeRole"}
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=_policy([trust]))
        rights = [{"Effect": "Allow", **right} for kind, right in RIGHTS.items() if kind not in without]
        iam.put_role_policy(RoleName=name, PolicyName="Rights", PolicyDocument=_policy(rights))
        return name

    def connect(self, role: str, **settings: Any) -> Any:
        session = boto3.Session(region_name=REGION, **self.credentials(role))
        return pyathena.connect(session=session, work_group=GROUP, poll_interval=0.05, **settings)

    def table(self, name: str, columns: dict[str, str], rows: pa.Table, keys: dict[str, str] | None = None) -> None:
        """A table in S3 and in the catalog; `keys` are its partition keys, of which none is registered yet."""
        glue = self.client("glue")
        place = f"s3://{BUCKET}/tables/{name}/"
        glue.create_table(
            DatabaseName=DATABASE,
            TableInput={
                "Name": name,
                "TableType": "EXTERNAL_TABLE",
                "Parameters": {"classification": "parquet"},
                "StorageDescriptor": _storage(place, columns),
                "PartitionKeys": [{"Name": key, "Type": kind} for key, kind in (keys or {}).items()],
            },
        )
        if not keys:
            self.put(f"tables/{name}/part-0.parquet", rows)

    def partition(self, table: str, value: str, columns: dict[str, str], folder: str, rows: pa.Table) -> None:
        self.put(f"{folder}part-0.parquet", rows)
        partition = {"Values": [value], "StorageDescriptor": _storage(f"s3://{BUCKET}/{folder}", columns)}
        self.client("glue").batch_create_partition(
            DatabaseName=DATABASE, TableName=table, PartitionInputList=[partition]
        )

    def put(self, key: str, rows: pa.Table) -> None:
        file = io.BytesIO()
        pq.write_table(rows, file)
        self.client("s3").put_object(Bucket=BUCKET, Key=key, Body=file.getvalue())

    def run(self, sql: str, *parameters: str, role: str | None = None, **request: Any) -> dict[str, Any]:
        """Run a query to its end; its record."""
        athena = self.client("athena", role)
        given = {"ExecutionParameters": list(parameters)} if parameters else {}
        number = athena.start_query_execution(
            QueryString=sql, QueryExecutionContext={"Database": DATABASE}, **{"WorkGroup": GROUP, **given, **request}
        )["QueryExecutionId"]
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            record: dict[str, Any] = athena.get_query_execution(QueryExecutionId=number)["QueryExecution"]
            if record["Status"]["State"] not in ("QUEUED", "RUNNING"):
                return record
            time.sleep(0.02)
        raise TimeoutError(sql)

    def rows(self, sql: str, *parameters: str) -> list[list[str | None]]:
        """The rows of a query, without its header."""
        record = self.run(sql, *parameters)
        assert record["Status"]["State"] == "SUCCEEDED", record["Status"]
        answer = self.client("athena").get_query_results(QueryExecutionId=record["QueryExecutionId"])["ResultSet"]
        return [[value.get("VarCharValue") for value in row["Data"]] for row in answer["Rows"]][1:]

    def reason(self, sql: str, role: str | None = None) -> str:
        """Why a query fails."""
        status = self.run(sql, role=role)["Status"]
        assert status["State"] == "FAILED"
        return str(status["StateChangeReason"])

    def file(self, record: dict[str, Any]) -> dict[str, Any]:
        """The result of a query in S3."""
        key = record["ResultConfiguration"]["OutputLocation"].removeprefix(f"s3://{BUCKET}/")
        found: dict[str, Any] = self.client("s3").get_object(Bucket=BUCKET, Key=key)
        return found


@pytest.fixture(scope="module")
def lake(emulator: Emulator) -> Lake:
    s3, glue, kms = (client(emulator, service) for service in ("s3", "glue", "kms"))
    s3.create_bucket(Bucket=BUCKET)
    made = Lake(emulator, kms.create_key()["KeyMetadata"]["Arn"])
    _stack(made, "Group", **_group(made.key))
    glue.create_database(DatabaseInput={"Name": DATABASE})
    made.table("onekg_chr22_by_sample", VARIANTS, _rows(VARIANTS), {"sampleid": "string"})
    for sample, genotype in (("NA12001", (0, 1)), ("NA12002", (1, 1)), ("NA12 3/x=y", None), ("HG00001", (0, 1))):
        variants = [["22", 100, 101, "G", "A", *genotype]] if genotype else []
        folder = f"tables/onekg_chr22_by_sample/sampleid={quote(sample)}/"
        rows = _rows(VARIANTS, ["22", 50, 51, "C", "T", 0, 1], *variants)
        made.partition("onekg_chr22_by_sample", sample, VARIANTS, folder, rows)
    response, benign = "drug response", "Benign"
    made.table(
        "clinvar",
        CLINVAR,
        _rows(
            CLINVAR,
            [4680, 'a "quoted", name', response, "GRCh37", "22", 101, 101, "G", "A"],
            [4680, "the other assembly", response, "GRCh38", "22", 101, 101, "G", "A"],
            [1, "no response", benign, "GRCh37", "22", 51, 51, "C", "T"],
        ),
    )
    for key in ("tables/clinvar/_load.json", "tables/clinvar/.hidden/x", "tables/clinvar/_temporary/0/part-0.parquet"):
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"{}")
    made.role("Analyst")
    return made


def test_what_a_query_scanned_when_it_ran_is_found(lake: Lake) -> None:
    """With its parameters, among others that ran; not that of other samples, nor one that failed."""
    own = drug_response.Lake(boto3.Session(region_name=REGION), BUCKET, DATABASE, GROUP)
    sql = own.query("drug_response", "GRCh37")
    expected = lake.run(sql, "'HG0%'")["Statistics"]["DataScannedInBytes"]
    others = [lake.run(f"SELECT {number} FROM clinvar") for number in range(12)]
    failed = "SELECT nothing FROM clinvar"
    assert lake.reason(failed)
    assert expected > others[0]["Statistics"]["DataScannedInBytes"]
    assert cost.billed(own, cost.text_of("drug_response", "HG0%")) == expected
    assert cost.billed(own, "SELECT 3 -- a comment\n  FROM clinvar") is not None
    assert cost.billed(own, cost.text_of("drug_response", "HG1%")) is None
    assert cost.billed(own, failed) is None


def test_the_drug_response_query(lake: Lake) -> None:
    sql = (names.QUERIES / "drug_response.sql").read_text()
    sql = Template(sql).substitute(database=DATABASE, reference_genome="GRCh37", variants=names.VARIANTS_TABLE)
    with lake.connect("Analyst") as connection, connection.cursor() as cursor:
        rows = cursor.execute(sql, ["'NA12%'"], paramstyle="qmark").fetchall()
        assert [column[0] for column in cursor.description][:2] == ["genotypefrequency", "rsid"]
        result = cursor.output_location
    expected = [(1 / 3, 4680, 'a "quoted", name', "22", 100, 101, "G", "A", *genotype) for genotype in ((0, 1), (1, 1))]
    assert rows == expected
    # where and how Athena writes it
    assert result.startswith(RESULTS)
    file = lake.client("s3").get_object(Bucket=BUCKET, Key=result.removeprefix(f"s3://{BUCKET}/"))
    assert (file["ServerSideEncryption"], file["SSEKMSKeyId"]) == ("aws:kms", lake.key)
    text = file["Body"].read().decode()
    assert text.splitlines()[1].startswith('"0.3333333333333333","4680","a ""quoted"", name","22","100","101"')
    assert [row[:2] for row in csv.reader(io.StringIO(text))][1:] == [["0.3333333333333333", "4680"]] * 2


@pytest.mark.skipif(not GUIDE.exists(), reason="../shared/guide.txt is absent")
def test_the_guides_query(lake: Lake) -> None:
    guide = GUIDE.read_text()
    start = guide.rindex("SELECT\n    count(*)/cast(numsamples")
    sql = guide[start : guide.index("LIMIT 50", start) + len("LIMIT 50")].replace("```", "")
    with lake.connect("Analyst") as connection, connection.cursor() as cursor:
        rows = sorted(cursor.execute(sql).fetchall())
    assert [row[0] for row in rows] == [1 / 3] * 2
    assert [row[-2:] for row in rows] == [(0, 1), (1, 1)]


def test_the_result_in_s3_is_what_cursors_read(lake: Lake) -> None:
    """PyAthena's ArrowCursor can't be told where S3 is; pyarrow itself can."""
    sql = (
        "SELECT sampleid, startposition, genotype1 FROM onekg_chr22_by_sample WHERE startposition = ? ORDER BY sampleid"
    )
    with lake.connect("Analyst", schema_name=DATABASE, cursor_class=PandasCursor) as connection:
        cursor = connection.cursor().execute(sql, ["100"], paramstyle="qmark")
        assert cursor.fetchall() == [("HG00001", 100, 1), ("NA12001", 100, 1), ("NA12002", 100, 1)]
    endpoint, certificate = lake.emulator.environment["AWS_ENDPOINT_URL"], lake.emulator.environment["AWS_CA_BUNDLE"]
    assumed = lake.credentials("Analyst")
    files = pa_fs.S3FileSystem(
        access_key=assumed["aws_access_key_id"],
        secret_key=assumed["aws_secret_access_key"],
        session_token=assumed["aws_session_token"],
        endpoint_override=endpoint.removeprefix("https://"),
        tls_ca_file_path=certificate,
    )
    with files.open_input_stream(cursor.output_location.removeprefix("s3://")) as result:
        assert pa_csv.read_csv(result).column("genotype1").to_pylist() == [1, 1, 1]


def test_partitions_are_those_of_the_catalog(lake: Lake) -> None:
    counted = "SELECT count(*) FROM parted WHERE kind LIKE 'a%'"
    lake.table("parted", {"x": "bigint"}, _rows({"x": "bigint"}), {"kind": "string"})
    assert lake.rows("SELECT x, kind FROM parted") == []
    one = _rows({"x": "bigint"}, [1])
    lake.put("tables/parted/kind=a1/part-0.parquet", one)
    assert lake.rows(counted) == [["0"]]  # a folder that no crawler has seen
    lake.partition("parted", "a1", {"x": "bigint"}, "tables/parted/kind=a1/", one)
    assert lake.rows(counted) == [["1"]]
    lake.partition("parted", "a2", {"x": "bigint"}, "elsewhere/two/", _rows({"x": "bigint"}, [2], [3]))
    assert lake.rows("SELECT kind, sum(x) FROM parted GROUP BY kind ORDER BY kind") == [["a1", "1"], ["a2", "5"]]
    lake.client("glue").delete_partition(DatabaseName=DATABASE, TableName="parted", PartitionValues=["a1"])
    assert lake.rows(counted) == [["2"]]
    assert ["NA12 3/x=y"] in lake.rows("SELECT DISTINCT sampleid FROM onekg_chr22_by_sample")


def test_values(lake: Lake) -> None:
    record = lake.run(
        "SELECT 1/2, 7 / 2 AS Half, 1.0E7 + 0.0E0, CAST(1 AS DOUBLE) / 3, true, CAST(NULL AS VARCHAR) AS missing, "
        "'' AS none, DATE '2020-02-03', TIMESTAMP '2020-02-03 04:05:06.789', CAST(12345678901 AS BIGINT), 'é\n\"'"
    )
    answer = lake.client("athena").get_query_results(QueryExecutionId=record["QueryExecutionId"])["ResultSet"]
    columns = answer["ResultSetMetadata"]["ColumnInfo"]
    assert [column["Name"] for column in columns][:6] == ["_col0", "half", "_col2", "_col3", "_col4", "missing"]
    assert [column["Type"] for column in columns] == [
        "integer", "integer", "double", "double", "boolean", "varchar", "varchar", "date", "timestamp", "bigint",
        "varchar",
    ]  # fmt: skip
    assert [value.get("VarCharValue") for value in answer["Rows"][1]["Data"]] == [
        "0", "3", "1.0E7", "0.3333333333333333", "true", None, "", "2020-02-03", "2020-02-03 04:05:06.789",
        "12345678901", "é\n\"",
    ]  # fmt: skip
    line = lake.file(record)["Body"].read().decode().split("\n", 1)[1]
    assert line.startswith('"0","3","1.0E7","0.3333333333333333","true",,"","2020-02-03"')


def test_columns_are_those_of_the_catalog(lake: Lake) -> None:
    depths = pa.array([[1, 2], None], pa.list_(pa.int32()))
    lists = pa.table({"ad": depths, "n": pa.array([1, 2], pa.int32()), "unseen": ["x", "y"]})
    lake.table("nested", {"ad": "array<int>", "n": "bigint", "later": "string"}, lists)
    assert lake.rows("SELECT * FROM nested ORDER BY n") == [["[1, 2]", "1", None], [None, "2", None]]
    assert lake.rows("SELECT sum(x) FROM nested CROSS JOIN UNNEST(ad) AS t(x)") == [["3"]]
    assert lake.reason("SELECT unseen FROM nested") == "COLUMN_NOT_FOUND: Column 'unseen' cannot be resolved"
    lake.table("mistyped", {"n": "string"}, pa.table({"n": [1]}))
    assert lake.reason("SELECT * FROM mistyped").startswith("HIVE_BAD_DATA: Field n's type BIGINT")
    lake.table("stray", {"n": "bigint"}, pa.table({"n": [1]}))
    lake.client("s3").put_object(Bucket=BUCKET, Key="tables/stray/readme.txt", Body=b"not parquet")
    assert "Not valid Parquet file: s3://the-lake-bucket/tables/stray/readme.txt" in lake.reason("SELECT * FROM stray")


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        (
            "SELECT * FROM nowhere",
            f"TABLE_NOT_FOUND: line 1:15: Table 'awsdatacatalog.{DATABASE}.nowhere' does not exist",
        ),
        ("SELECT 1\nFROM elsewhere.t", "SCHEMA_NOT_FOUND: line 2:6: Schema 'elsewhere' does not exist"),
        ("SELECT * FROM other.db.t", "CATALOG_NOT_FOUND: line 1:15: Catalog 'other' does not exist"),
        ("SELECT * FROM '/etc/passwd'", "TABLE_NOT_FOUND"),
        ("SELECT no_function(1)", "FUNCTION_NOT_FOUND: Function 'no_function' not registered"),
        ("SELECT start, count(*) FROM clinvar", "EXPRESSION_NOT_AGGREGATE: 'start' must be an aggregate"),
        ("SELECT CAST('x' AS BIGINT)", "INVALID_CAST_ARGUMENT"),
        ("SELECT ?", "INVALID_PARAMETER_USAGE: Incorrect number of parameters: expected 1 but found 0"),
    ],
)
def test_a_query_that_fails(lake: Lake, sql: str, told: str) -> None:
    assert told in lake.reason(sql)


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("SELCT 1", "line 1:1: syntax error"),
        ("SELECT 1; SELECT 2", "Only one sql statement is allowed"),
        ("CREATE TABLE t AS SELECT 1", "executes SELECT, and no other statement"),
        ("SHOW TABLES", "executes SELECT"),
        ("SELECT * FROM read_csv('/etc/passwd')", "Table function 'read_csv' not registered"),
    ],
)
def test_what_is_no_query_is_refused(lake: Lake, sql: str, told: str) -> None:
    with pytest.raises(ClientError, match="InvalidRequestException") as refused:
        lake.run(sql)
    assert told in str(refused.value)
    with pytest.raises(ClientError, match="NA12% is no literal"):
        lake.run("SELECT ?", "NA12%")


@pytest.mark.parametrize(
    ("missing", "told"),
    [
        ("catalog", "Insufficient permissions to execute the query. .*glue:GetDatabase"),
        ("listing", f"Permission denied on S3 path: s3://{BUCKET}/tables/clinvar/.* s3:ListBucket"),
        ("tables", f"Permission denied on S3 path: s3://{BUCKET}/tables/clinvar/.* s3:GetObject"),
        ("results", "Access denied when writing output to url: .*s3:PutObject"),
        ("key", "Access denied when writing output to url: .*kms:GenerateDataKey"),
    ],
)
def test_a_query_has_the_rights_of_its_caller(lake: Lake, missing: str, told: str) -> None:
    role = lake.role(f"Without{missing}", missing)
    with pytest.raises(AssertionError, match=told):
        assert lake.reason("SELECT count(*) FROM clinvar", role) == "?"


def test_what_is_encrypted_is_decrypted_with_the_rights_of_the_caller(lake: Lake) -> None:
    lake.table("sealed", {"x": "bigint"}, pa.table({"x": [1]}))
    key = "tables/sealed/part-0.parquet"
    s3 = lake.client("s3")
    sealed = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": lake.key}
    s3.copy_object(Bucket=BUCKET, Key=key, CopySource=f"{BUCKET}/{key}", **sealed)
    told = lake.reason("SELECT x FROM sealed", lake.role("WithoutTheKey", "key"))
    assert told.startswith(f"Permission denied on S3 path: s3://{BUCKET}/tables/sealed/")
    assert "kms:Decrypt" in told
    assert lake.run("SELECT x FROM sealed", role="Analyst")["Status"]["State"] == "SUCCEEDED"


def test_a_caller_needs_the_workgroup(lake: Lake) -> None:
    role = lake.role("OfOneGroup", "location")
    with pytest.raises(ClientError, match="Unable to verify/create output bucket the-lake-bucket"):
        lake.run("SELECT 1", role=role)
    with pytest.raises(ClientError, match="AccessDenied"):
        lake.run("SELECT 1", role=role, WorkGroup="primary")
    number = lake.run("SELECT 1", WorkGroup="primary", ResultConfiguration={"OutputLocation": RESULTS})
    with pytest.raises(ClientError, match="AccessDenied"):
        lake.client("athena", role).get_query_results(QueryExecutionId=number["QueryExecutionId"])


def test_the_settings_of_a_workgroup(lake: Lake) -> None:
    athena = lake.client("athena")
    theirs: dict[str, Any] = {"ResultConfiguration": {"OutputLocation": f"s3://{BUCKET}/of-the-client"}}
    record = lake.run("SELECT 1", **theirs)  # enforced: the client's place is passed over
    number = record["QueryExecutionId"]
    assert record["ResultConfiguration"] == {
        "OutputLocation": f"{RESULTS}{number}.csv",
        "EncryptionConfiguration": {"EncryptionOption": "SSE_KMS", "KmsKey": lake.key},
    }
    record = lake.run("SELECT 1", **theirs, WorkGroup="primary")
    number = record["QueryExecutionId"]
    assert record["ResultConfiguration"]["OutputLocation"] == f"s3://{BUCKET}/of-the-client/{number}.csv"
    assert lake.file(record)["Body"].read() == b'"_col0"\n"1"\n'
    with pytest.raises(ClientError, match="No output location provided"):
        lake.run("SELECT 1", WorkGroup="primary")
    with pytest.raises(ClientError, match="WorkGroup nobodys is not found"):
        lake.run("SELECT 1", WorkGroup="nobodys")
    athena.create_work_group(Name="off", Configuration=theirs)
    athena.update_work_group(WorkGroup="off", State="DISABLED")
    with pytest.raises(ClientError, match="WorkGroup off is disabled"):
        lake.run("SELECT 1", WorkGroup="off")
    unchecked = boto3.client("athena", config=Config(parameter_validation=False))
    with pytest.raises(ClientError, match="at least 10000000"):
        unchecked.update_work_group(WorkGroup="off", ConfigurationUpdates={"BytesScannedCutoffPerQuery": 10})


def test_a_query_that_scans_too_much_is_cancelled(lake: Lake) -> None:
    lake.table("large", {"x": "binary"}, pa.table({"x": [os.urandom(6_000_000), os.urandom(6_000_000)]}))
    lake.client("athena").create_work_group(
        Name="thrifty",
        Configuration={"ResultConfiguration": {"OutputLocation": RESULTS}, "BytesScannedCutoffPerQuery": 10_000_000},
    )
    status = lake.run("SELECT count(*) FROM large", WorkGroup="thrifty")
    assert status["Status"]["State"] == "CANCELLED"
    assert status["Status"]["StateChangeReason"] == "Bytes scanned limit was exceeded"
    assert status["Statistics"]["DataScannedInBytes"] > 12_000_000
    assert lake.run("SELECT count(*) FROM clinvar", WorkGroup="thrifty")["Status"]["State"] == "SUCCEEDED"


def test_long_results_and_long_queries(lake: Lake) -> None:
    lake.table("numbers", {"x": "bigint"}, pa.table({"x": range(100_000)}))
    athena = lake.client("athena")
    record = lake.run("SELECT x FROM numbers WHERE x < 2500 ORDER BY x")
    pages = list(athena.get_paginator("get_query_results").paginate(QueryExecutionId=record["QueryExecutionId"]))
    rows = [row["Data"][0]["VarCharValue"] for page in pages for row in page["ResultSet"]["Rows"]]
    assert len(pages) == 3
    assert rows == ["x", *map(str, range(2500))]

    number = athena.start_query_execution(
        QueryString="SELECT count(*) FROM numbers a JOIN numbers b ON a.x % 7 <> b.x % 11",
        QueryExecutionContext={"Database": DATABASE},
        WorkGroup=GROUP,
    )["QueryExecutionId"]
    with pytest.raises(ClientError, match="Query has not yet finished"):
        athena.get_query_results(QueryExecutionId=number)
    athena.stop_query_execution(QueryExecutionId=number)
    status = athena.get_query_execution(QueryExecutionId=number)["QueryExecution"]["Status"]
    assert status["State"] == "CANCELLED"
    assert athena.list_query_executions(WorkGroup=GROUP)["QueryExecutionIds"][0] == number


def test_a_workgroup_and_its_queries_of_cloudformation(lake: Lake) -> None:
    athena, cloudformation = lake.client("athena"), lake.client("cloudformation")
    group = athena.get_work_group(WorkGroup=GROUP)["WorkGroup"]
    assert group["Description"] == "The lake's"
    settings = group["Configuration"]
    assert settings["EnforceWorkGroupConfiguration"]
    assert settings["PublishCloudWatchMetricsEnabled"]
    assert settings["BytesScannedCutoffPerQuery"] == 1_000_000_000
    assert settings["EngineVersion"]["EffectiveEngineVersion"] == "Athena engine version 3"
    arn = f"arn:aws:athena:{REGION}:{ACCOUNT}:workgroup/{GROUP}"
    assert {"Key": "Project", "Value": "X"} in athena.list_tags_for_resource(ResourceARN=arn)["Tags"]

    def group_of_stack(text: str, *, recursive: bool) -> dict[str, Any]:
        resources = _group(lake.key, "second")
        resources["WorkGroup"]["Properties"] |= {"Description": text, "RecursiveDeleteOption": recursive}
        query = {"Name": "one", "Database": DATABASE, "QueryString": text, "WorkGroup": {"Ref": "WorkGroup"}}
        return resources | {"Query": {"Type": "AWS::Athena::NamedQuery", "Properties": query}}

    named = _stack(lake, "Second", **group_of_stack("SELECT 1", recursive=False))["Query"]
    assert athena.list_named_queries(WorkGroup="second")["NamedQueryIds"] == [named]
    assert athena.list_named_queries()["NamedQueryIds"] == []  # those of primary
    assert athena.get_named_query(NamedQueryId=named)["NamedQuery"] == {
        "NamedQueryId": named, "Name": "one", "Database": DATABASE, "QueryString": "SELECT 1", "WorkGroup": "second"
    }  # fmt: skip
    again = _stack(lake, "Second", **group_of_stack("SELECT 2", recursive=False))["Query"]
    assert again != named
    assert athena.list_named_queries(WorkGroup="second")["NamedQueryIds"] == [again]
    assert athena.get_work_group(WorkGroup="second")["WorkGroup"]["Description"] == "SELECT 2"

    # a workgroup in which something was asked is deleted with all that it holds, or not at all
    lake.run("SELECT 1", WorkGroup="second")
    cloudformation.delete_stack(StackName="Second")
    with pytest.raises(WaiterError):
        cloudformation.get_waiter("stack_delete_complete").wait(StackName="Second", WaiterConfig={"Delay": 1})
    events = cloudformation.describe_stack_events(StackName="Second")["StackEvents"]
    assert any("WorkGroup second is not empty" in event.get("ResourceStatusReason", "") for event in events)
    athena.delete_work_group(WorkGroup="second", RecursiveDeleteOption=True)
    cloudformation.delete_stack(StackName="Second")
    cloudformation.get_waiter("stack_delete_complete").wait(StackName="Second", WaiterConfig={"Delay": 1})

    _stack(lake, "Third", **group_of_stack("SELECT 3", recursive=True))
    lake.run("SELECT 1", WorkGroup="second")
    cloudformation.delete_stack(StackName="Third")
    cloudformation.get_waiter("stack_delete_complete").wait(StackName="Third", WaiterConfig={"Delay": 1})
    assert "second" not in [group["Name"] for group in athena.list_work_groups()["WorkGroups"]]


def _group(key: str, name: str = GROUP) -> dict[str, Any]:
    properties = {
        "Name": name,
        "Description": "The lake's",
        "RecursiveDeleteOption": True,
        "Tags": [{"Key": "Project", "Value": "X"}],
        "WorkGroupConfiguration": {
            "EnforceWorkGroupConfiguration": True,
            "PublishCloudWatchMetricsEnabled": True,
            "BytesScannedCutoffPerQuery": "1000000000",
            "EngineVersion": {"SelectedEngineVersion": "Athena engine version 3"},
            "ResultConfiguration": {
                "OutputLocation": RESULTS,
                "EncryptionConfiguration": {"EncryptionOption": "SSE_KMS", "KmsKey": key},
            },
        },
    }
    return {"WorkGroup": {"Type": "AWS::Athena::WorkGroup", "Properties": properties}}


def _stack(lake: Lake, name: str, **resources: Any) -> dict[str, str]:
    """Create or update a stack; the physical ids of its resources."""
    api, text = lake.client("cloudformation"), json.dumps({"Resources": resources})
    exists = any(stack["StackName"] == name for stack in api.describe_stacks()["Stacks"])
    kind = "update" if exists else "create"
    getattr(api, f"{kind}_stack")(StackName=name, TemplateBody=text)
    api.get_waiter(f"stack_{kind}_complete").wait(StackName=name, WaiterConfig={"Delay": 1})
    found = api.describe_stack_resources(StackName=name)["StackResources"]
    return {resource["LogicalResourceId"]: resource["PhysicalResourceId"] for resource in found}


def _storage(place: str, columns: dict[str, str]) -> dict[str, Any]:
    return {
        "Location": place,
        "Columns": [{"Name": name, "Type": kind} for name, kind in columns.items()],
        "InputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
        "OutputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
        "SerdeInfo": {"SerializationLibrary": "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"},
    }


def _rows(columns: dict[str, str], *rows: list[Any]) -> pa.Table:
    values = zip(*rows, strict=True) if rows else [[] for _ in columns]
    arrays = [pa.array(list(column), ARROW[kind]) for column, kind in zip(values, columns.values(), strict=True)]
    return pa.table(dict(zip(columns, arrays, strict=True)))


def _policy(statements: list[dict[str, Any]]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})
