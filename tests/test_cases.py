"""The jobs against small cases whose rows were worked out by hand: a folder below tests/cases is a case.

`cases/vcf/<rule>/`: `input.vcf` (or several, `input*.vcf*`), and the rows that each layout must write,
`by_sample.tsv` with every column, `by_variant.tsv` with any. `cases/clinvar/<rule>/`: `input.txt` (or
`input.txt.gz`) and `expected.tsv`. Either may have `rejects.tsv` (line, reason and, where a field alone is left out,
field) and `options`, a line of further options. `about.txt` says which rule it is, and where that stands.

The first line of a .tsv names columns. A cell is `.` for null, `[1,.]` for an array with a null, `true` or `false`,
else the value as text: a whole number, a float always with its point or exponent (`30.0`, `1e-05`, `nan`).
"""

import gzip
import re
import shlex
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import duckdb
import pytest

from clinvar_to_parquet import clinvar_to_parquet
from genomicslake import session
from genomicslake.errors import LakeError
from tests import independent
from vcf_to_parquet import vcf_to_parquet

CASES = Path(__file__).resolve().parent / "cases"
LAYOUTS = ("by_sample", "by_variant")
pytestmark = pytest.mark.patience(60)

Row = tuple[str, ...]


# --- what a case says -----------------------------------------------------------------------------


def folders(kind: str) -> list[Path]:
    return sorted(path for path in (CASES / kind).iterdir() if path.is_dir())


def layouts(case: Path) -> list[str]:
    return [layout for layout in LAYOUTS if (case / f"{layout}.tsv").exists()]


def inputs(case: Path) -> list[Path]:
    return sorted([*case.glob("input*.vcf*"), *case.glob("input*.txt*")])


def arguments(case: Path, table: Path) -> list[str]:
    """The job's options."""
    options = case / "options"
    further = shlex.split(options.read_text("utf-8")) if options.exists() else []
    return ["--input_path", *map(str, inputs(case)), "--output_path", str(table), *further]


def cells(path: Path) -> tuple[Row, list[Row]]:
    """The columns' names and the rows of a .tsv."""
    columns, *rows = [tuple(line.split("\t")) for line in path.read_text("utf-8").split("\n") if line]
    ragged = [row for row in rows if len(row) != len(columns)]
    assert not ragged, f"{path}: rows with another number of cells than the first line: {ragged}"
    return columns, rows


def rejects(case: Path) -> list[tuple[int, str, str | None]]:
    """What must be rejected: line, reason, and the field where it is not the whole record."""
    path = case / "rejects.tsv"
    found = cells(path)[1] if path.exists() else []
    return [(int(line), reason, field[0] if field and field[0] != "." else None) for line, reason, *field in found]


def left_out(case: Path) -> set[int]:
    """The lines of records that must be rejected as a whole."""
    return {line for line, _, field in rejects(case) if not field}


def text_lines(path: Path) -> list[bytes]:
    """The lines of a file, compressed or not, with their ends; of BGZF what can be decompressed."""
    data = path.read_bytes()
    text = data if data[:2] != b"\x1f\x8b" else bgzf_text(data) if data[12:14] == b"BC" else gzip.decompress(data)
    return [line + b"\n" for line in text.removesuffix(b"\n").split(b"\n")]


def bgzf_text(data: bytes) -> bytes:
    """The text of BGZF whose blocks have sound lengths, without the blocks that are corrupt."""
    text = b""
    while data:
        length = int.from_bytes(data[16:18], "little") + 1
        with suppress(zlib.error):
            text += zlib.decompress(data[:length], wbits=31)
        data = data[length:]
    return text


# --- what a job wrote -----------------------------------------------------------------------------


def query(sql: str) -> Any:
    with duckdb.connect() as connection:
        return connection.execute(sql).fetchall()


def rows_of(table: Path) -> str | None:
    """A table as DuckDB reads it, samples' names as text; None where it has no files."""
    if not any(table.rglob("*.parquet")):
        return None
    options = "hive_partitioning=true, hive_types_autocast=false, union_by_name=true"
    return f"read_parquet('{table}/**/*.parquet', {options})"


def columns_of(source: str) -> list[str]:
    return [row[0] for row in query(f"DESCRIBE SELECT * FROM {source}")]


def listed(columns: Iterator[str] | Row | list[str]) -> str:
    return ", ".join(f'"{name}"' for name in columns)


def shown(value: Any) -> str:
    """A value as a cell has it."""
    if value is None:
        return "."
    if isinstance(value, list):
        return f"[{','.join(map(shown, value))}]"
    return str(value).lower() if isinstance(value, bool) else str(value)


# --- comparing them -------------------------------------------------------------------------------


def check_rows(path: Path, table: Path, every_column: bool = False) -> None:
    """Fail, telling the rows that differ, where a table's rows are not those of a .tsv."""
    columns, rows = cells(path)
    found: list[Row] = []
    if source := rows_of(table):
        told = columns_of(source)
        assert set(columns) <= set(told), f"no columns {sorted(set(columns) - set(told))} among {told}"
        assert not every_column or set(columns) == set(told)
        found = [tuple(map(shown, row)) for row in query(f"SELECT {listed(columns)} FROM {source}")]
    missing, surplus = Counter(rows) - Counter(found), Counter(found) - Counter(rows)
    different = [(row, f"missing       {'  '.join(row)}") for row in missing.elements()]
    different += [(row, f"not expected  {'  '.join(row)}") for row in surplus.elements()]
    told_rows = "\n".join(text for _, text in sorted(different))
    assert not different, f"{path.parent.name}/{path.name}: {'  '.join(columns)}\n{told_rows}"


def check_rejects(case: Path, table: Path) -> None:
    """Fail where other records or fields were rejected than `rejects.tsv` lists, or the counts do not add up."""
    text = text_lines(inputs(case)[0])
    expected = [
        (line, reason, field, text[line - 1].rstrip(b"\r\n").decode("utf-8", "backslashreplace"))
        for line, reason, field in rejects(case)
    ]
    found: list[Any] = []
    if any(table.parent.glob("rejects/*.parquet")):
        found = query(f"SELECT line, reason, field, record FROM '{table.parent}/rejects/*.parquet' ORDER BY line")
    assert found == expected
    sources = f"(SELECT unnest(sources) AS s FROM '{table.parent}/loads/*.parquet')"
    counts = query(f"SELECT s.records, s.loaded, s.rejected, s.rejected_fields FROM {sources}")
    assert [records for records, *_ in counts] == [loaded + rejected for _, loaded, rejected, _ in counts]
    assert sum(rejected for _, _, rejected, _ in counts) == len(left_out(case))
    assert sum(fields for *_, fields in counts) == len(expected) - len(left_out(case))


def sound_text(case: Path, path: Path) -> bytes:
    """An input file without the records, and without the fields, that must be rejected."""
    text = dict(enumerate(text_lines(path), 1))
    for line, _, field in rejects(case):
        text[line] = without(text[line], field) if field else b""
    return b"".join(text.values())


def without(line: bytes, field: str) -> bytes:
    """A record without a field; of FORMAT's fields, which are whole numbers in the cases, without what is none."""
    columns = line.rstrip(b"\n").split(b"\t")
    kind, _, name = field.partition("/")
    if kind == "QUAL":
        columns[5] = b"."
    elif kind == "INFO":
        entries = columns[7].split(b";")
        columns[7] = b";".join(entry for entry in entries if entry.split(b"=")[0] != name.encode()) or b"."
    else:
        at = columns[8].split(b":").index(name.encode())
        for number, cell in enumerate(columns[9:], 9):
            values = cell.split(b":")
            if not re.fullmatch(rb"-?\d{1,9}(,-?\d{1,9})*", values[at]):
                values[at] = b"."
            columns[number] = b":".join(values)
    return b"\t".join(columns) + b"\n"


def check_independently(case: Path, path: Path, layout: str, table: Path, folder: Path) -> None:
    """Fail where the rows of one input file are not those of the independent reader, what is rejected left out."""
    sound, found = folder / f"sound-{path.name}", folder / f"rows-{path.name}"
    sound = sound.with_name(sound.name.removesuffix(".gz"))
    text = sound_text(case, path)
    sound.write_bytes(text.decode("latin-1").encode() if "latin-1" in arguments(case, table) else text)
    found.mkdir()
    if source := rows_of(table):
        vcf = independent.Vcf(sound)
        told = columns_of(source)
        if len(inputs(case)) > 1:  # the table has the columns of all
            told = [name for name in told if name in vcf.schema(layout).names]
        samples = ", ".join("'" + name.replace("'", "''") + "'" for name in vcf.samples)
        own = f"sampleid IN ({samples})" if samples else "sampleid IS NULL"
        rows = f"SELECT {listed(told)} FROM {source} WHERE {own}"
        query(f"COPY ({rows}) TO '{found}/rows.parquet' (FORMAT parquet)")
    assert independent.compare(sound, layout, found).differences == []


# --- tests ----------------------------------------------------------------------------------------

VCF = [pytest.param(case, layout, id=f"{case.name}-{layout}") for case in folders("vcf") for layout in layouts(case)]
CLINVAR = [pytest.param(case, id=case.name) for case in folders("clinvar")]
STRICT = [
    pytest.param(case, id=f"{kind}-{case.name}")
    for kind in ("vcf", "clinvar")
    for case in folders(kind)
    if rejects(case) and rejects(case)[0][1] != "block"  # of which a strict job tells before it reads records
]


@pytest.fixture(scope="module", autouse=True)
def started() -> None:
    """Hail and Spark, which take their time only once."""
    session.start()


@pytest.mark.parametrize(("case", "layout"), VCF)
def test_vcf(case: Path, layout: str, tmp_path: Path) -> None:
    table = tmp_path / "lake" / "variants"
    vcf_to_parquet([*arguments(case, table), "--layout", layout])
    check_rows(case / f"{layout}.tsv", table, every_column=layout == "by_sample")
    check_rejects(case, table)
    if layout == "by_variant":  # which Hail makes, too, where the direct reader can't
        by_hail = tmp_path / "hail" / "variants"
        vcf_to_parquet([*arguments(case, by_hail), "--layout", layout, "--reader", "hail"])
        check_rows(case / f"{layout}.tsv", by_hail)
        assert same(table) == same(by_hail)
    keeps_blocks = "--gvcf_blocks" in arguments(case, table)  # which the independent reader doesn't know
    for path in inputs(case) if not keeps_blocks else ():
        check_independently(case, path, layout, table, tmp_path)


def same(table: Path) -> list[str]:
    """All rows of a table as text, for nan is not itself, its columns in the order of their names."""
    source = rows_of(table)
    return sorted(map(str, query(f"SELECT {listed(sorted(columns_of(source)))} FROM {source}"))) if source else []


@pytest.mark.parametrize("case", CLINVAR)
def test_clinvar(case: Path, tmp_path: Path) -> None:
    table = tmp_path / "lake" / "clinvar"
    clinvar_to_parquet(arguments(case, table))
    check_rows(case / "expected.tsv", table)
    check_rejects(case, table)


@pytest.mark.parametrize("case", STRICT)
def test_strict_jobs_stop_at_a_bad_record(case: Path, tmp_path: Path) -> None:
    table = tmp_path / "lake" / "strict"
    job, chosen = clinvar_to_parquet, []
    if layouts(case):
        job, chosen = vcf_to_parquet, ["--layout", layouts(case)[0]]
    with pytest.raises(LakeError, match=rf"records can't be loaded.*:\n  line {rejects(case)[0][0]}: "):
        job([*arguments(case, table), *chosen, "--on_error", "fail"])
    assert not table.exists()
