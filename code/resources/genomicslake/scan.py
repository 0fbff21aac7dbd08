"""The pass over a VCF's lines, by Spark's tasks: which records can be loaded, which not, where they stand and why."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from genomicslake import lines
from genomicslake.errors import LakeError
from genomicslake.header import Header
from genomicslake.lines import Part
from genomicslake.records import HEADER_LINE, RecordCheck
from genomicslake.rejects import SHOWN, Rejected
from genomicslake.sources import Source


@dataclass
class Scan:
    """What the pass found. `first_lines` has the number of lines before each part; `rejected` only the first few."""

    lines: int = 0
    records: int = 0
    problems: int = 0
    reference_only: int = 0
    half_missing: int = 0
    other_headers: int = 0  # `#CHROM` lines with other samples than the header's
    leading: int = 0  # `#` lines before the part's first record
    leading_lines: list[bytes] = field(default_factory=list)  # the last few of them
    rejected: list[Rejected] = field(default_factory=list)
    contigs: set[str] = field(default_factory=set)  # by their names in the file
    undeclared_info: dict[str, bool] = field(default_factory=dict)
    undeclared_format: set[str] = field(default_factory=set)
    parts: list[Part] = field(default_factory=list)
    first_lines: list[int] = field(default_factory=list)


def numbered(part: Part) -> Iterator[tuple[int, bytes]]:
    """The lines of a part with their numbers in it, from 1, without line ends."""
    number = 0
    for chunk in lines.chunks(part):
        found = chunk.split(b"\n")
        if found[-1] == b"":
            found.pop()
        for line in found:
            number += 1
            yield number, line.rstrip(b"\r")


def scan_part(part: Part, check: RecordCheck) -> Scan:
    """The scan of one part."""
    found = Scan()
    for number, line in numbered(part):
        found.lines = number
        if line.startswith(b"#CHROM"):
            found.other_headers += line.decode("utf-8", "replace").split("\t")[9:] != list(check.header.samples)
        if line.startswith(b"#") and found.leading == number - 1:
            found.leading += 1
            found.leading_lines = [*found.leading_lines[1 - SHOWN :], line]
        elif line:
            found.records += 1
            if problem := check.problem(line):
                found.problems += 1
                if len(found.rejected) < SHOWN:
                    found.rejected.append(Rejected(number, problem, line))
    found.reference_only, found.half_missing, found.contigs = check.reference_only, check.half_missing, check.used
    found.undeclared_info, found.undeclared_format = check.undeclared_info, check.undeclared_format
    return found


def scan(context: Any, source: Source, header: Header, contigs: Mapping[str, int], every_field: bool) -> Scan:
    """The scan of a file by Spark's tasks.

    Raises LakeError where a second header stands in the file whose samples are others: what follows would be theirs.
    """
    parts = lines.parts(source, 4 * context.defaultParallelism)
    known = dict(contigs)

    def task(part: Part) -> Scan:
        return scan_part(part, RecordCheck(header, known, every_field))

    total = Scan(parts=parts)
    for found in context.parallelize(parts, len(parts)).map(task).collect():
        _add(total, found, header.lines)
    if total.other_headers:
        raise LakeError(
            "a second header, of other samples, stands among the records",
            where=source.path,
            todo="Was the file put together from several? Load them one by one, or join them with bcftools merge.",
        )
    return total


def _add(total: Scan, found: Scan, header_lines: int) -> None:
    """Add what was found in the next part."""
    total.first_lines.append(total.lines)
    surplus = found.leading - max(0, min(header_lines - total.lines, found.leading))  # behind the header's end
    total.records += surplus
    total.problems += surplus
    last = list(enumerate(found.leading_lines, found.leading - len(found.leading_lines) + 1))
    stray = [Rejected(number, HEADER_LINE, line) for number, line in last[len(last) - min(surplus, len(last)) :]]
    total.rejected += [bad.moved(total.lines) for bad in stray + found.rejected]
    for name in ("lines", "records", "problems", "reference_only", "half_missing", "other_headers"):
        setattr(total, name, getattr(total, name) + getattr(found, name))
    for key, is_flag in found.undeclared_info.items():
        total.undeclared_info[key] = total.undeclared_info.get(key, True) and is_flag
    total.undeclared_format |= found.undeclared_format
    total.contigs |= found.contigs


def refuse_overlap(header: Header, contigs: set[str], loaded_from: dict[tuple[str, str], str]) -> None:
    """Raise LakeError where an earlier file has a sample of this one on the same contig: its variants would count
    twice. `loaded_from` has the file of each sample and contig, and gets this one's.
    """
    for sample in header.samples:
        for contig in contigs:
            other = loaded_from.setdefault((sample, contig), header.path)
            if other != header.path:
                raise LakeError(
                    f"sample {sample} has records on contig {contig} in {other} too",
                    where=header.path,
                    todo="Load one of the files, or join them with bcftools concat.",
                )
