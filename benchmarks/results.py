"""What benchmarks found: `results/NAME.json`, with the machine and the versions."""

import datetime
import importlib.metadata
import json
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "results"
PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
NOTHING = "Nothing is recorded yet."
PACKAGES = ("hail", "pyspark", "pyarrow", "numpy")


def write(name: str, results: Mapping[str, Any]) -> None:
    """Write the results of a benchmark, which tell their input, put them into the page, and print them."""
    found = {"machine": machine(), **results}
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{name}.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(paged(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    print(told(found))


def paged(page: str) -> str:
    """A page with the results that are there, each between comments that name it."""
    from benchmarks import plan
    from setup import cost

    blocks = {file.stem: told(json.loads(file.read_text(encoding="utf-8"))) for file in FOLDER.glob("*.json")}
    for name, text in (blocks | {"plan": plan.table(), "launch": cost.launch_table()}).items():
        before, mark, rest = page.partition(f"<!-- {name} -->\n")
        _, end, after = rest.partition("<!-- end -->")
        page = f"{before}{mark}{text or NOTHING}\n{end}{after}"
    return page


def told(found: Mapping[str, Any]) -> str:
    """The results of a benchmark: what was given, on which machine, and the table."""
    place = found["machine"]
    versions = ", ".join(f"{package} {place[package]}" for package in ("python", *PACKAGES))
    return (
        f"{found['input']}; {place['date']}, {place['cores']} cores ({place['processor']}), "
        f"{place['memory'] / 2**30:.0f} GiB; {versions}.\n\n{_table(found)}"
    )


def _table(found: Mapping[str, Any]) -> str:
    kinds = {"contenders": table, "points": of_points, "layouts": of_layouts}
    return next(shown(found) for kind, shown in kinds.items() if kind in found)


def machine() -> dict[str, Any]:
    """The machine and its versions."""
    model = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.processor(),
    )
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "processor": model,
        "cores": os.cpu_count(),
        "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "python": platform.python_version(),
        **{package: importlib.metadata.version(package) for package in PACKAGES},
    }


def table(found: Mapping[str, Any]) -> str:
    """The table of a benchmark in Markdown: medians, and the ratio to the first contender."""
    contenders = found["contenders"]
    first = next(iter(contenders.values()))
    lines = [
        "| | cold, s | ratio | warm, s | ratio | memory, MB | output, MB | files | rows | equal |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|---|",
    ]
    for label, one in contenders.items():
        cold, warm = (_median_and_ratio(one[name], first[name]) for name in ("cold", "warm"))
        equal = (one["rows"], one["checksum"]) == (first["rows"], first["checksum"])
        lines.append(
            f"| {label} | {cold} | {warm} | {max(one['memory']) / 1e6:,.0f} "
            f"| {one['bytes'] / 1e6:.1f} | {one['files']:,} | {one['rows']:,} | {'yes' if equal else 'NO'} |"
        )
    return "\n".join(lines)


def of_points(found: Mapping[str, Any]) -> str:
    """The table of cohorts of several sizes: medians of whole processes, the first contender's memory, and how many
    times as long the others took, where they ran.
    """
    sizes = list(dict.fromkeys((point["variants"], point["samples"]) for point in found["points"]))
    labels = list(dict.fromkeys(point["label"] for point in found["points"]))
    lines = [
        f"| variants | samples | rows | {' | '.join(f'{label}, s' for label in labels)} | memory, MB "
        f"| {' | '.join(f'{label} / {labels[0]}' for label in labels[1:])} | equal |",
        f"|{'--:|' * (3 + 2 * len(labels))}---|",
    ]
    for variants, samples in sizes:
        own = {one["label"]: one for one in found["points"] if (one["variants"], one["samples"]) == (variants, samples)}
        seconds = {label: statistics.median(one["cold"]) for label, one in own.items()}
        first = seconds[labels[0]]
        ratios = {label: of_label / first for label, of_label in seconds.items()}
        equal = len({(one["rows"], one["checksum"]) for one in own.values()}) == 1
        lines.append(
            f"| {variants:,} | {samples:,} | {own[labels[0]]['rows']:,} | {_in_order(seconds, labels)} "
            f"| {max(own[labels[0]]['memory']) / 1e6:,.0f} | {_in_order(ratios, labels[1:])} "
            f"| {'yes' if equal else 'NO'} |"
        )
    return "\n".join(lines)


def _in_order(values: Mapping[str, float], labels: Sequence[str]) -> str:
    """The cells of a row; empty where there is no value."""
    return " | ".join(f"{values[label]:.1f}" if label in values else "" for label in labels)


def of_layouts(found: Mapping[str, Any]) -> str:
    """The table of layouts: sizes, and what questions read; ratios to the first table of the same samples."""
    heads = ("samples", "table", "files", "row groups", "disk, MB", "ratio", "65 samples, MB", "ratio", "a gene, MB")
    lines = [f"| {' | '.join(heads)} | ratio | equal |", "|--:|---|--:|--:|--:|--:|--:|--:|--:|--:|---|"]
    for one in found["layouts"]:
        first = next(other for other in found["layouts"] if other["samples"] == one["samples"])
        sizes = " | ".join(
            f"{one[name] / 1e6:.2f} | {one[name] / first[name]:.2f}" for name in ("bytes", "of_samples", "of_gene")
        )
        equal = (one["rows"], one["checksum"]) == (first["rows"], first["checksum"])
        lines.append(
            f"| {one['samples']:,} | `{one['table']}` | {one['files']:,} | {one['groups']:,} | {sizes} "
            f"| {'yes' if equal else 'NO'} |"
        )
    return "\n".join(lines)


def _median_and_ratio(seconds: Sequence[float], of_first: Sequence[float]) -> str:
    if not seconds:
        return "| "
    median = statistics.median(seconds)
    return f"{median:.1f} | {median / statistics.median(of_first):.2f}"
