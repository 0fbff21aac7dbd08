"""Athena that asks with the caller's rights, in a workgroup's settings, and writes its results where Athena does.

Not executed: statements other than SELECT, metrics in CloudWatch, and the file RESULT.csv.metadata, which no client
of the solution reads. What a query scanned is told as the whole size of its tables' registered files, which is more
than Athena reads; BytesScannedCutoffPerQuery goes by that.
"""

import csv
import io
import time
import uuid
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from setup.rehearsal import extend
from setup.rehearsal.athena import engine, tables, workgroups
from setup.rehearsal.athena.engine import MalformedError, Result, Run
from setup.rehearsal.athena.tables import QueryError
from setup.rehearsal.extend import ServiceError

Record = dict[str, Any]

_PAGE = 1000  # rows of an answer, at most
_RUNNING = ("QUEUED", "RUNNING")


class Execution:
    """An execution of a query: its record, as GetQueryExecution shows it, and its result."""

    def __init__(self, record: Record, run: Run) -> None:
        self.record, self.run = record, run
        self.result = Result([], [])


_executions: dict[str, Execution] = {}


def install() -> None:
    """Put it in the place of the emulator's own."""
    operations = {
        **workgroups.operations(),
        "StartQueryExecution": _start,
        "StopQueryExecution": _stop,
        "GetQueryExecution": _get,
        "BatchGetQueryExecution": _batch_get,
        "ListQueryExecutions": _list,
        "GetQueryResults": _results,
    }
    extend.add_operations("athena", operations, _resource)
    workgroups.install()


def _resource(operation: str, request: Mapping[str, Any]) -> str | list[str] | None:
    """The ARNs that IAM checks: those of workgroups, for executions and named queries too."""
    if operation in ("ListWorkGroups", "TagResource", "UntagResource", "ListTagsForResource"):
        return str(request.get("ResourceARN", "*"))
    executions = [request.get("QueryExecutionId"), *request.get("QueryExecutionIds", [])]
    named = [request.get("NamedQueryId"), *request.get("NamedQueryIds", [])]
    groups = {_executions[number].record["WorkGroup"] for number in executions if number in _executions}
    groups |= {group for number in named if number and (group := workgroups.group_of_named(number))}
    if not any(executions) and not any(named):
        if not any(operation.endswith(kind) for kind in ("WorkGroup", "Execution", "Executions", "Query", "Queries")):
            return None  # data catalogs and their metadata are ministack's
        groups = {request.get("WorkGroup") or request.get("Name", "primary")}
    if operation == "CreateNamedQuery":
        groups = {request.get("WorkGroup", "primary")}
    return [workgroups.arn(group) for group in sorted(groups)] or "*"


def _start(request: Record) -> Record:
    group = workgroups.get(request.get("WorkGroup", "primary"))
    if group["State"] != "ENABLED":
        raise ServiceError("InvalidRequestException", f"WorkGroup {group['Name']} is disabled.")
    configuration = _result_configuration(group, request)
    _check_bucket(tables.location(configuration["OutputLocation"])[0])
    try:
        query = engine.parse(request["QueryString"])
        parameters = engine.literals(request.get("ExecutionParameters", []))
    except MalformedError as error:
        raise ServiceError("InvalidRequestException", str(error)) from error
    number = str(uuid.uuid4())
    context = {"Catalog": "AwsDataCatalog", "Database": "default"} | request.get("QueryExecutionContext", {})
    record = {
        "QueryExecutionId": number,
        "Query": request["QueryString"],
        "StatementType": "DML",
        "SubstatementType": "SELECT",
        "ResultConfiguration": configuration
        | {"OutputLocation": f"{configuration['OutputLocation'].rstrip('/')}/{number}.csv"},
        "ResultReuseConfiguration": {"ResultReuseByAgeConfiguration": {"Enabled": False}},
        "QueryExecutionContext": context,
        "Status": {"State": "QUEUED", "SubmissionDateTime": time.time()},
        "Statistics": {
            "DataScannedInBytes": 0,
            "EngineExecutionTimeInMillis": 0,
            "TotalExecutionTimeInMillis": 0,
            "ResultReuseInformation": {"ReusedPreviousResult": False},
        },
        "WorkGroup": group["Name"],
        "EngineVersion": group["Configuration"]["EngineVersion"],
        "ExecutionParameters": request.get("ExecutionParameters", []),
    }
    execution = Execution(record, Run(query, context["Database"], parameters))
    _executions[number] = execution
    workgroups.use(group["Name"])
    extend.in_background(_execute, execution, group["Configuration"].get("BytesScannedCutoffPerQuery"))
    return {"QueryExecutionId": number}


def _result_configuration(group: Record, request: Record) -> Record:
    """Where the result goes: as the workgroup says, and as the client says where the workgroup lets it."""
    configuration = group["Configuration"]
    settings: Record = configuration.get("ResultConfiguration", {})
    if not configuration["EnforceWorkGroupConfiguration"]:
        settings = settings | request.get("ResultConfiguration", {})
    if not settings.get("OutputLocation"):
        raise ServiceError(
            "InvalidRequestException",
            "No output location provided. An output location is required either through the Workgroup result "
            "configuration setting or as an API input.",
        )
    return settings


def _check_bucket(bucket: str) -> None:
    told = extend.denied("s3:GetBucketLocation", f"arn:aws:s3:::{bucket}")
    if not told:
        try:
            tables.client("s3").head_bucket(Bucket=bucket)
        except ClientError as error:
            told = str(error)
    if told:
        raise ServiceError("InvalidRequestException", f"Unable to verify/create output bucket {bucket}. {told}")


def _execute(execution: Execution, cutoff: int | None) -> None:
    """Run a query to its end; whatever happens is in its record."""
    record, statistics = execution.record, execution.record["Statistics"]
    started = time.monotonic()
    try:
        _turn(record, "RUNNING")
        found = execution.run.resolve()
        statistics["DataScannedInBytes"] = sum(table.size for table in found)
        if cutoff is not None and statistics["DataScannedInBytes"] > cutoff:
            _turn(record, "CANCELLED", "Bytes scanned limit was exceeded")
            return
        execution.result = execution.run.execute(found)
        _write(record["ResultConfiguration"], execution.result)
        _turn(record, "SUCCEEDED")
    except QueryError as error:
        _turn(record, "FAILED", str(error))
    except Exception as error:
        _turn(record, "FAILED", f"GENERIC_INTERNAL_ERROR: {type(error).__name__}: {error}")
        raise
    finally:
        taken = int((time.monotonic() - started) * 1000)
        statistics |= {"EngineExecutionTimeInMillis": taken, "TotalExecutionTimeInMillis": taken}


def _turn(record: Record, state: str, reason: str | None = None) -> None:
    """Change the state, unless the execution has ended."""
    status = record["Status"]
    if status["State"] in _RUNNING:
        told = {"StateChangeReason": reason} if reason else {}
        ended = {} if state in _RUNNING else {"CompletionDateTime": time.time()}
        record["Status"] = status | {"State": state} | told | ended  # at once: others read it


def _write(configuration: Record, result: Result) -> None:
    """The result as the CSV that Athena writes: every value quoted, a null empty. Raises QueryError."""
    location = configuration["OutputLocation"]
    bucket, _, key = location.removeprefix("s3://").partition("/")
    told = extend.denied("s3:PutObject", f"arn:aws:s3:::{bucket}/{key}")
    encryption = configuration.get("EncryptionConfiguration", {})
    encrypted: Record = {}
    if encryption.get("EncryptionOption") == "SSE_S3":
        encrypted = {"ServerSideEncryption": "AES256"}
    elif encryption:
        arn = tables.key_arn(encryption["KmsKey"])
        encrypted = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": arn}
        via = {"kms:ViaService": f"s3.{extend.REGION}.amazonaws.com"}
        for action in ("kms:GenerateDataKey", "kms:Decrypt"):
            told = told or extend.denied(action, arn, via)
    if told:
        raise QueryError(
            f"Access denied when writing output to url: {location} . Please ensure you are allowed to access the S3 "
            "bucket. If you are encrypting query results with KMS key, please ensure you are allowed to access your "
            f"KMS key. {told}"
        )
    file = io.StringIO()
    written = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n")
    written.writerow([column["Name"] for column in result.columns])
    for row in result.rows:
        file.write(",".join("" if value is None else '"' + value.replace('"', '""') + '"' for value in row) + "\n")
    tables.client("s3").put_object(
        Bucket=bucket, Key=key, Body=file.getvalue().encode(), ContentType="application/octet-stream", **encrypted
    )


def _execution(number: str) -> Execution:
    try:
        return _executions[number]
    except KeyError:
        raise ServiceError("InvalidRequestException", f"QueryExecution {number} was not found") from None


def _stop(request: Record) -> Record:
    execution = _execution(request["QueryExecutionId"])
    _turn(execution.record, "CANCELLED", "Query cancelled by user")
    execution.run.interrupt()
    return {}


def _get(request: Record) -> Record:
    return {"QueryExecution": _execution(request["QueryExecutionId"]).record}


def _batch_get(request: Record) -> Record:
    numbers = request["QueryExecutionIds"]
    told = {"ErrorCode": "INVALID_INPUT", "ErrorMessage": "QueryExecution was not found"}
    return {
        "QueryExecutions": [_executions[number].record for number in numbers if number in _executions],
        "UnprocessedQueryExecutionIds": [
            {"QueryExecutionId": number, **told} for number in numbers if number not in _executions
        ],
    }


def _list(request: Record) -> Record:
    group = workgroups.get(request.get("WorkGroup", "primary"))["Name"]
    newest_first = reversed(_executions.items())
    return {
        "QueryExecutionIds": [number for number, execution in newest_first if execution.record["WorkGroup"] == group]
    }


def _results(request: Record) -> Record:
    execution = _execution(request["QueryExecutionId"])
    state = execution.record["Status"]["State"]
    if state in _RUNNING:
        raise ServiceError("InvalidRequestException", f"Query has not yet finished. Current state: {state}")
    if state != "SUCCEEDED":
        told = f"Query did not finish successfully. Final query state: {state}"
        raise ServiceError("InvalidRequestException", told)
    columns = execution.result.columns
    rows: list[list[str | None]] = [[column["Name"] for column in columns], *execution.result.rows]
    first = int(request.get("NextToken", 0))
    after = first + min(request.get("MaxResults", _PAGE), _PAGE)
    answer: Record = {
        "UpdateCount": 0,
        "ResultSet": {
            "ResultSetMetadata": {"ColumnInfo": columns},
            "Rows": [
                {"Data": [{} if value is None else {"VarCharValue": value} for value in row]}
                for row in rows[first:after]
            ],
        },
    }
    return answer | ({"NextToken": str(after)} if after < len(rows) else {})
