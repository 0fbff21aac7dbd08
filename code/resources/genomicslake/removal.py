"""Samples taken out of a lake: of every table beside the one that is named, of `rejects` and `loads`. In a bucket with
versions, the older ones of all these go, too: whichever of them had the samples, nothing tells.

What stays is that it was done: a row in `loads`, with the samples' ids in its options.
"""

import argparse
import difflib
import hashlib
import posixpath
from collections.abc import Collection, Iterable
from contextlib import suppress
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import fs

from genomicslake import checksums, cohort, job, s3
from genomicslake.cohort import Pairs
from genomicslake.errors import LakeError
from genomicslake.job import say
from genomicslake.publish import LOADS, Table
from genomicslake.publish_s3 import S3Table


def run(options: argparse.Namespace) -> None:
    """Take samples out. Raises LakeError where a table doesn't know one, or where it is not proved that all are out."""
    samples = frozenset(options.samples)
    if not samples or not options.output_path:
        raise LakeError("--mode remove needs --samples and --output_path", todo="Pass the samples' ids and the table.")
    named = job.table_at(options.output_path)
    tables = [job.table_at(path) for path in _tables(named)]
    known = {sample for table in tables for source in _sources(table) for sample in source["samples"]}
    _refuse_unknown(samples, known | _removed_before(named), named)
    for table in tables:
        try:
            with table.locked():
                _take_out(table, samples, options)
        except LakeError:
            raise
        except Exception as error:
            raise job.explained(error, table) from error
    files = _forget(named, samples)
    if isinstance(named, S3Table):
        _purge(named, tables)
    for table in tables:
        _prove(table, samples)
    say(f"{len(samples)} samples are out of {', '.join(table.name for table in tables)}, rejects and loads")
    for path in files:
        say(
            f"their genotypes still stand in the input file {path}: delete it, and its older versions, or write it anew"
        )


def _tables(named: Table) -> list[str]:
    """The paths of the tables with samples in the named one's folder."""
    parent = named.parent
    listed = named.system.get_file_info(fs.FileSelector(posixpath.dirname(named.inside)))
    found = [f"{parent}/{posixpath.basename(info.path)}" for info in listed if info.type == fs.FileType.Directory]
    return sorted(path for path in found if not posixpath.basename(path).startswith(".") and _has_samples(path))


def _has_samples(path: str) -> bool:
    with suppress(LakeError):
        return any(source["samples"] for source in _sources(job.table_at(path)))
    return False


def _sources(table: Table) -> list[dict[str, Any]]:
    current = table.current()
    return list(current["sources"]) if current else []


def _removed_before(named: Table) -> set[str]:
    """The samples that were taken out before, by the record of that."""
    return {
        sample
        for path in _parquet(named, "loads")
        for load in pq.read_table(path, filesystem=named.system).to_pylist()
        if load["mode"] == "remove"
        for sample in job.options_of(load)["samples"]
    }


def _refuse_unknown(samples: Collection[str], known: set[str], named: Table) -> None:
    for sample in sorted(samples):
        if sample not in known:
            like = difflib.get_close_matches(sample, known, 3)
            raise LakeError(
                f"no table has a sample {sample}" + (f", but {', '.join(like)}" if like else ""),
                where=named.parent,
                todo="Nothing was taken out. Check the ids.",
            )


def _take_out(table: Table, samples: frozenset[str], options: argparse.Namespace) -> None:
    table.prepare()
    current = table.current()
    there = samples & {sample for source in _sources(table) for sample in source["samples"]}
    if not current or not there:
        say(f"{table.name} has none of them")
        table.discard()
        return
    from genomicslake import session

    session.spark()
    table.folder("data")
    leaving = [Pairs(there)]
    say(f"taking {len(there)} samples out of {table.name}, {current['rows']:,} rows")
    rewritten = cohort.rewrite(table.files(), table.path, table.data, leaving)
    cohort.check(rewritten)
    removed = cohort.total(rewritten.removed)
    identity = hashlib.sha256(f"{current['identity']} without {sorted(there)}".encode()).hexdigest()
    load = (
        current
        | job.run_of(options, identity)
        | {
            "mode": "remove",
            "rows": current["rows"] - removed.rows,
            "rows_written": 0,
            "rows_removed": removed.rows,
            "genotypes": checksums.shown(int(current["genotypes"], 16) - removed.genotypes),
            "sources": cohort.remaining(current["sources"], leaving, rewritten),
            "own_sources": [],
        }
    )
    table.publish(load, rewritten.untouched)
    table.discard()


def _purge(named: Table, tables: Iterable[Table]) -> None:
    """Delete older versions, of what was written aside as well."""
    lake = posixpath.dirname(named.inside)
    folders = [f"{lake}/rejects", f"{lake}/loads", *(part for table in tables for part in (table.inside, table.aside))]
    say(f"{sum(map(s3.purge, folders)):,} older versions of objects are deleted")


def _forget(named: Table, samples: frozenset[str]) -> list[str]:
    """Take the samples out of `rejects` and `loads`; the input files that have them."""
    loads = {path: pq.read_table(path, filesystem=named.system) for path in _parquet(named, "loads")}
    files = {
        source["path"]
        for table in loads.values()
        for load in table.to_pylist()
        for source in load["sources"]
        if samples & set(source["samples"])
    }
    for path in _parquet(named, "rejects"):
        table = pq.read_table(path, filesystem=named.system)
        theirs = pc.is_in(table["source"], pa.array(sorted(files), pa.string()))
        if pc.any(pc.and_(theirs, pc.is_valid(table["record"]))).as_py():
            index = table.schema.get_field_index("record")
            told = pc.if_else(theirs, None, table["record"])
            detail = table.schema.get_field_index("detail")
            table = table.set_column(index, "record", told)
            _replace(named, path, table.set_column(detail, "detail", pc.if_else(theirs, None, table["detail"])))
    for path, table in loads.items():
        rows = table.to_pylist()
        if any(samples & set(source["samples"]) for load in rows for source in load["sources"]):
            for load in rows:
                for source in load["sources"]:
                    source["samples"] = [sample for sample in source["samples"] if sample not in samples]
            _replace(named, path, pa.Table.from_pylist(rows, LOADS))
    return sorted(files)


def _parquet(named: Table, name: str) -> list[str]:
    folder = f"{posixpath.dirname(named.inside)}/{name}"
    listed = named.system.get_file_info(fs.FileSelector(folder, allow_not_found=True))
    return sorted(info.path for info in listed if info.path.endswith(".parquet"))


def _replace(named: Table, path: str, content: Any) -> None:
    """Put a file in the place of one that stands, at once."""
    if isinstance(named, S3Table):
        pq.write_table(content, path, filesystem=named.system)
        return
    aside = f"{posixpath.dirname(path)}/.{posixpath.basename(path)}"
    pq.write_table(content, aside, filesystem=named.system)
    named.system.move(aside, path)


def _prove(table: Table, samples: Iterable[str]) -> None:
    """Raise LakeError if any row of the samples is still there."""
    import pyarrow.dataset as ds  # takes a fifth of a second, which other modes are spared

    partitions = ds.partitioning(pa.schema([("sampleid", pa.string())]), flavor="hive")
    paths = [path.removeprefix("s3://") for path in table.files()]
    if not paths:
        return
    found = ds.dataset(paths, filesystem=table.system, format="parquet", partitioning=partitions)
    left = found.count_rows(filter=pc.field("sampleid").isin(pa.array(sorted(samples), pa.string())))
    if left:
        raise LakeError(f"{left} rows of the samples are still there", where=table.path, todo="Run the job again.")
