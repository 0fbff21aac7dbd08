"""What a cohort's two tables take on disk, and what questions to them have to read: the row groups that the statistics
in the Parquet files' footers don't rule out, without counting on what an engine learns while a query runs.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from benchmarks import inputs, results
from genomicslake import checksums
from genomicslake.partitions import PARTITION, sample_of
from vcf_to_parquet import vcf_to_parquet

VARIANTS = 32_000
SAMPLES = (500, 1_000, 2_504, 10_000)
ASKED = 65  # samples, with ids that follow each other, as the guide's NA12%
GENE = 5_000  # bases


@dataclass(frozen=True)
class Ranges:
    """What is asked for: samples by the first id and the last, positions from and to; all of them without any."""

    samples: tuple[str, str] = ("", "~")
    positions: tuple[int, int] = (0, 1 << 40)


def main() -> None:
    """Load cohorts of several sizes, and write down what their tables take."""
    found = []
    with tempfile.TemporaryDirectory() as name:
        for samples in SAMPLES:
            folder = Path(name, str(samples))
            folder.mkdir()
            print(f"{VARIANTS:,} variants of {samples:,} samples …", flush=True)
            inputs.cohort(folder / "cohort.vcf.gz", VARIANTS, samples)
            output = ["--output_path", str(folder / "by_sample"), "--clustered", "variants"]
            vcf_to_parquet(["--input_path", str(folder / "cohort.vcf.gz"), *output])
            found += [measured(folder / table, samples) for table in ("by_sample", "variants")]
    results.write("layouts", {"input": f"{VARIANTS:,} variants", "layouts": found})


def measured(table: Path, samples: int) -> dict[str, Any]:
    """The size of a table, and what questions to it read, in bytes."""
    paths = sorted(table.rglob("*.parquet"))
    first = (samples - ASKED) // 2
    ids = Ranges(samples=(f"S{first:05d}", f"S{first + ASKED - 1:05d}"))
    middle = _middle(paths)
    gene = Ranges(positions=(middle, middle + GENE))
    rows = [_rows(path) for path in paths]
    return {
        "table": table.name,
        "samples": samples,
        "rows": sum(len(one) for one in rows),
        "checksum": checksums.shown(checksums.add(*map(checksums.of_table, rows))),
        "files": len(paths),
        "groups": sum(pq.read_metadata(path).num_row_groups for path in paths),
        "bytes": sum(path.stat().st_size for path in paths),
        "of_samples": sum(_read(path, ids) for path in paths),
        "of_gene": sum(_read(path, gene) for path in paths),
    }


def _middle(paths: list[Path]) -> int:
    """A position in the middle of the variants."""
    ends = [group["startposition"].statistics for path in paths for _, group in _groups(path)]
    return int(min(end.min for end in ends) + max(end.max for end in ends)) // 2


def _rows(path: Path) -> Any:
    rows = pq.read_table(path, partitioning=None)
    sample = sample_of(str(path))
    return rows if sample is None else rows.append_column(PARTITION, [[sample] * len(rows)])


def _read(path: Path, asked: Ranges) -> int:
    """The bytes of the column chunks of a file that may have what is asked for."""
    own = sample_of(str(path))
    found = 0
    for size, group in _groups(path):
        first, last = (own, own) if own else _ends(group[PARTITION])
        start, end = _ends(group["startposition"])
        is_asked = first <= asked.samples[1] and last >= asked.samples[0]
        found += size * (is_asked and start < asked.positions[1] and end >= asked.positions[0])
    return found


def _groups(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The row groups of a file: their bytes, and their columns."""
    metadata = pq.read_metadata(path)
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        columns = [group.column(at) for at in range(group.num_columns)]
        yield sum(column.total_compressed_size for column in columns), {one.path_in_schema: one for one in columns}


def _ends(column: Any) -> tuple[Any, Any]:
    return column.statistics.min, column.statistics.max
