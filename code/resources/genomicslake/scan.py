"""The pass over a VCF's lines, by Spark's tasks: which records can be loaded, which not, where they stand and why; and
which rows are to come of them.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from genomicslake import by_variant, checksums, duplicates, lines, plain, references, tasks
from genomicslake.duplicates import Loci
from genomicslake.errors import LakeError
from genomicslake.header import Header
from genomicslake.lines import Gap, Part
from genomicslake.plain import Group
from genomicslake.reasons import Problem, Reason
from genomicslake.records import HEADER_LINE, RecordCheck
from genomicslake.rejects import SHOWN, Rejected
from genomicslake.shuffle import HELD, Buckets, Collector, Rows, Shuffle
from genomicslake.sources import Source
from genomicslake.tally import Take, Tally


@dataclass(frozen=True)
class Input:
    """A file to be read; `contigs` has the reference's name for each name that it may use, `lengths` theirs."""

    source: Source
    header: Header
    contigs: Mapping[str, str]
    lengths: Mapping[str, int]


Made = tuple[by_variant.Columns, Any, str, str]  # columns, the table's schema, its folder, the name of a part


@dataclass(frozen=True)
class Tables:
    """What is to be written of the layout by_variant: each file's columns, the table's schema, the folder."""

    columns: Sequence[by_variant.Columns]
    schema: Any
    folder: str


DUPLICATE = Problem(Reason.DUPLICATE, "an allele of it stands in an earlier record at this position")


@dataclass
class Scan:
    """What the pass found. `first_lines` has the number of lines before each part; `rejected` only the first few.

    `rows` and `checksum` are those that the loaded records must have in the table.
    """

    lines: int = 0
    records: int = 0
    loaded: int = 0
    rejected_records: int = 0
    rejected_fields: int = 0
    rows: int = 0
    checksum: int = 0
    reference_only: int = 0  # records without an alternate, and a gVCF's blocks
    rewritten: int = 0  # records with a call that Hail reads otherwise
    other_headers: int = 0  # `#CHROM` lines with other samples than the header's
    gap: str = ""  # the first place where the file is damaged
    leading: int = 0  # `#` lines before the part's first record
    leading_lines: list[bytes] = field(default_factory=list)  # the last few of them
    rejected: list[Rejected] = field(default_factory=list)
    contigs: set[str] = field(default_factory=set)  # by their names in the file
    loci: Loci = field(default_factory=Loci)
    undeclared_info: dict[str, bool] = field(default_factory=dict)
    undeclared_format: set[str] = field(default_factory=set)
    parts: list[Part] = field(default_factory=list)
    first_lines: list[int] = field(default_factory=list)
    duplicates: dict[int, set[int]] = field(default_factory=dict)  # by the part's number: lines in it

    def reject(self, number: int, problem: Problem, line: bytes) -> None:
        """Count a record that can't be loaded, or a field that is left out."""
        if problem.field:
            self.rejected_fields += 1
        else:
            self.rejected_records += 1
        if len(self.rejected) < SHOWN:
            self.rejected.append(Rejected(number, problem, line))


def numbered(part: Part) -> Iterator[tuple[int, bytes | Gap]]:
    """The lines of a part with their numbers in it, from 1, without line ends. A gap counts as a line, for nobody
    knows how many it was.
    """
    number = 0
    for chunk in lines.chunks_and_gaps(part):
        found = [_gap(chunk)] if isinstance(chunk, Gap) else _lines(chunk)
        yield from enumerate(found, number + 1)
        number += len(found)


def _gap(gap: Gap) -> Gap:
    return Gap(gap.why, gap.text.rstrip(b"\r"))


def _lines(chunk: bytes) -> list[bytes]:
    found = chunk.split(b"\n")
    if found[-1] == b"":
        found.pop()
    return [line.rstrip(b"\r") for line in found]


def scan_part(part: Part, check: RecordCheck, left_out: Collection[int] = (), *, keeps_blocks: bool = False) -> Scan:
    """The scan of one part; `left_out` has the lines of it that are duplicates."""
    scan = _PartScan(check, left_out, keeps_blocks)
    for _ in scan.taken(part):
        pass
    return scan.ended()


def written_part(part: Part, check: RecordCheck, left_out: Collection[int], made: Made) -> Scan:
    """The same, with the rows of layout by_variant written."""
    columns, schema, folder, name = made
    chromosomes = {name: references.chromosome(name) for name in check.contigs}
    rows = by_variant.Rows(columns, schema, check, chromosomes, f"{folder}/rows-{name}.parquet")
    scan = _PartScan(check, left_out, columns.keeps_blocks, rows=rows)
    for _ in scan.taken(part):
        pass
    rows.end()
    return scan.ended()


def rows_of_part(part: Part, check: RecordCheck, left_out: Collection[int], rows: Collector) -> Iterator[Rows | Scan]:
    """The rows of a part for the layout by_sample, and at the end its scan."""
    scan = _PartScan(check, left_out, False, rows.take)
    for _ in scan.taken(part):
        yield from rows.handed_on(HELD)
    found = scan.ended()
    yield from rows.handed_on()
    yield found


class _PartScan:
    """The scan of a part, chunk by chunk."""

    def __init__(
        self,
        check: RecordCheck,
        left_out: Collection[int],
        keeps_blocks: bool,
        take: Take | None = None,
        rows: by_variant.Rows | None = None,
    ) -> None:
        self.found = Scan()
        self.check, self.left_out, self.rows = check, left_out, rows
        self.tally = Tally(check.header.samples_of_rows, check.every_field, keeps_blocks, take)
        self.chromosomes = {name: references.chromosome(name) for name in check.contigs}

    def taken(self, part: Part) -> Iterator[None]:
        """Take a part, and stop after each chunk."""
        for chunk in lines.chunks_and_gaps(part):
            if isinstance(chunk, Gap):
                self.take_gap(_gap(chunk))
            else:
                self.take(chunk)
            yield

    def take_gap(self, gap: Gap) -> None:
        """Take the place where lines are lost."""
        found = self.found
        found.lines += 1
        found.records += 1
        found.gap = found.gap or gap.why
        found.reject(found.lines, Problem(Reason.BLOCK, gap.why), gap.text)

    def take(self, chunk: bytes) -> None:
        """Take whole lines: plain records many at once, all others one by one."""
        before, left_out = self.found.lines, self.left_out
        taken_out = (
            [line for line in range(chunk.count(b"\n") + 1) if before + line + 1 in left_out] if left_out else []
        )
        found = plain.read(chunk, self.check, taken_out)
        for group in found.groups:
            self._take_plain(group)
        others = [] if found.is_plain.all() else _lines(chunk)
        edges = [0, *(np.flatnonzero(np.diff(found.is_plain)) + 1).tolist(), len(found.is_plain)]
        for start, end in pairwise(edges):
            if found.is_plain[start]:
                self.found.loci.add_run(found, start, end)
                self.found.lines += end - start
                continue
            for number, line in enumerate(others[start:end], start):
                self.found.lines += 1
                self._take_line(number, line)
        if self.rows:
            self.rows.take_chunk(found)

    def _take_plain(self, group: Group) -> None:
        """Take plain records, but for their places in the file's order."""
        count = len(group.lines)
        self.found.records += count
        self.found.loaded += count
        self.found.reference_only += count * group.kind.is_reference_only
        self.found.contigs.update(group.contigs)
        self.tally.add_plain([self.chromosomes[contig] for contig in group.contigs], group)

    def _take_line(self, in_chunk: int, line: bytes) -> None:
        found, number = self.found, self.found.lines
        if line.startswith(b"#CHROM"):
            found.other_headers += line.decode("utf-8", "replace").split("\t")[9:] != list(self.check.header.samples)
        if line.startswith(b"#") and found.leading == number - 1:
            found.leading += 1
            found.leading_lines = [*found.leading_lines[1 - SHOWN :], line]
            return
        if not line:
            return
        found.records += 1
        record = self.check.read(line)
        if isinstance(record, Problem) or number in self.left_out:
            found.reject(number, record if isinstance(record, Problem) else DUPLICATE, line)
            return
        for problem in record.problems:
            found.reject(number, problem, line)
        found.reference_only += record.is_reference_only
        found.rewritten += record.is_rewritten
        found.contigs.add(record.contig)
        found.loci.add(record)
        found.loaded += 1
        self.tally.add(self.chromosomes[record.contig], record.alternates, record.calls)
        if self.rows:
            self.rows.take_record(in_chunk, line, record)

    def ended(self) -> Scan:
        """What was found."""
        self.tally.flush()
        self.found.rows, self.found.checksum = self.tally.rows, self.tally.checksum
        self.found.undeclared_info = self.check.undeclared_info
        self.found.undeclared_format = self.check.undeclared_format
        return self.found


def scan(
    context: Any,
    inputs: Sequence[Input],
    every_field: bool,
    keeps_blocks: bool = False,
    shuffle: Shuffle | None = None,
    tables: Tables | None = None,
) -> list[Scan]:
    """The scan of each file, by Spark's tasks, which also read the rows for the layout by_sample if there is a
    `shuffle` to take them, and write those of layout by_variant if there are `tables` to write.

    Raises LakeError where a second header stands in a file whose samples are others: what follows would be theirs.
    """
    parts = [lines.parts(one.source, tasks.count(context)) for one in inputs]
    items = [(file, number, part) for file, found in enumerate(parts) for number, part in enumerate(found)]

    def check(file: int) -> RecordCheck:
        return RecordCheck(inputs[file].header, inputs[file].lengths, every_field)

    def scanned(left_out: Mapping[tuple[int, int], set[int]]) -> tuple[list[Scan], list[list[Loci]]]:
        def task(item: tuple[int, int, Part]) -> Scan:
            file, number, part = item
            own = left_out.get((file, number), ())
            if tables:
                made = (tables.columns[file], tables.schema, tables.folder, f"{file:03d}-{number:05d}")
                return written_part(part, check(file), own, made)
            return scan_part(part, check(file), own, keeps_blocks=keeps_blocks)

        def rows(buckets: Buckets, item: tuple[int, int, Part]) -> Iterator[Rows | Scan]:
            file, number, part = item
            collector = Collector(buckets, (file, number), inputs[file].header.samples)
            return rows_of_part(part, check(file), left_out.get((file, number), ()), collector)

        totals, loci = [Scan(parts=found) for found in parts], [list[Loci]() for _ in parts]
        told = shuffle.read(items, rows) if shuffle else tasks.each(context, items, task)
        for (file, *_), found in zip(items, told, strict=True):
            loci[file].append(found.loci)
            _add(totals[file], found, inputs[file].header.lines)
        return totals, loci

    totals, loci = scanned({})
    for one, total in zip(inputs, totals, strict=True):
        _refuse_other_header(one.source, total)
    found = {
        file: _duplicates(context, total, lambda file=file: check(file))
        for file, total in enumerate(totals)
        if duplicates.possible(loci[file])
    }
    if any(found.values()):
        totals, _ = scanned({(file, part): of for file, parts in found.items() for part, of in parts.items()})
        for file, of_parts in found.items():
            totals[file].duplicates = of_parts
    return totals


def _refuse_other_header(source: Source, found: Scan) -> None:
    if found.other_headers:
        raise LakeError(
            "a second header, of other samples, stands among the records",
            where=source.path,
            todo="Was the file put together from several? Load them one by one, or join them with bcftools merge.",
        )


def _duplicates(context: Any, total: Scan, checks: Any) -> dict[int, set[int]]:
    """The lines that are duplicates, by the number of their part."""
    numbered_parts = list(enumerate(total.parts))

    def task(numbered_part: tuple[int, Part]) -> Iterator[Any]:
        number, part = numbered_part
        check = checks()
        for line_number, line in numbered(part):
            if isinstance(line, Gap) or not line or line.startswith(b"#"):
                continue
            record = check.read(line)
            if not isinstance(record, Problem) and record.keys:
                yield (record.contig, record.position), ((number, line_number), record.keys)

    together = context.parallelize(numbered_parts, len(numbered_parts)).flatMap(task).groupByKey()
    found: dict[int, set[int]] = defaultdict(set)
    for part, line in together.flatMap(lambda group: duplicates.among(group[1])).collect():
        found[part].add(line)
    return dict(found)


def _add(total: Scan, found: Scan, header_lines: int) -> None:
    """Add what was found in the next part."""
    total.first_lines.append(total.lines)
    surplus = found.leading - max(0, min(header_lines - total.lines, found.leading))  # behind the header's end
    total.records += surplus
    total.rejected_records += surplus
    last = list(enumerate(found.leading_lines, found.leading - len(found.leading_lines) + 1))
    stray = [Rejected(number, HEADER_LINE, line) for number, line in last[len(last) - min(surplus, len(last)) :]]
    total.rejected += [bad.moved(total.lines) for bad in stray + found.rejected]
    for name in (
        *("lines", "records", "loaded", "rejected_records", "rejected_fields", "rows"),
        *("reference_only", "rewritten", "other_headers"),
    ):
        setattr(total, name, getattr(total, name) + getattr(found, name))
    total.gap = total.gap or found.gap
    total.checksum = checksums.add(total.checksum, found.checksum)
    for key, is_flag in found.undeclared_info.items():
        total.undeclared_info[key] = total.undeclared_info.get(key, True) and is_flag
    total.undeclared_format |= found.undeclared_format
    total.contigs |= found.contigs


def refuse_overlap(header: Header, contigs: set[str], loaded_from: dict[tuple[str, str], str]) -> None:
    """Raise LakeError where an earlier file has a sample of this one on the same contig: its variants would count
    twice. `loaded_from` has the file of each sample and contig, and gets this one's.
    """
    for sample in header.samples or ("",):
        for contig in contigs:
            other = loaded_from.setdefault((sample, contig), header.path)
            if other != header.path:
                who = f"sample {sample}" if sample else "a file without samples"
                raise LakeError(
                    f"{who} has records on contig {contig} in {other} too",
                    where=header.path,
                    todo="Load one of the files, or join them with bcftools concat; --mode replace takes the one that "
                    "stands in the table out first.",
                )
