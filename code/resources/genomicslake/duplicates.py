"""Records that have an allele of an earlier record at the same position of their file: carriers would count twice.

In a file that is sorted such records are neighbours, so each part of it tells by itself whether there may be any.
Only where a file is not sorted, or has one, all its records are looked at together, by position.
"""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from operator import itemgetter

import numpy as np

from genomicslake.plain import Plain
from genomicslake.records import Record

Locus = tuple[str, int]
Line = tuple[int, int]  # the number of a part, and of a line in it


@dataclass
class Loci:
    """The order of a part's records, and the alleles at its ends."""

    is_sorted: bool = True
    has_duplicates: bool = False
    first: Locus | None = None
    last: Locus | None = None
    at_first: set[Hashable] = field(default_factory=set)
    at_last: set[Hashable] = field(default_factory=set)
    contigs: list[str] = field(default_factory=list)  # in their order

    def add(self, record: Record) -> None:
        """Take the next record."""
        self._add((record.contig, record.position), record.keys)

    def add_run(self, plain: Plain, start: int, end: int) -> None:
        """Take the records of lines that all are plain."""
        run: Iterable[int] = range(start, end)
        contigs, positions = plain.contigs[start:end], plain.positions[start:end]
        if (contigs == contigs[0]).all() and (np.diff(positions) > 0).all():
            run = sorted({start, end - 1})  # what is between can't stand twice
        for line in run:
            self._add((plain.contigs[line], int(plain.positions[line])), plain.keys(line))

    def _add(self, locus: Locus, keys: Sequence[Hashable]) -> None:
        if locus != self.last:
            self._move(locus)
        if keys:
            self.has_duplicates |= not self.at_last.isdisjoint(keys)
            self.at_last.update(keys)

    def _move(self, locus: Locus) -> None:
        if self.last is None or locus[0] != self.last[0]:
            self.is_sorted &= locus[0] not in self.contigs
            self.contigs.append(locus[0])
        else:
            self.is_sorted &= locus[1] > self.last[1]
        if self.first is None:
            self.first, self.last = locus, locus
            self.at_last = self.at_first
        else:
            self.last, self.at_last = locus, set()


def are_sorted(parts: Iterable[Loci]) -> bool:
    """Whether a file of these parts, in their order, has each contig's records together, in the order of positions."""
    contigs: list[str] = []
    before: Locus | None = None
    for part in parts:
        if part.first is None or part.last is None:
            continue
        again = part.contigs[1:] if contigs and part.contigs[0] == contigs[-1] else part.contigs
        is_behind = not before or part.first[0] != before[0] or part.first[1] >= before[1]
        if not (part.is_sorted and is_behind and set(again).isdisjoint(contigs)):
            return False
        contigs += again
        before = part.last
    return True


def possible(parts: Sequence[Loci]) -> bool:
    """Whether a file of these parts, in their order, is not sorted or has an allele twice."""
    if not are_sorted(parts) or any(part.has_duplicates for part in parts):
        return True
    last: Locus | None = None
    alleles: set[Hashable] = set()  # at the last position so far
    for part in parts:
        if part.first is None:
            continue
        if part.first == last and not part.at_first.isdisjoint(alleles):
            return True
        alleles = part.at_last | (alleles if part.first == part.last == last else set())
        last = part.last
    return False


def among(records: Iterable[tuple[Line, Sequence[Hashable]]]) -> list[Line]:
    """The lines of the records at one position, given with their alleles, that have an allele of an earlier one; one
    that is left out for that takes no other with it.
    """
    seen: set[Hashable] = set()
    found = []
    for line, keys in sorted(records, key=itemgetter(0)):
        if seen.isdisjoint(keys):
            seen.update(keys)
        else:
            found.append(line)
    return found
