"""What stands in a table of variants, and what of it stays when samples or contigs are loaded again or taken out.

A source is a file whose rows stand in the table: its samples on its contigs. Each pair of sample and contig is of one
source, or its variants would count twice.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from pyspark import SparkContext

from genomicslake import checksums, tasks, writing
from genomicslake.errors import LakeError
from genomicslake.partitions import PARTITION, sample_of
from genomicslake.publish import Table
from genomicslake.references import chromosome
from genomicslake.sources import filesystem

Record = dict[str, Any]  # of a source, as `_load.json` has it
Pair = tuple[str, str]  # a sample, and a chromosome as the tables have it


@dataclass(frozen=True)
class Pairs:
    """Samples on contigs, by the contigs' names in the tables; on all of them without any."""

    samples: frozenset[str]
    chromosomes: frozenset[str] | None = None

    def has(self, sample: str, found: str) -> bool:
        """Whether a sample on a chromosome is one of them."""
        return sample in self.samples and (self.chromosomes is None or found in self.chromosomes)


@dataclass
class Sum:
    """The rows of some samples on some chromosomes, and the checksum of their genotypes."""

    rows: int = 0
    genotypes: int = 0

    def add(self, other: "Sum") -> None:
        """Add others."""
        self.rows += other.rows
        self.genotypes = checksums.add(self.genotypes, other.genotypes)


@dataclass
class Rewritten:
    """What became of the files that have rows to be taken out; `files` are those that have others, by their path."""

    files: list[str]
    untouched: list[str]
    kept: dict[Pair, Sum]  # in these files and in those untouched that were read
    removed: dict[Pair, Sum]
    written: Sum  # in `files`


def pairs_of(samples: Iterable[str], contigs: Iterable[str]) -> Pairs:
    """The samples on the contigs, which are named as in the reference genome."""
    return Pairs(frozenset(samples), frozenset(map(chromosome, contigs)))


def loaded_from(sources: Iterable[Record]) -> dict[tuple[str, str], str]:
    """The file of each sample and contig that stands."""
    return {
        (sample, contig): source["path"]
        for source in sources
        for sample in source["samples"]
        for contig in source["contigs"]
    }


def rewrite(paths: Sequence[str], folder: str, to: str, leaving: Sequence[Pairs]) -> Rewritten:
    """Write the files of a table in `folder` to `to`, without the rows of the pairs `leaving`, by Spark's tasks.

    Files that have none of them are not written.
    """
    context: Any = SparkContext.getOrCreate()
    samples = frozenset().union(*(pairs.samples for pairs in leaving))
    own = [path for path in paths if (sample := sample_of(path)) is None or sample in samples]
    result = Rewritten([], sorted(set(paths) - set(own)), defaultdict(Sum), defaultdict(Sum), Sum())

    def task(path: str) -> tuple[str, bool, bool, dict[Pair, Sum], dict[Pair, Sum]]:
        return _rewrite_file(path, to + path.removeprefix(folder), leaving)

    for path, is_written, is_touched, kept, removed in tasks.each(context, own, task):
        if is_written:
            result.files.append(to + path.removeprefix(folder))
            result.written.add(total(kept))
        if not is_touched:
            result.untouched.append(path)
        for sums, found in ((result.kept, kept), (result.removed, removed)):
            for pair, one in found.items():
                sums[pair].add(one)
    return result


def _rewrite_file(
    path: str, to: str, leaving: Sequence[Pairs]
) -> tuple[str, bool, bool, dict[Pair, Sum], dict[Pair, Sum]]:
    system, inside = filesystem(path)
    sample = sample_of(path)
    kept: dict[Pair, Sum] = defaultdict(Sum)
    removed: dict[Pair, Sum] = defaultdict(Sum)
    rest = []
    with pq.ParquetFile(inside, filesystem=system) as file:
        schema = file.schema_arrow
        for group in range(file.num_row_groups):
            table = file.read_row_group(group)
            leaves = np.zeros(len(table), bool)
            for pair, mask in _by_pair(table, sample):
                is_leaving = any(pairs.has(*pair) for pairs in leaving)
                leaves |= mask & is_leaving
                part = table.filter(mask)
                sums = removed if is_leaving else kept
                sums[pair].add(Sum(len(part), checksums.of_table(part, sample)))
            rest.append(table.filter(~leaves))
    if not removed:
        return path, False, False, dict(kept), {}
    if sum(map(len, rest)):
        system, inside = filesystem(to)
        system.create_dir(inside.rpartition("/")[0], recursive=True)
        with pq.ParquetWriter(inside, schema, filesystem=system, compression="zstd") as writer:
            for table in rest:
                writer.write_table(table)
    return path, bool(sum(map(len, rest))), True, dict(kept), dict(removed)


def _by_pair(table: Any, sample: str | None) -> Iterator[tuple[Pair, Any]]:
    """Each sample and chromosome of a table, and which rows it has."""
    chromosomes = np.array(table["chromosome"].to_pylist(), object)
    samples = np.array(table[PARTITION].to_pylist(), object) if sample is None else None
    for found in dict.fromkeys(chromosomes):
        of_chromosome = chromosomes == found
        if samples is None:
            yield (str(sample), found), of_chromosome
        else:
            for one in dict.fromkeys(samples[of_chromosome]):
                yield (one, found), of_chromosome & (samples == one)


def remaining(sources: Iterable[Record], leaving: Sequence[Pairs], rewritten: Rewritten) -> list[Record]:
    """The sources that still stand once pairs have left: one that loses some of its samples on some of its contigs
    becomes two, for then its samples have different contigs.
    """
    found = list(sources)
    for pairs in leaving:
        found = [part for source in found for part in _remaining(source, pairs, rewritten)]
    return found


def _remaining(source: Record, leaving: Pairs, rewritten: Rewritten) -> Iterator[Record]:
    contigs = [
        contig
        for contig in source["contigs"]
        if leaving.chromosomes is None or chromosome(contig) in leaving.chromosomes
    ]
    affected = [sample for sample in source["samples"] if sample in leaving.samples] if contigs else []
    if not affected:
        yield source
        return
    others = [sample for sample in source["samples"] if sample not in leaving.samples]
    stay = [contig for contig in source["contigs"] if contig not in contigs]
    of_affected, of_stay = Sum(), Sum()
    for sample in affected:
        for contig in source["contigs"]:
            pair = (sample, chromosome(contig))
            for sums in (rewritten.kept, rewritten.removed):
                of_affected.add(sums.get(pair, Sum()))
            if contig in stay:
                of_stay.add(rewritten.kept.get(pair, Sum()))
    if others:
        rest = Sum(source["rows"] - of_affected.rows, int(source["genotypes"], 16) - of_affected.genotypes)
        yield _with(source, others, source["contigs"], rest)
    if stay:
        yield _with(source, affected, stay, of_stay)


def _with(source: Record, samples: list[str], contigs: list[str], told: Sum) -> Record:
    return source | {
        "samples": samples,
        "contigs": contigs,
        "is_part": True,
        "rows": told.rows,
        "genotypes": checksums.shown(told.genotypes),
    }


def joined(table: Table, current: Record, load: Record) -> tuple[Record, list[str]]:
    """The record of the table that stands with what was written aside added, or, by mode `replace`, in the place of
    the same samples' rows on the same contigs; and the files that stay. Raises LakeError where they don't go together.
    """
    _refuse_another(table, current, load)
    leaving = [pairs_of(source["samples"], source["contigs"]) for source in load["sources"]]
    files, removed, sources = table.files(), Sum(), list(current["sources"])
    if load["mode"] == "replace":
        rewritten = rewrite(files, table.path, table.data, leaving)
        check(rewritten)
        files, removed = rewritten.untouched, total(rewritten.removed)
        sources = remaining(sources, leaving, rewritten)
    return _together(current, load, sources, removed), files


def _together(current: Record, load: Record, sources: list[Record], removed: Sum) -> Record:
    genotypes = int(current["genotypes"], 16) - removed.genotypes + int(load["genotypes"], 16)
    return load | {
        "rows": current["rows"] - removed.rows + load["rows_written"],
        "rows_removed": removed.rows,
        "genotypes": checksums.shown(genotypes),
        "sources": sources + load["sources"],
        "own_sources": load["sources"],
    }


def check(rewritten: Rewritten) -> None:
    """Raise LakeError unless the rewritten files have, read back, the rows and genotypes that stay."""
    rows, genotypes = writing.genotypes(rewritten.files)
    if (rows, genotypes) != (rewritten.written.rows, rewritten.written.genotypes):
        raise LakeError(
            f"{rows} rows are in the files that were rewritten, {rewritten.written.rows} are to stay, or their "
            "genotypes were changed",
            todo="Nothing was published. Run the job again; if it says so again, please report it.",
        )


def _refuse_another(table: Table, current: Record, load: Record) -> None:
    """Raise LakeError where the table is of another reference genome or layout than what is to be added."""
    for name, told in (("reference_genome", "reference genome"), ("layout", "layout")):
        if current[name] != load[name]:
            raise LakeError(
                f"the table has another {told}: {current[name]}, and the files have {load[name]}",
                where=table.path,
                todo="Load them into a table of their own.",
            )
    standing, aside = table.files()[:1], table.written()[:1]
    if standing and aside:
        types = {field.name: field.type for field in _schema(standing[0])}
        for field in _schema(aside[0]):
            if types.get(field.name, field.type) != field.type:
                raise LakeError(
                    f"the table's column {field.name} is {types[field.name]}, the files have {field.type}",
                    where=table.path,
                    todo="Their headers declare it differently: load them into a table of their own.",
                )


def _schema(path: str) -> Any:
    system, inside = filesystem(path)
    return pq.read_schema(inside, filesystem=system)


def total(sums: Mapping[Pair, Sum]) -> Sum:
    """All of them together."""
    found = Sum()
    for one in sums.values():
        found.add(one)
    return found
