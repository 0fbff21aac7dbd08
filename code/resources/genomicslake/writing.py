"""Spark rows to Parquet files."""

import threading

from pyspark.sql import DataFrame, Observation
from pyspark.sql import functions as F

from genomicslake.errors import LakeError

PATIENCE = 120  # seconds for a count that Spark has, once the rows are written


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
    return observed(written, "rows")


def by_variant(frame: DataFrame, path: str) -> int:
    """Write the rows in the order of their records; the number of rows."""
    frame, written = _counted(frame)
    frame.write.parquet(path)
    return observed(written, "rows")


def observed(observation: Observation, name: str) -> int:
    """What Spark counted while it wrote. Raises LakeError where it is silent: what is not counted is not published."""
    told: list[int] = []
    thread = threading.Thread(target=lambda: told.append(int(observation.get[name])), daemon=True)
    thread.start()
    thread.join(PATIENCE)
    if not told:
        raise LakeError(f"Spark did not tell how many {name} it wrote", todo="Run the job again.")
    return told[0]


def _counted(frame: DataFrame) -> tuple[DataFrame, Observation]:
    rows = Observation()
    return frame.observe(rows, F.count(F.lit(1)).alias("rows")), rows
