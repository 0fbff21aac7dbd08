"""The rows of the layout by_sample on their way from the tasks that read lines to those that write the samples' files.

Each task that writes has a bucket: a range of the samples. What the readers have for it are their alleles, sorted, and
for each row the number of its allele and the state of its call; so neither holds more than its share, however many
variants there are. The names of files depend on the samples alone: a task that runs again writes the same once more.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import fs

from genomicslake import tasks
from genomicslake.partitions import PARTITION, folder_of
from genomicslake.sources import Source, filesystem
from genomicslake.tally import Sites

T = TypeVar("T")

HELD = 1_000_000  # rows that a task holds before it hands them on
IN_A_BUCKET = 4 << 20  # bytes of input, compressed: of phased calls some three million rows, 50 bytes each
MOST_BUCKETS = 8_192  # or what a task hands on at a time would be a few rows each
ROW_GROUP = 131_072  # rows

SITE = pa.schema(
    [
        ("chromosome", pa.string()),
        ("startposition", pa.int64()),
        ("endposition", pa.int64()),
        ("referenceallele", pa.string()),
        ("alternateallele", pa.string()),
    ]
)
ROW = pa.schema([*SITE, ("genotype0", pa.int32()), ("genotype1", pa.int32())])
_ORDER = [(name, "ascending") for name in SITE.names]
PARQUET: dict[str, Any] = {
    "compression": "zstd",
    "use_dictionary": [
        *("chromosome", "referenceallele", "alternateallele", "genotype0", "genotype1"),
        PARTITION,  # in the clustered table
    ],
    "column_encoding": {  # half of what dictionaries of positions take
        "startposition": "DELTA_BINARY_PACKED",
        "endposition": "DELTA_BINARY_PACKED",
    },
    "store_schema": False,  # Arrow's own, a kilobyte a file
}
_GENOTYPE0, _GENOTYPE1, _ONE_ALLELE = np.array([0, 0, 1, 0, 1], np.int32), np.array([0, 1, 1, 0, 0], np.int32), 3


@dataclass(frozen=True)
class Buckets:
    """So many ranges of the samples, by their numbers."""

    samples: tuple[str, ...]
    count: int

    @classmethod
    def of(cls, context: Any, sources: Iterable[Source], samples: Iterable[str]) -> "Buckets":
        """Enough of them to keep all cores busy, and for each to fit into memory."""
        every = tuple(dict.fromkeys(samples))
        size = sum(source.size for source in sources)
        return cls(every, min(len(every), max(tasks.count(context), min(size // IN_A_BUCKET, MOST_BUCKETS))))

    @property
    def edges(self) -> Any:
        """The first sample of each, and the end of the last."""
        return -(-np.arange(self.count + 1) * len(self.samples) // self.count)

    @cached_property
    def numbers(self) -> dict[str, int]:
        """The number of each sample."""
        return {sample: number for number, sample in enumerate(self.samples)}


@dataclass(frozen=True)
class Rows:
    """Rows of a bucket that one task has read, in the order of samples and sites.

    `key` has the place of their text among all; `sites` are in the order of the table; `samples` have the numbers of
    samples and how many rows each has; `numbers` those of the rows' sites, `states` are as in checksums.
    """

    bucket: int
    key: tuple[int, ...]
    sites: pa.Table
    samples: tuple[Any, Any]
    numbers: Any
    states: Any


@dataclass
class Collector:
    """Takes the rows of a part of a file as the tally counts them (see tally.Take) and hands them on, by bucket."""

    buckets: Buckets
    key: tuple[int, ...]
    samples: Sequence[str]  # of the file
    _held: list[tuple[pa.RecordBatch, Any, Any, Any]] = field(default_factory=list)
    _count: int = 0
    _sequence: int = 0

    def take(self, sites: Sites, numbers: Any, samples: Any, states: Any) -> None:
        """Take rows."""
        is_used, numbers = _used(numbers, len(sites.starts))
        small = np.min_scalar_type(max(len(sites.starts), len(self.samples)))
        rows = numbers.astype(small), samples.astype(small), states.astype(np.int8)
        self._held.append((_batch(sites).filter(pa.array(is_used)), *rows))
        self._count += len(numbers)

    def handed_on(self, more_than: int = 0) -> Iterator[Rows]:
        """The rows of each bucket, if more than so many are held."""
        if self._count <= more_than:
            return
        firsts = np.cumsum([0, *(len(sites) for sites, *_ in self._held)])
        sites = pa.Table.from_batches([sites for sites, *_ in self._held])
        numbers = np.concatenate([held[1] + first for held, first in zip(self._held, firsts, strict=False)])
        sites, numbers = _sorted(sites, numbers)
        own = np.array([self.buckets.numbers[sample] for sample in self.samples])
        samples = own[np.concatenate([held[2] for held in self._held])]
        order = _order(samples, numbers)
        samples, numbers = samples[order], numbers[order]
        states = np.concatenate([held[3] for held in self._held])[order]
        edges = np.searchsorted(samples, self.buckets.edges)
        for bucket, (start, end) in enumerate(pairwise(edges)):
            if start < end:
                used, of_rows = _used(numbers[start:end], len(sites))
                runs = _runs(samples[start:end])
                of_samples = samples[start:end][runs[:-1]], np.diff(runs)
                key = (*self.key, self._sequence)
                yield Rows(bucket, key, sites.filter(used), of_samples, of_rows, states[start:end])
        self._held, self._count, self._sequence = [], 0, self._sequence + 1


def _batch(sites: Sites) -> pa.RecordBatch:
    return pa.record_batch([pa.array(column, kind) for column, kind in zip(sites, SITE.types, strict=True)], SITE)


def _sorted(sites: pa.Table, numbers: Any) -> tuple[pa.Table, Any]:
    """Sites in the order of the table, and their new numbers."""
    order = pc.sort_indices(sites, _ORDER).to_numpy()
    ranks = np.empty(len(order), np.min_scalar_type(len(order)))
    ranks[order] = np.arange(len(order))
    return sites.take(order), ranks[numbers]


def _order(samples: Any, numbers: Any) -> Any:
    """The order of rows by sample and site."""
    return np.lexsort([part.astype(np.min_scalar_type(part.max())) for part in (numbers, samples)])  # 16 bits: by radix


def _used(numbers: Any, sites: int) -> tuple[Any, Any]:
    """Which of the sites rows have, and their numbers among these."""
    used = np.zeros(sites, bool)
    used[numbers] = True
    return used, (np.cumsum(used) - 1).astype(np.min_scalar_type(sites))[numbers]


class Shuffle:
    """Rows that are read once, and written by bucket. What readers tell beside rows, the driver gets."""

    def __init__(self, context: Any, buckets: Buckets) -> None:
        self.context, self.buckets = context, buckets
        self._shuffled: Any = None

    def read(self, items: Sequence[T], task: Callable[[Buckets, T], Iterator[Any]]) -> list[Any]:
        """What a task tells of each item at the end of its rows, in their order."""
        buckets = self.buckets

        def read(item: tuple[int, T]) -> Iterator[tuple[int, Any]]:
            tasks.forget_zips()
            for found in task(buckets, item[1]):
                yield (found.bucket, found) if isinstance(found, Rows) else (buckets.count, (item[0], found))

        of_readers = self.context.parallelize(list(enumerate(items)), min(len(items), tasks.count(self.context)))
        self._shuffled = _partitioned(of_readers.flatMap(read), buckets.count + 1)
        told = self.context.runJob(self._shuffled, lambda found: found, [buckets.count])
        return [found for _, (_, found) in sorted(told, key=lambda one: one[1][0])]

    def write(self, folder: str) -> None:
        """Write the files of all samples."""
        buckets = self.buckets

        def write(found: Iterator[tuple[int, Rows]]) -> list[None]:
            tasks.forget_zips()
            write_bucket(buckets, (rows for _, rows in found), folder)
            return []

        self.context.runJob(self._shuffled, write, range(buckets.count))


def _partitioned(pairs: Any, count: int) -> Any:
    """Pairs of a number and anything, each in the partition of its number, as by RDD.partitionBy. That gathers up to
    a thousand pairs before it hands them to the JVM; here each, which may have megabytes, is handed on at once.
    """
    from pyspark import RDD  # which the pipeline's checks have not
    from pyspark.serializers import BatchedSerializer, pack_long

    context = pairs.context
    serializer = context._unbatched_serializer

    def packed(found: Iterator[tuple[int, Any]]) -> Iterator[bytes]:
        for pair in found:
            yield pack_long(pair[0])
            yield serializer.dumps([pair])

    keyed = pairs.mapPartitions(packed, preservesPartitioning=True)
    keyed._bypass_serializer = True
    by_number = context._jvm.PairwiseRDD(keyed._jrdd.rdd()).asJavaPairRDD()
    partitioner = context._jvm.PythonPartitioner(count, 0)
    shuffled = context._jvm.PythonRDD.valueOfPair(by_number.partitionBy(partitioner))
    return RDD(shuffled, context, BatchedSerializer(serializer))


def write_bucket(buckets: Buckets, found: Iterable[Rows], folder: str) -> None:
    """Write a file for each sample of a bucket that has rows, sorted by position."""
    parts = sorted(found, key=lambda rows: rows.key)
    if not parts:
        return
    firsts = np.cumsum([0, *(len(rows.sites) for rows in parts)])
    sites = pa.concat_tables([rows.sites for rows in parts])
    numbers = np.concatenate([rows.numbers + first for rows, first in zip(parts, firsts, strict=False)])
    samples = np.concatenate([np.repeat(*rows.samples) for rows in parts])
    states = np.concatenate([rows.states for rows in parts])
    is_sorted = _follow(parts)
    del parts  # which may have half a gigabyte
    sites = sites.combine_chunks()
    if not is_sorted:
        sites, numbers = _sorted(sites, numbers)
    order = _order(samples - samples.min(), numbers)
    samples, numbers, states = samples[order], numbers[order], states[order]
    for start, end in pairwise(_runs(samples)):
        own = f"{folder}/{folder_of(buckets.samples[samples[start]])}"
        _write(sites, numbers[start:end], states[start:end], own)


def _runs(values: Any) -> Any:
    """Where runs of the same value begin, and the end of the last."""
    return np.concatenate([[0], np.flatnonzero(np.diff(values)) + 1, [len(values)]])


def _follow(parts: Sequence[Rows]) -> bool:
    """Whether the sites of each stand behind those of the one before, as in a sorted file."""
    ends = [[tuple(end.values()) for end in rows.sites.take([0, len(rows.sites) - 1]).to_pylist()] for rows in parts]
    return all(before[1] <= after[0] for before, after in pairwise(ends))


def _write(sites: pa.Table, numbers: Any, states: Any, folder: str) -> None:
    """Write a sample's file, a row group at a time."""
    system, inside = filesystem(folder)
    if isinstance(system, fs.LocalFileSystem):
        system.create_dir(inside)
    with pq.ParquetWriter(f"{inside}/rows.parquet", ROW, filesystem=system, **PARQUET) as writer:
        for start in range(0, len(numbers), ROW_GROUP):
            own = states[start : start + ROW_GROUP]
            rows = sites.take(numbers[start : start + ROW_GROUP])
            rows = rows.append_column("genotype0", pa.array(_GENOTYPE0[own]))
            rows = rows.append_column("genotype1", pa.array(_GENOTYPE1[own], mask=own >= _ONE_ALLELE))
            writer.write_table(rows)
