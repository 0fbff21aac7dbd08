"""Values of INFO and FORMAT fields by the types that a header declares: one by one, and many at once as Arrow's arrays.

Of a Number A, R or G, a row has the part that is about its alternate (VCF specification, section 1.4.2): A its own; R
the reference's and its own; G those of the genotypes 0/0, 0/i and i/i, or, of as many values as alleles, of 0 and i.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from genomicslake.header import Field

Positions = npt.NDArray[np.int64]
_KINDS = {"Integer": pa.int32(), "Float": pa.float64(), "Flag": pa.bool_()}
MOST = 2**31 - 1  # of an integer
ORDERS = 64  # of INFO's fields that are read at once, of a chunk


def element(declared: Field) -> pa.DataType:
    """The type of one value."""
    return _KINDS.get(declared.type, pa.string())


def kind(declared: Field) -> pa.DataType:
    """The type of a field's column."""
    is_one = declared.is_scalar or declared.number == "A"
    return element(declared) if is_one else pa.list_(element(declared))


# one by one


def one(declared: Field, text: bytes) -> Any:
    """A value; None where it is missing."""
    if text == b".":
        return None
    if declared.type == "Integer":
        return int(text)
    return float(text) if declared.type == "Float" else text.decode()


def whole(declared: Field, value: bytes | None) -> Any:
    """All of a field's value, a list of what is no scalar."""
    if declared.type == "Flag":
        return value is not None
    if value is None or value == b".":
        return None
    return one(declared, value) if declared.is_scalar else [one(declared, text) for text in value.split(b",")]


def of_allele(declared: Field, value: bytes | None, number: int, count: int) -> Any:
    """What the row of alternate `number`, from 1, of so many has of a field's value."""
    found = whole(declared, value)
    if declared.type == "Flag" or declared.number not in ("A", "R", "G") or found is None:
        return found
    if declared.number == "A":
        return found[number - 1] if len(found) == count else None
    is_allele = len(found) == count + 1
    if declared.number == "R":
        return [found[0], found[number]] if is_allele else None
    if len(found) == (count + 1) * (count + 2) // 2:
        return [found[0], found[number * (number + 1) // 2], found[number * (number + 3) // 2]]
    return [found[0], found[number]] if is_allele else found


def rounded(value: float | None) -> int | None:
    """A number as the columns gq and dp have it: the nearest integer, halves up."""
    return None if value is None or not abs(value) <= MOST else math.floor(value + 0.5)


def filters(text: str) -> list[str] | None:
    """FILTER as an array in alphabetical order; None for `.`."""
    return None if text == "." else sorted(set(text.split(";")))


# many at once


@dataclass(frozen=True)
class Values:
    """Values of a field in lines, in ascending order of their places: where each begins and ends, -1 where there is
    none.
    """

    lines: Any
    declared: Field
    starts: Positions
    ends: Positions

    @property
    def is_there(self) -> npt.NDArray[np.bool_]:
        """Which there are."""
        found: npt.NDArray[np.bool_] = self.starts >= 0
        return found

    def array(self) -> pa.Array:
        """All of them, lists of what is no scalar; null for those that are missing."""
        if self.declared.type == "Flag":
            return pa.array(self.is_there)
        if self.declared.is_scalar:
            return _with_nulls(self._converted(self.starts[self.is_there], self.ends[self.is_there]), self.is_there)
        offsets = np.append(self._firsts, self._firsts[-1] + self._counts[-1]) if len(self._firsts) else np.zeros(1)
        return _lists(offsets.astype(np.int32), self._parts, self._counts == 0)

    def own(self, of_rows: Any, alt: Any, count: int) -> pa.Array:
        """Of each row's value, of so many parts, that of its alternate."""
        is_such = self._counts[of_rows] == count
        if is_such.all():
            return taken(self._parts, self._firsts[of_rows] + alt)
        return self._parts.take(pa.array(np.where(is_such, self._firsts[of_rows] + alt, 0), mask=~is_such))

    def pairs(self, of_rows: Any, alt: Any, count: int) -> pa.Array:
        """The same, those of the reference and of its alternate."""
        return self._chosen(of_rows, [np.zeros(len(alt), np.int64), alt + 1], self._counts[of_rows] == count)

    def of_genotypes(self, of_rows: Any, alt: Any, alleles: int) -> pa.Array:
        """The same, those of 0/0, 0/i and i/i, or of as many values as alleles of 0 and i; anything else as it is."""
        counts, number = self._counts[of_rows], alt + 1
        is_diploid = counts == alleles * (alleles + 1) // 2
        is_haploid = (counts == alleles) & ~is_diploid
        zeros = np.zeros(len(alt), np.int64)
        diploid = self._chosen(of_rows, [zeros, number * (number + 1) // 2, number * (number + 3) // 2], is_diploid)
        if is_diploid.all():
            return diploid
        haploid = self._chosen(of_rows, [zeros, number], is_haploid)
        others = self.array().take(pa.array(of_rows))
        return pc.if_else(pa.array(is_diploid), diploid, pc.if_else(pa.array(is_haploid), haploid, others))

    def _chosen(self, of_rows: Any, parts: Sequence[Any], is_such: Any) -> pa.Array:
        at = np.stack([np.where(is_such, self._firsts[of_rows] + part, 0) for part in parts], 1)[is_such]
        offsets = np.concatenate([[0], np.cumsum(is_such * len(parts))]).astype(np.int32)
        return _lists(offsets, taken(self._parts, at.ravel()), ~is_such)

    @cached_property
    def _is_list(self) -> npt.NDArray[np.bool_]:
        """Which there are that are not missing."""
        is_dot = (self.ends - self.starts == 1) & (self.lines.text[self.starts] == ord("."))
        found: npt.NDArray[np.bool_] = self.is_there & ~is_dot
        return found

    @cached_property
    def _commas(self) -> tuple[Positions, Positions]:
        """The commas in lists, and how many each value has."""
        starts, ends = self.starts[self._is_list], self.ends[self._is_list]
        every = self.lines.commas
        before, behind = np.searchsorted(every, starts), np.searchsorted(every, ends)
        counts = np.zeros(len(self.starts), np.int64)
        counts[self._is_list] = behind - before
        steps = np.zeros(len(every) + 1, np.int64)
        np.add.at(steps, before, 1)
        np.add.at(steps, behind, -1)
        return every[np.cumsum(steps[:-1]) > 0], counts

    @cached_property
    def _counts(self) -> Positions:
        """How many parts each value has; none of those that are missing."""
        found: Positions = np.where(self._is_list, self._commas[1] + 1, 0)
        return found

    @cached_property
    def _firsts(self) -> Positions:
        """The number of each value's first part."""
        found: Positions = np.concatenate([[0], np.cumsum(self._counts)[:-1]]) if len(self._counts) else self._counts
        return found

    @cached_property
    def _parts(self) -> pa.Array:
        """The parts of all lists, one after the other."""
        commas, starts, ends = self._commas[0], self.starts[self._is_list], self.ends[self._is_list]
        if len(commas):  # two runs that are sorted: they are merged
            starts = np.sort(np.concatenate([starts, commas + 1]), kind="stable")
            ends = np.sort(np.concatenate([ends, commas]), kind="stable")
        return self._converted(starts, ends)

    def _converted(self, starts: Positions, ends: Positions) -> pa.Array:
        return converted(self.lines, starts, ends, element(self.declared))


def taken(found: pa.Array, numbers: Any) -> pa.Array:
    """Those of so many numbers; as a rule, each once."""
    is_each = len(numbers) == len(found) and (numbers == np.arange(len(found))).all()
    return found if is_each else found.take(pa.array(numbers))


def converted(lines: Any, starts: Positions, ends: Positions, to: pa.DataType) -> pa.Array:
    """Texts of lines, in ascending order of their places, as values of a type; null for `.`."""
    if not len(starts):
        return pa.array([], to)
    edges = np.empty(2 * len(starts), np.int64)
    edges[::2], edges[1::2] = starts, ends
    is_there = np.zeros(len(edges) - 1, bool)  # what stands between two texts is none
    is_there[::2] = (ends - starts != 1) | (lines.text[starts] != ord("."))
    found = lines.pieces(edges, np.packbits(is_there, bitorder="little").tobytes())
    return found[::2].cast(to) if pa.types.is_string(to) else _numbers(found.cast(pa.large_string()), to)[::2]


def _numbers(found: pa.Array, to: pa.DataType) -> pa.Array:
    try:
        return pc.cast(found, to)
    except pa.ArrowInvalid:  # such as +1
        return pa.array([None if text is None else float(text) for text in found.to_pylist()], to)


def _with_nulls(found: pa.Array, is_there: npt.NDArray[np.bool_]) -> pa.Array:
    if is_there.all():
        return found
    return found.take(pa.array(np.cumsum(is_there) - 1, mask=~is_there))


def _lists(offsets: Any, parts: pa.Array, is_null: Any) -> pa.Array:
    """Lists by where each begins; null lists have no parts."""
    nulls = pa.array(np.append(is_null, False))
    return pa.ListArray.from_arrays(pc.if_else(nulls, None, pa.array(offsets, pa.int32())), parts)


def all_filters(lines: Any, starts: Positions, ends: Positions) -> pa.Array:
    """FILTER of many records (see filters)."""
    found = converted(lines, starts, ends, pa.string()).dictionary_encode()
    lists = pa.array([filters(text) for text in found.dictionary.to_pylist()], pa.list_(pa.string()))
    return lists.take(found.indices)


def infos(lines: Any, starts: Positions, ends: Positions, declared: Mapping[str, Field]) -> dict[str, Values]:
    """The values of all INFO fields in lines whose INFO stands there and has no field twice: of those with the same
    fields in the same order at once, of which there are few kinds as a rule; what is left, one by one.
    """
    places = {name: (np.full(len(starts), -1), np.full(len(starts), -1)) for name in declared}
    rest = np.arange(len(starts))
    for _ in range(ORDERS):
        if not len(rest):
            break
        is_such, values = _as_the_first(lines, starts[rest], ends[rest])
        for name in values.keys() & places.keys():
            for edges, own in zip(places[name], values[name], strict=True):
                edges[rest[is_such]] = own
        rest = rest[~is_such]
    for record in rest.tolist():
        at = int(starts[record])
        for entry in lines.chunk[at : int(ends[record])].split(b";"):
            name, equals, _ = entry.partition(b"=")
            if place := places.get(name.decode()):
                place[0][record], place[1][record] = at + len(name) + len(equals), at + len(entry)
            at += len(entry) + 1
    for name, (begins, stops) in places.items():
        if declared[name].type != "Flag":
            begins[begins == stops] = -1  # a value of no character is none
    return {name: Values(lines, declared[name], *place) for name, place in places.items()}


def _as_the_first(
    lines: Any, starts: Positions, ends: Positions
) -> tuple[npt.NDArray[np.bool_], dict[str, tuple[Positions, Positions]]]:
    """Which INFOs have the fields that the first one has, in its order, and where in these the values of each begin and
    end.
    """
    breaks = lines.semicolons
    first, last = np.searchsorted(breaks, starts), np.searchsorted(breaks, ends)
    is_such: npt.NDArray[np.bool_] = last - first == last[0] - first[0]
    within = breaks[np.arange(last[0] - first[0])[:, None] + first[is_such]]
    begins, stops = np.vstack([starts[is_such], within + 1]), np.vstack([within, ends[is_such]])
    is_same, values = np.ones(begins.shape[1], bool), {}
    for begin, stop in zip(begins, stops, strict=True):
        name, equals, _ = lines.chunk[begin[0] : stop[0]].partition(b"=")
        key = name + equals
        is_same &= lines.begin_with(begin, stop, key)
        if not equals:
            is_same &= stop - begin == len(key)
        values[name.decode()] = begin + len(key), stop
    is_such[is_such] = is_same
    return is_such, {name: (begin[is_same], stop[is_same]) for name, (begin, stop) in values.items()}


def formats(lines: Any, found: Positions, samples: Sequence[str], declared: Mapping[str, Field]) -> dict[str, Values]:
    """The values of all FORMAT fields of all samples in lines: those of a line's samples one after the other."""
    count = max(1, len(samples))
    places = {name: (np.full((len(found), count), -1), np.full((len(found), count), -1)) for name in declared}
    if samples:
        key_starts, key_ends = lines.column_ends(found, 8) + 1, lines.column_ends(found, 9)
        keys = lines.texts(key_starts, key_ends)
        for text in dict.fromkeys(keys):
            own = np.flatnonzero(np.array([one_ == text for one_ in keys]))
            starts = lines.column_starts(found[own], 10, count)
            ends = np.concatenate([starts[:, 1:] - 1, lines.ends(found[own])[:, None]], 1)
            colons = lines.colons
            first, last = np.searchsorted(colons, starts), np.searchsorted(colons, ends)
            padded = np.append(colons, len(lines.text))
            for number, name in enumerate(text.split(":")):
                if name not in places:
                    continue
                is_there = last - first >= number
                begins = starts if number == 0 else padded[np.minimum(first + number - 1, len(colons))] + 1
                stops = np.where(last - first > number, padded[np.minimum(first + number, len(colons))], ends)
                places[name][0][own], places[name][1][own] = (
                    np.where(is_there, begins, -1),
                    np.where(is_there, stops, -1),
                )
    return {name: Values(lines, declared[name], *(part.ravel() for part in place)) for name, place in places.items()}
