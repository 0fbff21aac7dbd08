"""What a query scans, computed from the footers of its tables' Parquet files: of each table that it names the columns
that it needs, in the row groups that folders' names and statistics don't rule out, by those conditions that compare a
column of one table with texts or numbers.

Athena may scan less, where it learns while a query runs, and bills 10 MB at least.
"""

import io
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import boto3
import pyarrow.parquet as pq
import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.pushdown_predicates import pushdown_predicates
from sqlglot.optimizer.pushdown_projections import pushdown_projections
from sqlglot.optimizer.qualify import qualify

from setup import buckets
from setup.errors import SetupError

TAIL = 1 << 16  # bytes of a file that are asked for first; most footers are shorter
THREADS = 32

Ends = tuple[Any, Any] | None  # the least value and the greatest; None where nobody knows


@dataclass(frozen=True)
class Group:
    """A row group: the bytes of each column, and its ends; those of a folder's name, too."""

    bytes: dict[str, int]
    ends: dict[str, Ends]


@dataclass(frozen=True)
class Scan:
    """What a query scans of a table, each time that it names it."""

    table: str
    columns: tuple[str, ...]
    bytes: int
    groups: int
    all_groups: int


Groups = Callable[[str], list[Group]]  # of a table, by its name


def local_groups(folder: Path) -> Groups:
    """Those of tables in a folder of this machine."""

    def of_table(table: str) -> list[Group]:
        paths = sorted(path for path in (folder / table).rglob("*.parquet") if not path.name.startswith((".", "_")))
        return _all(table, str(folder), [(str(path.relative_to(folder / table)), path.read_bytes) for path in paths])

    return of_table


def groups_in_s3(session: boto3.Session, bucket: str) -> Groups:
    """Those of tables of a data lake."""
    client = session.client("s3")

    def tail(key: str) -> bytes:
        got = client.get_object(Bucket=bucket, Key=key, Range=f"bytes=-{TAIL}")["Body"].read()
        length = int.from_bytes(got[-8:-4], "little") + 8
        if length > len(got):
            got = client.get_object(Bucket=bucket, Key=key, Range=f"bytes=-{length}")["Body"].read()
        return bytes(got)

    def of_table(table: str) -> list[Group]:
        prefix = f"tables/{table}/"
        keys = [key for key in buckets.keys(client, bucket, prefix) if key.endswith(".parquet")]
        files = [(key.removeprefix(prefix), lambda key=key: tail(key)) for key in keys]
        return _all(table, f"s3://{bucket}/tables", files)

    return of_table


def _all(table: str, where: str, files: Sequence[tuple[str, Callable[[], bytes]]]) -> list[Group]:
    if not files:
        raise SetupError(f"{where}/{table}: there is no Parquet file. Load the table, or name another place.")
    with ThreadPoolExecutor(THREADS) as threads:
        return [group for found in threads.map(lambda file: list(_groups(*file)), files) for group in found]


def _groups(name: str, tail: Callable[[], bytes]) -> Iterator[Group]:
    """The row groups of a file, by its footer, which stands at its end."""
    folders = (folder.partition("=") for folder in name.split("/")[:-1])
    keys: dict[str, Ends] = {key.lower(): (unquote(value), unquote(value)) for key, _, value in folders}
    metadata = pq.ParquetFile(io.BytesIO(tail())).metadata
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        sizes: dict[str, int] = {}
        ends: dict[str, Ends] = {}
        for at in range(group.num_columns):
            column = group.column(at)
            top = column.path_in_schema.split(".")[0].lower()
            sizes[top] = sizes.get(top, 0) + column.total_compressed_size
            known = column.statistics if column.is_stats_set and column.statistics.has_min_max else None
            ends[top] = (known.min, known.max) if known else None
        yield Group(sizes, ends | keys)


def of_query(sql: str, groups: Groups) -> list[Scan]:
    """What a query scans of each table that it names. Raises SetupError where it can't be read."""
    try:
        tree: Any = _inlined(sqlglot.parse_one(sql, dialect="trino"))
        names = sorted({table.name for table in tree.find_all(exp.Table)})
        tables = {name: groups(name) for name in names}
        databases = {table.db for table in tree.find_all(exp.Table)}
        columns = {name: dict.fromkeys(found[0].ends, "varchar") for name, found in tables.items()}
        schema: dict[str, Any] = dict.fromkeys(databases, columns) if databases != {""} else columns
        tree = pushdown_predicates(pushdown_projections(qualify(tree, schema=schema, dialect="trino")))
    except SqlglotError as error:
        raise SetupError(f"The query can't be read: {error}") from error
    return [_scan(table, tables[table.name]) for table in tree.find_all(exp.Table)]


def _inlined(tree: Any) -> Any:
    """A query with its common table expressions wherever they are named: Athena reads a table for each of these."""
    while found := tree.find(exp.With):
        for number, named in enumerate(found.expressions):
            rest = [
                *found.expressions[number + 1 :],
                *(part for part in found.parent.iter_expressions() if part is not found),
            ]
            for part in rest:
                for table in list(part.find_all(exp.Table)):
                    if table.name == named.alias and not table.db:
                        table.replace(
                            exp.Subquery(this=named.this.copy(), alias=exp.to_identifier(table.alias_or_name))
                        )
        found.pop()
    return tree


def _scan(table: Any, groups: Sequence[Group]) -> Scan:
    select, alias = table.find_ancestor(exp.Select), table.alias_or_name
    columns = {column.name for column in select.find_all(exp.Column) if column.table == alias}
    conditions = [where.this for where in select.find_all(exp.Where) if where.parent is select]
    conditions += [join.args["on"] for join in select.args.get("joins") or [] if join.args.get("on")]
    own = [part for one in conditions for part in one.flatten() if isinstance(one, exp.And)]
    own += [one for one in conditions if not isinstance(one, exp.And)]
    read = [group for group in groups if all(_may_be(part, alias, group) for part in own)]
    size = sum(group.bytes.get(column, 0) for group in read for column in columns)
    return Scan(table.name, tuple(sorted(columns)), size, len(read), len(groups))


def _may_be(condition: Any, alias: str, group: Group) -> bool:
    """Whether any row of a group may fulfil a condition, by the ends of its columns."""
    condition = condition.unnest()
    column = condition.this
    if condition.args.get("negate") or not (
        isinstance(column, exp.Column) and column.table == alias and (ends := group.ends.get(column.name))
    ):
        return True
    values = _values(condition)
    if values is None or any(type(value) is not type(ends[0]) for value in values):
        return True
    least, greatest = ends
    if isinstance(condition, exp.Like):
        prefix = _prefix(values[0])
        return bool(least[: len(prefix)] <= prefix <= greatest[: len(prefix)])
    first, last = values[0], values[-1]
    rules: dict[type, bool] = {
        exp.EQ: least <= first <= greatest,
        exp.GT: greatest > first,
        exp.GTE: greatest >= first,
        exp.LT: least < first,
        exp.LTE: least <= first,
        exp.Between: least <= last and greatest >= first,
        exp.In: any(least <= value <= greatest for value in values),
    }
    return rules.get(type(condition), True)


def _values(condition: Any) -> list[Any] | None:
    """The literals that a condition compares with; None where there is anything else."""
    if isinstance(condition, exp.Between):
        told = [condition.args["low"], condition.args["high"]]
    elif isinstance(condition, exp.In):
        told = condition.expressions
    else:
        told = [condition.args.get("expression")]
    if not told or not all(isinstance(one, exp.Literal) for one in told):
        return None
    return [one.this if one.is_string else int(one.this) if one.is_int else float(one.this) for one in told]


def _prefix(pattern: str) -> str:
    """What a LIKE pattern begins with, up to its first wildcard."""
    return pattern[: min(pattern.find(wildcard) % (len(pattern) + 1) for wildcard in "%_")]
