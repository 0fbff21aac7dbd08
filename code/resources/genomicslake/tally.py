"""The rows that a table must get, counted from a VCF's own text while its lines are checked, and their checksum.

A table is published only if what was written is what was counted here: by Hail, which is another reader, or, in layout
by_sample, from the same rows, handed on to `take`, so that there it tells of what was lost or changed on the way.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from genomicslake import checksums
from genomicslake.alleles import UNSPECIFIED, Placed
from genomicslake.genotypes import Calls
from genomicslake.plain import Group

HELD = 500_000  # rows that are held before they are added up


class Sites(NamedTuple):
    """Alternate alleles as the tables have them, a list or array of each column."""

    chromosomes: Sequence[str]
    starts: Any
    ends: Any
    references: Sequence[str]
    alternates: Sequence[str]

    @property
    def codes(self) -> checksums.Codes:
        """Their codes for the checksum."""
        chromosomes, starts, ends, references, alternates = self
        return checksums.sites(
            checksums.texts(chromosomes), starts, ends, checksums.texts(references), checksums.texts(alternates)
        )


Take = Callable[[Sites, Any, Any, Any], None]  # sites, and of each row the numbers of its site and sample, its state


@dataclass
class Tally:
    """Counts rows of records as they come, and hands them on to `take`; call `flush` at the end.

    `every_call`: a row for each alternate and sample (layout by_variant, where `<NON_REF>` and `<*>` have rows only if
    called, or, if `keeps_blocks`, in records that have no other alternate), otherwise only for those that a sample
    carries (by_sample).
    """

    samples: Sequence[str | None]
    every_call: bool
    keeps_blocks: bool = False
    take: Take | None = None
    rows: int = 0
    checksum: int = 0
    _sites: list[tuple[str, int, int, str, str]] = field(default_factory=list)
    _entries: list[tuple[int, Any, Any]] = field(default_factory=list)  # number of the site, samples, states
    _few: list[tuple[int, int, int]] = field(default_factory=list)  # the same, a row each
    _held: int = 0  # rows in `_entries`

    def __post_init__(self) -> None:
        """Prepare what every record needs."""
        self._codes = checksums.texts(self.samples)

    def add(self, chromosome: str, alleles: Sequence[Placed], calls: Calls) -> None:
        """Take a record: its alternates, and its samples' calls."""
        is_block = all(allele.alternate in UNSPECIFIED for allele in alleles)
        for number, allele in enumerate(alleles, 1):
            site, everybody = (chromosome, *allele), self._is_row_of_all(allele.alternate in UNSPECIFIED, is_block)
            if isinstance(calls, list):
                self._add_few(number, site, calls, everybody)
                continue
            rows, states = _rows(number, *calls, everybody)
            if len(rows):
                self._entries.append((len(self._sites), rows, states))
                self._sites.append(site)
                self._held += len(rows)
        if max(self._held, len(self._few)) > HELD:
            self.flush()

    def add_plain(self, chromosomes: Sequence[str], group: Group) -> None:
        """Take plain records, on a chromosome each."""
        kind = group.kind
        for number, alternate in enumerate(group.alternates, 1):
            is_unspecified = kind.has_unspecified and number == kind.alternates
            everybody = self._is_row_of_all(is_unspecified, kind.is_reference_only)
            rows, states = _rows(number, group.first.ravel(), group.second.ravel(), everybody)
            if not len(rows):  # as of a gVCF's blocks
                continue
            sites = Sites(chromosomes, alternate.starts, alternate.ends, alternate.references, alternate.alternates)
            self._count(sites, rows // len(self.samples), rows % len(self.samples), states)

    def _is_row_of_all(self, is_unspecified: bool, is_block: bool) -> bool:
        """Whether all samples have a row for an alternate, not only those that carry it."""
        return self.every_call and (not is_unspecified or (is_block and self.keeps_blocks))

    def _add_few(
        self, number: int, site: tuple[str, int, int, str, str], pairs: Sequence[tuple[int, int]], everybody: bool
    ) -> None:
        is_used = False
        for sample, (first, second) in enumerate(pairs):
            copies = (first == number) + (second == number)
            if copies or everybody:
                known = (first >= 0) + (second >= 0)
                state = copies if known == 2 else 3 + copies if known == 1 else checksums.NO_CALL
                self._few.append((len(self._sites), sample, state))
                is_used = True
        if is_used:
            self._sites.append(site)

    def flush(self) -> None:
        """Add what is held to the count and the checksum."""
        if not self._sites:
            return
        if self._entries:
            numbers = np.repeat([entry[0] for entry in self._entries], [len(entry[1]) for entry in self._entries])
            samples = np.concatenate([entry[1] for entry in self._entries])
            states = np.concatenate([entry[2] for entry in self._entries])
        else:
            numbers, samples, states = np.array(self._few).T
        self._count(Sites(*zip(*self._sites, strict=True)), numbers, samples, states)
        self._sites, self._entries, self._few, self._held = [], [], [], 0

    def _count(self, sites: Sites, numbers: Any, samples: Any, states: Any) -> None:
        self.rows += len(numbers)
        row_codes = checksums.rows(sites.codes[numbers], self._codes[samples], states)
        self.checksum = checksums.add(self.checksum, row_codes)
        if self.take:
            self.take(sites, numbers, samples, states)


def _rows(number: int, first: Any, second: Any, everybody: bool) -> tuple[Any, Any]:
    """Which calls have a row for alternate `number`, and the states of these."""
    rows = np.arange(len(first)) if everybody else np.flatnonzero((first == number) | (second == number))
    first, second = first[rows], second[rows]
    copies = (first == number).astype(np.int8) + (second == number)
    known = (first >= 0).astype(np.int8) + (second >= 0)
    return rows, np.where(known == 2, copies, np.where(known == 1, 3 + copies, checksums.NO_CALL))
