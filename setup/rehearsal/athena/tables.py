"""The tables of a query: what the Glue catalog says of them, and their files, read with the rights of who asks."""

import functools
import hashlib
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from setup.rehearsal import extend
from setup.rehearsal.athena.values import duckdb_type, quoted, reads

FOLDER = extend.HOME / "athena"  # copies of objects


class QueryError(Exception):
    """Why a query fails, as Athena tells it in StateChangeReason."""


@dataclass(frozen=True)
class Table:
    """A table of the catalog: its columns and partition keys with their types, and its files."""

    database: str
    name: str
    columns: dict[str, str]
    keys: dict[str, str]
    files: list["File"]

    @property
    def size(self) -> int:
        """Bytes of its registered files."""
        return sum(file.size for file in self.files)


@dataclass(frozen=True)
class File:
    """A Parquet file of a table, and the values of its partition."""

    bucket: str
    key: str
    etag: str
    size: int
    values: tuple[str, ...]

    def copy(self, keys: Iterable[str]) -> Path:
        """A copy on this machine, kept for later queries, in Hive's folders of its partition. Raises QueryError."""
        name = hashlib.sha256("\0".join((self.bucket, self.key, self.etag)).encode()).hexdigest()
        folders = (f"{key}={quote(value, safe='')}" for key, value in zip(keys, self.values, strict=True))
        copy = Path(FOLDER, name, *folders, "copy.parquet")
        if not copy.exists():
            content = extend.read_object(self.bucket, self.key)
            if content[:4] != b"PAR1":
                path = f"s3://{self.bucket}/{self.key}"
                raise QueryError(f"HIVE_BAD_DATA: Not valid Parquet file: {path} expected magic number: PAR1")
            copy.parent.mkdir(parents=True, exist_ok=True)
            aside = copy.with_name(f"{threading.get_ident()}.new")
            aside.write_bytes(content)
            aside.rename(copy)
        return copy


def find(database: str, name: str, at: str) -> Table:
    """A table of the catalog that the caller may read; `at` is where the query names it. Raises QueryError."""
    glue = client("glue")
    parts = ("catalog", f"database/{database}", f"table/{database}/{name}")
    _may_glue("GetDatabase", *parts[:2])
    try:
        glue.get_database(Name=database)
    except glue.exceptions.EntityNotFoundException:
        raise QueryError(f"SCHEMA_NOT_FOUND: {at}: Schema '{database}' does not exist") from None
    _may_glue("GetTable", *parts)
    try:
        table = glue.get_table(DatabaseName=database, Name=name)["Table"]
    except glue.exceptions.EntityNotFoundException:
        told = f"TABLE_NOT_FOUND: {at}: Table 'awsdatacatalog.{database}.{name}' does not exist"
        raise QueryError(told) from None
    storage = table.get("StorageDescriptor", {})
    if "parquet" not in storage.get("InputFormat", "").lower():
        raise QueryError(f"NOT_SUPPORTED: the rehearsal's Athena reads Parquet, which {database}.{name} is not")
    keys = {key["Name"]: key["Type"] for key in table.get("PartitionKeys", [])}
    if keys:
        _may_glue("GetPartitions", *parts)
        _may_glue("BatchGetPartition", *parts)
    files = list(_files(storage["Location"], _partitions(database, name) if keys else None))
    columns = {column["Name"]: column["Type"] for column in storage.get("Columns", [])}
    found = Table(database, name, columns, keys, files)
    _may_read(storage["Location"], files)
    return found


def relation(table: Table, connection: Any) -> str:
    """The table as a SELECT for DuckDB. Raises QueryError."""
    types = {name.lower(): duckdb_type(kind) for name, kind in (table.columns | table.keys).items()}
    if not table.files:
        empty = ", ".join(f"CAST(NULL AS {kind}) AS {quoted(name)}" for name, kind in types.items())
        return f"SELECT {empty} WHERE false"
    copies = ", ".join(_text(str(file.copy(table.keys))) for file in table.files)
    hive = ", ".join(f"{_text(key)}: VARCHAR" for key in table.keys)
    partitions = f", hive_partitioning = true, hive_types = {{{hive}}}" if hive else ", hive_partitioning = false"
    source = f"read_parquet([{copies}], union_by_name = true{partitions})"
    # the names and types in the files; what they have more than the table is not seen
    described = connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()  # noqa: S608
    inside = {row[0].lower(): row[1] for row in described}
    selected = []
    for name, kind in types.items():
        if name not in inside:
            selected.append(f"CAST(NULL AS {kind}) AS {quoted(name)}")
        elif name in table.keys or reads(inside[name], kind):
            selected.append(f"CAST({quoted(name)} AS {kind}) AS {quoted(name)}")
        else:
            raise QueryError(
                f"HIVE_BAD_DATA: Field {name}'s type {inside[name]} in the Parquet files of "
                f"{table.database}.{table.name} is incompatible with type {table.columns[name]} defined in table schema"
            )
    return f"SELECT {', '.join(selected)} FROM {source}"  # noqa: S608


@functools.cache
def client(service: str) -> Any:
    """A client that may do everything; what the caller may is asked before."""
    return extend.client(service)


def location(uri: str) -> tuple[str, str]:
    """The bucket and the prefix of s3://BUCKET/PREFIX/; a prefix that is not empty ends with a slash."""
    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    prefix = prefix.rstrip("/")
    return bucket, f"{prefix}/" if prefix else ""


def key_arn(key: str) -> str:
    """The ARN of a key that is named by its id, ARN or alias."""
    return str(client("kms").describe_key(KeyId=key)["KeyMetadata"]["Arn"])


def _partitions(database: str, table: str) -> dict[str, tuple[str, ...]]:
    """The values of each registered partition, by its location."""
    pages = client("glue").get_paginator("get_partitions").paginate(DatabaseName=database, TableName=table)
    return {
        "/".join(location(partition["StorageDescriptor"]["Location"])): tuple(partition["Values"])
        for page in pages
        for partition in page["Partitions"]
    }


def _files(uri: str, partitions: dict[str, tuple[str, ...]] | None) -> Iterator[File]:
    """The files below a table's location: all of them, or those of its registered partitions."""
    bucket, prefix = location(uri)
    if partitions is None:
        for found in _objects(bucket, prefix):
            yield File(*found, ())
        return
    inside = f"{bucket}/{prefix}"
    for found in _objects(bucket, prefix):
        folder = f"{bucket}/{found[1].rpartition('/')[0]}/"
        while folder not in partitions and len(folder) > len(inside):
            folder = folder[:-1].rpartition("/")[0] + "/"
        if folder in partitions:
            yield File(*found, partitions[folder])
    for folder, values in partitions.items():
        if not folder.startswith(inside):
            for found in _objects(*folder.split("/", 1)):
                yield File(*found, values)


def _objects(bucket: str, prefix: str) -> Iterator[tuple[str, str, str, int]]:
    """Bucket, key, ETag and size of the objects below a prefix; names with _ or . before them are not seen."""
    s3 = client("s3")
    try:
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for found in page.get("Contents", []):
                parts = found["Key"].removeprefix(prefix).split("/")
                if parts[-1] and not any(part.startswith(("_", ".")) for part in parts):
                    yield bucket, found["Key"], found["ETag"], found["Size"]
    except s3.exceptions.NoSuchBucket:
        raise QueryError(f"HIVE_METASTORE_ERROR: the bucket {bucket} does not exist") from None


def _may_glue(action: str, *parts: str) -> None:
    for part in parts:
        arn = f"arn:aws:glue:{extend.REGION}:{extend.ACCOUNT}:{part}"
        if told := extend.denied(f"glue:{action}", arn):
            raise QueryError(
                f"Insufficient permissions to execute the query. {told} (Service: AmazonDataCatalog; "
                "Status Code: 400; Error Code: AccessDeniedException)"
            )


def _may_read(uri: str, files: list[File]) -> None:
    """Athena reads with the caller's rights: to list the location, to get its files, and so to decrypt them."""
    bucket, prefix = location(uri)
    told = extend.denied("s3:ListBucket", f"arn:aws:s3:::{bucket}", {"s3:prefix": prefix})
    for file in files[:: max(len(files) - 1, 1)]:  # the first and the last: a right is seldom for one file
        told = told or extend.denied("s3:GetObject", f"arn:aws:s3:::{file.bucket}/{file.key}")
    if told:
        raise QueryError(f"Permission denied on S3 path: {uri}. {told} (Service: Amazon S3; Error Code: AccessDenied)")


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
