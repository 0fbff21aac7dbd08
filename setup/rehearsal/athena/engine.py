"""Queries: Trino's SQL asked of DuckDB, over views that have the names of the Glue catalog.

DuckDB is not Trino: it compares a text with a number where Trino fails, and has functions that Trino lacks.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb

from setup.rehearsal.athena import tables
from setup.rehearsal.athena.tables import QueryError
from setup.rehearsal.athena.values import column_info, quoted, text

_CATALOG = "awsdatacatalog"
_TABLE_FUNCTIONS = {"unnest", "generate_series"}  # those that Trino has too


class MalformedError(Exception):
    """A text that is no query, or none that is executed here."""


@dataclass(frozen=True)
class Reference:
    """A table as a query names it, and where: `line 1:15`."""

    catalog: str
    database: str
    table: str
    at: str


@dataclass(frozen=True)
class Query:
    """A query that was read: its tables, its columns' names where Athena chooses them, its number of parameters."""

    sql: str
    references: list[Reference]
    unnamed: list[int]
    parameters: int


@dataclass(frozen=True)
class Result:
    """What a query gave: columns as GetQueryResults describes them, and their texts."""

    columns: list[dict[str, Any]]
    rows: list[list[str | None]]


def parse(sql: str) -> Query:
    """Read a query. Raises MalformedError."""
    sql = sql.strip().removesuffix(";")
    with duckdb.connect(":memory:") as connection:
        told = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [sql]).fetchone()
    tree = json.loads(told[0]) if told else {}
    if tree["error"]:
        if tree["error_type"] == "not implemented":
            raise MalformedError("the rehearsal's Athena executes SELECT, and no other statement")
        position = _position(sql, int(tree.get("position", 0)))
        raise MalformedError(f"{position}: {tree['error_message']}")
    if len(tree["statements"]) != 1:
        raise MalformedError(f"Only one sql statement is allowed. Got: {sql}")
    nodes = list(_nodes(tree))
    if any(node.get("type") == "SHOW_REF" for node in nodes):
        raise MalformedError("the rehearsal's Athena executes SELECT, and no SHOW or DESCRIBE")
    for node in nodes:
        name = node.get("function", {}).get("function_name") if node.get("type") == "TABLE_FUNCTION" else None
        if name and name not in _TABLE_FUNCTIONS:
            raise MalformedError(f"Table function '{name}' not registered")
    top = tree["statements"][0]["node"]
    while top.get("type") == "SET_OPERATION_NODE":
        top = top["children"][0]
    selected = top.get("select_list", [])
    starred = any(item["class"] == "STAR" for item in selected)
    unnamed = [number for number, item in enumerate(selected) if not item["alias"] and item["class"] != "COLUMN_REF"]
    parameters = sum(node.get("class") == "PARAMETER" for node in nodes)
    return Query(sql, list(_references(sql, nodes)), [] if starred else unnamed, parameters)


def literals(parameters: Sequence[str]) -> list[Any]:
    """The values of execution parameters, which are SQL's literals. Raises MalformedError."""
    values = []
    with duckdb.connect(":memory:", config={"enable_external_access": "false"}) as connection:
        for parameter in parameters:
            try:
                values.append(connection.execute(f"SELECT {parameter}").fetchall()[0][0])
            except duckdb.Error as error:
                raise MalformedError(f"the execution parameter {parameter} is no literal of SQL") from error
    return values


class Run:
    """One execution of a query, which may be interrupted."""

    def __init__(self, query: Query, database: str, parameters: Sequence[Any]) -> None:
        self._query, self._database, self._parameters = query, database, parameters
        self._connection = duckdb.connect(":memory:")

    def resolve(self) -> list[tables.Table]:
        """Its tables, once each. Raises QueryError where one is missing, or the caller may not read it."""
        found: dict[tuple[str, str], tables.Table] = {}
        for reference in self._query.references:
            if reference.catalog not in ("", _CATALOG):
                raise QueryError(f"CATALOG_NOT_FOUND: {reference.at}: Catalog '{reference.catalog}' does not exist")
            name = ((reference.database or self._database).lower(), reference.table.lower())
            if name not in found:
                found[name] = tables.find(*name, reference.at)
        return list(found.values())

    def execute(self, found: Sequence[tables.Table]) -> Result:
        """Ask. Raises QueryError."""
        if self._query.parameters != len(self._parameters):
            raise QueryError(
                f"INVALID_PARAMETER_USAGE: Incorrect number of parameters: expected {self._query.parameters} but found "
                f"{len(self._parameters)}"
            )
        connection = self._connection
        try:
            self._views(found)
            answer = connection.execute(self._query.sql, list(self._parameters))
            names = [column[0].lower() for column in answer.description]
            for number in self._query.unnamed:
                names[number] = f"_col{number}"
            types = [str(column[1]) for column in answer.description]
            rows = [[text(value) for value in row] for row in answer.fetchall()]
        except duckdb.Error as error:
            raise QueryError(_reason(error)) from error
        finally:
            connection.close()
        return Result([column_info(*column) for column in zip(names, types, strict=True)], rows)

    def interrupt(self) -> None:
        """End it now."""
        self._connection.interrupt()

    def _views(self, found: Sequence[tables.Table]) -> None:
        """The catalog in DuckDB; after it, the query sees nothing else of this machine."""
        connection = self._connection
        connection.execute("SET integer_division = true")
        connection.execute(f"ATTACH ':memory:' AS {_CATALOG}")
        for table in found:
            select = tables.relation(table, connection)
            schema = f"{_CATALOG}.{quoted(table.database)}"
            connection.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
            connection.execute(f"CREATE VIEW {schema}.{quoted(table.name)} AS {select}")
        current = f"{_CATALOG}.{quoted(self._database.lower())}"
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {current}")
        connection.execute(f"USE {current}")
        connection.execute(f"SET allowed_directories = ['{tables.FOLDER}']")
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    if isinstance(tree, dict):
        yield tree
        for value in tree.values():
            yield from _nodes(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _nodes(value)


def _references(sql: str, nodes: Sequence[dict[str, Any]]) -> Iterator[Reference]:
    """The tables that a query names, without those that it defines itself (WITH)."""
    own = {entry["key"].lower() for node in nodes for entry in (node.get("cte_map") or {}).get("map", [])}
    for node in nodes:
        if node.get("type") != "BASE_TABLE":
            continue
        database, table = node["schema_name"], node["table_name"]
        if database or table.lower() not in own:
            catalog = node["catalog_name"].lower()
            yield Reference(catalog, database, table, _position(sql, node["query_location"]))


def _position(sql: str, offset: int) -> str:
    before = sql.encode()[:offset].decode(errors="replace")
    return f"line {before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"


def _reason(error: duckdb.Error) -> str:
    """DuckDB's complaint under the name that Trino has for it."""
    told = str(error).partition("\n")[0]
    patterns = {
        r'Referenced column "(.+?)" not found': "COLUMN_NOT_FOUND: Column '{}' cannot be resolved",
        r'Table "(.+?)" does not have a column': "COLUMN_NOT_FOUND: {} has no such column",
        r"Function with name (\S+) does not exist": "FUNCTION_NOT_FOUND: Function '{}' not registered",
        r'column "(.+?)" must appear in the GROUP BY': (
            "EXPRESSION_NOT_AGGREGATE: '{}' must be an aggregate expression or appear in GROUP BY clause"
        ),
    }
    for pattern, reason in patterns.items():
        if found := re.search(pattern, told):
            return reason.format(found[1])
    kind, _, rest = told.partition(" Error: ")
    names = {"Conversion": "INVALID_CAST_ARGUMENT", "Binder": "TYPE_MISMATCH"}
    return f"{names.get(kind, 'GENERIC_USER_ERROR')}: {rest or told}"
