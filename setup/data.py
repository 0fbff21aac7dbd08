"""The demonstration data, from where the solution was published into the data lake."""

import json
from typing import Any

import boto3

from setup import buckets, names
from setup.progress import Doing


def copy(session: boto3.Session, bucket: str, prefix: str, lake: str, doing: Doing) -> str:
    """Copy source files and tables that the lake lacks; what was done, in words. What users put there stays: a source
    file that exists, and a table with the record of another load. Beside a cohort of theirs, the clustered table is for
    their next load to make.
    """
    client = session.client("s3")
    from_here = f"{prefix}data/"
    published = [key.removeprefix(from_here) for key in buckets.keys(client, bucket, from_here)]
    told, stays = [], set()
    for table in names.TABLES:
        folder = f"tables/{table}/"
        record = folder + names.LOAD
        theirs, ours = _load(client, lake, record), _load(client, bucket, from_here + record)
        parts = [key for key in published if key.startswith(folder) and key != record]
        if table == names.CLUSTERED_TABLE and names.VARIANTS_TABLE in stays:
            told.append(
                f"{table} is made by the next load of {names.VARIANTS_TABLE}" if theirs is None else f"{table} stays"
            )
        elif theirs is None:
            doing(f"copying {table}, {len(parts)} objects")
            buckets.copy(session, [(from_here + key, key) for key in parts], bucket, lake, doing)
            # the record last: with it the table is whole
            buckets.copy(session, [(from_here + record, record)], bucket, lake, doing)
            told.append(f"{table} copied")
        elif theirs == ours:
            told.append(f"{table} is there")
        else:
            stays.add(table)
            told.append(f"{table} is of another load and stays")
    tables = tuple(f"tables/{table}/" for table in names.TABLES)
    there = set(buckets.keys(client, lake, "source/")) | set(buckets.keys(client, lake, "tables/loads/"))
    further = [key for key in published if not key.startswith(tables) and key not in there]
    buckets.copy(session, [(from_here + key, key) for key in further], bucket, lake, doing)
    return ", ".join([*told, f"{len(further)} further objects"])


def _load(client: Any, bucket: str, key: str) -> dict[str, Any] | None:
    """A table's record of its load; None where there is none."""
    try:
        told: dict[str, Any] = json.loads(client.get_object(Bucket=bucket, Key=key)["Body"].read())
    except client.exceptions.NoSuchKey:
        return None
    return told
