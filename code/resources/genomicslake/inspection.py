"""What a conversion would find in a file, told without converting it: for `./setup.sh inspect` and `--inspect`.

The rules are those of the conversion: its header, its pass over the lines, its reasons. The lines are read by processes
of this machine instead of Spark's tasks.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from multiprocessing import get_context
from typing import Any

from genomicslake import clinvar, clinvar_vcf, duplicates, header, lines, references
from genomicslake.alleles import BASES, UNSPECIFIED
from genomicslake.duplicates import Loci
from genomicslake.errors import LakeError
from genomicslake.header import Header
from genomicslake.lines import Gap, Part
from genomicslake.reasons import Problem, Reason
from genomicslake.records import HEADER_LINE, Record, RecordCheck
from genomicslake.rejects import SHOWN
from genomicslake.scan import DUPLICATE, numbered
from genomicslake.sources import Source

Lengths = Mapping[str, Mapping[str, int]]
Say = Callable[[str], None]

BYTES_A_PART = 16 << 20


@dataclass
class Bad:
    """What can't be loaded: the line, from 1, the reason's code, the field where it is not the whole record."""

    line: int
    reason: str
    field: str | None
    detail: str


@dataclass
class Found:
    """What a pass over lines found. `bad` has the first few of each reason, `reasons` counts them all."""

    lines: int = 0
    records: int = 0
    rejected: int = 0
    rejected_fields: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    bad: list[Bad] = field(default_factory=list)
    undeclared: set[str] = field(default_factory=set)
    leading: int = 0  # `#` lines before the first record
    loci: Loci = field(default_factory=Loci)

    def reject(self, line: int, problem: Problem) -> None:
        """Count a record, or a field, that can't be loaded."""
        self.reasons[problem.reason] += 1
        if problem.field:
            self.rejected_fields += 1
        else:
            self.rejected += 1
        if self.reasons[problem.reason] <= SHOWN:
            self.bad.append(Bad(line, problem.reason, problem.field, problem.detail))

    def add(self, next_part: "Found", header_lines: int = 0) -> None:
        """Add what was found in the next part of the file."""
        surplus = next_part.leading - max(0, min(header_lines - self.lines, next_part.leading))
        for number in range(next_part.leading - surplus + 1, next_part.leading + 1):
            self.records += 1
            self.reject(self.lines + number, HEADER_LINE)
        for bad in next_part.bad:
            if sum(known.reason == bad.reason for known in self.bad) < SHOWN:
                self.bad.append(Bad(self.lines + bad.line, bad.reason, bad.field, bad.detail))
        for name in ("lines", "records", "rejected", "rejected_fields"):
            setattr(self, name, getattr(self, name) + getattr(next_part, name))
        self.kinds += next_part.kinds
        self.reasons += next_part.reasons
        self.undeclared |= next_part.undeclared


@dataclass
class Report:
    """What is told of a file. `problems` are what no option can help: none of the file is loaded."""

    path: str
    kind: str  # VCF, ClinVar's TSV, or unknown
    bytes: int
    container: str
    version: str | None = None
    reference_genome: str | None = None
    is_certain: bool = False
    why: str | None = None  # it is that
    release_date: str | None = None
    samples: list[str] = field(default_factory=list)
    columns: list[str] = field(default_factory=list)
    is_sorted: bool | None = None
    records: int = 0
    kinds: dict[str, int] = field(default_factory=dict)
    undeclared: list[str] = field(default_factory=list)
    rejected: int = 0
    rejected_fields: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    bad: list[Bad] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)  # with files before it: not in one table of layout by_variant

    @property
    def code(self) -> int:
        """0: all is loaded. 1: a strict conversion stops, alone or at a conflict. 2: nothing of it can be loaded."""
        return 2 if self.problems else int(bool(self.rejected or self.rejected_fields or self.conflicts))

    def plain(self) -> dict[str, Any]:
        """The report for JSON."""
        return asdict(self) | {"code": self.code}


def inspected(sources: Sequence[Source], lengths: Lengths, asked: str | None, say: Say) -> list[Report]:
    """The reports of some files, and of what is between them; `asked` is the reference genome, if it is known."""
    reports, headers = [], []
    for source in sources:
        say(f"inspecting {source.path}, {source.size:,} bytes")
        report = Report(source.path, "unknown", source.size, source.container)
        reports.append(report)
        try:
            first = first_line(source)
            is_vcf = first.startswith("##fileformat=VCF")
            if is_vcf and not clinvar_vcf.is_clinvar(source):
                report.kind = "VCF"
                headers.append((report, _vcf(source, report, lengths, asked, say)))
            elif is_vcf or set(clinvar.NEEDED) & set(first.removeprefix("#").split("\t")):
                report.kind = "ClinVar"
                _clinvar(source, report, say)
            else:
                report.problems.append("this is no VCF and not ClinVar's variant_summary.txt")
        except LakeError as error:
            report.problems.append(_what(error, source.path))
    _compare(headers)
    return reports


def first_line(source: Source) -> str:
    """A file's first line."""
    for chunk in lines.chunks(lines.whole(source)):
        return chunk.split(b"\n", 1)[0].decode("utf-8-sig", "replace").rstrip("\r")
    raise LakeError("the file is empty", where=source.path, todo="Fetch it again.")


def _what(error: LakeError, path: str) -> str:
    return str(error).removeprefix(path).lstrip(":, ")


# --- VCF ------------------------------------------------------------------------------------------


def _vcf(source: Source, report: Report, lengths: Lengths, asked: str | None, say: Say) -> Header:
    head, problems = header.examined(source.path, header.text(source))
    report.version, report.samples = head.version, list(head.samples)
    report.problems += [_what(problem, source.path) for problem in problems]
    genome = _genome(head, report, lengths, asked)
    if problems:
        return head
    known = _contigs(head, lengths, genome)
    parts = _parts(source)
    found = Found()
    every = list(_in_processes(_vcf_part, [(part, head, known) for part in parts], say))
    for number, part in enumerate(every):
        found.add(part, head.lines)
        every[number].lines = found.lines - part.lines  # from here on: lines before the part
    loci = [part.loci for part in every]
    report.is_sorted = duplicates.are_sorted(loci)
    if duplicates.possible(loci):
        say("looking for duplicates")
        _add_duplicates(found, parts, [part.lines for part in every], head, known, say)
    report.undeclared = sorted(found.undeclared)
    _tell(report, found)
    return head


def _genome(head: Header, report: Report, lengths: Lengths, asked: str | None) -> str | None:
    """The reference genome, if the header or the user tells; what is only a guess goes to the report."""
    try:
        genome = references.choose([head], lengths, asked)
    except LakeError as error:
        report.problems.append(_what(error, head.path))
        report.reference_genome = references.guessed(head.reference)
        report.why = "a guess from the header's ##reference" if report.reference_genome else None
        return None
    told = [contig for contig, length in head.contigs.items() if length]
    report.reference_genome, report.is_certain = genome, True
    report.why = f"certain: the lengths of {len(told)} contigs in the header" if told else "it was passed"
    return genome


def _contigs(head: Header, lengths: Lengths, genome: str | None) -> dict[str, int]:
    """The lengths of the contigs that the file may use; of either genome, the greater ones, where it isn't known."""
    found: dict[str, int] = {}
    for name in [genome] if genome else lengths:
        for alias, contig in references.contigs_of(head, lengths[name]).items():
            found[alias] = max(found.get(alias, 0), lengths[name][contig])
    return found


def _vcf_part(given: tuple[Part, Header, Mapping[str, int]]) -> Found:
    part, head, contigs = given
    check, found = RecordCheck(head, contigs, every_field=True), Found()
    for number, line in numbered(part):
        found.lines = number
        if isinstance(line, Gap):
            found.records += 1
            found.reject(number, Problem(Reason.BLOCK, line.why))
        elif line.startswith(b"#") and found.leading == number - 1:
            found.leading += 1
        elif line:
            found.records += 1
            record = check.read(line)
            if isinstance(record, Problem):
                found.reject(number, record)
                continue
            for problem in record.problems:
                found.reject(number, problem)
            found.kinds.update(_kinds(record))
            found.loci.add(record)
    found.undeclared = {f"INFO/{name}" for name in check.undeclared_info}
    found.undeclared |= {f"FORMAT/{name}" for name in check.undeclared_format}
    return found


def _kinds(record: Record) -> set[str]:
    if record.is_reference_only:
        return {"reference block" if record.alternates else "without an alternate"}
    return {_kind(place.reference, place.alternate) for place in record.alternates}


def _kind(reference: str, alternate: str) -> str:
    if alternate in UNSPECIFIED:
        return "any other allele"
    if alternate.startswith("<"):
        return "symbolic"
    if alternate == "*":
        return "deleted upstream"
    if not BASES.fullmatch(alternate):
        return "breakend"
    if len(reference) != len(alternate):
        return "insertion or deletion"
    return "SNV" if len(reference) == 1 else "MNV"


def _add_duplicates(
    found: Found, parts: list[Part], before: list[int], head: Header, known: Mapping[str, int], say: Say
) -> None:
    at: dict[tuple[str, int], list[tuple[tuple[int, int], Any]]] = defaultdict(list)
    tasks = [(part, head, known) for part in parts]
    for number, records in enumerate(_in_processes(_keys_of_part, tasks, say)):
        for line, contig, position, keys in records:
            at[contig, position].append(((number, line), keys))
    for records in at.values():
        for number, line in duplicates.among(records):
            found.reject(before[number] + line, DUPLICATE)
    found.bad.sort(key=lambda bad: bad.line)


def _keys_of_part(given: tuple[Part, Header, Mapping[str, int]]) -> list[tuple[int, str, int, Any]]:
    part, head, contigs = given
    check, found = RecordCheck(head, contigs, every_field=True), []
    for number, line in numbered(part):
        if not isinstance(line, Gap) and line and not line.startswith(b"#"):
            record = check.read(line)
            if isinstance(record, Record) and record.keys:
                found.append((number, record.contig, record.position, record.keys))
    return found


def _compare(headers: Sequence[tuple[Report, Header]]) -> None:
    """What keeps files from being loaded together goes to the report of the later one."""
    for number, (report, head) in enumerate(headers):
        before = [other for _, other in headers[:number]]
        for kind in ("info", "format"):
            for other in before:
                try:
                    header.merged(kind.upper(), [getattr(other, kind), getattr(head, kind)], [other.path, head.path])
                except LakeError as error:
                    report.conflicts.append(_what(error, head.path))
                    break


# --- ClinVar --------------------------------------------------------------------------------------


def _clinvar(source: Source, report: Report, say: Say) -> None:
    columns = clinvar.read_columns(source)
    report.columns, report.release_date = list(columns.ncbi), clinvar.release_date(source.path, columns)
    found = Found()
    for part in _in_processes(_clinvar_part, [(part, columns) for part in _parts(source)], say):
        found.add(part)
    _tell(report, found)


def _clinvar_part(given: tuple[Part, clinvar.Columns]) -> Found:
    part, columns = given
    found, rows = Found(), clinvar.PartRows()
    for table in clinvar.tables(part, columns, rows, lambda bad: found.reject(bad.line, bad.problem)):
        found.kinds.update(kind or "no type" for kind in table["type"].to_pylist())
    found.lines, found.records = rows.lines, rows.records
    return found


# --- both -----------------------------------------------------------------------------------------


def _parts(source: Source) -> list[Part]:
    return lines.parts(source, max(1, source.size // BYTES_A_PART))


def _in_processes(function: Callable[[Any], Any], tasks: list[Any], say: Say) -> Iterator[Any]:
    """What a function returns for each task, in their order; by processes where there are several."""
    if len(tasks) == 1:
        yield function(tasks[0])
        return
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as processes:
        for number, result in enumerate(processes.map(function, tasks), 1):
            say(f"{number} of {len(tasks)} parts")
            yield result


def _tell(report: Report, found: Found) -> None:
    report.records, report.kinds = found.records, dict(found.kinds.most_common())
    report.rejected, report.rejected_fields = found.rejected, found.rejected_fields
    report.reasons, report.bad = dict(found.reasons.most_common()), found.bad


def written(reports: Iterable[Report]) -> str:
    """The reports as text."""
    return "\n\n".join(_written(report) for report in reports)


def _written(report: Report) -> str:
    told = [("is", f"{report.kind}, {report.container}, {report.bytes:,} bytes")]
    if report.kind == "VCF":
        told += [
            ("version", report.version or "not told"),
            ("genome", f"{report.reference_genome} ({report.why})" if report.reference_genome else "not told"),
            ("samples", f"{len(report.samples):,}: {_first(report.samples)}" if report.samples else "none"),
        ]
    if report.kind == "ClinVar":
        told += [
            ("release", report.release_date or "not told"),
            ("columns", f"{len(report.columns)}: {_first(report.columns)}"),
        ]
    if not report.problems or report.records:
        order = {True: ", sorted", False: ", not sorted", None: ""}[report.is_sorted]
        told.append(("records", f"{report.records:,}{order}"))
        told += [("", f"{count:,} {kind}") for kind, count in list(report.kinds.items())[:12]]
    if report.undeclared:
        told.append(("undeclared", _first(report.undeclared)))
    for reason, count in report.reasons.items():
        shown = [bad for bad in report.bad if bad.reason == reason]
        told.append(("rejected", f"{count:,} {reason}"))
        told += [("", f"line {bad.line}: {bad.detail} ({bad.field or 'the record'} is left out)") for bad in shown]
    told += [("problem", problem) for problem in report.problems]
    told += [("conflict", conflict) for conflict in report.conflicts]
    told.append(("conversion", _foretold(report)))
    return "\n".join([report.path, *(f"  {name:<11} {text}" for name, text in told)])


def _foretold(report: Report) -> str:
    if report.code == 2:
        return "loads nothing of it"
    loaded = report.records - report.rejected
    if report.kind == "VCF" and not report.samples:
        return f"loads {loaded:,} of {report.records:,} records, which are sites only, and in layout by_variant alone"
    if not report.rejected + report.rejected_fields:
        return f"loads all {loaded:,} records" + (", in layout by_variant alone" if report.conflicts else "")
    fields = f", without {report.rejected_fields:,} of their fields" if report.rejected_fields else ""
    return f"stops; with --on_error reject it loads {loaded:,} of {report.records:,} records{fields}"


def _first(names: Sequence[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (" …" if len(names) > most else "")
