"""What every job does around its conversion: options, identity, counting, publishing, errors to act on."""

import argparse
import errno
import hashlib
import importlib.metadata
import importlib.resources
import inspect
import json
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pyarrow
import pyspark

import genomicslake
from genomicslake import checksums, clustered, cohort, inspection, references, rejects, s3, sources, writing
from genomicslake.clustered import Clustered
from genomicslake.errors import LakeError
from genomicslake.lines import AGAIN
from genomicslake.publish import Table
from genomicslake.publish_local import LocalTable
from genomicslake.publish_s3 import S3Table
from genomicslake.rejects import Rejected
from genomicslake.sources import Source

COORDINATE_BASE = "0-based, half-open"


@dataclass
class Counts:
    """The records of one source: in = loaded + rejected, or the job fails.

    `rows` and the checksum `genotypes` are those that the loaded records must have in the table.
    """

    source: Source
    sha256: str
    samples: tuple[str, ...] = ()
    contigs: tuple[str, ...] = ()
    records: int = 0
    loaded: int = 0
    rejected: int = 0
    rejected_fields: int = 0
    rows: int = 0
    genotypes: int = 0


@dataclass
class Result:
    """What a conversion tells of itself beside the rows that it wrote aside."""

    has_genotypes: bool
    reference_genome: str | None
    coordinate_base: str
    release_date: str | None
    spark_version: str
    counts: list[Counts] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """The rows that all loaded records make."""
        return sum(count.rows for count in self.counts)

    @property
    def genotypes(self) -> int | None:
        """The checksum of their genotypes; None where they have none."""
        return checksums.add(*(count.genotypes for count in self.counts)) if self.has_genotypes else None


Convert = Callable[[argparse.Namespace, list[Counts], Table], Result]


def parser(description: str) -> argparse.ArgumentParser:
    """The options that both jobs have."""
    options = argparse.ArgumentParser(description=description, allow_abbrev=False)
    options.add_argument("--input_path", default=[], nargs="+", help="files, folders, or globs in a path's last part")
    options.add_argument("--output_path", default="", help="the table's folder; its last part is the table's name")
    options.add_argument(
        "--on_error",
        choices=("fail", "reject"),
        default="fail",
        help="a record that can't be loaded stops the job, or goes to the table rejects (default: %(default)s)",
    )
    options.add_argument(
        "--encoding",
        choices=sources.ENCODINGS,
        default="utf-8",
        help="of the input's text, which the tables have in UTF-8 (default: %(default)s)",
    )
    options.add_argument("--inspect", action="store_true", help="only tell what the conversion would find")
    options.add_argument("--code_commit", help="the commit of the code, for the table's properties")
    return options


def say(message: str) -> None:
    """A line of progress."""
    print(f"{time.strftime('%H:%M:%S')} {message}", flush=True)


def progress(message: str) -> None:
    """The same beside a report on standard output."""
    print(f"{time.strftime('%H:%M:%S')} {message}", file=sys.stderr, flush=True)


def table_at(path: str) -> Table:
    """The table that a path or URI names. Raises LakeError where it can't be one."""
    kind = sources.scheme(path)
    if kind not in ("", "s3://"):
        raise LakeError("tables are published to local folders and to S3", where=path, todo="Pass a path or s3://….")
    return S3Table(path) if kind else LocalTable(path)


def run(
    options: argparse.Namespace,
    endings: Sequence[str],
    convert: Convert,
) -> None:
    """Find the input, convert it, check the count of records and rows, publish. Raises LakeError; the table
    then is as it was.
    """
    if not options.input_path:
        raise LakeError("there is no --input_path", todo="Pass files, folders, or globs in a path's last part.")
    if options.inspect:
        if code := _inspected(options, endings):
            raise SystemExit(code)
        return
    if not options.output_path:
        raise LakeError("there is no --output_path", todo="Pass the table's folder: its last part is the table's name.")
    table = table_at(options.output_path)
    try:
        with table.locked():
            _run(options, endings, convert, table)
    except LakeError:
        raise
    except Exception as error:  # Spark, Hail, Arrow and the disk raise what they like; the message says where
        raise explained(error, table) from error


def _inspected(options: argparse.Namespace, endings: Sequence[str]) -> int:
    """Print what the conversion would find; the exit code: see inspection.Report."""
    found = sources.find(options.input_path, endings, whole=False, encoding=options.encoding)
    reports = inspection.inspected(found, references.lengths(), getattr(options, "reference_genome", None), say)
    print(inspection.written(reports))
    return max(report.code for report in reports)


def _run(
    options: argparse.Namespace,
    endings: Sequence[str],
    convert: Convert,
    table: Table,
) -> None:
    """Find the input, load it, and bring the clustered table that there is to be in step."""
    found = sources.find(options.input_path, endings, whole=options.on_error == "fail", encoding=options.encoding)
    say(f"checking {len(found)} file(s), {sum(source.size for source in found):,} bytes")
    counts = [Counts(source, sources.sha256(source.path)) for source in found]
    _refuse_copies(counts)
    identity = _identity(options, counts, convert)
    if completed := table.prepare():
        say(f"completed what run {completed} had begun to publish before it died")
    try:
        with _beside(options, table) as other:
            result = _made(options, counts, convert, table, other, identity)
    except BaseException:
        with suppress(Exception):  # what happened first is what to tell; the next job takes away what is left
            table.discard()
        raise
    table.discard()
    if not result:
        return
    for count in result.counts:
        say(f"{count.source.path}: {count.records:,} records = {count.loaded:,} loaded + {count.rejected:,} rejected")
        if count.rejected_fields:
            say(f"{count.source.path}: {count.rejected_fields:,} fields of loaded records are left out: see rejects")
    say(f"{table.name}: {result.rows:,} rows")


@contextmanager
def _beside(options: argparse.Namespace, table: Table) -> Iterator[Clustered | None]:
    """The table's clustered one, locked, if there is to be one."""
    if getattr(options, "layout", None) != "by_sample" or not (name := clustered.name_of(table, options.clustered)):
        yield None
        return
    other = Clustered(table_at(f"{table.parent}/{name}"), table)
    with other.locked():
        yield other


def _made(
    options: argparse.Namespace,
    counts: list[Counts],
    convert: Convert,
    table: Table,
    other: Clustered | None,
    identity: str,
) -> Result | None:
    """What the conversion tells of itself, once the tables are published; None where the table was made before."""
    current = table.current()
    mode = getattr(options, "mode", "overwrite")
    before = current if mode != "overwrite" else None
    if current and current["identity"] == identity:
        say(f"{table.name} is up to date: {current['rows']:,} rows of run {current['run_id']}; nothing to do")
        _bring_in_step(other, current)
        return None
    if before and _stands(before, counts, identity):
        say(f"{table.name} has these files already, by the same options; nothing to do")
        _bring_in_step(other, before)
        return None
    result = convert(options, counts, table)
    written = table.written()
    say(f"reading {table.name} back" + (f", writing {other.table.name}" if other else ""))
    if other:
        found: tuple[int, int | None] = other.write(written)
    else:
        found = writing.genotypes(written) if result.has_genotypes else (table.rows_written(), None)
    _check(result, table, *found)
    new = load = _load(options, table, identity, result)
    kept: list[str] = []
    if before:
        load, kept = cohort.joined(table, before, load)
    if other:
        other.join(new, load, before, [*kept, *(set(table.written()) - set(written))])
    say(f"publishing {load['rows']:,} rows")
    table.publish(load, kept)
    if other:
        other.publish()
    return result


def _bring_in_step(other: Clustered | None, load: dict[str, Any]) -> None:
    """Bring the clustered table in step with one that was made before."""
    if other and other.follow(load):
        say(f"{other.table.name} was not in step with it, and is now")


def _stands(current: dict[str, Any], counts: list[Counts], identity: str) -> bool:
    """Whether all files stand in the table already, whole, loaded by the same options."""
    whole = [source for source in current["sources"] if not source.get("is_part")]
    there = {(source["sha256"], source.get("identity")) for source in whole}
    return all((count.sha256, identity) in there for count in counts)


def _refuse_copies(counts: list[Counts]) -> None:
    seen: dict[str, str] = {}
    for count in counts:
        if count.sha256 in seen:
            raise LakeError(
                f"this is the same file as {seen[count.sha256]}", where=count.source.path, todo="Pass it once."
            )
        seen[count.sha256] = count.source.path


def refuse(options: argparse.Namespace, count: Counts, rejected: list[Rejected], gap: str = "") -> None:
    """Raise LakeError if the options are strict and records can't be loaded, of which `rejected` are the first, or the
    file has a `gap`.
    """
    if gap and options.on_error == "fail":
        todo = f"{AGAIN} Or pass --on_error reject to load what can be read of it."
        raise LakeError(gap, where=count.source.path, todo=todo)
    if (count.rejected or count.rejected_fields) and options.on_error == "fail":
        fields = f", nor {count.rejected_fields:,} fields of others" if count.rejected_fields else ""
        raise LakeError(
            f"{count.rejected:,} of {count.records:,} records can't be loaded{fields}:\n{rejects.shown(rejected)}",
            where=count.source.path,
            todo="Mend the file, or pass --on_error reject to load the rest and write these to the table rejects.",
        )


def _check(result: Result, table: Table, rows: int, genotypes: int | None) -> None:
    """Raise LakeError unless every record is loaded or rejected, and what was written, as it was read back, is what the
    records make.
    """
    for count in result.counts:
        if count.records != count.loaded + count.rejected:
            raise LakeError(
                f"{count.records} records are not {count.loaded} loaded + {count.rejected} rejected",
                where=count.source.path,
                todo="Nothing was published. This is an error of the program: please report it with the file.",
            )
    if rows != result.rows:
        raise LakeError(
            f"{rows} rows were written, the records make {result.rows}",
            where=table.path,
            todo="Nothing was published. Run the job again; if it says so again, please report it with the file.",
        )
    if genotypes != result.genotypes:
        raise LakeError(
            "genotypes were changed on the way: the checksum of those written is "
            f"{checksums.shown(genotypes)}, of those read {checksums.shown(result.genotypes)}",
            where=table.path,
            todo="Nothing was published. Run the job again; if it says so again, please report it with the file.",
        )


def explained(error: Exception, table: Table) -> LakeError:
    """What a failure of Spark, Hail, S3 or the disk means, from the text that they leave."""
    text = str(error)
    if "No space left on device" in text:
        return LakeError(
            "the disk is full", where=table.parent, todo=f"{table.standing} Make room and run the job again."
        )
    not_allowed = (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR)
    if isinstance(error, OSError) and error.filename and error.errno in not_allowed:  # Arrow, which reads, names none
        todo = f"{table.standing} Pass another --output_path, or change who may write there."
        return LakeError(f"the folder is not writable ({error.strerror})", where=table.parent, todo=todo)
    if told := re.search(r"^genomicslake\.errors\.LakeError: (.+)$", text, re.MULTILINE):
        return LakeError.told(told[1])
    if of_s3 := s3.explained(text, table.parent, table.standing):
        return of_s3
    what = _SUMMARY.findall(text) or text.splitlines()[:1] or [repr(error)]
    return LakeError(f"the conversion failed ({what[-1].strip()})", where=table.path, todo=table.standing)


_SUMMARY = re.compile(
    r"^(?:Error summary: \w+: (?!Traceback).+|[\w.]+(?:[eE]rror|Exception): (?!Traceback).+)$", re.MULTILINE
)


def _identity(options: argparse.Namespace, counts: list[Counts], convert: Convert) -> str:
    """The SHA-256 of all that decides what the table will be: input, options, code."""
    code = hashlib.sha256(inspect.getsource(inspect.getmodule(convert) or convert).encode())
    package = importlib.resources.files(genomicslake)  # on Glue a zip
    for path in sorted(package.iterdir(), key=lambda path: path.name):
        if path.name.endswith(".py"):
            code.update(path.read_bytes())
    decisive = {
        "sources": sorted(count.sha256 for count in counts),
        "options": _options(options),
        "code": [genomicslake.__version__, code.hexdigest()],
        "versions": [importlib.metadata.version("hail"), pyspark.__version__, pyarrow.__version__],
    }
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()


def run_of(options: argparse.Namespace, identity: str) -> dict[str, Any]:
    """Who and when of a run."""
    now = datetime.now(UTC)
    return {
        "run_id": f"{now:%Y%m%dT%H%M%S}Z-{identity[:8]}",
        "loaded_at": now.isoformat(timespec="milliseconds"),
        "identity": identity,
        "options": json.dumps(_options(options), sort_keys=True),
        "code_commit": options.code_commit,
    }


def options_of(load: dict[str, Any]) -> dict[str, Any]:
    """The options of a load, by its record."""
    found: dict[str, Any] = json.loads(load["options"])
    return found


def _options(options: argparse.Namespace) -> dict[str, Any]:
    left_out = ("input_path", "output_path", "code_commit", "inspect", "clustered")
    return {name: value for name, value in sorted(vars(options).items()) if name not in left_out}


def _load(options: argparse.Namespace, table: Table, identity: str, result: Result) -> dict[str, Any]:
    return run_of(options, identity) | {
        "dataset": table.name,
        "mode": getattr(options, "mode", "overwrite"),
        "layout": getattr(options, "layout", None),
        "rows": result.rows,
        "rows_written": result.rows,
        "rows_removed": 0,
        "genotypes": checksums.shown(result.genotypes),
        "reference_genome": result.reference_genome,
        "coordinate_base": result.coordinate_base,
        "release_date": result.release_date,
        "sources": [
            {
                "path": count.source.path,
                "identity": identity,
                "sha256": count.sha256,
                "bytes": count.source.size,
                "samples": list(count.samples),
                "contigs": list(count.contigs),
                "records": count.records,
                "loaded": count.loaded,
                "rejected": count.rejected,
                "rejected_fields": count.rejected_fields,
                "rows": count.rows,
                "genotypes": checksums.shown(count.genotypes) if result.has_genotypes else None,
            }
            for count in result.counts
        ],
        "hail_version": importlib.metadata.version("hail"),
        "spark_version": result.spark_version,
        "code_version": genomicslake.__version__,
    }


def main(job: Callable[[Sequence[str]], None], arguments: Sequence[str] | None = None) -> None:
    """Run a job's script: a LakeError is told on standard error, with exit code 1."""
    try:
        job(sys.argv[1:] if arguments is None else arguments)
    except LakeError as error:
        sys.exit(f"error: {error}")
