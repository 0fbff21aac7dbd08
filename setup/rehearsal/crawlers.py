"""Glue's crawlers, which really crawl: they read the Parquet files with their role, and write the catalog with it.

Executed: S3 targets with exclusions, Hive partitions, one table a target; new, changed and removed columns and
partitions. A target whose files can't be one table fails: Glue would make several of it.
"""

import json
import subprocess
import time
import uuid
from typing import Any
from urllib.parse import unquote

from botocore.exceptions import ClientError

from setup.rehearsal import catalog_settings, extend, logs
from setup.rehearsal.extend import Request, ServiceError

_BATCH = 100  # partitions that one request makes
_PARQUET = {
    "InputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
    "OutputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
    "SerdeInfo": {
        "SerializationLibrary": "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe",
        "Parameters": {"serialization.format": "1"},
    },
}
_metrics: dict[str, dict[str, int]] = {}


def install() -> None:
    """Put the operations in the place of those that pretend."""
    operations = {"StartCrawler": _start, "StopCrawler": _stop, "GetCrawlerMetrics": _get_metrics}
    extend.add_operations("glue", operations)


def _found(name: str) -> dict[str, Any]:
    if name not in extend.CRAWLERS:
        raise ServiceError("EntityNotFoundException", f"Crawler {name} not found")
    crawler: dict[str, Any] = extend.CRAWLERS[name]
    return crawler


def _start(request: Request) -> dict[str, Any]:
    crawler = _found(request["Name"])
    if crawler["State"] != "READY":
        raise ServiceError("CrawlerRunningException", f"Crawler {request['Name']} is {crawler['State'].lower()}")
    crawler["State"] = "RUNNING"
    extend.in_background(_run, crawler)
    return {}


def _stop(request: Request) -> dict[str, Any]:
    crawler = _found(request["Name"])
    if crawler["State"] != "RUNNING":
        raise ServiceError("CrawlerNotRunningException", f"Crawler {request['Name']} is not running")
    crawler["State"] = "STOPPING"
    return {}


def _get_metrics(request: Request) -> dict[str, Any]:
    wanted = request.get("CrawlerNameList") or sorted(extend.CRAWLERS)
    counts = {"TablesCreated": 0, "TablesUpdated": 0, "TablesDeleted": 0}
    return {"CrawlerMetricsList": [{"CrawlerName": name} | counts | _metrics.get(name, {}) for name in wanted]}


def _run(crawler: dict[str, Any]) -> None:
    started, name = time.time(), crawler["Name"]
    role, stream = crawler["Role"], name
    configuration = crawler["CrawlerSecurityConfiguration"]
    group = (
        f"/aws-glue/crawlers-role/{role.rpartition('/')[2]}-{configuration}" if configuration else "/aws-glue/crawlers"
    )
    status, message, lines, key = "SUCCEEDED", "", [f"[{name}] INFO: Start crawl"], ""
    try:
        key = catalog_settings.log_key(role, name, configuration)
        for target in crawler["Targets"].get("S3Targets", []):
            made = _Crawl(crawler, target).run()
            counts = _metrics.setdefault(name, {})
            for what, count in made.items():
                counts[what] = counts.get(what, 0) + count
            lines.append(f"[{name}] INFO: {target['Path']}: {json.dumps(made)}")
    except Exception as error:  # the crawl has to end, and to say why
        status, message = "FAILED", str(error)
        lines.append(f"[{name}] ERROR: {error}")
    if crawler["State"] == "STOPPING" and status == "SUCCEEDED":
        status = "CANCELLED"
    try:
        logs.write(role, name, group, stream, lines, key)
    except ClientError as error:
        status, message = "FAILED", f"{message} No log: {error}".strip()
    last = {"Status": status, "LogGroup": group, "LogStream": stream, "MessagePrefix": str(uuid.uuid4())}
    crawler["LastCrawl"] = last | {"StartTime": started} | ({"ErrorMessage": message} if message else {})
    crawler["State"] = "READY"
    detail = {"crawlerName": name, "state": "Succeeded" if status == "SUCCEEDED" else "Failed", "message": message}
    extend.put_event("aws.glue", "Glue Crawler State Change", detail, [])


class _Crawl:
    """One target of one crawler."""

    def __init__(self, crawler: dict[str, Any], target: dict[str, Any]) -> None:
        self.crawler, self.target = crawler, target
        self.place = target["Path"].rstrip("/")
        self.name = crawler["TablePrefix"] + self.place.rpartition("/")[2].lower()
        self.database = crawler["DatabaseName"]
        self.glue = extend.client("glue", crawler["Role"], crawler["Name"])

    def run(self) -> dict[str, int]:
        """Read the files, write the table; what was done to tables."""
        files = self._files()
        there = self._table()
        if not files:
            if there and self.crawler["SchemaChangePolicy"].get("DeleteBehavior") == "DELETE_FROM_DATABASE":
                self.glue.delete_table(DatabaseName=self.database, Name=self.name)
                return {"TablesDeleted": 1}
            return {}
        columns, keys, partitions = self._shape(files)
        table = self._input(columns, keys, files, there)
        if there is None:
            self.glue.create_table(DatabaseName=self.database, TableInput=table)
        else:
            self.glue.update_table(DatabaseName=self.database, TableInput=table)
        self._write_partitions(table, keys, partitions)
        return {"TablesUpdated": 1} if there else {"TablesCreated": 1}

    def _files(self) -> list[dict[str, Any]]:
        environment = extend.role_environment(self.crawler["Role"], self.crawler["Name"]) | {
            "PYTHONPATH": extend.CHECKOUT,
            "SSL_CERT_FILE": str(extend.CERTIFICATE),
        }
        command = [str(extend.PYTHON), "-m", "setup.rehearsal.footers", f"{self.place}/"]
        done = subprocess.run(
            [*command, *self.target.get("Exclusions", [])], env=environment, capture_output=True, text=True
        )
        if done.returncode:
            raise ServiceError("InternalServiceException", (done.stderr.strip().splitlines() or ["no message"])[-1])
        files: list[dict[str, Any]] = json.loads(done.stdout)
        return files

    def _shape(self, files: list[dict[str, Any]]) -> tuple[dict[str, str], list[str], dict[tuple[str, ...], str]]:
        """Columns and their types, partition keys, and the folder of each partition by its values."""
        columns: dict[str, str] = {}
        layouts: set[tuple[str, ...]] = set()
        partitions: dict[tuple[str, ...], str] = {}
        for file in files:
            folders = file["key"].split("/")[:-1]
            if any("=" not in folder for folder in folders):
                raise ServiceError(
                    "InvalidInputException", f"{file['key']} is in a folder that is no partition key=value"
                )
            pairs = [folder.partition("=") for folder in folders]
            layouts.add(tuple(key.lower() for key, _, _ in pairs))
            partitions[tuple(unquote(value) for _, _, value in pairs)] = "/".join(folders)
            for name, kind in file["columns"].items():
                if columns.setdefault(name, kind) != kind:
                    message = f"{self.place}: {name} is {columns[name]} and, in {file['key']}, {kind}"
                    raise ServiceError("InvalidInputException", f"{message}: the rehearsal makes one table of a target")
        if len(layouts) != 1:
            raise ServiceError("InvalidInputException", f"{self.place} has files in folders of different depth")
        return columns, list(layouts.pop()), partitions

    def _table(self) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = self.glue.get_table(DatabaseName=self.database, Name=self.name)["Table"]
        except self.glue.exceptions.EntityNotFoundException:
            return None
        return found

    def _input(
        self, columns: dict[str, str], keys: list[str], files: list[dict[str, Any]], there: dict[str, Any] | None
    ) -> dict[str, Any]:
        size, rows = sum(file["size"] for file in files), sum(file["rows"] for file in files)
        parameters = {
            "CrawlerSchemaDeserializerVersion": "1.0",
            "CrawlerSchemaSerializerVersion": "1.0",
            "UPDATED_BY_CRAWLER": self.crawler["Name"],
            "averageRecordSize": str(size // rows if rows else 0),
            "classification": "parquet",
            "compressionType": "none",
            "objectCount": str(len(files)),
            "recordCount": str(rows),
            "sizeKey": str(size),
            "typeOfData": "file",
        }
        return {
            "Name": self.name,
            "TableType": "EXTERNAL_TABLE",
            "PartitionKeys": [{"Name": key, "Type": "string"} for key in keys],
            "Parameters": (there or {}).get("Parameters", {}) | parameters,  # what others put there stays
            "StorageDescriptor": _PARQUET
            | {
                "Columns": [{"Name": name, "Type": kind} for name, kind in columns.items()],
                "Location": f"{self.place}/",
                "Compressed": False,
                "StoredAsSubDirectories": False,
                "Parameters": parameters,
            },
        }

    def _write_partitions(self, table: dict[str, Any], keys: list[str], partitions: dict[tuple[str, ...], str]) -> None:
        if not keys:
            return
        where = {"DatabaseName": self.database, "TableName": self.name}
        pages = self.glue.get_paginator("get_partitions").paginate(**where)
        there = {tuple(partition["Values"]) for page in pages for partition in page["Partitions"]}
        missing = sorted(set(partitions) - there)
        for start in range(0, len(missing), _BATCH):
            inputs = [
                {
                    "Values": list(values),
                    "StorageDescriptor": table["StorageDescriptor"]
                    | {"Location": f"{self.place}/{partitions[values]}/"},
                }
                for values in missing[start : start + _BATCH]
            ]
            told = self.glue.batch_create_partition(**where, PartitionInputList=inputs)
            if errors := told.get("Errors"):
                raise ServiceError("InternalServiceException", str(errors[0]))
        if self.crawler["SchemaChangePolicy"].get("DeleteBehavior") != "LOG":
            for values in sorted(there - set(partitions)):
                self.glue.delete_partition(**where, PartitionValues=list(values))
