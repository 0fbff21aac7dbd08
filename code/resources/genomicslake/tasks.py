"""Spark's Python tasks."""

import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from zipimport import zipimporter

T = TypeVar("T")
R = TypeVar("R")


def count(context: Any) -> int:
    """How many tasks keep all cores busy to the end, though some take longer than others."""
    wanted: int = 4 * context.defaultParallelism
    return wanted


def each(context: Any, items: Sequence[T], task: Callable[[T], R]) -> list[R]:
    """What a function makes of each item, in their order."""

    def quick(item: T) -> R:
        forget_zips()
        return task(item)

    found: list[R] = context.parallelize(items, max(1, min(len(items), count(context)))).map(quick).collect()
    return found


def forget_zips() -> None:
    """Before each task PySpark's worker calls importlib.invalidate_caches(), for which Python (from 3.10) reads the
    directory of every known zip file anew, PySpark's and Spark's jar a dozen times: a tenth of a second. Those that
    are needed again are found again.
    """
    for path, finder in list(sys.path_importer_cache.items()):
        if isinstance(finder, zipimporter):
            del sys.path_importer_cache[path]
