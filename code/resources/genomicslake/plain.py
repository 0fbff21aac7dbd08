"""Records that are plainly sound, told many at once.

Most records of a clean file are alike: alternates of bases, a few FORMATs, and fields that the header declares, in one
order. Two patterns for each kind of records in a chunk of lines, run by Arrow (RE2), tell which lines are such; their
calls become arrays. Nothing here tells that a record is bad: each line that is not plain is one for
records.RecordCheck, and of a plain one RecordCheck would say the same.
"""

from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import ne

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from genomicslake import patterns
from genomicslake.alleles import UNSPECIFIED, Placed, placed
from genomicslake.genotypes import ABSENT, MISSING
from genomicslake.patterns import Kind
from genomicslake.records import RecordCheck

Positions = npt.NDArray[np.int64]
Alleles = npt.NDArray[np.int8]

LOOKED_AT = 256  # records from which patterns are made
FEWEST = 8  # records of a kind in a chunk for which they are made
MOST = 4  # alternates
BEHIND = 8  # bytes that stand behind a chunk's text: a word may begin at its end

_END = "(?:^|;)END=(?P<end>[0-9]+)"
_COLUMNS = 8  # of a site: CHROM to INFO
_TAB, _NEWLINE, _RETURN, _COMMA, _SLASH, _BAR, _DOT, _ANGLE, _ZERO = b"\t\n\r,/|.>0"
_SEMICOLON, _COLON = b";:"


@dataclass(frozen=True)
class Alternate:
    """An alternate of each of some records: as in alleles.Placed, a list or array of each part."""

    starts: Positions
    ends: Positions
    references: Sequence[str]
    alternates: Sequence[str]

    def place(self, number: int) -> Placed:
        """That of one record."""
        place = int(self.starts[number]), int(self.ends[number])
        return Placed(*place, self.references[number], self.alternates[number])

    def of(self, records: slice) -> "Alternate":
        """Those of some records."""
        return Alternate(self.starts[records], self.ends[records], self.references[records], self.alternates[records])


@dataclass(frozen=True)
class Group:
    """The plain records of a kind in a chunk, in its order.

    `lines` has the numbers of their lines in the chunk, from 0; `positions` are 1-based; `first` and `second` have
    the alleles that the calls name (see genotypes), a row a record and a column a sample.
    """

    kind: Kind
    lines: Positions
    contigs: list[str]  # by their names in the file
    positions: Positions
    alternates: list[Alternate]
    first: Alleles
    second: Alleles

    def keys(self, number: int) -> list[Hashable]:
        """A record's alleles, as records.Record has them."""
        places = [alternate.place(number) for alternate in self.alternates]
        return [place for place in places if place.alternate.isalpha()]

    def between(self, start: int, end: int) -> "Group":
        """The records in a range of lines."""
        own = slice(*np.searchsorted(self.lines, [start, end]))
        alternates = [alternate.of(own) for alternate in self.alternates]
        sites = self.lines[own], self.contigs[own], self.positions[own]
        return Group(self.kind, *sites, alternates, self.first[own], self.second[own])


class Plain:
    """The plain records of a chunk of so many lines; `contigs` and `positions` are by line."""

    def __init__(self, text: "Lines", groups: Sequence[Group]) -> None:
        lines = len(text.starts)
        self.lines, self.groups = text, groups
        self.is_plain = np.zeros(lines, bool)
        self.contigs = np.full(lines, "", object)
        self.positions = np.zeros(lines, np.int64)
        self._group = np.zeros(lines, np.int64)
        self._number = np.zeros(lines, np.int64)  # in the group
        for number, group in enumerate(groups):
            self.is_plain[group.lines] = True
            self.contigs[group.lines] = group.contigs
            self.positions[group.lines] = group.positions
            self._group[group.lines] = number
            self._number[group.lines] = np.arange(len(group.lines))

    def keys(self, line: int) -> list[Hashable]:
        """The alleles of the record in a line."""
        found: list[Hashable] = self.groups[self._group[line]].keys(self._number[line])
        return found


def read(chunk: bytes, check: RecordCheck, left_out: Collection[int] = ()) -> Plain:
    """The plain records in a chunk of whole lines, but for those in the lines numbered in `left_out`."""
    samples = len(check.header.samples)
    lines = Lines.of(chunk)
    found = np.flatnonzero(lines.tabs_of == (_COLUMNS + samples if samples else _COLUMNS - 1))
    if left_out:
        found = found[~np.isin(found, list(left_out))]
    found = found[lines.infos_end(found) > lines.column_ends(found, _COLUMNS - 1) + 1]
    starts, ends = lines.column_ends(found, 4) + 1, lines.column_ends(found, 5)
    alternates = 1 + lines.commas_between(starts, ends)
    alternates[(ends == starts + 1) & (lines.text[starts] == _DOT)] = 0
    has_unspecified = lines.text[ends - 1] == _ANGLE
    groups = []
    for number in np.unique(alternates[alternates <= MOST]).tolist():
        for has in (False, True):
            of_kind = found[(alternates == number) & (has_unspecified == has)]
            if len(of_kind) >= FEWEST:
                groups.append(_group(lines, of_kind, Kind(number, has), check))
    return Plain(lines, groups)


def _group(lines: "Lines", found: Positions, kind: Kind, check: RecordCheck) -> Group:
    """Those of some lines whose records are plain."""
    found = _matching(lines, found, kind, check)
    while True:  # once, as a rule
        contig, position, id_, reference, alternate = (lines.column_ends(found, column) for column in range(1, 6))
        contigs, positions = lines.texts(lines.starts[found], contig), lines.numbers(contig + 1, position)
        lengths = _each(contigs, check.contigs)
        references, texts = lines.texts(id_ + 1, reference), lines.texts(reference + 1, alternate)
        ends = lines.ends_told(found) if kind.has_unspecified else np.zeros(len(found), np.int64)
        is_sound = (positions <= lengths) & (ends <= lengths)
        if not kind.is_reference_only:
            differ = ne if kind.alternates == 1 else _are_different
            is_sound &= np.fromiter(map(differ, references, texts), bool, len(found))
        if is_sound.all():
            break
        found = found[is_sound]
    calls = np.full((len(found), 1), MISSING, np.int8), np.full((len(found), 1), ABSENT, np.int8)
    if check.header.samples:
        calls = _calls(lines, found, len(check.header.samples))
    split = zip(*(text.split(",") for text in texts), strict=True) if kind.alternates > 1 else [texts]
    starts = positions - 1
    ends = np.where(ends > starts, ends, starts + reference - id_ - 1)
    alternates = [_placed(starts, ends, references, list(alleles)) for alleles in split] if kind.alternates else []
    return Group(kind, found, contigs, positions, alternates, *calls)


def _each(names: list[str], numbers: Mapping[str, int]) -> Positions:
    """The number of each name; as a rule, all are one."""
    if len(set(names)) == 1:
        return np.full(len(names), numbers[names[0]])
    return np.fromiter(map(numbers.__getitem__, names), np.int64, len(names))


def _are_different(reference: str, alternates: str) -> bool:
    alleles = [reference, *alternates.split(",")]
    return len(set(alleles)) == len(alleles)


def _placed(starts: Positions, ends: Positions, references: list[str], alternates: list[str]) -> Alternate:
    """Where alternates stand; `starts` and `ends` have where they stand if they are symbolic."""
    if set(alternates) <= {*UNSPECIFIED}:
        return Alternate(starts, ends, references, alternates)
    starts, ends, references = starts.copy(), starts + 1, references.copy()
    characters = sum(np.fromiter(map(len, texts), np.int64, len(texts)) for texts in (references, alternates))
    for number in np.flatnonzero(characters > 2).tolist():
        place = placed(int(starts[number]) + 1, references[number], alternates[number], None)
        starts[number], ends[number], references[number], alternates[number] = place
    return Alternate(starts, ends, references, alternates)


@dataclass(frozen=True)
class Lines:
    """Where a chunk's lines begin, its tabs, and, once they are asked for, others of its characters. Columns count from
    1.
    """

    chunk: bytes
    text: npt.NDArray[np.uint8]  # the chunk's bytes, and a few more, for there is always something behind a call
    starts: Positions
    tabs: Positions
    first_tab: Positions  # of each line: its number in `tabs`
    tabs_of: Positions  # of each line: how many it has

    @classmethod
    def of(cls, chunk: bytes) -> "Lines":
        """The lines of a chunk."""
        text = np.frombuffer(chunk + bytes(BEHIND), np.uint8)
        starts = np.concatenate([[0], np.flatnonzero(text == _NEWLINE) + 1])
        starts = starts[starts < len(chunk)]
        tabs = np.flatnonzero(text == _TAB)
        first_tab = np.searchsorted(tabs, starts)
        return cls(chunk, text, starts, tabs, first_tab, np.diff([*first_tab, len(tabs)]))

    @cached_property
    def commas(self) -> Positions:
        """Where its commas stand."""
        return np.flatnonzero(self.text == _COMMA)

    @cached_property
    def semicolons(self) -> Positions:
        """Where its semicolons stand."""
        return np.flatnonzero(self.text == _SEMICOLON)

    @cached_property
    def colons(self) -> Positions:
        """Where its colons stand."""
        return np.flatnonzero(self.text == _COLON)

    def column_ends(self, lines: Positions, column: int) -> Positions:
        """Where a column of lines ends that have one behind it."""
        return self.tabs[self.first_tab[lines] + column - 1]

    def column_starts(self, lines: Positions, first: int, count: int) -> Positions:
        """Where so many columns from `first` on begin: a row a line."""
        found: Positions = self.tabs[self.first_tab[lines, None] + np.arange(first - 2, first - 2 + count)] + 1
        return found

    def ends(self, lines: Positions) -> Positions:
        """Where lines end, without what ends them."""
        ends = np.append(self.starts, len(self.chunk))[lines + 1]
        ends -= self.text[ends - 1] == _NEWLINE
        ends -= self.text[ends - 1] == _RETURN
        return ends

    def infos_end(self, lines: Positions) -> Positions:
        """Where INFO ends, of lines with or without a column behind it."""
        ends = self.ends(lines)
        has_more = self.tabs_of[lines] >= _COLUMNS
        ends[has_more] = self.column_ends(lines[has_more], _COLUMNS)
        return ends

    def ends_told(self, lines: Positions) -> Positions:
        """INFO's END, 0 where there is none."""
        if not len(lines):
            return np.zeros(0, np.int64)
        edges = np.stack([self.column_ends(lines, _COLUMNS - 1) + 1, self.infos_end(lines)], 1).ravel()
        found = pc.struct_field(pc.extract_regex(self.pieces(edges)[::2], _END), "end")
        ends: Positions = pc.fill_null(found.cast(pa.large_string()).cast(pa.int64()), 0).to_numpy()
        return ends

    def pieces(self, edges: Positions, validity: bytes | None = None) -> pa.Array:
        """The text between edges and those behind them, as Arrow has it; null where a bit is not set."""
        buffers = [validity, edges, self.chunk]
        buffers = [None if buffer is None else pa.py_buffer(buffer) for buffer in buffers]
        return pa.Array.from_buffers(pa.large_binary(), len(edges) - 1, buffers)

    def begin_with(self, starts: Positions, ends: Positions, own: bytes) -> npt.NDArray[np.bool_]:
        """Which texts begin with another."""
        words = np.ndarray(len(self.text) - BEHIND + 1, "<u8", self.text, strides=(1,))
        found: npt.NDArray[np.bool_] = ends - starts >= len(own)
        for at in range(0, len(own), BEHIND):
            part = own[at : at + BEHIND]
            mask = np.uint64((1 << 8 * len(part)) - 1)
            found &= words[np.minimum(starts + at, len(words) - 1)] & mask == int.from_bytes(part, "little")
        return found

    def commas_between(self, starts: Positions, ends: Positions) -> Positions:
        """How many commas texts have."""
        return np.searchsorted(self.commas, ends) - np.searchsorted(self.commas, starts)

    def texts(self, starts: Positions, ends: Positions) -> list[str]:
        """The texts of a column."""
        if (ends - starts == 1).all():
            return list(self.text[starts].tobytes().decode("latin-1"))
        one = self.chunk[starts[0] : ends[0]]
        if (ends - starts == len(one)).all() and self.begin_with(starts, ends, one).all():  # as a rule, one contig
            return [one.decode()] * len(starts)
        return [self.chunk[start:end].decode() for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]

    def numbers(self, starts: Positions, ends: Positions) -> Positions:
        """The whole numbers of a column."""
        numbers = np.zeros(len(starts), np.int64)
        for digit in range((ends - starts).max(initial=0)):
            at = starts + digit
            numbers = np.where(at < ends, 10 * numbers + self.text[np.minimum(at, ends)] - _ZERO, numbers)
        return numbers


def _matching(lines: Lines, found: Positions, kind: Kind, check: RecordCheck) -> Positions:
    """Those of some lines that match the patterns made from them."""
    cuts = lines.infos_end(found)
    some = np.linspace(0, len(found) - 1, min(LOOKED_AT, len(found))).astype(np.int64)
    ends = lines.column_ends(found[some], _COLUMNS + 1) if check.header.samples else cuts[some]
    records = [lines.chunk[start:end].split(b"\t") for start, end in zip(lines.starts[found[some]], ends, strict=True)]
    edges = np.repeat(np.append(lines.starts, len(lines.chunk)), 2)[:-1]  # each line is two pieces:
    edges[2 * found + 1] = cuts  # its columns to INFO, and the rest
    is_looked_at = np.zeros(len(edges) - 1, bool)
    is_looked_at[2 * found] = is_looked_at[2 * found + 1] = True
    pieces = lines.pieces(edges, np.packbits(is_looked_at, bitorder="little").tobytes())
    try:
        site, rest = (
            pc.fill_null(pc.match_substring_regex(pieces, pattern), False).to_numpy(zero_copy_only=False)
            for pattern in patterns.of(kind, records, check)
        )
    except pa.ArrowInvalid:  # more fields than RE2 takes in a pattern
        return found[:0]
    plain: Positions = found[site[2 * found] & rest[2 * found + 1]]
    return plain


def _calls(lines: Lines, found: Positions, samples: int) -> tuple[Alleles, Alleles]:
    """The alleles of the plain calls of so many samples in lines."""
    cells = _cells_of_three(lines, found, samples)
    if cells is not None:
        return _allele(cells[:, ::4]), _allele(cells[:, 2::4])
    starts = lines.column_starts(found, _COLUMNS + 2, samples)
    second = np.where(_is_separator(lines.text[starts + 1]), _allele(lines.text[starts + 2]), ABSENT)
    return _allele(lines.text[starts]), second.astype(np.int8)


def _cells_of_three(lines: Lines, found: Positions, samples: int) -> npt.NDArray[np.uint8] | None:
    """The text of the cells of lines where each is an allele, a separator and another, and the byte behind it; None
    where one isn't. As there are so many cells, tabs in these places are all of them.
    """
    starts = lines.column_ends(found, _COLUMNS + 1) + 1
    if not (lines.ends(found) - starts == 4 * samples - 1).all():
        return None
    cells = np.empty((len(found), 4 * samples), np.uint8)
    for row, start in zip(cells, starts.tolist(), strict=True):
        row[:] = lines.text[start : start + 4 * samples]
    is_such = (cells[:, 3:-1:4] == _TAB).all() and _is_separator(cells[:, 1::4]).all()
    return cells if is_such else None


def _is_separator(characters: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    is_such: npt.NDArray[np.bool_] = (characters == _SLASH) | (characters == _BAR)
    return is_such


def _allele(characters: npt.NDArray[np.uint8]) -> Alleles:
    found = (characters - np.uint8(_ZERO)).view(np.int8)
    found[found == _DOT - _ZERO] = MISSING
    return found
