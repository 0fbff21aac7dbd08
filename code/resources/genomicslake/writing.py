"""Spark rows to Parquet files, and what these then hold."""

from collections.abc import Sequence
from typing import Any

import pyarrow.parquet as pq
from pyspark import SparkContext
from pyspark.sql import DataFrame

from genomicslake import checksums, tasks
from genomicslake.errors import LakeError
from genomicslake.partitions import PARTITION, sample_of
from genomicslake.sources import filesystem

_TEXTS = ("chromosome", "referenceallele", "alternateallele")


def union(one: DataFrame, other: DataFrame) -> DataFrame:
    """The rows of both; a column that one lacks is null there. Raises LakeError where types differ."""
    types = dict(one.dtypes)
    for name, kind in other.dtypes:
        if types.get(name, kind) != kind:
            raise LakeError(f"the files' headers disagree: {name} is {types[name]} and {kind}", todo="Load them apart.")
    return one.unionByName(other, allowMissingColumns=True)


def by_sample(frame: DataFrame, path: str) -> None:
    """Write a folder and a file for each sample, sorted by position."""
    columns = [PARTITION, "chromosome", "startposition", "endposition", "referenceallele", "alternateallele"]
    frame.repartition(PARTITION).sortWithinPartitions(*columns).write.partitionBy(PARTITION).parquet(path)


def by_variant(frame: DataFrame, path: str) -> None:
    """Write the rows in the order of their records."""
    frame.write.parquet(path)


def genotypes(paths: Sequence[str]) -> tuple[int, int]:
    """The number of rows in Parquet files, read back by Spark's tasks, and the checksum of their genotypes."""
    context: Any = SparkContext.getOrCreate()
    counted = tasks.each(context, paths, _read)
    return sum(rows for rows, _ in counted), checksums.add(*(checksum for _, checksum in counted))


def _read(path: str) -> tuple[int, int]:
    system, inside = filesystem(path)
    sample = sample_of(path)
    further = [] if sample else [PARTITION]
    columns, texts = [*checksums.COLUMNS, *further], [*_TEXTS, *further]
    rows, checksum = 0, 0
    with pq.ParquetFile(inside, filesystem=system, read_dictionary=texts, pre_buffer=True) as file:
        for group in range(file.num_row_groups):
            table = file.read_row_group(group, columns, use_threads=False)  # a task has a core
            rows += len(table)
            checksum = checksums.add(checksum, checksums.of_table(table, sample))
    return rows, checksum
