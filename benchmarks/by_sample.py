"""A cohort's VCF to one row per sample and non-reference allele: this project against Hail, other readers, and numpy in
one process as the limit.

Cold is a whole process, its imports and the start of Spark included; warm is the same conversion again in a process
that has done one. The contenders take turns.
"""

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks import contest, inputs, results
from benchmarks.contest import PEERS, Contest, Rows
from genomicslake import checksums
from genomicslake.partitions import sample_of

VARIANTS, SAMPLES = 32_000, 2_504


def main() -> None:
    """Run all contenders on one input, and write down what they took."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        vcf = folder / "cohort.vcf.gz"
        print(f"making {VARIANTS:,} variants of {SAMPLES:,} samples …", flush=True)
        inputs.cohort(vcf, VARIANTS, SAMPLES)
        contests = [Contest(label, python, module, rows_of) for label, python, module in CONTENDERS]
        given = f"{VARIANTS:,} variants x {SAMPLES:,} samples, {vcf.stat().st_size / 1e6:.1f} MB of BGZF"
        told = contest.run(contests, vcf, folder / "output")
        results.write("by_sample", {"input": given, "contenders": told})


def rows_of(label: str, files: list[Path]) -> Rows:
    """The rows of an output and their checksum, whatever shape it has."""
    count, checksum = 0, 0
    for rows in SHAPES.get(label, _long)(files):
        count += len(rows)
        checksum = checksums.add(checksum, checksums.of_table(rows))
    return count, checksums.shown(checksum)


def _long(files: list[Path]) -> Any:
    for file in files:
        groups = pq.ParquetFile(file)
        for number in range(groups.num_row_groups):
            rows = groups.read_row_group(number)
            if sample := sample_of(str(file)):
                rows = rows.append_column("sampleid", pa.array([sample] * len(rows)))
            yield rows


def _nested(files: list[Path]) -> Any:
    """polars-bio: a list of calls a variant."""
    for batch in pq.ParquetFile(files[0]).iter_batches(1_000):
        calls = batch["genotypes"].field("GT").flatten().dictionary_encode()
        matrix = np.array([_COPIES[text] for text in calls.dictionary.to_pylist()])[calls.indices.to_numpy()]
        yield _carriers(matrix.reshape(len(batch), -1), batch["start"], batch["ref"], batch["alt"])


def _wide(files: list[Path]) -> Any:
    """vcf2parquet: a column a sample."""
    for batch in pq.ParquetFile(files[0]).iter_batches(1_000):
        columns = [batch[name].dictionary_encode() for name in batch.schema.names if name.startswith("format_")]
        matrix = [
            np.array([_COPIES[text] for text in column.dictionary.to_pylist()])[column.indices.to_numpy()]
            for column in columns
        ]
        yield _carriers(np.array(matrix).T, batch["position"], batch["reference"], batch["alternate"])


_COPIES = {"0|0": 0, "0|1": 1, "1|0": 1, "1|1": 2}


def _carriers(copies: Any, positions: Any, references: Any, alternates: Any) -> Any:
    site, sample = np.nonzero(copies)
    starts = positions.cast(pa.int64()).take(site).to_numpy() - 1
    references = references.cast(pa.string()).take(site)
    columns = {
        "chromosome": pa.array(["22"]).take(np.zeros(len(site), np.int64)),
        "startposition": starts,
        "endposition": starts + pc.utf8_length(references).to_numpy(),
        "referenceallele": references,
        "alternateallele": alternates.cast(pa.string()).take(site),
        "genotype0": (copies[site, sample] == 2).astype(np.int32),
        "genotype1": np.ones(len(site), np.int32),
        "sampleid": pa.array([f"S{number:05d}" for number in range(copies.shape[1])]).take(sample),
    }
    return pa.table(columns)


SHAPES: dict[str, Callable[[list[Path]], Any]] = {"polars-bio": _nested, "vcf2parquet": _wide}
CONTENDERS = [
    *(
        (label, sys.executable, "contenders")
        for label in ("direct", "direct, and variants", "hail", "naive Hail", "Hail, repartitioned")
    ),
    ("numpy, one process", sys.executable, "contenders"),
    *((label, str(PEERS), "peers") for label in ("cyvcf2 and pyarrow", "DuckDB", "polars-bio", "vcf2parquet")),
]
