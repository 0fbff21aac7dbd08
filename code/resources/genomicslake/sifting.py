"""The sound records of a file apart from those that can't be loaded, which go to the table `rejects`."""

from collections.abc import Callable, Iterator
from typing import Any

from genomicslake import tasks
from genomicslake.lines import Gap, Part
from genomicslake.reasons import Problem, Reason
from genomicslake.records import Record, RecordCheck
from genomicslake.rejects import Rejected, Writer
from genomicslake.scan import DUPLICATE, Input, Scan, numbered

Sound = Iterator[tuple[bytes, Record]]


def sift(
    context: Any, one: Input, found: Scan, every_field: bool, folder: str, use: Callable[[int, RecordCheck, Sound], int]
) -> list[int]:
    """Write what can't be loaded to `folder`, a file for each part that has some, and let `use` have the number of each
    part and its sound records: their lines, without line ends, and what was read in them. What it returns for each.
    """
    header, lengths, duplicates = one.header, one.lengths, found.duplicates
    parts = list(enumerate(zip(found.parts, found.first_lines, strict=True)))

    def task(numbered_part: tuple[int, tuple[Part, int]]) -> int:
        number, (part, first_line) = numbered_part
        rejected = Writer(f"{folder}/rejects-{number:05d}.parquet", part.path)
        check = RecordCheck(header, lengths, every_field)

        def sound() -> Sound:
            for line_number, line in numbered(part):
                at = first_line + line_number
                if isinstance(line, Gap):
                    rejected.add(Rejected(at, Problem(Reason.BLOCK, line.why), line.text))
                    continue
                if not line or (line.startswith(b"#") and at <= header.lines):
                    continue
                record = check.read(line)
                if line_number in duplicates.get(number, ()) and not isinstance(record, Problem):
                    record = DUPLICATE
                if isinstance(record, Problem):
                    rejected.add(Rejected(at, record, line))
                    continue
                for problem in record.problems:
                    rejected.add(Rejected(at, problem, line))
                yield line, record

        result = use(number, check, sound())
        rejected.close()
        return result

    return tasks.each(context, parts, task)


def count(_: int, __: RecordCheck, sound: Sound) -> int:
    """How many records are sound."""
    return sum(1 for _ in sound)
