"""What makes a VCF record one that can be loaded, and the reasons why one can't.

One regular expression, made once for each FORMAT and number of alternates, tells whether all cells of a
line are sound; only a line that fails it is looked at cell by cell, for the reason.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache

from genomicslake.alleles import BASES, UNSPECIFIED
from genomicslake.header import Field, Header


class Reason(StrEnum):
    """Why a record is rejected: the closed list of codes in the table `rejects`."""

    COLUMNS = "columns"  # another number of columns than the header
    CONTIG = "contig"  # not in the reference genome
    POSITION = "position"  # no whole number, or outside the contig
    REFERENCE = "reference"  # REF is not bases
    ALTERNATE = "alternate"  # ALT is nothing that the specification knows, or the same as REF
    QUALITY = "quality"  # QUAL is not a number
    INFO = "info"  # an INFO value that its header line does not allow
    ENCODING = "encoding"  # bytes that are not UTF-8
    CALL = "call"  # GT is malformed, of more than two alleles, or names an allele that the record lacks
    FORMAT = "format"  # another FORMAT value that its header line does not allow
    HEADER = "header"  # a header line among the records
    NUMBER = "number"  # ClinVar: no whole number where one is needed


@dataclass(frozen=True)
class Problem:
    """Why a record can't be loaded: the reason's code, and the detail for a person."""

    reason: Reason
    detail: str


_NUMBER = rb"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"
HEADER_LINE = Problem(Reason.HEADER, "a header line stands among the records")

_32_BITS = rb"1[0-9]{9}|20[0-9]{8}|21[0-3][0-9]{7}|214[0-6][0-9]{6}|2147[0-3][0-9]{5}|21474[0-7][0-9]{4}"
_VALUE = {
    "Integer": rb"(?:-?(?:[0-9]{1,9}|" + _32_BITS + rb"|214748[0-2][0-9]{3}|2147483[0-5][0-9]{2}|21474836[0-3][0-9])"
    rb"|214748364[0-7]|-2147483640|\.)",  # what the VCF specification, section 1.3, allows
    "Float": rb"(?:" + _NUMBER + rb"|[-+]?(?i:nan|inf|infinity)|\.)",
    "Character": rb"[^,:\t]",
}
_SYMBOLIC = re.compile(rb"<[^<>\s,]+>")
_BREAKEND = re.compile(rb"[A-Za-z.]*[\[\]][^\[\]\s,]+[\[\]][A-Za-z.]*|\.[A-Za-z]+|[A-Za-z]+\.")
_BASES = re.compile(BASES.pattern.encode(), re.IGNORECASE)
_KEY = re.compile(rb"[\w.+-]+")
_QUALITY = re.compile(_NUMBER)
_HALF_MISSING = re.compile(rb"\t(?:\.[/|][0-9]|[0-9]+[/|]\.)")
_NOTHING = re.compile(b"(?!)")  # matches nothing
_UNSPECIFIED = {allele.encode() for allele in UNSPECIFIED}


@lru_cache(maxsize=4096)
def _values(declared: Field, alternates: int, ends: bytes = rb":\t") -> bytes:
    """The pattern of the values that a header line allows, `.` for missing included; text stops at one of `ends`."""
    if declared.is_scalar:
        return _VALUE.get(declared.type, b"[^%b]*" % ends)
    value = _VALUE.get(declared.type, b"[^,%b]*" % ends)
    alleles = alternates + 1
    counts = {"A": [alternates], "R": [alleles], "G": [alleles * (alleles + 1) // 2, alleles]}.get(declared.number)
    more = [b"{%d}" % (count - 1) for count in counts] if counts and alternates else [b"*"]  # no alternate, no row
    return b"(?:%b|\\.)" % b"|".join(b"%b(?:,%b)%b" % (value, value, times) for times in more)


@lru_cache(maxsize=4096)
def _info(declared: Field, alternates: int) -> re.Pattern[bytes]:
    return re.compile(_values(declared, alternates, rb"\t"))


@lru_cache(maxsize=512)
def _call(alternates: int) -> bytes:
    """The pattern of a call of one or two alleles that a record with so many alternates can have."""
    allele = b"(?:%b|\\.)" % b"|".join(str(index).encode() for index in range(alternates, -1, -1))
    return b"%b(?:[/|]%b)?" % (allele, allele)


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
    reference_only: int = 0  # records without an alternate, and a gVCF's blocks
    half_missing: int = 0  # records with a call such as ./1
    used: set[str] = field(default_factory=set)  # contigs, by their names in the file

    def __post_init__(self) -> None:
        """Prepare what every line needs."""
        self._columns = 9 + len(self.header.samples)
        self._lengths = {name.encode(): length for name, length in self.contigs.items()}
        self._cells: dict[tuple[bytes, int], tuple[re.Pattern[bytes], re.Pattern[bytes]]] = {}
        self._end = Field("END", "1", "Integer")

    def problem(self, line: bytes) -> Problem | None:
        """Why this line (without its line end) can't be loaded; None where it can."""
        if line.startswith(b"#"):
            return HEADER_LINE
        if b"\r" in line:
            return Problem(Reason.COLUMNS, "a carriage return stands inside the record")
        if not line.isascii() and not is_utf8(line):
            return Problem(Reason.ENCODING, "the record is not UTF-8")
        found = line.count(b"\t") + 1
        if found > self._columns:  # some callers end their lines with a tab
            line = line.rstrip(b"\t")
            line += b"\t" * (self._columns - 1 - line.count(b"\t"))
            found = line.count(b"\t") + 1
        if found != self._columns:
            return Problem(Reason.COLUMNS, f"{found} columns, the header has {self._columns}")
        contig, position, _, reference, alternate, quality, _, info, rest = line.split(b"\t", 8)
        alternates = [] if alternate == b"." else alternate.split(b",")
        return (
            self._locus(contig, position)
            or self._alleles(reference, alternates)
            or self._quality(quality)
            or self._infos(contig, info, alternates)
            or self._samples(rest, len(alternates))
        )

    def _locus(self, contig: bytes, position: bytes) -> Problem | None:
        length = self._lengths.get(contig)
        if length is None:
            return Problem(Reason.CONTIG, f"the reference genome has no contig {_text(contig)} of the header's length")
        self.used.add(contig.decode())
        if not position.isdigit() or len(position) > 12 or not 1 <= int(position) <= length:
            return Problem(Reason.POSITION, f"POS {_text(position)} is not in 1–{length}")
        return None

    def _alleles(self, reference: bytes, alternates: list[bytes]) -> Problem | None:
        if not _BASES.fullmatch(reference):
            return Problem(Reason.REFERENCE, f"REF {_text(reference)} is not bases")
        for allele in alternates:
            if _BASES.fullmatch(allele):
                if allele.upper() == reference.upper():
                    return Problem(Reason.ALTERNATE, f"ALT {_text(allele)} is the same as REF")
            elif not (allele == b"*" or _SYMBOLIC.fullmatch(allele) or _BREAKEND.fullmatch(allele)):
                return Problem(Reason.ALTERNATE, f"ALT {_text(allele)} is no allele")
        if len({allele.upper() for allele in alternates}) < len(alternates):
            return Problem(Reason.ALTERNATE, "an ALT allele stands twice")
        if all(allele in _UNSPECIFIED for allele in alternates):
            self.reference_only += 1
        return None

    def _quality(self, quality: bytes) -> Problem | None:
        if quality == b"." or _QUALITY.fullmatch(quality):
            return None
        return Problem(Reason.QUALITY, f"QUAL {_text(quality)} is not a number")

    def _infos(self, contig: bytes, info: bytes, alternates: list[bytes]) -> Problem | None:
        if info == b".":
            return None
        is_symbolic = any(allele.startswith(b"<") for allele in alternates)
        if not self.every_field and not is_symbolic:
            return None
        seen: set[bytes] = set()
        for entry in filter(None, info.split(b";")):  # empty ones are semicolons too many
            name, equals, value = entry.partition(b"=")
            if name in seen:
                return Problem(Reason.INFO, f"INFO has {_text(name)} twice")
            seen.add(name)
            declared = self._declared(name, is_flag=not equals)
            if declared is None and self.every_field and not _KEY.fullmatch(name):
                return Problem(Reason.INFO, f"INFO's {_text(name)} can't be a field's name")
            if declared and equals and declared.type != "Flag":
                if not _info(declared, len(alternates)).fullmatch(value):
                    return Problem(Reason.INFO, f"INFO {_text(entry)} is not {_described(declared)}")
                if is_symbolic and name == b"END" and value != b"." and int(value) > self._lengths[contig]:
                    return Problem(Reason.INFO, f"INFO {_text(entry)} is behind the end of {_text(contig)}")
        return None

    def _declared(self, name: bytes, *, is_flag: bool) -> Field | None:
        """The INFO field by the header, END by the specification; None for one that is not looked at."""
        key = name.decode()
        if self.every_field and key not in self.header.info:
            self.undeclared_info[key] = self.undeclared_info.get(key, True) and is_flag
        if key == "END":
            return self._end
        return self.header.info.get(key) if self.every_field else None

    def _samples(self, rest: bytes, alternates: int) -> Problem | None:
        keys, _, cells = rest.partition(b"\t")
        if (keys, alternates) not in self._cells:
            self._cells[keys, alternates] = self._patterns(keys, alternates)
        cell, every = self._cells[keys, alternates]
        if not every.fullmatch(cells):
            return self._explain(keys, cells, cell, alternates)
        if b"." in cells and keys.split(b":")[0] == b"GT" and _HALF_MISSING.search(b"\t" + cells):
            self.half_missing += 1
        return None

    def _patterns(self, keys: bytes, alternates: int) -> tuple[re.Pattern[bytes], re.Pattern[bytes]]:
        """The patterns of one cell and of all cells of a line."""
        if _misplaced(keys):
            return _NOTHING, _NOTHING
        values = [self._pattern(key.decode("utf-8", "replace"), alternates) for key in keys.split(b":")]
        cell = values[-1]
        for value in reversed(values[:-1]):  # trailing values may be dropped
            cell = b"%b(?::%b)?" % (value, cell)
        cell = b"(?:%b|\\.)" % cell
        more = len(self.header.samples) - 1
        return re.compile(cell), re.compile(b"(?>%b(?:\t|$)){%d}" % (cell, more + 1))

    def _pattern(self, key: str, alternates: int) -> bytes:
        if key == "GT":
            return _call(alternates)
        if not self.every_field:
            return rb"[^:\t]*"
        declared = self.header.format.get(key)
        if declared is None:
            if key != ".":
                self.undeclared_format.add(key)
            return rb"[^:\t]*"
        return _values(declared, alternates)

    def _explain(self, keys: bytes, cells: bytes, cell: re.Pattern[bytes], alternates: int) -> Problem:
        if misplaced := _misplaced(keys):
            return Problem(Reason.FORMAT, f"{misplaced} FORMAT {_text(keys)}")
        for sample, text in zip(self.header.samples, cells.split(b"\t"), strict=True):
            if cell.fullmatch(text):
                continue
            values = text.split(b":")
            if len(values) > keys.count(b":") + 1:
                return Problem(
                    Reason.FORMAT, f"sample {sample} has more values than FORMAT {_text(keys)}: {_text(text)}"
                )
            for key, value in zip(keys.split(b":"), values, strict=False):
                name = key.decode("utf-8", "replace")
                if re.fullmatch(self._pattern(name, alternates), value):
                    continue
                if name == "GT":
                    return Problem(
                        Reason.CALL, f"sample {sample}'s GT {_text(value)} {_call_problem(value, alternates)}"
                    )
                return Problem(
                    Reason.FORMAT,
                    f"sample {sample}'s {name} {_text(value)} is not {_described(self.header.format[name])}",
                )
        return Problem(Reason.FORMAT, "the samples' values do not fit FORMAT")


def _misplaced(keys: bytes) -> str:
    """What is wrong with the order of FORMAT's fields, if anything."""
    names = keys.split(b":")
    if b"GT" in names[1:]:
        return "GT is not the first field of"
    if not all(_KEY.fullmatch(name) for name in names):
        return "a name that can't be a field's stands in"
    return "a field stands twice in" if len(set(names)) < len(names) else ""


def _call_problem(value: bytes, alternates: int) -> str:
    called = re.split(rb"[/|]", value)
    if not all(allele == b"." or allele.isdigit() for allele in called):
        return "is no call"
    if len(called) > 2:
        return f"has {len(called)} alleles; the tables hold calls of one or two"
    return f"names an allele that the record lacks: it has {alternates} alternate(s)"


def _described(declared: Field) -> str:
    return f"what the header declares: Number={declared.number}, Type={declared.type}"


def is_utf8(text: bytes) -> bool:
    """Whether bytes are UTF-8."""
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _text(value: bytes) -> str:
    """A value as it stands in messages: decoded, cut at 60 characters."""
    text = value.decode("utf-8", "backslashreplace")
    return repr(text if len(text) <= 60 else text[:57] + "…")
