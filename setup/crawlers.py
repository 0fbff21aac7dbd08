"""Crawlers run, and the tables that they make checked and given their facts."""

import json
import time
from collections.abc import Sequence
from typing import Any

import boto3

from setup import names
from setup.errors import SetupError
from setup.progress import Doing

POLL = 2  # seconds
PATIENCE = 60 * 60  # seconds
LONGEST = 500_000  # characters of a table's property; Glue takes 512,000 bytes


def run(session: boto3.Session, crawlers: Sequence[str], doing: Doing) -> None:
    """Start crawlers and wait for them. Raises SetupError with the message of one that fails."""
    client = session.client("glue")
    before = {crawler: _last_start(client, crawler) for crawler in crawlers}
    deadline = time.monotonic() + PATIENCE
    for crawler in crawlers:
        while client.get_crawler(Name=crawler)["Crawler"]["State"] == "STOPPING" and time.monotonic() < deadline:
            doing(f"{crawler} is stopping")
            time.sleep(POLL)
        try:
            client.start_crawler(Name=crawler)
        except client.exceptions.CrawlerRunningException:
            doing(f"{crawler} runs already")
    waiting = list(crawlers)
    while waiting:
        if time.monotonic() > deadline:
            raise SetupError(f"Crawlers {', '.join(waiting)} still run after {PATIENCE // 60} minutes.")
        states = {crawler: client.get_crawler(Name=crawler)["Crawler"] for crawler in waiting}
        doing(", ".join(f"{crawler} {told['State'].lower()}" for crawler, told in states.items()))
        for crawler, told in states.items():
            last = told.get("LastCrawl", {})
            if told["State"] == "READY" and last.get("StartTime") != before[crawler]:
                _check(crawler, last)
                waiting.remove(crawler)
        time.sleep(POLL if waiting else 0)


def _last_start(client: Any, crawler: str) -> Any:
    return client.get_crawler(Name=crawler)["Crawler"].get("LastCrawl", {}).get("StartTime")


def _check(crawler: str, last: dict[str, Any]) -> None:
    if last["Status"] != "SUCCEEDED":
        where = f"CloudWatch, group {last.get('LogGroup')}, stream {last.get('LogStream')}"
        raise SetupError(
            f"Crawler {crawler} {last['Status']}: {last.get('ErrorMessage', 'no message')}. Its log: {where}"
        )


def check_table(session: boto3.Session, database: str, table: str) -> int:
    """The number of columns of a table, once it is sure that it has those which the queries need.

    Raises SetupError where the table or a column is missing.
    """
    client = session.client("glue")
    try:
        told = client.get_table(DatabaseName=database, Name=table)["Table"]
    except client.exceptions.EntityNotFoundException as error:
        folder = f"tables/{table}/"
        raise SetupError(
            f"The crawler made no table {database}.{table}. Are there Parquet files in {folder}?"
        ) from error
    columns = {column["Name"] for column in told["StorageDescriptor"]["Columns"]}
    keys = {key["Name"] for key in told.get("PartitionKeys", [])}
    if missing := names.COLUMNS[table] - columns - keys:
        raise SetupError(
            f"Table {database}.{table} has no column {', '.join(sorted(missing))}. Its folder holds other files."
        )
    return len(columns | keys)


def describe_table(session: boto3.Session, database: str, table: str, load: dict[str, Any]) -> None:
    """Give a table the facts of the load that made it, as properties."""
    client = session.client("glue")
    told = client.get_table(DatabaseName=database, Name=table)["Table"]
    settable = (
        *("Name", "Description", "Owner", "Retention", "StorageDescriptor", "PartitionKeys"),
        *("ViewOriginalText", "ViewExpandedText", "TableType", "Parameters", "TargetTable"),
    )
    facts = {key: _text(value) for key, value in load.items() if value is not None and key != "dataset"}
    given = {key: told[key] for key in settable if told.get(key)} | {"Parameters": told.get("Parameters", {}) | facts}
    if given["Parameters"] != told.get("Parameters", {}):
        client.update_table(DatabaseName=database, TableInput=given)


def _text(value: Any) -> str:
    """A fact as a property's text: sources without the names of their samples, which stand in the table `loads`."""
    if isinstance(value, list):
        value = [{key: fact for key, fact in source.items() if key != "samples"} for source in value]
    return (value if isinstance(value, str) else json.dumps(value))[:LONGEST]
