"""Broken files (tests/broken.py) through the real job: no crash without a clear message, no hang, no record unaccounted
for, no wrong genotype.

Many files go into one run of the job; one that stops it is taken out, once its message is found to be clear. What is
loaded is compared with what an independent reader finds in the text, without what was rejected. Another seed or
number of files: BROKEN_SEED, BROKEN_FILES.
"""

import os
import re
import tempfile
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any, NamedTuple
from unittest import mock

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from genomicslake import checksums, duplicates, header, lines, scan, session, sources
from genomicslake.errors import LakeError
from genomicslake.reasons import Reason
from genomicslake.records import RecordCheck
from tests import broken, independent
from tests.broken import Broken
from tests.test_cases import listed, query, rows_of
from tests.test_readers import content
from vcf_to_parquet import vcf_to_parquet

SEED = int(os.environ.get("BROKEN_SEED", "2"))
FILES = int(os.environ.get("BROKEN_FILES", "504"))
TOGETHER = 24  # files in one run of the job
pytestmark = pytest.mark.patience(900)  # for a test with all its runs, beside whatever else is at work
CUT = 65_536  # characters of a record that the table rejects keeps

seen: dict[str, Counter[str]] = defaultdict(Counter)


# --- a reader of raw bytes, its own ----------------------------------------------------------------


class Line(NamedTuple):
    """A line without its end, and whether it is what is left around a place that can't be decompressed."""

    text: bytes
    is_cut: bool


def lines_of(data: bytes) -> list[Line]:
    """The lines of a plain, gzip or BGZF file."""
    found, text, is_cut = [], b"", False
    for piece in pieces_of(data):
        if piece is None:
            is_cut = True
            continue
        *whole, rest = piece.split(b"\n")
        for end in whole:
            found.append(Line(text + end, is_cut))
            text, is_cut = b"", False
        text += rest
    return [*found, Line(text, is_cut)] if text or is_cut else found


def pieces_of(data: bytes) -> Iterator[bytes | None]:
    """The text of a file in pieces, None for what can't be decompressed."""
    if data[:2] != b"\x1f\x8b":
        yield data
    elif data[3:4] and data[3] & 4 and data[12:14] == b"BC":
        yield from blocks_of(data)
    else:
        while data:
            stream = zlib.decompressobj(wbits=31)
            yield stream.decompress(data)
            data = stream.unused_data


def blocks_of(data: bytes) -> Iterator[bytes | None]:
    at, last = 0, b""
    while at < len(data):
        last = data[at : at + block_length(data, at)]
        if last:
            yield zlib.decompress(last, wbits=31)
            at += len(last)
        else:
            yield None
            at = next((other for other in range(at + 1, len(data)) if block_length(data, other)), len(data))
    if last != broken.EOF_BLOCK:
        yield None


def block_length(data: bytes, at: int) -> int:
    """The length of the block that begins here; 0 where none does."""
    head = data[at : at + 18]
    if head[:4] != b"\x1f\x8b\x08\x04" or head[10:16] != b"\x06\0BC\x02\0" or len(head) < 18:
        return 0
    length = int.from_bytes(head[16:18], "little") + 1
    try:
        zlib.decompress(data[at : at + length], wbits=31)
    except zlib.error:
        return 0
    return length if at + length <= len(data) else 0


def records_of(data: bytes) -> tuple[list[bytes], dict[int, Line]]:
    """The header's lines, and what stands behind them by line number, but for blank lines."""
    every = lines_of(data)
    last = next(number for number, line in enumerate(every) if not line.text.startswith(b"##"))
    behind = enumerate(every[last + 1 :], last + 2)
    head = [line.text.decode("utf-8", "replace").encode().rstrip(b"\r") for line in every[: last + 1]]
    records = {number: Line(line.text.rstrip(b"\r"), line.is_cut) for number, line in behind}
    return head, {number: line for number, line in records.items() if line.text or line.is_cut}


# --- what a run of the job did ---------------------------------------------------------------------


def groups(files: dict[Path, Broken], layout: str) -> list[dict[Path, Broken]]:
    """The files that are loaded together, and each by itself that stops the pass over the lines or whose header's
    fields are others, for it would stop all of them.
    """
    together, groups_ = {}, []
    for path, made in files.items():
        try:
            passed(path, layout)
            is_other = layout == "by_variant" and records_of(made.data)[0] != made.header
        except LakeError:
            is_other = True
        if is_other:
            groups_.append({path: made})
        else:
            together[path] = made
    return [together, *groups_]


def run(files: dict[Path, Broken], table: Path, layout: str, reader: str = "auto") -> dict[Path, Broken]:
    """Load files together; those that stop the job are taken out. The files that were loaded."""
    left = dict(files)
    while left:
        options = ["--layout", layout, "--on_error", "reject", "--reference_genome", "GRCh37", "--reader", reader]
        try:
            vcf_to_parquet(["--input_path", *map(str, left), "--output_path", str(table), *options])
        except LakeError as error:
            assert not table.exists()
            assert not any(table.parent.rglob("*.parquet"))
            left.pop(stopped_by(str(error), left))
        else:
            break
    return left


def stopped_by(message: str, files: dict[Path, Broken]) -> Path:
    """The file that a message is about. Fails where the message is not clear, or the file's records alone are bad."""
    path = next((path for path in files if message.startswith((f"{path}:", f"{path},"))), None)
    assert path, f"which file? {message}"
    assert "Traceback" not in message
    assert not re.search(r"\b(?:java|scala|py4j|pyspark|hail\.)\b", message), message
    assert re.search(r"[.?)\n]\s*[A-Z][^\n]+[.?)]$", message), f"what is there to do? {message}"
    made = files[path]
    seen["outcomes"]["refused"] += 1
    seen["refused"][re.sub(r"'.*?'|\d+|/\S+", "…", message.removeprefix(str(path)))[:70]] += 1
    only_records = made.has_sound_header and set(made.mutations) <= set(broken.OF_RECORDS)
    elsewhere = ("the headers disagree about", "has records on contig")  # the fault of two files together
    assert not only_records or any(words in message for words in elsewhere), f"{made.mutations}: {message}"
    return path


def check(path: Path, made: Broken, table: Path, layout: str, folder: Path) -> None:
    """Fail unless every record of a file that was loaded is accounted for, and every row is right."""
    head, records = records_of(made.data)
    source = f"'{path}'"
    loads = f"(SELECT unnest(sources) AS s FROM '{table.parent}/loads/*.parquet')"
    counts = query(f"SELECT s.records, s.loaded, s.rejected, s.rejected_fields FROM {loads} WHERE s.path = {source}")
    rejected: list[Any] = []
    if any(table.parent.glob("rejects/*.parquet")):
        columns = "line, field, reason, record"
        rejected = query(f"SELECT {columns} FROM '{table.parent}/rejects/*.parquet' WHERE source = {source}")
    whole = {line: reason for line, field, reason, _ in rejected if not field}
    fields = [(line, field) for line, field, _, _ in rejected if field]
    assert counts == [(len(records), len(records) - len(whole), len(whole), len(fields))], made.mutations
    for line, _, reason, record in rejected:
        seen["reasons"][reason] += 1
        assert record == records[line].text.decode("utf-8", "backslashreplace")[:CUT]
    for line, reason in whole.items():
        is_sound = records[line].text in made.sound and head == made.header
        assert not is_sound or reason in (Reason.DUPLICATE, Reason.BLOCK), f"{reason}: {records[line]}"
    assert {line for line, record in records.items() if record.is_cut} <= set(whole)
    if layout == "by_variant" and head != made.header:
        seen["outcomes"]["loaded; not compared, for types may have changed"] += 1
        return
    check_rows(head, {line: record.text for line, record in records.items() if line not in whole}, fields,
               table, layout, folder)  # fmt: skip
    seen["outcomes"]["loaded, all of it" if not rejected else "loaded, but for what was rejected"] += 1


def check_rows(
    head: list[bytes],
    records: dict[int, bytes],
    fields: list[tuple[int, str]],
    table: Path,
    layout: str,
    folder: Path,
) -> None:
    """Fail unless a file's rows are those that the independent reader makes of its sound records."""
    for line, field in fields:
        records[line] = without(records[line], field)
    samples = head[-1].rstrip(b"\r").split(b"\t")[9:]
    if layout == "by_sample":  # which looks at nothing of the header but the samples
        head = broken.header([sample.decode() for sample in samples])
    sound, found = folder / "sound.vcf", folder / "rows"
    found.mkdir(parents=True)
    sound.write_bytes(b"\n".join([*head, *records.values()]) + b"\n")
    if source := rows_of(table):
        told = independent.Vcf(sound).schema(layout).names
        names = ", ".join(f"'{sample.decode()}'" for sample in samples)
        contigs = {record.split(b"\t")[0].decode().removeprefix("chr") for record in records.values()}
        places = ", ".join(
            f"'{contig}'" for contig in {"MT" if contig == "M" else contig for contig in contigs} or [""]
        )
        rows = f"SELECT {listed(told)} FROM {source} WHERE sampleid IN ({names}) AND chromosome IN ({places})"
        query(f"COPY ({rows}) TO '{found}/rows.parquet' (FORMAT parquet)")
    assert independent.compare(sound, layout, found).differences == []


def without(record: bytes, field: str) -> bytes:
    """A record without a field; of FORMAT's, without the values that the generator's header does not allow."""
    columns = record.split(b"\t")
    kind, _, name = field.partition("/")
    if kind == "QUAL":
        columns[5] = b"."
    elif kind == "INFO":
        kept = [entry for entry in columns[7].split(b";") if entry.partition(b"=")[0] != name.encode()]
        columns[7] = b";".join(filter(None, kept)) or b"."
    else:
        at, alleles = columns[8].split(b":").index(name.encode()), 1 + columns[4].count(b",") + (columns[4] != b".")
        allowed = {"AD": [alleles], "PL": [alleles * (alleles + 1) // 2, alleles]}.get(name, [1])
        for number, cell in enumerate(columns[9:], 9):
            values = cell.split(b":")
            if at < len(values) and not is_allowed(values[at], allowed, alleles):
                values[at] = b"."
            columns[number] = b":".join(values)
    return b"\t".join(columns)


def is_allowed(value: bytes, counts: list[int], alleles: int) -> bool:
    values = value.split(b",")
    whole = all((re.fullmatch(rb"-?[0-9]+", one) and -(2**31) + 8 <= int(one) < 2**31) or one == b"." for one in values)
    return value == b"." or (whole and (len(values) in counts or (alleles == 1 and counts != [1])))


# --- the pass over the lines, alone ------------------------------------------------------------------


@settings(max_examples=int(os.environ.get("BROKEN_EXAMPLES", "300")), deadline=None, derandomize=True,
          suppress_health_check=list(HealthCheck))  # fmt: skip
@given(
    random=st.randoms(use_true_random=False),
    layout=st.sampled_from(["by_sample", "by_variant"]),
    part=st.sampled_from([200, 1000, 1 << 20]),
)
def test_what_the_pass_over_the_lines_finds(random: Random, layout: str, part: int) -> None:
    """Without Hail and Spark, but on many more files: each record is loaded or rejected, and the rows and genotypes
    that the loaded ones are to make are those of the independent reader.
    """
    made = broken.broken(random, 21, 2, headers=False)
    with tempfile.TemporaryDirectory() as name, mock.patch.object(lines, "SMALLEST_PART", part):
        path = Path(name, made.name)
        path.write_bytes(made.data)
        try:
            found, loaded, may_have_duplicates = passed(path, layout)
        except LakeError as error:
            stopped_by(str(error), {path: made})
            return
        assume(not may_have_duplicates)  # which only Spark's tasks can tell
        head, records = records_of(made.data)
        assert found.records == len(records) == found.loaded + found.rejected_records
        sound = Path(name, "sound.vcf")
        if layout == "by_sample":  # which looks at nothing of the header but the samples
            head = broken.header([sample.decode() for sample in head[-1].split(b"\t")[9:]])
        assume(layout == "by_sample" or head == made.header)
        sound.write_bytes(b"\n".join([*head, *loaded]) + b"\n")
        rows = independent.expected(sound, layout)
        assert (found.rows, found.checksum) == (len(rows), checksums.of_table(rows))


def passed(path: Path, layout: str) -> tuple[scan.Scan, list[bytes], bool]:
    """The pass over a file's parts, one after the other; the records that it takes, without what is left out; and
    whether some may be duplicates.
    """
    source = sources.inspect(str(path), whole=False)
    head = header.read(source)
    contigs = dict.fromkeys(broken.CONTIGS, 249_250_621)
    parts = lines.parts(source, 8)
    total, loci = scan.Scan(parts=parts), []
    for part in parts:
        found = scan.scan_part(part, RecordCheck(head, contigs, layout == "by_variant"))
        loci.append(found.loci)
        scan._add(total, found, head.lines)
    check, loaded = RecordCheck(head, contigs, layout == "by_variant"), []
    for part, before in zip(parts, total.first_lines, strict=True):
        for number, line in scan.numbered(part):
            if isinstance(line, lines.Gap) or not line or before + number <= head.lines:
                continue
            problems = check.problems(line)
            if all(problem.field for problem in problems):
                loaded.append(check.without(line, problems) if problems else line.rstrip(b"\t"))
    return total, loaded, duplicates.possible(loci)


# --- tests -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", range(0, FILES, TOGETHER))
def test_broken_files(first: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session.start()
    layout = ("by_sample", "by_variant")[first // TOGETHER % 2]
    if first // TOGETHER % 4 > 1:  # files of many parts, as large ones are
        monkeypatch.setattr(lines, "SMALLEST_PART", 300)
    files, samples = {}, (1, 2, 3, 12)[first // TOGETHER % 4]
    for number in range(first, first + TOGETHER):
        random = Random(f"{SEED} {number}")  # noqa: S311 - no secret
        made = broken.broken(random, number, samples, headers=layout == "by_sample")
        path = tmp_path / made.name
        path.write_bytes(made.data)
        files[path] = made
        seen["mutations"].update(made.mutations)
    for number, group in enumerate(groups(files, layout)):
        table = tmp_path / f"lake-{number}" / "variants"
        loaded = run(group, table, layout)
        if loaded:
            by_hail = tmp_path / f"hail-{number}" / "variants"
            assert run(loaded, by_hail, layout, "hail") == loaded
            assert content(table) == content(by_hail)
        for path, made in loaded.items():
            try:
                check(path, made, table, layout, tmp_path / f"checked-{path.name}")
            except BaseException:
                print(f"{path}: {made.mutations}")
                raise
    seen["files"][layout] += len(files)


def test_what_was_broken(capsys: pytest.CaptureFixture[str]) -> None:
    """Every kind of mutation came, and every reason for which a record or field of a VCF can be rejected."""
    with capsys.disabled():
        for what, counted in seen.items():
            print(f"\n{what}: " + ", ".join(f"{name} {count}" for name, count in counted.most_common()))
    assert sum(seen["files"].values()) >= min(FILES, 500)
    assert set(seen["mutations"]) == broken.MUTATIONS
    assert set(seen["reasons"]) == {reason for reason in Reason if reason is not Reason.INTEGER}
