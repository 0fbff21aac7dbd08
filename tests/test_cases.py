"""The jobs against small cases whose rows were worked out by hand: a folder below tests/cases is a case.

`cases/vcf/<rule>/`: `input.vcf` (or several, `input*.vcf*`), and the rows that each layout must write,
`by_sample.tsv` with every column, `by_variant.tsv` with any. `cases/clinvar/<rule>/`: `input.txt` (or
`input.txt.gz`) and `expected.tsv`. Either may have `rejects.tsv` (line, reason) and `options`, a line of further
options. `about.txt` says which rule it is, and where that stands.

The first line of a .tsv names columns. A cell is `.` for null, `[1,.]` for an array with a null, `true` or `false`,
else the value as text: a whole number, a float always with its point or exponent (`30.0`, `1e-05`, `nan`).
"""

import gzip
import shlex
import signal
from collections import Counter
from collections.abc import Iterator
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
SECONDS = 60  # that a job on a case may take; one that waits for ever fails

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


def rejects(case: Path) -> list[tuple[int, str]]:
    """The lines that must be rejected, and why."""
    path = case / "rejects.tsv"
    return [(int(line), reason) for line, reason in cells(path)[1]] if path.exists() else []


def text_lines(path: Path) -> list[bytes]:
    """The lines of a file, compressed or not, with their ends."""
    data = path.read_bytes()
    text = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    return [line + b"\n" for line in text.removesuffix(b"\n").split(b"\n")]


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
    """Fail where other records were rejected than `rejects.tsv` lists, or the counts do not add up."""
    text = text_lines(inputs(case)[0])
    expected = [(line, reason, text[line - 1].rstrip(b"\r\n").decode("utf-8")) for line, reason in rejects(case)]
    found: list[Any] = []
    if any(table.parent.glob("rejects/*.parquet")):
        found = query(f"SELECT line, reason, record FROM '{table.parent}/rejects/*.parquet' ORDER BY line")
    assert found == expected
    sources = f"(SELECT unnest(sources) AS s FROM '{table.parent}/loads/*.parquet')"
    counts = query(f"SELECT s.records, s.loaded, s.rejected FROM {sources}")
    assert [records for records, *_ in counts] == [loaded + rejected for _, loaded, rejected in counts]
    assert sum(rejected for *_, rejected in counts) == len(expected)


def check_independently(case: Path, path: Path, layout: str, table: Path, folder: Path) -> None:
    """Fail where the rows of one input file are not those of the independent reader, rejected records left out."""
    left_out = [line for line, _ in rejects(case)]
    sound, found = folder / f"sound-{path.name}", folder / f"rows-{path.name}"
    sound.write_bytes(b"".join(line for number, line in enumerate(text_lines(path), 1) if number not in left_out))
    found.mkdir()
    if source := rows_of(table):
        vcf = independent.Vcf(sound)
        told = columns_of(source)
        if len(inputs(case)) > 1:  # the table has the columns of all
            told = [name for name in told if name in vcf.schema(layout).names]
        samples = ", ".join("'" + name.replace("'", "''") + "'" for name in vcf.samples)
        rows = f"SELECT {listed(told)} FROM {source} WHERE sampleid IN ({samples})"
        query(f"COPY ({rows}) TO '{found}/rows.parquet' (FORMAT parquet)")
    assert independent.compare(sound, layout, found).differences == []


# --- tests ----------------------------------------------------------------------------------------

VCF = [pytest.param(case, layout, id=f"{case.name}-{layout}") for case in folders("vcf") for layout in layouts(case)]
CLINVAR = [pytest.param(case, id=case.name) for case in folders("clinvar")]
STRICT = [
    pytest.param(case, id=f"{kind}-{case.name}")
    for kind in ("vcf", "clinvar")
    for case in folders(kind)
    if rejects(case)
]


@pytest.fixture(scope="module")
def started() -> None:
    """Hail and Spark, which take their time only once."""
    session.start()


@pytest.fixture(autouse=True)
def limited(started: None) -> Iterator[None]:  # noqa: ARG001 - asked for so that it comes first
    """Fail a test whose job does not come to an end."""

    def stop(*_: object) -> None:
        pytest.fail(f"the job did not end within {SECONDS} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize(("case", "layout"), VCF)
def test_vcf(case: Path, layout: str, tmp_path: Path) -> None:
    table = tmp_path / "lake" / "variants"
    vcf_to_parquet([*arguments(case, table), "--layout", layout])
    check_rows(case / f"{layout}.tsv", table, every_column=layout == "by_sample")
    check_rejects(case, table)
    for path in inputs(case):
        check_independently(case, path, layout, table, tmp_path)


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
    with pytest.raises(LakeError, match=rf"records can't be loaded:\n  line {rejects(case)[0][0]}: "):
        job([*arguments(case, table), *chosen, "--on_error", "fail"])
    assert not table.exists()
