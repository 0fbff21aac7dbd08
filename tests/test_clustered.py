"""The clustered table: the rows of the cohort's, in step with it whatever happens, and cheap to ask."""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import inputs
from genomicslake import clustered, session
from genomicslake.clustered import Clustered
from genomicslake.errors import LakeError
from genomicslake.partitions import folder_of, sample_of
from genomicslake.shuffle import SITE
from tests.test_failures import rows_of
from tests.test_modes import CLUSTERED, Lake, vcf
from tests.test_readers import DATA
from vcf_to_parquet import vcf_to_parquet

SMALL = 7  # rows of a group
SMALLER: dict[str, Any] = {"ROW_GROUP": SMALL, "GROUPS": 2, "LARGEST_GROUP": 3 * SMALL}
SCHEMA = pa.schema([*SITE, ("genotype0", pa.int32()), ("genotype1", pa.int32())])
site = st.tuples(
    st.sampled_from(["1", "2", "22"]), st.integers(0, 5), st.integers(1, 2), st.sampled_from(["A", "C", "CC"]),
    st.sampled_from(["G", "<DEL>", "*"]),
)  # fmt: skip
rows = st.lists(
    st.tuples(site, st.sampled_from([(0, 1), (1, 1), (1, None)])), max_size=40, unique_by=lambda row: row[0]
)


@settings(deadline=None, max_examples=150)
@given(st.lists(st.lists(rows, min_size=1, max_size=2), min_size=1, max_size=9), st.integers(1, 4))
def test_every_row_is_there_and_sorted(samples: list[list[Any]], most: int) -> None:
    """Of samples with one file or two, in blocks of some samples, in groups of few rows."""
    with tempfile.TemporaryDirectory() as name, mock.patch.multiple(clustered, **SMALLER):
        expected, of_samples = [], []
        for number, files in enumerate(samples):
            folder = Path(name, folder_of(f"S {number}"))
            folder.mkdir()
            for at, file in enumerate(files):
                told = sorted(((*one[:2], one[1] + one[2], *one[3:]), call) for one, call in file)
                expected += [(*place, *call, f"S {number}") for place, call in told]
                table = pa.Table.from_pylist([dict(zip(SCHEMA.names, (*a, *b), strict=True)) for a, b in told], SCHEMA)
                pq.write_table(table, folder / f"part-{at}.parquet", SMALL)
            of_samples.append(sorted(map(str, folder.iterdir())))
        blocks = clustered._cut(of_samples, most)
        assert [files for block in blocks for files in block] == of_samples
        assert all(len(block) <= most for block in blocks)
        written = Path(name, "rows.parquet")
        count, _ = clustered._write_file(
            [[path for files in block for path in files] for block in blocks], str(written)
        )
        assert count == len(expected)
        assert written.exists() == bool(expected)
        if not expected:
            return
        found = [tuple(row.values()) for row in pq.read_table(written).to_pylist()]
        groups = [pq.ParquetFile(written).read_row_group(n) for n in range(pq.read_metadata(written).num_row_groups)]
        assert all(len(group) <= clustered._group_size(count) for group in groups)
        assert sorted(map(str, found)) == sorted(map(str, expected))
        assert found == [row for block in blocks for row in _sorted(found, {str(sample_of(f[0])) for f in block})]


def _sorted(found: list[Any], samples: set[str]) -> list[Any]:
    return sorted((row for row in found if row[-1] in samples), key=lambda row: (*row[:5], row[-1]))


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    made = Lake(tmp_path, CLUSTERED)
    made.load("overwrite", made.given("first.vcf", vcf(["A", "B"])))
    return made


@pytest.mark.parametrize("mode", ["overwrite", "append", "replace"])
def test_a_job_that_dies_between_the_two(mode: str, lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    """The next run, of whatever, brings it in step."""
    names = ["A", "B"] if mode == "replace" else ["C"]
    second, third = lake.given("second.vcf", vcf(names, count=6)), lake.given("third.vcf", vcf(["D"], ["21"]))
    for again, told in ((second, "clustered was not in step with it, and is now"), (third, "publishing")):
        with mock.patch.object(Clustered, "publish", side_effect=KeyboardInterrupt), pytest.raises(KeyboardInterrupt):
            lake.load(mode, second)
        with pytest.raises(AssertionError):
            lake.check()
        lake.load("append" if again == third else mode, again)
        lake.check()
        assert told in capsys.readouterr().out
        lake.load("overwrite", str(lake.folder / "first.vcf"))


def test_one_that_is_damaged_or_deleted_by_hand(lake: Lake) -> None:
    other = lake.table.with_name(CLUSTERED)
    next(other.glob("*.parquet")).unlink()
    lake.load("overwrite", str(lake.folder / "first.vcf"))
    lake.check()


def test_rows_that_are_written_otherwise_are_told(lake: Lake) -> None:
    """Read back, they are not those of the table; neither is published."""
    write, before = clustered.write, (lake.standing(), lake.rows())

    def lossy(paths: Sequence[str], to: str) -> tuple[int, int]:
        told = write(paths, to)
        file = next(Path(to).parent.glob(f"{Path(to).name}*"))
        pq.write_table(pq.read_table(file).slice(1), file)
        return told

    second = lake.given("second.vcf", vcf(["C"]))
    with mock.patch.object(clustered, "write", lossy), pytest.raises(LakeError, match="rows are not those of variants"):
        lake.load("append", second)
    lake.check()
    assert (lake.standing(), lake.rows()) == before


@pytest.mark.parametrize("reader", ["direct", "hail"])
def test_either_reader(reader: str, tmp_path: Path) -> None:
    made = Lake(tmp_path, CLUSTERED)
    text = vcf(["B", "A"]) + "22\t30000000\t.\tA\tG,C,<DEL>\t.\t.\t.\tGT\t1|2\t3|0\n"
    made.load("overwrite", made.given("first.vcf", text), options=["--reader", reader])
    made.check()
    assert len(made.rows()) == 11


def test_no_rows_at_all(tmp_path: Path) -> None:
    made = Lake(tmp_path, CLUSTERED)
    made.load("overwrite", made.given("first.vcf", vcf(["A"], count=0)))
    assert json.loads((tmp_path / "lake" / CLUSTERED / "_load.json").read_text())["rows"] == 0


def test_what_it_may_not_be(lake: Lake) -> None:
    path, output = str(lake.folder / "first.vcf"), str(lake.table.with_name("others"))
    refused = {
        "it is no clustered table of others": ["--output_path", output, "--clustered", CLUSTERED],
        "it is no clustered table of other": ["--output_path", output[:-1], "--clustered", lake.table.name],
        "can't be its own": ["--output_path", output, "--clustered", "others"],
        f"{CLUSTERED}, the clustered table of {lake.table.name}, would fall behind": [
            *("--output_path", str(lake.table), "--clustered", "none")
        ],
    }
    for told, options in refused.items():
        with pytest.raises(LakeError, match=told):
            vcf_to_parquet(["--input_path", path, *options])
    lake.check()
    vcf_to_parquet(["--input_path", path, "--output_path", output, "--clustered", "none"])
    assert len(rows_of(Path(output))) == 8


def _bytes(path: Path, first: str = "", last: str = "~") -> int:
    """The bytes of the row groups of a file that may have rows of the samples between two, by the statistics."""
    found, metadata = 0, pq.read_metadata(path)
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        columns = {group.column(at).path_in_schema: group.column(at) for at in range(group.num_columns)}
        if "sampleid" in columns:
            told = columns["sampleid"].statistics
            if told.min > last or told.max < first:
                continue
        found += sum(column.total_compressed_size for column in columns.values())
    return found


def _cheap(table: Path, asked: tuple[str, ...]) -> tuple[float, float]:
    """The bytes on disk, and those of a question about some samples (the first of them and the last, by their ids),
    without a word about positions: of the clustered table against the other.
    """
    one = list(table.rglob("*.parquet"))
    other = sorted((table.parent / CLUSTERED).glob("*.parquet"))
    assert len(other) <= session.spark().sparkContext.defaultParallelism
    of_samples = sum(_bytes(path) for path in one if asked[0] <= str(sample_of(str(path))) <= asked[-1])
    disk = sum(path.stat().st_size for path in other) / sum(path.stat().st_size for path in one)
    return disk, sum(_bytes(path, asked[0], asked[-1]) for path in other) / of_samples


def _loaded(path: Path, folder: Path) -> Path:
    table = folder / "lake" / "variants"
    vcf_to_parquet(["--input_path", str(path), "--output_path", str(table), "--clustered", CLUSTERED])
    return table


def test_it_takes_few_bytes(tmp_path: Path) -> None:
    """A cohort as 1000 Genomes's, of which 65 samples, with ids that follow each other, are asked for."""
    inputs.cohort(tmp_path / "cohort.vcf.gz", 3_000, 1_000)
    disk, asked = _cheap(_loaded(tmp_path / "cohort.vcf.gz", tmp_path), ("S00400", "S00464"))
    assert disk <= 0.35
    assert asked <= 0.6


@pytest.mark.skipif(not DATA.exists(), reason="../shared/data is absent")
def test_it_takes_few_bytes_of_real_variants(tmp_path: Path) -> None:
    path = DATA / "1000genomes" / "chr22_16-16.5mb.2504samples.grch37.vcf.gz"
    disk, asked = _cheap(_loaded(path, tmp_path), ("NA12", "NA12~"))
    assert disk <= 0.35
    assert asked <= 0.6
