"""What a cohort's two tables are with many samples of whole genomes: arithmetic on what `layouts` and `scaling` found.

Rows: a typical genome differs from the reference at 4.1 to 5.0 million sites (1000 Genomes, doi:10.1038/nature15393);
4.5 are taken. Variants of a whole cohort: 88 million in 1000 Genomes' 2,504 samples (the same), 759 million in the
76,156 of gnomAD 3.1 (its release notes), and a power of the samples in between and beyond.

A crawler's time: AWS tells no rate, so there are two guesses, far from each other. Another project took 1 minute 57
seconds to bring 14,991 partitions into the catalog with the same calls side by side, 9 minutes 42 seconds one after the
other (pull request 8124 of apache/hudi). To the slower one are added two reads of each file's footer, one after the
other, at the 100 milliseconds at least that S3 needs to answer. What a crawler needs to start is in neither.
"""

import json
import math
import statistics
from collections.abc import Mapping
from typing import Any

from benchmarks.results import FOLDER
from genomicslake import clustered
from genomicslake.shuffle import ROW_GROUP

SAMPLES = (1_000, 10_000, 100_000, 500_000)
ROWS_OF_A_SAMPLE = 4.5e6
KNOWN = ((2_504, 88e6), (76_156, 759e6))
ASKED = 65  # samples with ids that follow each other
BLOCK, GROUP = clustered.SAMPLES, clustered.LARGEST_GROUP
STATISTICS = 850  # bytes of a row group's in a footer
CORES_OF_A_DPU = 4
HEADS = (
    "| samples | variants, millions | rows, millions | DPU-hours | table | partitions | crawler, minutes (a guess) "
    "| files, at least | disk, GB | 65 samples, GB | statistics, GB |"
)
SECONDS_OF_A_PARTITION = 117 / 14_991, 582 / 14_991 + 2 * 0.1  # a crawler's, if fast and if slow


def table() -> str:
    """The table in Markdown; empty before both were measured."""
    needed = [FOLDER / f"{name}.json" for name in ("layouts", "scaling")]
    if not all(path.exists() for path in needed):
        return ""
    layouts, scaling = (json.loads(path.read_text(encoding="utf-8")) for path in needed)
    bytes_of_a_row = {
        one["table"]: one["bytes"] / one["rows"]
        for one in sorted(layouts["layouts"], key=lambda one: one["samples"])  # that of the most samples
    }
    lines = [HEADS, f"|--:|--:|--:|--:|---{'|--:' * 6}|"]
    for samples in SAMPLES:
        rows, variants = samples * ROWS_OF_A_SAMPLE, variants_of(samples)
        hours = variants * samples * seconds_of_a_cell(scaling) / 3600 / CORES_OF_A_DPU
        for name, size in bytes_of_a_row.items():
            cohort = [f"{samples:,}", f"{variants / 1e6:,.0f}", f"{rows / 1e6:,.0f}", f"{hours:,.1f}"]
            if name == "variants":
                cohort, partitions, files = [""] * 4, 0, -(-samples // (BLOCK * clustered.BLOCKS))
                crawler = "none runs"
                groups, asked = rows / GROUP, -(-(ASKED + BLOCK - 1) // BLOCK) * BLOCK  # in the blocks that they touch
            else:
                partitions = files = samples
                crawler = " to ".join(f"{samples * seconds / 60:,.0f}" for seconds in SECONDS_OF_A_PARTITION)
                groups, asked = ASKED * ROWS_OF_A_SAMPLE / ROW_GROUP, ASKED
            read = ROWS_OF_A_SAMPLE * size * min(samples, asked)
            sizes = f"{rows * size / 1e9:,.0f} | {read / 1e9:.2f} | {groups * STATISTICS / 1e9:.2f}"
            lines.append(f"| {' | '.join(cohort)} | `{name}` | {partitions:,} | {crawler} | {files:,} | {sizes} |")
    return "\n".join(lines)


def variants_of(samples: int) -> float:
    """The variants that so many samples have among them."""
    (few, fewer), (many, more) = KNOWN
    return float(fewer * (samples / few) ** (math.log(more / fewer) / math.log(many / few)))


def seconds_of_a_cell(scaling: Mapping[str, Any]) -> float:
    """The seconds of a core that a sample's call of a variant takes, by the slope from the fewest variants to the most:
    without the job's start.
    """
    own = [point for point in scaling["points"] if point["label"] == "direct"]
    samples = max(point["samples"] for point in own)
    line = sorted((point["variants"], statistics.median(point["cold"])) for point in own if point["samples"] == samples)
    (few, short), (many, long) = line[0], line[-1]
    return float((long - short) / (many - few) / samples * scaling["machine"]["cores"])
