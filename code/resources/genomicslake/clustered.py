"""The clustered table of a cohort: the rows of its table of layout by_sample once more, in few files, for questions by
region and by sample.

The samples, in the order of their ids, are cut into blocks of SAMPLES at most. The rows of a block stand together, by
position and then by sample, in row groups: each is a range of samples in a range of positions, and its statistics tell
a reader whether it is needed. What several samples carry stands side by side, which takes few bytes.

It is in step with the table whose rows it has while both have the same number of rows and the same checksum of their
genotypes, of the same sources. A job brings it there, whatever it finds.
"""

import json
import posixpath
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import fs

from genomicslake import checksums, cohort, tasks, writing
from genomicslake.errors import LakeError
from genomicslake.partitions import PARTITION, sample_of
from genomicslake.publish import LOAD, Table
from genomicslake.shuffle import PARQUET, ROW, ROW_GROUP
from genomicslake.sources import filesystem

SAMPLES = 32  # of a block, at most
BLOCKS = 64  # of a file, at most: some gigabytes of whole genomes
GROUPS = 64  # of a block, about, from which on they grow
LARGEST_GROUP = 8 * ROW_GROUP
NONE = "none"  # instead of a name: there is to be no such table
LAYOUT = "clustered"
OF = "clustered_of"  # in its record: the table whose rows it has

_TEXTS = ("chromosome", "referenceallele", "alternateallele")
SCHEMA = pa.schema([*ROW, (PARTITION, pa.string())])

Record = dict[str, Any]


def name_of(table: Table, asked: str | None) -> str | None:
    """The name of a table's clustered one: that asked for, else that which stands beside it. Raises LakeError where
    one that stands would fall behind.
    """
    standing = next((name for name, record in _beside(table) if record.get(OF) == table.name), None)
    wanted = standing if asked is None else asked
    if wanted == table.name:
        raise LakeError(
            "a table can't be its own clustered one",
            where=table.path,
            todo=f"Pass another name as --clustered, or {NONE}, or another --output_path.",
        )
    if standing and wanted != standing:
        raise LakeError(
            f"{standing}, the clustered table of {table.name}, would fall behind",
            where=table.parent,
            todo="Leave --clustered out, which keeps it in step, or delete its folder first.",
        )
    return None if wanted == NONE else wanted


def _beside(table: Table) -> Iterator[tuple[str, Record]]:
    """The tables in a table's folder, and the records of their loads."""
    parent = posixpath.dirname(table.inside)
    for info in table.system.get_file_info(fs.FileSelector(parent, allow_not_found=True)):
        name = posixpath.basename(info.path)
        if info.type != fs.FileType.Directory or name.startswith("."):
            continue
        with suppress(FileNotFoundError, ValueError):
            with table.system.open_input_stream(f"{info.path}/{LOAD}") as file:
                record = json.loads(file.read())
            yield name, record


class Clustered:
    """The clustered table of another, written aside and put in its place behind that one."""

    def __init__(self, table: Table, of: Table) -> None:
        self.table, self.of = table, of
        self._record: Record = {}
        self._kept: list[str] = []
        self._writes = 0

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other jobs away. Raises LakeError where one is at work, and where another table stands in its place."""
        with self.table.locked():
            self.table.prepare()
            try:
                self._check()
                self.table.folder("data")
                yield
            finally:
                self.table.discard()

    def _check(self) -> None:
        current = self.table.current()
        if current and current.get(OF) != self.of.name:
            raise LakeError(
                f"it is no clustered table of {self.of.name}",
                where=self.table.path,
                todo=f"Pass another name as --clustered, or {NONE}.",
            )

    def write(self, paths: Sequence[str]) -> tuple[int, int]:
        """Write the rows of sorted files in samples' folders aside, by Spark's tasks: how many there are, and the
        checksum of their genotypes. Raises LakeError unless what was written has the same, read back.
        """
        told = write(paths, f"{self.table.data}/rows-{self._writes}")
        prefix = f"rows-{self._writes}-"
        self._writes += 1
        own = [path for path in self.table.written() if posixpath.basename(path).startswith(prefix)]
        if writing.genotypes(own) != told:
            raise LakeError(
                f"its {told[0]} rows are not those of {self.of.name}",
                where=self.table.path,
                todo="Nothing was published. Run the job again; if it says so again, please report it.",
            )
        return told

    def join(self, new: Record, load: Record, before: Record | None, rest: Sequence[str]) -> None:
        """Make ready what is to be published: beside the rows written, those that stand.

        `new` is the record of the rows written alone, `load` that of the whole table with them, `before` what it was,
        None if nothing of that stays; `rest` has the files of the rows that were not written now.
        """
        current = self.table.current()
        if before and current and is_in_step(current, before):
            self._record, self._kept = cohort.joined(self.table, current, self._own(new))
        else:
            if before:
                self.write(sorted(rest))
            self._record = self._own(load)
        if not is_in_step(self._record, load):
            raise LakeError(
                f"its rows would not be those of {self.of.name}",
                where=self.table.path,
                todo="Nothing was published. Delete its folder and run the job again, which makes it anew.",
            )

    def publish(self) -> None:
        """Put what is ready in its place."""
        self.table.publish(self._record, self._kept)

    def follow(self, load: Record) -> bool:
        """Bring it in step with the table as it stands; whether there was anything to do."""
        from genomicslake import session

        current = self.table.current()
        if current and is_in_step(current, load):
            return False
        session.spark()
        self.write(self.of.files())
        self._record = self._own(load)
        self.publish()
        return True

    def _own(self, load: Record) -> Record:
        return load | {"dataset": self.table.name, "layout": LAYOUT, OF: self.of.name}


def is_in_step(one: Record, other: Record) -> bool:
    """Whether tables have the same rows of the same sources."""
    return all(one[name] == other[name] for name in ("rows", "genotypes", "reference_genome", "sources"))


def write(paths: Sequence[str], to: str) -> tuple[int, int]:
    """Write the rows of sorted files in samples' folders into files whose paths begin with `to`, by Spark's tasks: how
    many there are, and the checksum of their genotypes.
    """
    from pyspark import SparkContext

    context: Any = SparkContext.getOrCreate()
    of_samples: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        of_samples[str(sample_of(path))].append(path)
    blocks = _cut([of_samples[sample] for sample in sorted(of_samples)], SAMPLES)
    files = _cut(blocks, max(1, min(BLOCKS, -(-len(blocks) // context.defaultParallelism))))

    def task(numbered: tuple[int, list[list[list[str]]]]) -> tuple[int, int]:
        number, found = numbered
        of_blocks = [[path for sample in block for path in sample] for block in found]
        return _write_file(of_blocks, f"{to}-{number:05d}.parquet")

    counted = tasks.each(context, list(enumerate(files)), task)
    return sum(rows for rows, _ in counted), checksums.add(*(checksum for _, checksum in counted))


def _cut(items: list[Any], most: int) -> list[list[Any]]:
    """Items in runs of equal lengths, of so many at most."""
    count = -(-len(items) // most)
    edges = -(-np.arange(count + 1) * len(items) // max(count, 1))
    return [items[start:end] for start, end in pairwise(edges)]


def _write_file(blocks: Iterable[list[str]], path: str) -> tuple[int, int]:
    system, inside = filesystem(path)
    writer = None
    rows, checksum = 0, 0
    for block in blocks:
        files = [_Sorted(found) for found in block]
        size = _group_size(sum(file.all_rows for file in files))
        for group in _groups(_merged(files), size):
            writer = writer or pq.ParquetWriter(inside, group.schema, filesystem=system, **PARQUET)
            writer.write_table(group, size)
        rows += sum(file.rows for file in files)
        checksum = checksums.add(checksum, *(file.checksum for file in files))
    if writer:
        writer.close()
    return rows, checksum


def _group_size(rows: int) -> int:
    """The rows of a group in a block of so many: of whole genomes more, or there were too many statistics to read."""
    return min(LARGEST_GROUP, max(1, rows // (GROUPS * ROW_GROUP)) * ROW_GROUP)


def _groups(tables: Iterable[pa.Table], size: int) -> Iterator[pa.Table]:
    """Tables, one after the other, in pieces of so many rows."""
    held: list[pa.Table] = []
    for table in tables:
        held.append(table)
        if sum(map(len, held)) < size:
            continue
        whole = pa.concat_tables(held)
        end = len(whole) // size * size
        for start in range(0, end, size):
            yield whole[start : start + size]
        held = [whole[end:]]
    if sum(map(len, held)):
        yield pa.concat_tables(held)


class _Sorted:
    """The rows of a sample's file, which are sorted: one or two of its row groups in hand."""

    def __init__(self, path: str) -> None:
        system, inside = filesystem(path)
        self._file = pq.ParquetFile(inside, filesystem=system, read_dictionary=_TEXTS, pre_buffer=True)
        self.all_rows = self._file.metadata.num_rows
        self._sample = sample_of(path)
        self._next = 0
        self._held: Any = None
        self.rows, self.checksum = 0, 0  # that were read

    @property
    def has_more(self) -> bool:
        """Whether there are rows behind those in hand."""
        return bool(self._next < self._file.num_row_groups)

    @property
    def last(self) -> tuple[str, int]:
        """The place of the last row in hand."""
        return self._place(len(self._held) - 1)

    def _place(self, row: int) -> tuple[str, int]:
        return self._held["chromosome"][row].as_py(), self._held["startposition"][row].as_py()

    def fill(self) -> bool:
        """Take rows in hand where there are few; whether there are any."""
        while self.has_more and (not self._held or len(self._held) < ROW_GROUP // 2 or self._place(0) == self.last):
            group = self._file.read_row_group(self._next, SCHEMA.names[:-1], use_threads=False)  # a task has a core
            self._next += 1
            self.rows += len(group)
            self.checksum = checksums.add(self.checksum, checksums.of_table(group, self._sample))
            self._held = pa.concat_tables([self._held, group]) if self._held else group
        if not self.has_more:
            self._file.close()
        return bool(self._held)

    def taken(self, before: tuple[str, int] | None) -> pa.Table:
        """The rows in hand that stand before a place, or all of them, with their sample; they are no longer held."""
        rows, self._held = self._held, None
        if before is not None:
            chromosome, start = before
            names = pc.cast(rows["chromosome"], pa.string())
            is_before = pc.or_(
                pc.less(names, chromosome),
                pc.and_(pc.equal(names, chromosome), pc.less(rows["startposition"], start)),
            )
            count = pc.sum(is_before).as_py() or 0
            rows, self._held = rows[:count], rows[count:]
        sample = pa.DictionaryArray.from_arrays(pa.repeat(pa.scalar(0, pa.int32()), len(rows)), [self._sample])
        return rows.append_column(PARTITION, sample)


def _merged(files: list[_Sorted]) -> Iterator[pa.Table]:
    """The rows of sorted files, sorted together, some at a time; the files are in the order of their samples."""
    while files := [file for file in files if file.fill()]:
        lasts = [file.last for file in files if file.has_more]
        rows = pa.concat_tables([file.taken(min(lasts, default=None)) for file in files])
        rows = rows.unify_dictionaries().combine_chunks()
        yield rows.take(_order(rows))


def _order(rows: Any) -> Any:
    """The order of rows by place, allele and, as they stand, sample."""
    ranks: dict[str, Any] = {name: _ranks(rows[name]) for name in _TEXTS}
    places = (ranks["chromosome"] << 40) + rows["startposition"].to_numpy()
    order = np.argsort(places, kind="stable")  # of runs that are sorted: they are merged
    places = places[order]
    ends = rows["endposition"].to_numpy()[order]
    references, alternates = ranks["referenceallele"][order], ranks["alternateallele"][order]
    are_others = np.any([np.diff(part) != 0 for part in (ends, references, alternates)], axis=0)
    of_several = places[1:][(np.diff(places) == 0) & are_others]
    rest = np.flatnonzero(np.isin(places, of_several))  # as a rule few: places that have several alleles
    order[rest] = order[rest][np.lexsort([part[rest] for part in (alternates, references, ends, places)])]
    return order


def _ranks(column: pa.ChunkedArray) -> Any:
    """The place of each text of a column among all in their order."""
    encoded = column.chunk(0)
    texts = encoded.dictionary
    ranks = np.empty(len(texts), np.int64)
    ranks[pc.sort_indices(texts).to_numpy()] = np.arange(len(texts))
    return ranks[encoded.indices.to_numpy()]
