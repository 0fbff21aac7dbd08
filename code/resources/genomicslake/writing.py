"""Spark rows to Parquet files."""

from pyspark.sql import DataFrame, Observation
from pyspark.sql import functions as F

from genomicslake.errors import LakeError


def union(one: DataFrame, other: DataFrame) -> DataFrame:
    """The rows of both; a column that one lacks is null there. Raises LakeError where types differ."""
    types = dict(one.dtypes)
    for name, kind in other.dtypes:
        if types.get(name, kind) != kind:
            raise LakeError(f"the files' headers disagree: {name} is {types[name]} and {kind}", todo="Load them apart.")
    return one.unionByName(other, allowMissingColumns=True)


def by_sample(frame: DataFrame, path: str) -> int:
    """Write a folder and a file for each sample, sorted by position; the number of rows."""
    frame, written = _counted(frame)
    columns = ["sampleid", "chromosome", "startposition", "endposition", "referenceallele", "alternateallele"]
    frame.repartition("sampleid").sortWithinPartitions(*columns).write.partitionBy("sampleid").parquet(path)
    return int(written.get["rows"])


def by_variant(frame: DataFrame, path: str) -> int:
    """Write the rows in the order of their records; the number of rows."""
    frame, written = _counted(frame)
    frame.write.parquet(path)
    return int(written.get["rows"])


def _counted(frame: DataFrame) -> tuple[DataFrame, Observation]:
    rows = Observation()
    return frame.observe(rows, F.count(F.lit(1)).alias("rows")), rows
