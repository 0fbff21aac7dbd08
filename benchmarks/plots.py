"""`python -m benchmarks.plots RESULTS PLOT`: the time of conversions by variants and by samples, as an SVG."""

import json
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
mpl.rcParams["svg.hashsalt"] = "benchmarks"  # the same results make the same file
mpl.rcParams["svg.fonttype"] = "none"
import matplotlib.pyplot as plt  # noqa: E402 - it takes what is set

COLOURS = {"direct": "#0b6e4f", "naive Hail": "#b5462b", "numpy, one process": "#555555"}


def draw(points: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw points of scaling.json: seconds against variants, of the most samples, and against samples."""
    samples = max(point["samples"] for point in points)
    variants = sorted({point["variants"] for point in points if point["samples"] != samples})[0]
    figure, axes = plt.subplots(1, 2, figsize=(9, 4), sharey=True, layout="constrained")
    sides = (("variants", "samples", samples), ("samples", "variants", variants))
    for axis, (name, other, fixed) in zip(axes, sides, strict=True):
        own = [point for point in points if point[other] == fixed]
        values = sorted({point[name] for point in own})
        for label, colour in COLOURS.items():
            line = sorted((one[name], statistics.median(one["cold"])) for one in own if one["label"] == label)
            axis.plot(*zip(*line, strict=True), "o-", color=colour, label=label)
            for x, y in line:
                place = (0, -11 if label.startswith("numpy") else 5)  # its line and direct's meet
                axis.annotate(f"{y:.0f}", (x, y), place, textcoords="offset points", ha="center", fontsize=8)
        axis.set(xscale="log", yscale="log", xlabel=f"{name} (of {fixed:,} {other})")
        axis.set_xticks(values, [f"{value:,}" for value in values], fontsize=7)
        axis.minorticks_off()
        axis.grid(visible=True, alpha=0.3)
    axes[0].set_ylabel("seconds, whole process")
    axes[0].set_ylim(0.9, 300)
    axes[0].set_yticks([3, 10, 30, 100, 300], ["3", "10", "30", "100", "300"])
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=len(COLOURS))
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    draw(json.loads(Path(sys.argv[1]).read_text())["points"], Path(sys.argv[2]))
