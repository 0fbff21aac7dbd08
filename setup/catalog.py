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
    """Write lake/catalog.duckdb anew, with a view for every table of the lake; the properties of each table.

    `rejects` and `loads` are about the tables as they stand, not about loads that were replaced.
    """
    aside = lake / ".catalog.duckdb"
    aside.unlink(missing_ok=True)
    properties = {load["table"]: load for load in loads(lake)}
    runs = ", ".join(_quoted(load["run_id"]) for load in properties.values())
    with duckdb.connect(str(aside)) as connection:
        connection.execute(f"CREATE SCHEMA {names.DATABASE}")
        for table, load in properties.items():
            partitioned = load["options"].get("layout") == "by_sample"
            files = f"{table}/*/*.parquet" if partitioned else f"{table}/*.parquet"
            _view(connection, table, lake, files, _VARIANTS_COLUMNS, partitioned=partitioned)
            connection.execute(f"COMMENT ON VIEW {names.DATABASE}.{table} IS {_quoted(json.dumps(load))}")
        _view(connection, "rejects", lake, "rejects/*.parquet", _REJECTS_COLUMNS, f"run_id IN ({runs})")
        _view(connection, "loads", lake, "loads/*.parquet", {}, f"run_id IN ({runs})")
    aside.replace(lake / "catalog.duckdb")
    return properties


def loads(lake: Path) -> list[dict[str, Any]]:
    """The record of the load that made each table, in the order of the tables' names."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(lake.glob("[a-z]*/_load.json"))]
    if not found:
        raise SetupError(f"{lake} has no table. Run ./setup.sh local to make one.")
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
    lake: Path,
    files: str,
    columns: dict[str, str],
    where: str = "true",
    *,
    partitioned: bool = False,
) -> None:
    """A view of the lake's Parquet files that a glob names, or, where there are none, of no rows with `columns`."""
    if any(lake.glob(files)):
        options = ", hive_partitioning = true, hive_types = {'sampleid': VARCHAR}" if partitioned else ""
        source = (  # a glob and run ids, quoted as literals
            f"SELECT * FROM read_parquet({_quoted(str(lake / files))}, union_by_name = true{options}) WHERE {where}"  # noqa: S608
        )
    else:
        nothing = ", ".join(f"NULL::{kind} AS {column}" for column, kind in columns.items())
        source = f"SELECT {nothing} WHERE false"
    connection.execute(f"CREATE VIEW {names.DATABASE}.{name} AS {source}")


def _quoted(text: str) -> str:
    """A text as SQL's literal."""
    return "'" + text.replace("'", "''") + "'"
