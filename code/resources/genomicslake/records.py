"""What makes a VCF record one that can be loaded, and the reasons why one can't, or a field of it.

A record's calls become numbers, all at once where they are plain (see genotypes). Of FORMAT's other fields, one
regular expression, made once for each FORMAT and number of alternates, tells whether all cells of a line are sound;
only a line that fails is looked at cell by cell, for the reason.
"""

import re
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from itertools import repeat

from genomicslake import ends, genotypes, values
from genomicslake.alleles import BASES, UNSPECIFIED, Placed, placed
from genomicslake.genotypes import CallError, Calls
from genomicslake.header import Field, Header
from genomicslake.reasons import Problem, Reason, RecordError, text

HEADER_LINE = Problem(Reason.HEADER, "a header line stands among the records")

_SYMBOLIC = re.compile(rb"<[^<>\s,]+>")
_BREAKEND = re.compile(rb"[A-Za-z.]*[\[\]][^\[\]\s,]+[\[\]][A-Za-z.]*|\.[A-Za-z]+|[A-Za-z]+\.")
_BASES = re.compile(BASES.pattern.encode(), re.IGNORECASE)
_REFERENCE = re.compile(rb"[ACGTN]+", re.IGNORECASE)  # VCF 4.3, 1.6.1; Hail passes over a record with other codes
KEY = re.compile(rb"[\w.+-]+")
_QUALITY = re.compile(values.NUMBER)
_UNSPECIFIED = {allele.encode() for allele in UNSPECIFIED}
_NOT_OWN = {*UNSPECIFIED, "*"}  # alleles that many records at a place may have
_END = Field("END", "1", "Integer")


@dataclass(frozen=True, slots=True)
class Record:
    """A record that can be loaded, but for the fields that `problems` are about."""

    contig: str  # by its name in the file
    position: int  # 1-based
    alternates: tuple[Placed, ...]
    keys: tuple[Hashable, ...]  # what tells its alleles from those of other records at its position
    is_reference_only: bool  # no alternate, or a gVCF's block
    is_rewritten: bool  # it has what Hail does not read so: `ends`, half-missing calls (./1), a leading phase (/0/1)
    ends: tuple[int | None, ...]  # 1-based, of the alternates whose end is not INFO's END (see ends); empty for none
    calls: Calls
    problems: tuple[Problem, ...]


@dataclass
class RecordCheck:
    """Checks the records of one file.

    `contigs` maps the contigs' names in the file to their lengths in bases. `every_field` checks every INFO
    and FORMAT value against the header; without it only what the layout `by_sample` needs: GT and END.
    """

    header: Header
    contigs: Mapping[str, int]
    every_field: bool
    undeclared_info: dict[str, bool] = field(default_factory=dict)  # name → is it always without a value?
    undeclared_format: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Prepare what every line needs."""
        self._samples = len(self.header.samples_of_rows)
        self.lengths = {name.encode(): length for name, length in self.contigs.items()}
        self._patterns: dict[tuple[bytes, int], tuple[re.Pattern[bytes], re.Pattern[bytes]]] = {}

    def problems(self, line: bytes) -> tuple[Problem, ...]:
        """What is wrong with a line (without its line end): one problem without a field where it can't be loaded."""
        found = self.read(line)
        return (found,) if isinstance(found, Problem) else found.problems

    def read(self, line: bytes) -> Record | Problem:
        """The record of a line (without its line end), or why it can't be loaded."""
        try:
            return self._record(line)
        except RecordError as error:
            return error.problem

    def columns(self, line: bytes) -> list[bytes]:
        """The columns of a line: CHROM to INFO, FORMAT, and what the samples have; without samples, a call that is
        missing. Raises for another number.
        """
        if not self.header.samples:
            return self._columns_of_site(line)
        wanted = 9 + self._samples
        found = line.count(b"\t") + 1
        if found > wanted:  # some callers end their lines with a tab
            line = line.rstrip(b"\t")
            line += b"\t" * (wanted - 1 - line.count(b"\t"))
            found = line.count(b"\t") + 1
        if found != wanted:
            raise RecordError(Reason.COLUMNS, f"{found} columns, the header has {wanted}")
        return line.split(b"\t", 9)

    def _columns_of_site(self, line: bytes) -> list[bytes]:
        found = line.rstrip(b"\t").split(b"\t")
        if len(found) not in (8, 9):  # FORMAT may stand there all the same
            raise RecordError(Reason.COLUMNS, f"{len(found)} columns, the header, without samples, has 8 or 9")
        return [*found[:8], b"GT", b"."]

    def _record(self, line: bytes) -> Record:
        if line.startswith(b"#"):
            raise RecordError(HEADER_LINE.reason, HEADER_LINE.detail)
        if b"\r" in line:
            raise RecordError(Reason.COLUMNS, "a carriage return stands inside the record")
        if not line.isascii() and not is_utf8(line):
            raise RecordError(Reason.ENCODING, "the record is not UTF-8")
        contig, position, name, reference, alternate, quality, _, info, keys, cells = self.columns(line)
        alternates = [] if alternate == b"." else alternate.split(b",")
        at = self._position(contig, position)
        _check_alleles(reference, alternates)
        problems: list[Problem] = []
        if quality != b"." and not _QUALITY.fullmatch(quality):
            problems.append(Problem(Reason.QUALITY, f"QUAL {text(quality)} is not a number", "QUAL"))
        end, lengths = self._infos(contig, info, alternates, problems)
        calls = self._calls(keys, cells, len(alternates), problems)
        bases = reference.decode()
        own: tuple[int | None, ...] = ()
        if end is None and (lengths or b"LEN" in keys):
            own = ends.of_alternates(at, alternates, lengths, keys, cells)
            if max(filter(None, own), default=0) > self.lengths[contig]:
                what = f"POS {at} and SVLEN or LEN lead behind the end of {text(contig)}"
                raise RecordError(Reason.BEYOND_CONTIG, what)
        places = tuple(
            placed(at, bases, allele.decode(), end or one)
            for allele, one in zip(alternates, own or repeat(None), strict=False)
        )
        return Record(
            contig.decode(),
            at,
            places,
            tuple(_key(place, name) for place in places if place.alternate not in _NOT_OWN),
            all(allele in _UNSPECIFIED for allele in alternates),
            bool(own) or (b"." in cells and genotypes.any_half_missing(calls)) or _has_leading_phase(keys, cells),
            own,
            calls,
            tuple(problems),
        )

    def _position(self, contig: bytes, position: bytes) -> int:
        length = self.lengths.get(contig)
        if length is None:
            detail = f"the reference genome has no contig {text(contig)} of the header's length"
            raise RecordError(Reason.CONTIG, detail)
        if not position.isdigit() or len(position) > 12 or not int(position):
            raise RecordError(Reason.POSITION, f"POS {text(position)} is not a whole number from 1")
        if int(position) > length:
            what = f"POS {position.decode()} is behind the end of {text(contig)}, {length}"
            raise RecordError(Reason.BEYOND_CONTIG, what)
        return int(position)

    def _infos(
        self, contig: bytes, info: bytes, alternates: list[bytes], problems: list[Problem]
    ) -> tuple[int | None, bytes]:
        """INFO's END and SVLEN where there is a symbolic allele; what is wrong with other fields goes to `problems`."""
        is_symbolic = any(allele.startswith(b"<") for allele in alternates)
        if info == b"." or not (self.every_field or is_symbolic or b" " in info):
            return None, b""
        end, lengths = None, b""
        seen: set[bytes] = set()
        for entry in filter(None, info.split(b";")):  # empty ones are semicolons too many
            name, equals, value = entry.partition(b"=")
            is_end = is_symbolic and name == b"END"
            if is_symbolic and name == b"SVLEN":
                lengths = value
            if not (self.every_field or is_end or b" " in name):  # a name with a space, Hail can't even pass over
                continue
            problem: Problem | None
            if name in seen:
                problem = Problem(Reason.INFO, f"INFO has {text(name)} twice", f"INFO/{name.decode()}")
            else:
                problem = self._info(name, equals, value, entry, len(alternates))
            seen.add(name)
            if is_end:
                if problem:
                    raise RecordError(problem.reason, problem.detail)
                end = int(value) if value not in (b"", b".") else None
                if end is not None and end > self.lengths[contig]:
                    what = f"INFO {text(entry)} is behind the end of {text(contig)}"
                    raise RecordError(Reason.BEYOND_CONTIG, what)
            elif problem and problem.field not in {known.field for known in problems}:
                problems.append(problem)
        return end, lengths

    def _info(self, name: bytes, equals: bytes, value: bytes, entry: bytes, alternates: int) -> Problem | None:
        key = name.decode()
        declared = _END if key == "END" else self.header.info.get(key)
        if declared is None and not KEY.fullmatch(name):
            return Problem(Reason.INFO, f"INFO's {text(name)} can't be a field's name", f"INFO/{key}")
        if self.every_field and key not in self.header.info:
            self.undeclared_info[key] = self.undeclared_info.get(key, True) and not equals
        if (
            declared
            and equals
            and declared.type != "Flag"
            and not values.of_info(declared, alternates).fullmatch(value)
        ):
            return values.problem("INFO", declared, value, f"INFO {text(entry)}")
        return None

    def _calls(self, keys: bytes, cells: bytes, alternates: int, problems: list[Problem]) -> Calls:
        if what := misplaced(keys):
            raise RecordError(Reason.FORMAT, f"{what} FORMAT {text(keys)}")
        fields = keys.split(b":")
        try:
            calls = (
                genotypes.read(cells, self._samples, alternates)
                if fields[0] == b"GT"
                else genotypes.missing(self._samples)
            )
        except CallError:
            raise self._bad_call(cells, alternates) from None
        if self.every_field:
            self._check_values(fields, cells, alternates, problems)
        elif b":" in cells and genotypes.most_values(cells) > len(fields):
            self._refuse_surplus(fields, cells)
        return calls

    def _bad_call(self, cells: bytes, alternates: int) -> RecordError:
        for sample, cell in zip(self.header.samples, cells.split(b"\t"), strict=True):
            call = cell.split(b":", 1)[0]
            try:
                genotypes.few(call, alternates)
            except CallError:
                reason, what = _call_problem(call, alternates)
                return RecordError(reason, f"sample {sample}'s GT {text(call)} {what}")
        raise AssertionError("a call is bad and none is")

    def _check_values(self, fields: list[bytes], cells: bytes, alternates: int, problems: list[Problem]) -> None:
        """What is wrong with the samples' values goes to `problems`, once a field."""
        cell, every = self._patterns_of(fields, alternates)
        if every.fullmatch(cells):
            return
        self._refuse_surplus(fields, cells)
        found: dict[bytes, list[tuple[str, bytes]]] = {}
        for sample, values_ in zip(self.header.samples, cells.split(b"\t"), strict=True):
            if cell.fullmatch(values_):
                continue
            for key, value in zip(fields, values_.split(b":"), strict=False):
                if not re.fullmatch(self._pattern(key, alternates), value):
                    found.setdefault(key, []).append((sample, value))
        for key, bad in found.items():
            sample, value = bad[0]
            more = f" (and those of {len(bad) - 1} more)" if len(bad) > 1 else ""
            shown = f"sample {sample}'s {key.decode()} {text(value)}{more}"
            problems.append(values.problem("FORMAT", self.header.format[key.decode()], value, shown))

    def _refuse_surplus(self, fields: list[bytes], cells: bytes) -> None:
        for sample, cell in zip(self.header.samples, cells.split(b"\t"), strict=True):
            if cell.count(b":") >= len(fields):
                what = f"sample {sample} has more values than FORMAT {text(b':'.join(fields))}: {text(cell)}"
                raise RecordError(Reason.FORMAT, what)

    def _patterns_of(self, fields: list[bytes], alternates: int) -> tuple[re.Pattern[bytes], re.Pattern[bytes]]:
        """The patterns of one cell and of all cells of a line."""
        key = (b":".join(fields), alternates)
        if key not in self._patterns:
            parts = [self._pattern(name, alternates) for name in fields]
            cell = parts[-1]
            for part in reversed(parts[:-1]):  # trailing values may be dropped
                cell = b"%b(?::%b)?" % (part, cell)
            cell = b"(?:%b|\\.)" % cell
            self._patterns[key] = re.compile(cell), re.compile(b"(?>%b(?:\t|$)){%d}" % (cell, self._samples))
        return self._patterns[key]

    def _pattern(self, key: bytes, alternates: int) -> bytes:
        """The pattern of a FORMAT field's values; that of GT, which is checked already, is anything."""
        name = key.decode()
        declared = self.header.format.get(name)
        if name == "GT" or declared is None:
            if name not in ("GT", "."):
                self.undeclared_format.add(name)
            return rb"[^:\t]*"
        return values.pattern(declared, alternates)

    def without(self, line: bytes, problems: tuple[Problem, ...]) -> bytes:
        """A line without the fields that problems are about."""
        left_out = {problem.field for problem in problems}
        columns = self.columns(line)
        if "QUAL" in left_out:
            columns[5] = b"."
        infos = [entry for entry in columns[7].split(b";") if f"INFO/{_name(entry)}" not in left_out]
        columns[7] = b";".join(filter(None, infos)) or b"."
        alternates = 0 if columns[4] == b"." else columns[4].count(b",") + 1
        fields = columns[8].split(b":")
        patterns = {
            number: self._pattern(key, alternates)
            for number, key in enumerate(fields)
            if f"FORMAT/{key.decode()}" in left_out
        }
        if patterns:
            cells = [cell.split(b":") for cell in columns[9].split(b"\t")]
            for cell in cells:
                for number, pattern in patterns.items():
                    if number < len(cell) and not re.fullmatch(pattern, cell[number]):
                        cell[number] = b"."
            columns[9] = b"\t".join(map(b":".join, cells))
        return b"\t".join(columns if self.header.samples else columns[:8])


def _has_leading_phase(keys: bytes, cells: bytes) -> bool:
    return cells.startswith((b"/", b"|")) or (keys.startswith(b"GT") and (b"\t/" in cells or b"\t|" in cells))


def _key(place: Placed, name: bytes) -> Hashable:
    """Insertions and breakends of the same name and place may be two: their records' IDs tell."""
    return place if place.alternate.isalpha() else (place, name)


def _name(entry: bytes) -> str:
    return entry.partition(b"=")[0].decode()


def _check_alleles(reference: bytes, alternates: list[bytes]) -> None:
    if not _REFERENCE.fullmatch(reference):
        raise RecordError(Reason.REFERENCE, f"REF {text(reference)} is not bases: A, C, G, T or N")
    for allele in alternates:
        if _BASES.fullmatch(allele):
            if allele.upper() == reference.upper():
                raise RecordError(Reason.ALTERNATE, f"ALT {text(allele)} is the same as REF")
        elif not (allele == b"*" or _SYMBOLIC.fullmatch(allele) or _BREAKEND.fullmatch(allele)):
            raise RecordError(Reason.ALTERNATE, f"ALT {text(allele)} is no allele")
    if len(alternates) > 1 and len({allele.upper() for allele in alternates}) < len(alternates):
        raise RecordError(Reason.ALTERNATE, "an ALT allele stands twice")


def misplaced(keys: bytes) -> str:
    """What is wrong with the order of FORMAT's fields, if anything."""
    if keys == b"GT":
        return ""
    names = keys.split(b":")
    if b"GT" in names[1:]:
        return "GT is not the first field of"
    if not all(KEY.fullmatch(name) for name in names):
        return "a name that can't be a field's stands in"
    return "a field stands twice in" if len(set(names)) < len(names) else ""


def _call_problem(value: bytes, alternates: int) -> tuple[Reason, str]:
    called = re.split(rb"[/|]", re.sub(rb"^[/|]", b"", value))
    if not all(allele == b"." or allele.isdigit() for allele in called):
        return Reason.CALL, "is no call"
    if len(called) > 2:
        return Reason.CALL, f"has {len(called)} alleles; the tables hold calls of one or two"
    return Reason.ALLELE, f"names an allele that the record lacks: it has {alternates} alternate(s)"


def is_utf8(value: bytes) -> bool:
    """Whether bytes are UTF-8."""
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True
