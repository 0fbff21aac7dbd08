"""What things are expected to cost, and what a query scans by the footers: against figures that are reckoned here."""

import re
import tomllib
from pathlib import Path
from typing import Any

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from setup import cost, names, scanned
from setup.cost import Sizes
from setup.errors import SetupError
from tests.test_templates import parsed

GROUP = 100  # rows
DATABASE = "lake"


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two samples with a folder each, and a table of three row groups, all with texts, numbers and a list."""
    folder = tmp_path_factory.mktemp("tables")
    for number, sample in enumerate(("NA12 a", "HG1")):
        path = folder / "by_sample" / f"sampleid={sample.replace(' ', '%20')}" / "part-00000.parquet"
        path.parent.mkdir(parents=True)
        pq.write_table(_rows(number), path)
    (folder / "one").mkdir()
    whole = pa.concat_tables([_rows(number) for number in range(3)])
    pq.write_table(whole, folder / "one" / "part-00000.parquet", GROUP)
    pq.write_table(whole, folder / "one" / "_hidden.parquet")
    return folder


def _rows(number: int) -> pa.Table:
    start = 1_000 * number
    return pa.table(
        {
            "start": range(start, start + GROUP),
            "name": [f"{'abc'[number]}{row:03d}" for row in range(GROUP)],
            "ids": [[row] for row in range(GROUP)],
        }
    )


def chunks(path: Path, columns: list[str], groups: list[int]) -> int:
    metadata = pq.read_metadata(path)
    found = [metadata.row_group(group).column(at) for group in groups for at in range(metadata.num_columns)]
    return sum(one.total_compressed_size for one in found if one.path_in_schema.split(".")[0] in columns)


@pytest.mark.parametrize(
    ("sql", "columns", "groups"),
    [
        ("SELECT start FROM lake.one", ["start"], [0, 1, 2]),
        ("SELECT * FROM lake.one", ["start", "name", "ids"], [0, 1, 2]),
        ("SELECT count(*) FROM lake.one WHERE start BETWEEN 950 AND 1050", ["start"], [1]),
        ("SELECT name FROM lake.one WHERE start > 1099 AND 'x' = 'x'", ["start", "name"], [2]),
        ("SELECT start FROM lake.one WHERE start >= 1099", ["start"], [1, 2]),
        ("SELECT start FROM lake.one WHERE start < 1", ["start"], [0]),
        ("SELECT start FROM lake.one WHERE start <= 1000", ["start"], [0, 1]),
        ("SELECT start FROM lake.one WHERE start = 500", ["start"], []),
        ("SELECT ids FROM lake.one WHERE name LIKE 'b%'", ["name", "ids"], [1]),
        ("SELECT ids FROM lake.one WHERE name LIKE '%b'", ["name", "ids"], [0, 1, 2]),
        ("SELECT ids FROM lake.one WHERE name NOT LIKE 'b%'", ["name", "ids"], [0, 1, 2]),
        ("SELECT ids FROM lake.one WHERE name IN ('a001', 'c099', 'x')", ["name", "ids"], [0, 2]),
        ("SELECT ids FROM lake.one WHERE name = 'b005' OR start = 1", ["name", "ids", "start"], [0, 1, 2]),
        ("SELECT ids FROM lake.one WHERE start = '5'", ["ids", "start"], [0, 1, 2]),  # another type: nobody knows
        ("WITH x AS (SELECT * FROM lake.one WHERE start < 5) SELECT name FROM x", ["start", "name"], [0]),
        ("SELECT y.name FROM (SELECT name, ids FROM lake.one) AS y WHERE y.name = 'c001'", ["name"], [2]),
    ],
)
def test_a_query_scans_what_it_needs(sql: str, columns: list[str], groups: list[int], tables: Path) -> None:
    (scan,) = scanned.of_query(sql, scanned.local_groups(tables))
    expected = chunks(tables / "one" / "part-00000.parquet", columns, groups)
    assert (scan.table, scan.columns, scan.bytes) == ("one", tuple(sorted(columns)), expected)
    assert (scan.groups, scan.all_groups) == (len(groups), 3)


def test_a_table_is_scanned_each_time_that_it_is_named(tables: Path) -> None:
    joined = "x AS a JOIN x AS b ON a.start = b.start AND b.name = 'b001'"
    sql = f"WITH x AS (SELECT * FROM lake.one) SELECT b.ids FROM {joined}"
    scans = scanned.of_query(sql, scanned.local_groups(tables))
    assert sorted((scan.columns, scan.groups) for scan in scans) == [(("ids", "name", "start"), 1), (("start",), 3)]


@pytest.mark.parametrize(
    ("condition", "of"), [("LIKE 'NA12%'", ["NA12%20a"]), ("= 'HG1'", ["HG1"]), ("<> 'HG1'", ["HG1", "NA12%20a"])]
)
def test_folders_names_rule_out_files(condition: str, of: list[str], tables: Path) -> None:
    sql = f"SELECT sampleid, start FROM lake.by_sample WHERE sampleid {condition}"
    (scan,) = scanned.of_query(sql, scanned.local_groups(tables))
    paths = [tables / "by_sample" / f"sampleid={sample}" / "part-00000.parquet" for sample in of]
    assert scan.bytes == sum(chunks(path, ["start"], [0]) for path in paths)


def test_what_cannot_be_told(tables: Path) -> None:
    for sql, told in (
        ("SELECT start FROM lake.none", "there is no Parquet file"),
        ("SELECT FROM WHERE", "The query can't be read"),
        ("SELECT nothing FROM lake.one", "The query can't be read"),
    ):
        with pytest.raises(SetupError, match=told):
            scanned.of_query(sql, scanned.local_groups(tables))
    with pytest.raises(SetupError, match="There is no query nonsense"):
        cost.text_of("nonsense", "%")


@pytest.mark.usefixtures("emulator")
def test_footers_in_s3_are_those_of_the_files(tables: Path) -> None:
    """Also one that is longer than what is asked for first."""
    client = boto3.client("s3")
    client.create_bucket(Bucket="footers")
    wide = pa.table({f"column{number}": ["x" * 100, "y" * 100] for number in range(600)})
    (tables / "wide").mkdir()
    pq.write_table(wide, tables / "wide" / "part-00000.parquet")
    assert pq.read_metadata(tables / "wide" / "part-00000.parquet").serialized_size > scanned.TAIL
    for path in tables.rglob("*.parquet"):
        if not path.name.startswith("_"):
            client.put_object(Bucket="footers", Key=f"tables/{path.relative_to(tables)}", Body=path.read_bytes())
    in_s3, local = scanned.groups_in_s3(boto3.Session(), "footers"), scanned.local_groups(tables)
    for table in ("one", "by_sample", "wide"):
        assert in_s3(table) == local(table)


def test_every_price_has_its_source() -> None:
    told = tomllib.loads(cost.PRICES.read_text())
    found = {name: one for name, one in told.items() if isinstance(one, dict)}
    assert found.keys() == cost.prices().keys()
    for name, one in found.items():
        assert set(one) == {"dollars", "source", "seen"}, name
        assert one["dollars"] > 0
        assert re.fullmatch(r"20\d\d-\d\d", one["seen"])
        assert one["source"].startswith("https://aws.amazon.com/") or one["source"] == "the implementation guide"


def test_the_lines_add_up() -> None:
    """With round prices and sizes: what is reckoned by hand."""
    sizes = Sizes(vcf=1_000_000_000, clinvar=0, tables=9_000_000_000, query=2_000_000_000_000)
    found = {(line.when, line.service): line for line in cost.lines(sizes, notebook_hours=10)}
    price = cost.prices()
    assert found["launch", "Glue crawlers"].dollars == pytest.approx(3 * 2 / 6 * price["glue_dpu_hour"])
    assert found["month", "S3"].dollars == pytest.approx(10 * price["s3_gigabyte_month"])
    assert found["month", "SageMaker"].dollars == pytest.approx(10 * price["notebook_hour"])
    assert found["query", "Athena"].dollars == pytest.approx(2 * price["athena_terabyte"])
    workers, dpus = int(_default("NumberOfWorkers")), {"G.1X": 1, "G.2X": 2}[_default("WorkerType")]
    minutes = cost.START + 1000 / cost.RATES["vcf-to-parquet"] / ((workers - 1) * dpus * 4)
    assert found["load", "Glue jobs"].dollars == pytest.approx(minutes / 60 * workers * dpus * price["glue_dpu_hour"])
    builds = [step for step in cost.steps() if step.get("build") == "small"]
    at_least = sum(step["minutes"] for step in builds) * price["codebuild_small_minute"]
    assert at_least < found["launch", "CodeBuild"].dollars < 3 * at_least


def test_a_short_job_and_a_small_query_cost_the_least() -> None:
    workers = int(_default("NumberOfWorkers"))
    assert cost.of_job("vcf-to-parquet", 1)[1] == pytest.approx(workers / 60)
    assert cost.of_scan(1) == cost.of_scan(10_000_000) == pytest.approx(0.00005)


def _default(parameter: str) -> Any:
    return parsed("code/code_cfn.yml")["Parameters"][parameter]["Default"]


def test_steps_are_told_with_where_their_minutes_are_from() -> None:
    for step in cost.steps():
        assert step["from"] in ("measured", "documented", "estimated")
        assert step["minutes"] > 0
        assert set(step) <= {"name", "minutes", "from", "build", "actions", "beside"}


def test_what_is_printed(tmp_path: Path) -> None:
    console = Console(file=(tmp_path / "told").open("w"), width=160)
    cost.tell(list(cost.lines(Sizes(1, 1, 1, 1), 1)), console)
    console.file.flush()
    told = (tmp_path / "told").read_text()
    for text in ("$0.45", "$0.05", "$0.00025", "together", "KMS", "prices of 2026"):
        assert text in told


def test_the_readme_has_these_figures() -> None:
    """Of the demonstration's data, whose loads and query cost the least that is billed."""
    found = list(cost.lines(Sizes(600_000, 105_000, 4_400_000, 428_000), 1))
    text = (names.ROOT / "README.md").read_text()

    def together(when: str) -> str:
        return f"${sum(line.dollars for line in found if line.when == when):.2f}"

    crawlers, builds, pipeline = (line.dollars for line in found if line.when == "launch")
    row = f"| a launch, once: three crawlers ${crawlers:.2f}, builds ${builds:.2f}, pipeline ${pipeline:.2f} |"
    assert f"{row} {together('launch')} | $0.45 |" in text
    assert {f"${line.dollars:.3f}" for line in found if line.when == "load"} == {"$0.015"}
    assert "by a Glue job | $0.015 | $0.15 |" in text
    assert f"storage | {together('month')} | $0.05 |" in text
    assert f"query | ${found[-1].dollars:.5f} | $0.00025 |" in text
