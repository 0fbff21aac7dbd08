"""ClinVar's variant_summary.txt.gz to Parquet, by the job and by DuckDB, which makes the same columns but for those in
minimal representation.
"""

import hashlib
import sys
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks import contest, inputs, results
from benchmarks.contest import PEERS, Contest, Rows
from genomicslake.clinvar import NORMALISED

ROWS = 500_000


def main() -> None:
    """Run both on one input, and write down what they took."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name, "variant_summary_2026-06.txt.gz")
        print(f"making {ROWS:,} rows …", flush=True)
        inputs.clinvar(path, ROWS)
        contests = [
            Contest("ClinVar job", sys.executable, "contenders", _rows),
            Contest("DuckDB, ClinVar", str(PEERS), "peers", _rows),
        ]
        given = f"{ROWS:,} rows x 43 columns, {path.stat().st_size / 1e6:.1f} MB of gzip"
        told = contest.run(contests, path, Path(name, "output"))
        results.write("clinvar", {"input": given, "contenders": told})


def _rows(_: str, files: list[Path]) -> Rows:
    """The rows of an output, and the SHA-256 of the columns that both make, sorted."""
    rows = pa.concat_tables([pq.read_table(file, partitioning=None) for file in files])
    rows = rows.select(sorted(set(rows.column_names) - {*NORMALISED}))
    rows = rows.sort_by([(name, "ascending") for name in ("alleleid", "assembly")]).combine_chunks()
    digest = hashlib.sha256()
    for column in rows.columns:
        digest.update(repr(column.to_pylist()).encode())
    return len(rows), digest.hexdigest()
