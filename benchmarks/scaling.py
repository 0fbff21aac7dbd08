"""How the time and the memory of a cohort's conversion grow with its variants and its samples: the job, naive Hail, and
numpy in one process as the limit, each as a whole process. In the longest cohorts, where Hail would take a quarter of
an hour and numpy more memory than there is, cyvcf2 stands beside the job.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks import inputs, results
from benchmarks.by_sample import rows_of
from benchmarks.contest import PEERS, ROOT, TIMES, Contest

ALL = tuple((label, sys.executable, "contenders") for label in ("direct", "naive Hail", "numpy, one process"))
OF_THE_LONGEST = (ALL[0], ("cyvcf2 and pyarrow", str(PEERS), "peers"))
POINTS = {
    (8_000, 2_504): ALL,
    (32_000, 2_504): ALL,
    (128_000, 2_504): ALL,
    (512_000, 2_504): OF_THE_LONGEST,
    (1_024_000, 2_504): OF_THE_LONGEST,
    (32_000, 500): ALL,
    (32_000, 1_000): ALL,
}
ONCE = 25  # seconds, from which on a contender runs once
PLOT = ROOT / "docs" / "scaling.svg"


def main() -> None:
    """Run all on cohorts of several sizes, write down what they took, and draw it."""
    found = []
    with tempfile.TemporaryDirectory() as name:
        for (variants, samples), contenders in POINTS.items():
            path = Path(name, "cohort.vcf.gz")
            print(f"making {variants:,} variants of {samples:,} samples …", flush=True)
            inputs.cohort(path, variants, samples)
            contests = [Contest(*contender, rows_of) for contender in contenders]
            for turn in range(TIMES):
                for one in contests:
                    if not turn or min(one.runs.cold) < ONCE:
                        one.run_cold(path, Path(name, "output"))
                        print(f"turn {turn + 1}, {one.label}: {one.runs.cold[-1]:.1f} s", flush=True)
            found += [{"variants": variants, "samples": samples, "label": one.label} | one.told() for one in contests]
    results.write("scaling", {"input": "cohorts of several sizes", "points": found})
    draw()


def draw() -> None:
    """Draw what was measured."""
    told = str(results.FOLDER / "scaling.json")
    subprocess.run([str(PEERS), "-m", "benchmarks.plots", told, str(PLOT)], check=True, cwd=ROOT)
