"""Alleles: what kinds there are, and their minimal representation."""

import re
from typing import NamedTuple

BASES = re.compile(r"[ACGTNRYSWKMBDHV]+", re.IGNORECASE)  # IUPAC codes stand in real references
UNSPECIFIED = ("<NON_REF>", "<*>")  # "any other allele" of a gVCF's blocks


def minimal(position: int, reference: str, alternate: str) -> tuple[int, str, str]:
    """Position, reference and alternate with what both alleles share trimmed away, the suffix first.

    One base of each allele always stays. Alleles that are not bases stay as they are. No shifting to the
    left, which needs the reference genome (Tan et al. 2015, doi:10.1093/bioinformatics/btv112, without that step).

    >>> minimal(100, "CTT", "CT")
    (100, 'CT', 'C')
    >>> minimal(100, "GCA", "GTA")
    (101, 'C', 'T')
    """
    if not (BASES.fullmatch(reference) and BASES.fullmatch(alternate)):
        return position, reference, alternate
    suffix, most = 0, min(len(reference), len(alternate)) - 1
    while suffix < most and reference[-1 - suffix] == alternate[-1 - suffix]:
        suffix += 1
    prefix, most = 0, most - suffix
    while prefix < most and reference[prefix] == alternate[prefix]:
        prefix += 1
    return (
        position + prefix,
        reference[prefix : len(reference) - suffix],
        alternate[prefix : len(alternate) - suffix],
    )


class Placed(NamedTuple):
    """An alternate allele as the tables have it: 0-based, half-open, in minimal representation."""

    start: int
    end: int
    reference: str
    alternate: str


def placed(position: int, reference: str, alternate: str, end: int | None) -> Placed:
    """Where an alternate stands whose record is at a 1-based position; `end` is INFO's END, for a symbolic allele."""
    reference = reference.upper()
    if len(reference) == len(alternate) == 1 and alternate in "ACGTacgt":
        return Placed(position - 1, position, reference, alternate.upper())
    if BASES.fullmatch(alternate):
        position, reference, alternate = minimal(position, reference, alternate.upper())
        return Placed(position - 1, position - 1 + len(reference), reference, alternate)
    start = position - 1
    if alternate.startswith("<") and end is not None and end > start:
        return Placed(start, end, reference, alternate)
    return Placed(start, start + len(reference), reference, alternate)
