"""What a crawler reads: the Parquet files under a place in S3, their columns by their footers.

A program of its own, run by the main venv's Python with the crawler's role: `python -m setup.rehearsal.footers
s3://BUCKET/PREFIX/ EXCLUSION…` prints JSON, a list of files: key, size, rows, columns as Glue names their types.
"""

import fnmatch
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

TOGETHER = 16  # footers at a time
_TYPES = {
    pa.bool_(): "boolean",
    pa.int8(): "tinyint",
    pa.int16(): "smallint",
    pa.int32(): "int",
    pa.int64(): "bigint",
    pa.float32(): "float",
    pa.float64(): "double",
    pa.string(): "string",
    pa.large_string(): "string",
    pa.binary(): "binary",
    pa.date32(): "date",
}


def read(place: str, exclusions: list[str]) -> list[dict[str, Any]]:
    """The Parquet files of a place, sorted by key. Raises TypeError for a column that Glue has no type for."""
    system, inside = fs.FileSystem.from_uri(place.rstrip("/"))
    found = system.get_file_info(fs.FileSelector(inside, recursive=True, allow_not_found=True))
    files = [info for info in found if info.is_file and not _is_excluded(info.path[len(inside) + 1 :], exclusions)]

    def one(info: Any) -> dict[str, Any]:
        key = info.path[len(inside) + 1 :]
        with system.open_input_file(info.path) as file:
            footer = pq.ParquetFile(file)
            columns = {field.name.lower(): glue_type(field.type) for field in footer.schema_arrow}
            return {"key": key, "size": info.size, "rows": footer.metadata.num_rows, "columns": columns}

    with ThreadPoolExecutor(TOGETHER) as threads:
        return sorted(threads.map(one, files), key=lambda file: str(file["key"]))


def glue_type(kind: Any) -> str:
    """A type of Arrow as the catalog names it."""
    if kind in _TYPES:
        return _TYPES[kind]
    if pa.types.is_timestamp(kind):
        return "timestamp"
    if pa.types.is_decimal(kind):
        return f"decimal({kind.precision},{kind.scale})"
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return f"array<{glue_type(kind.value_type)}>"
    if pa.types.is_struct(kind):
        return f"struct<{','.join(f'{field.name}:{glue_type(field.type)}' for field in kind)}>"
    if pa.types.is_map(kind):
        return f"map<{glue_type(kind.key_type)},{glue_type(kind.item_type)}>"
    raise TypeError(f"the catalog has no type for {kind}")


def _is_excluded(key: str, exclusions: list[str]) -> bool:
    """By Glue's globs, which are relative to the place: `*` stays in a folder, `**/` crosses them."""
    for exclusion in exclusions:
        if exclusion.startswith("**/"):
            parts = key.split("/")
            if any(fnmatch.fnmatchcase("/".join(parts[start:]), exclusion[3:]) for start in range(len(parts))):
                return True
        elif fnmatch.fnmatchcase(key, exclusion) and ("**" in exclusion or key.count("/") == exclusion.count("/")):
            return True
    return False


if __name__ == "__main__":
    json.dump(read(sys.argv[1], sys.argv[2:]), sys.stdout)
