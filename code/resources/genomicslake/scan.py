"""The pass over a VCF's lines, by Spark's tasks: which records can be loaded, which not, where they stand and why."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from genomicslake import lines
from genomicslake.errors import LakeError
from genomicslake.header import Header
from genomicslake.lines import Part
from genomicslake.records import RecordCheck
from genomicslake.rejects import SHOWN, Rejected
from genomicslake.sources import Source


@dataclass
class Scan:
    """What the pass found. `first_lines` has the number of lines before each part; `rejected` only the first few."""

    lines: int = 0
    header_lines: int = 0
    records: int = 0
    problems: int = 0
    reference_only: int = 0
    half_missing: int = 0
    rejected: list[Rejected] = field(default_factory=list)
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
        if line.startswith(b"#") and not found.records:
            found.header_lines += 1
        elif line:
            found.records += 1
            problem = check.problem(line)
            if problem:
                found.problems += 1
                if len(found.rejected) < SHOWN:
                    found.rejected.append(Rejected(number, problem, line))
    found.reference_only, found.half_missing = check.reference_only, check.half_missing
    found.undeclared_info, found.undeclared_format = check.undeclared_info, check.undeclared_format
    return found


def scan(context: Any, source: Source, header: Header, contigs: Mapping[str, int], every_field: bool) -> Scan:
    """The scan of a file by Spark's tasks. Raises LakeError where a second header stands in the file."""
    parts = lines.parts(source, 4 * context.defaultParallelism)
    known = dict(contigs)

    def task(part: Part) -> Scan:
        return scan_part(part, RecordCheck(header, known, every_field))

    total = Scan(parts=parts)
    for found in context.parallelize(parts, len(parts)).map(task).collect():
        total.first_lines.append(total.lines)
        total.rejected += [Rejected(total.lines + bad.line, bad.problem, bad.record) for bad in found.rejected]
        for name in ("lines", "header_lines", "records", "problems", "reference_only", "half_missing"):
            setattr(total, name, getattr(total, name) + getattr(found, name))
        for key, is_flag in found.undeclared_info.items():
            total.undeclared_info[key] = total.undeclared_info.get(key, True) and is_flag
        total.undeclared_format |= found.undeclared_format
    if total.header_lines != header.lines:
        raise LakeError(
            f"{total.header_lines} header lines, but the header ends at line {header.lines}",
            where=source.path,
            todo="Was the file put together from several? Join them with bcftools concat.",
        )
    return total
