"""Rows on their way from those who read to those who write: none is lost, changed or in another's file."""

import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from genomicslake import references, session, shuffle
from genomicslake.partitions import folder_of, sample_of
from genomicslake.shuffle import Buckets, Collector, Rows
from genomicslake.tally import Sites

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
