"""Rows on their way from those who read to those who write: none is lost, changed or in another's file."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

import numpy as np
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from genomicslake import header, lines, references, scan, session, shuffle
from genomicslake.lines import Part
from genomicslake.partitions import folder_of, sample_of
from genomicslake.records import RecordCheck
from genomicslake.shuffle import Buckets, Collector, Rows
from genomicslake.tally import Sites
from tests.test_modes import vcf

SAMPLES = ("a", "b c", "d=e", "f", "g")
GENOTYPES = {1: (0, 1), 2: (1, 1), 4: (1, None)}  # by the states of checksums
site = st.tuples(
    st.sampled_from(["1", "22", "X"]),
    st.integers(0, 40),
    st.sampled_from("ACGT"),
    st.sampled_from(["A", "<DEL>", "ACC"]),
)
rows = st.lists(st.tuples(site, st.sampled_from([0, 1, 2]), st.sampled_from(sorted(GENOTYPES))), max_size=30)
files = st.lists(
    st.tuples(st.lists(st.sampled_from(SAMPLES), min_size=3, max_size=5, unique=True), st.lists(rows, max_size=4)),
    min_size=1,
    max_size=3,
)


@settings(deadline=None, max_examples=200)
@given(files, st.integers(1, len(SAMPLES)), st.sampled_from([0, 5, 1000]))
def test_every_row_arrives(given_: list[tuple[list[str], list[Any]]], buckets: int, held: int) -> None:
    """Of files with samples of their own, in any order of sites and of what tasks hand on."""
    expected: dict[str, list[Any]] = {}
    found: list[Rows] = []
    spread = Buckets(SAMPLES, buckets)
    for number, (samples, parts) in enumerate(given_):
        for at, part in enumerate(parts):
            collector = Collector(spread, (number, at), samples)
            for (chromosome, start, reference, alternate), sample, state in part:
                sites = Sites([chromosome], [start], [start + 1], [reference], [alternate])
                collector.take(sites, np.zeros(1, np.int64), np.array([sample]), np.array([state]))
                row = (chromosome, start, start + 1, reference, alternate, *GENOTYPES[state])
                expected.setdefault(samples[sample], []).append(row)
                found += collector.handed_on(held)
            found += collector.handed_on()
    with tempfile.TemporaryDirectory() as folder, mock.patch.object(shuffle, "ROW_GROUP", 7):
        for bucket in range(buckets):
            shuffle.write_bucket(spread, (rows for rows in reversed(found) if rows.bucket == bucket), folder)
        written = {sample_of(str(path)): path for path in Path(folder).rglob("*.parquet")}
        assert written.keys() == expected.keys()
        for sample, path in written.items():
            table = pq.read_table(path, partitioning=None)
            told = [tuple(row.values()) for row in table.to_pylist()]
            places = [row[:5] for row in told]
            assert places == sorted(places)
            assert sorted(told, key=repr) == sorted(expected[str(sample)], key=repr)


def written(found: list[Rows], buckets: Buckets, folder: Path) -> dict[str, bytes]:
    """The content of all files, by their names."""
    for bucket in range(buckets.count):
        shuffle.write_bucket(buckets, (rows for rows in found if rows.bucket == bucket), str(folder))
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.parquet")}


def test_files_do_not_tell_how_often_rows_were_handed_on(tmp_path: Path) -> None:
    """A part that hands on its rows at once, many times, and many times to one who gets the last first."""
    head, *records = vcf(SAMPLES, count=400).rsplit("\n", 401)
    Random(1).shuffle(records)  # noqa: S311 - no secret
    others = ["22\t500\t.\tA\tC,G\t.\t.\t.\tGT\t1|2\t1\t.|2\t0/0\t2/1", "22\t900\t.\tA\tC\t.\t.\t.\tGT\t.\t.\t.\t.\t0"]
    text = "\n".join([head, *others, *filter(None, records), ""])
    path = tmp_path / "file.vcf"
    path.write_text(text)
    part, buckets = Part(str(path), "plain", 0, len(text), len(text)), Buckets(SAMPLES, 3)
    check = RecordCheck(header.parse(str(path), head.splitlines()), {"22": 51_304_566}, False)

    def read(held: int) -> tuple[list[Rows], scan.Scan]:
        with mock.patch.object(scan, "HELD", held), mock.patch.multiple(lines, READ=500, CHUNK=1_000):
            found = list(scan.rows_of_part(part, check, (), Collector(buckets, (0, 0), SAMPLES)))
        (told,) = (one for one in found if isinstance(one, scan.Scan))
        return [one for one in found if isinstance(one, Rows)], told

    once, told = read(1_000_000)
    often, again = read(50)
    assert (len(once), told.rows, told.checksum) == (3, again.rows, again.checksum)
    assert len(often) > 3 * 10
    expected = written(once, buckets, tmp_path / "once")
    assert len(expected) == len(SAMPLES)
    assert written(often, buckets, tmp_path / "often") == expected
    assert written(often[::-1], buckets, tmp_path / "reversed") == expected


def test_sites_that_nobody_carries_are_not_held() -> None:
    collector = Collector(Buckets(SAMPLES, 1), (0,), SAMPLES)
    places = np.arange(1_000)
    sites = Sites(["1"] * 1_000, places, places + 1, ["A"] * 1_000, ["C"] * 1_000)
    collector.take(sites, np.array([7, 7, 30]), np.array([0, 1, 0]), np.array([1, 2, 1]))
    assert [len(held[0]) for held in collector._held] == [2]
    (found,) = collector.handed_on()
    assert found.sites["startposition"].to_pylist() == [7, 30]
    assert found.numbers.tolist() == [0, 1, 0]


def test_a_task_does_not_gather_what_it_hands_on() -> None:
    """However many parts it reads."""
    megabytes, parts = 8, 100
    no_sites = shuffle.SITE.empty_table()

    def resident() -> int:
        return int(next(line for line in Path("/proc/self/status").open() if line.startswith("VmRSS")).split()[1])

    def task(buckets: Buckets, item: int) -> Iterator[Any]:
        before = resident()
        most = before
        for number in range(parts):
            yield Rows(
                number % buckets.count, (item, number), no_sites, ([], []), [], np.ones(megabytes << 20, np.int8)
            )
            most = max(most, resident())
        yield (most - before) / 1024

    found = shuffle.Shuffle(session.spark().sparkContext, Buckets(tuple("abcdefgh"), 8))
    (grown,) = found.read([0], task)
    assert grown < 20 * megabytes


def test_there_are_buckets_for_all_cores_and_for_large_files() -> None:
    context: Any = mock.Mock(defaultParallelism=4)
    samples = [f"S{number}" for number in range(20_000)]

    def count(size: int, samples: list[str]) -> int:
        found = Buckets.of(context, [mock.Mock(size=size)], samples)
        assert (found.edges[0], found.edges[-1]) == (0, len(samples))
        return found.count

    assert count(1, samples[:3]) == 3
    assert count(1, samples) == 16
    assert count(1 << 30, samples) == 256
    assert count(1 << 50, samples) == shuffle.MOST_BUCKETS


def test_names_of_folders_are_those_that_spark_gives() -> None:
    jvm: Any = session.spark().sparkContext._jvm
    spark = jvm.org.apache.spark.sql.catalyst.catalog.ExternalCatalogUtils
    for name in [f"S{chr(code)}1" for code in [*range(1, 0x180), 0x1F9EC]]:
        assert folder_of(name) == "sampleid=" + spark.escapePathName(name)


def test_the_genomes_lengths_where_hails_package_has_no_jar() -> None:
    """As on Glue, whose JVM has it."""
    session.spark()
    with mock.patch.object(references, "hails_jar", return_value=Path("none.jar")):
        assert references.lengths.__wrapped__() == references.lengths()
