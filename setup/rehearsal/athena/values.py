"""Types and values: a Glue table's in DuckDB's words, and a result's as Athena writes them."""

import re
from datetime import date, datetime
from decimal import Decimal
from typing import Any

_DUCKDB = {  # by the name that Hive and Glue use
    "bigint": "BIGINT", "binary": "BLOB", "boolean": "BOOLEAN", "date": "DATE", "double": "DOUBLE", "float": "FLOAT",
    "int": "INTEGER", "integer": "INTEGER", "smallint": "SMALLINT", "string": "VARCHAR", "timestamp": "TIMESTAMP",
    "tinyint": "TINYINT",
}  # fmt: skip
_ATHENA = {  # by the name that DuckDB uses: name, precision, scale
    "BIGINT": ("bigint", 19, 0), "BLOB": ("varbinary", 1073741824, 0), "BOOLEAN": ("boolean", 0, 0),
    "DATE": ("date", 0, 0), "DOUBLE": ("double", 17, 0), "FLOAT": ("float", 17, 0), "HUGEINT": ("bigint", 19, 0),
    "INTEGER": ("integer", 10, 0), "SMALLINT": ("smallint", 5, 0), "TIMESTAMP": ("timestamp", 3, 0),
    "TINYINT": ("tinyint", 3, 0), "VARCHAR": ("varchar", 2147483647, 0), "NULL": ("unknown", 0, 0),
}  # fmt: skip
_INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT")  # each holds those before it


def duckdb_type(glue: str) -> str:
    """A Glue column's type as DuckDB writes it: `array<int>` is `INTEGER[]`. Raises ValueError."""
    glue = glue.strip()
    outer, _, inner = glue.partition("<")
    inner = inner[:-1]
    match outer.lower():
        case "array":
            return f"{duckdb_type(inner)}[]"
        case "map":
            key, value = _parts(inner)
            return f"MAP({duckdb_type(key)}, {duckdb_type(value)})"
        case "struct":
            fields = (part.split(":", 1) for part in _parts(inner))
            return f"STRUCT({', '.join(f'{quoted(name.strip())} {duckdb_type(kind)}' for name, kind in fields)})"
        case name if name.startswith("decimal"):
            return name.upper()
        case name if name.startswith(("varchar", "char")):
            return "VARCHAR"
        case name if name in _DUCKDB:
            return _DUCKDB[name]
    raise ValueError(f"{glue} is no type of a Glue table")


def reads(file_type: str, declared: str) -> bool:
    """Whether Athena reads a Parquet column of one DuckDB type as another that the table declares."""
    if file_type.endswith("[]") and declared.endswith("[]"):
        return reads(file_type[:-2], declared[:-2])
    if file_type in _INTEGERS and declared in _INTEGERS:
        return _INTEGERS.index(file_type) <= _INTEGERS.index(declared)
    kinds = [re.sub(r"[ (].*", "", kind) for kind in (file_type, declared)]
    return kinds[0] == kinds[1] or kinds == ["FLOAT", "DOUBLE"] or kinds == ["BLOB", "VARCHAR"]


def column_info(name: str, duckdb: str) -> dict[str, Any]:
    """A result's column as GetQueryResults describes it."""
    kind, precision, scale = "varchar", 2147483647, 0
    if duckdb in _ATHENA:
        kind, precision, scale = _ATHENA[duckdb]
    elif decimal := re.fullmatch(r"DECIMAL\((\d+),(\d+)\)", duckdb):
        kind, precision, scale = "decimal", int(decimal[1]), int(decimal[2])
    elif duckdb.endswith("[]"):
        kind, precision = "array", 0
    elif duckdb.startswith(("STRUCT", "MAP")):
        kind, precision = "row" if duckdb.startswith("STRUCT") else "map", 0
    elif duckdb.startswith("TIMESTAMP"):
        kind, precision, scale = _ATHENA["TIMESTAMP"]
    return {
        "CatalogName": "hive",
        "SchemaName": "",
        "TableName": "",
        "Name": name,
        "Label": name,
        "Type": kind,
        "Precision": precision,
        "Scale": scale,
        "Nullable": "UNKNOWN",
        "CaseSensitive": kind == "varchar",
    }


def text(value: Any) -> str | None:
    """A value as Athena writes it into a result; null is None.

    >>> text([0.5, None, {"a": True}])
    '[0.5, null, {a=true}]'
    """
    match value:
        case None:
            return None
        case bool():
            return str(value).lower()
        case float():
            return _double(value)
        case Decimal():
            return f"{value:f}"
        case datetime():
            return value.strftime("%Y-%m-%d %H:%M:%S.") + f"{value.microsecond // 1000:03d}"
        case date():
            return value.isoformat()
        case bytes():
            return value.hex(" ")
        case list() | tuple():
            return "[" + ", ".join(text(item) or "null" for item in value) + "]"
        case dict():
            return "{" + ", ".join(f"{text(key)}={text(item) or 'null'}" for key, item in value.items()) + "}"
    return str(value)


def quoted(name: str) -> str:
    """A name as SQL's quoted identifier."""
    return '"' + name.replace('"', '""') + '"'


def _double(value: float) -> str:
    """As Java writes it: 1.0E7, 0.001, 1.0E-4, NaN, Infinity."""
    if value != value or value in (float("inf"), float("-inf")):
        return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"
    if value == 0 or 1e-3 <= abs(value) < 1e7:
        return repr(value) if "e" not in repr(value) else f"{Decimal(repr(value)):f}"
    digits, _, exponent = f"{Decimal(repr(value)):E}".partition("E")
    digits = digits.rstrip("0").rstrip(".") if "." in digits else digits
    return f"{digits if '.' in digits else digits + '.0'}E{int(exponent)}"


def _parts(inner: str) -> list[str]:
    """The parts between the commas that are not inside <> or ()."""
    parts, depth, start = [], 0, 0
    for at, character in enumerate(inner):
        depth += (character in "<(") - (character in ">)")
        if character == "," and depth == 0:
            parts.append(inner[start:at])
            start = at + 1
    return [*parts, inner[start:]]
