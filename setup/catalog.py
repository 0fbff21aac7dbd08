"""The lake's catalog on one machine: a DuckDB file whose views are the tables, by the names that they have in Athena.

A view's comment is its table's properties, as JSON: reference genome, coordinate base, sources and their
SHA-256, release date, run id, code commit, Hail version.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import Any

import duckdb

from setup import names
from setup.errors import SetupError

_VARIANTS_COLUMNS = {
    "chromosome": "VARCHAR",
    "startposition": "BIGINT",
    "endposition": "BIGINT",
    "referenceallele": "VARCHAR",
    "alternateallele": "VARCHAR",
    "genotype0": "INTEGER",
    "genotype1": "INTEGER",
    "sampleid": "VARCHAR",
}
_REJECTS_COLUMNS = {
    "dataset": "VARCHAR",
    "source": "VARCHAR",
    "line": "BIGINT",
    "reason": "VARCHAR",
    "detail": "VARCHAR",
    "record": "VARCHAR",
    "run_id": "VARCHAR",
}

Rows = list[tuple[Any, ...]]


def build(lake: Path) -> dict[str, dict[str, Any]]:
    """Write lake/catalog.duckdb anew, with a view for every table of the lake; the properties of each table."""
    path = lake / "catalog.duckdb"
    aside = lake / ".catalog.duckdb"
    aside.unlink(missing_ok=True)
    properties = {load["dataset"]: load for load in loads(lake)}
    with duckdb.connect(str(aside)) as connection:
        connection.execute(f"CREATE SCHEMA {names.DATABASE}")
        for table, load in properties.items():
            partitioned = table == names.VARIANTS_TABLE
            files = lake / table / ("*/*.parquet" if partitioned else "*.parquet")
            _view(connection, table, files, _VARIANTS_COLUMNS if partitioned else {}, partitioned=partitioned)
            comment = json.dumps(load, default=str).replace("'", "''")
            connection.execute(f"COMMENT ON VIEW {names.DATABASE}.{table} IS '{comment}'")
        _view(connection, "rejects", lake / "rejects" / "*.parquet", _REJECTS_COLUMNS)
        _view(connection, "loads", lake / "loads" / "*.parquet", {})
    aside.replace(path)
    return properties


def loads(lake: Path) -> list[dict[str, Any]]:
    """The record of the load that made each table, in the order of the tables' names."""
    files = lake / "loads" / "*.parquet"
    if not list(lake.glob("loads/*.parquet")):
        raise SetupError(f"{lake} has no table. Run ./setup.sh local to make one.")
    with duckdb.connect() as connection:
        latest = connection.execute(
            "SELECT * FROM read_parquet(?, union_by_name = true) "
            "QUALIFY row_number() OVER (PARTITION BY dataset ORDER BY loaded_at DESC) = 1 ORDER BY dataset",
            [str(files)],
        )
        columns = [column[0] for column in latest.description]
        found = [dict(zip(columns, row, strict=True)) for row in latest.fetchall()]
    return [load | {"table": load["dataset"], "options": json.loads(load["options"])} for load in found]


def query(name: str, reference_genome: str) -> str:
    """The text of a query of code/resources/queries, for this project's database and a reference genome."""
    text = (names.QUERIES / f"{name}.sql").read_text(encoding="utf-8")
    return Template(text).substitute(database=names.DATABASE, reference_genome=reference_genome)


def ask(lake: Path, sql: str, parameters: Sequence[Any] = ()) -> Rows:
    """The rows that a query gives on the lake."""
    with duckdb.connect(str(lake / "catalog.duckdb"), read_only=True) as connection:
        return list(connection.execute(sql, list(parameters)).fetchall())


def _view(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    files: Path,
    columns: dict[str, str],
    *,
    partitioned: bool = False,
) -> None:
    """A view of Parquet files, or, where there are none, one of no rows that has the columns."""
    if any(files.parent.parent.glob("*/*.parquet") if partitioned else files.parent.glob("*.parquet")):
        quoted = str(files).replace("'", "''")
        hive = ", hive_partitioning = true, hive_types = {'sampleid': VARCHAR}" if partitioned else ""
        source = f"SELECT * FROM read_parquet('{quoted}'{hive})"  # noqa: S608 - our own paths
    else:
        nothing = ", ".join(f"NULL::{kind} AS {column}" for column, kind in columns.items())
        source = f"SELECT {nothing} WHERE false"
    connection.execute(f"CREATE VIEW {names.DATABASE}.{name} AS {source}")
