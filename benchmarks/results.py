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
PACKAGES = ("hail", "pyspark", "pyarrow", "numpy")


def write(name: str, given: str, contenders: Mapping[str, Mapping[str, Any]]) -> None:
    """Write the results of a benchmark, put them into the page, and print them."""
    found = {"machine": machine(), "input": given, "contenders": contenders}
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{name}.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(paged(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    print(told(found))


def paged(page: str) -> str:
    """A page with the results that are there, each between comments that name it."""
    for file in FOLDER.glob("*.json"):
        before, mark, rest = page.partition(f"<!-- {file.stem} -->\n")
        _, end, after = rest.partition("<!-- end -->")
        page = f"{before}{mark}{told(json.loads(file.read_text(encoding='utf-8')))}\n{end}{after}"
    return page


def told(found: Mapping[str, Any]) -> str:
    """The results of a benchmark: what was given, on which machine, and the table."""
    place = found["machine"]
    versions = ", ".join(f"{package} {place[package]}" for package in ("python", *PACKAGES))
    return (
        f"{found['input']}; {place['date']}, {place['cores']} cores ({place['processor']}), "
        f"{place['memory'] / 2**30:.0f} GiB; {versions}.\n\n{table(found)}"
    )


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


def _median_and_ratio(seconds: Sequence[float], of_first: Sequence[float]) -> str:
    if not seconds:
        return "| "
    median = statistics.median(seconds)
    return f"{median:.1f} | {median / statistics.median(of_first):.2f}"
