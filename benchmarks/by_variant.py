"""An individual's VCF, every INFO and FORMAT field typed: this project against Hail and other readers.

Equal is about what all of them make: positions and INFO's 17 fields, whose floats some have in 32 bits.
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks import contest, inputs, results
from benchmarks.contest import PEERS, Contest, Rows
from genomicslake import checksums

RECORDS = 1_000_000
WARM = 120  # seconds cold, from which on a contender does not run warm
FIELDS = [f"{letter}{number}" for letter, count in (("I", 8), ("F", 6), ("A", 3)) for number in range(count)]
STARTS = (
    "startposition",
    "position",
    "locus_position",
    "start",
)  # by the readers that make them; the first counts from 0


def main() -> None:
    """Run all contenders on one input, and write down what they took."""
    with tempfile.TemporaryDirectory() as name:
        vcf = Path(name, "individual.vcf.gz")
        print(f"making {RECORDS:,} records …", flush=True)
        inputs.individual(vcf, RECORDS)
        contests = [Contest(label, python, module, _rows) for label, python, module in CONTENDERS]
        given = f"{RECORDS:,} records, 17 INFO fields, GT:AD:DP:GQ:PL, {vcf.stat().st_size / 1e6:.1f} MB of BGZF"
        told = contest.run(contests, vcf, Path(name, "output"), WARM)
        results.write("by_variant", {"input": given, "contenders": told})


def _rows(_: str, files: list[Path]) -> Rows:
    """The rows of an output, and a checksum of their positions and INFO fields."""
    count, checksum = 0, 0
    for file in files:
        rows = pq.read_table(file, partitioning=None)
        count += len(rows)
        checksum = checksums.add(checksum, _checksum(rows))
    return count, checksums.shown(checksum)


def _checksum(rows: pa.Table) -> int:
    names = {name.lower().removeprefix("info_"): name for name in rows.column_names}
    start = next(name for name in STARTS if name in names)
    codes = rows[start].to_numpy().astype(np.int64).view(np.uint64) + np.uint64(start == STARTS[0])
    for field in FIELDS:
        column: Any = rows[names[field.lower()]].combine_chunks()
        if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
            column = column.flatten()  # of one value each
        values = column.to_numpy(zero_copy_only=False)
        bits = values.astype(np.float32).view(np.uint32)
        codes = checksums.mixed(codes + bits.astype(np.uint64))
    return int(codes.sum(dtype=np.uint64))


CONTENDERS = [
    *(
        (label, sys.executable, "contenders")
        for label in ("direct, by variant", "hail, by variant", "naive Hail, by variant", "naive Hail, sites")
    ),
    *((f"{label}, by variant", str(PEERS), "peers") for label in ("cyvcf2", "DuckDB", "polars-bio", "vcf2parquet")),
]
