"""The calls of a record's samples as numbers: which alleles each names.

Allele indices are as in the VCF: 0 is REF, 1 the first ALT. MISSING stands for `.`, and ABSENT for the second allele
of a haploid call. Calls of more than two alleles have no numbers.
"""

import re
from functools import lru_cache

import numpy as np
import numpy.typing as npt

MISSING, ABSENT = -1, -2
FEW = 8  # samples, up to which Python is faster than arrays

Alleles = npt.NDArray[np.int16]
Calls = list[tuple[int, int]] | tuple[Alleles, Alleles]  # a pair of alleles a call, or all first and all second ones

_CALL = re.compile(rb"[/|]?(\.|[0-9]{1,4})(?:[/|](\.|[0-9]{1,4}))?")  # from VCF 4.4 with a phase before the first
_TAB, _COLON, _SLASH, _BAR, _DOT, _ZERO = b"\t:/|.0"


class CallError(ValueError):
    """A GT is no call of one or two alleles that the record has."""


def read(cells: bytes, samples: int, alternates: int) -> Calls:
    """The calls with which the cells of so many samples begin. Raises CallError."""
    return (few if samples <= FEW else many)(cells, alternates)


def missing(samples: int) -> Calls:
    """No call for any of so many samples."""
    if samples <= FEW:
        return [(MISSING, ABSENT)] * samples
    return np.full(samples, MISSING, np.int16), np.full(samples, ABSENT, np.int16)


def any_half_missing(calls: Calls) -> bool:
    """Whether a call has one allele missing, such as ./1."""
    if isinstance(calls, list):
        return any(min(call) == MISSING and max(call) >= 0 for call in calls)
    first, second = calls
    return bool((((first == MISSING) & (second >= 0)) | ((first >= 0) & (second == MISSING))).any())


def most_values(cells: bytes) -> int:
    """The number of values, separated by colons, that the cell with most of them has."""
    text = np.frombuffer(cells, np.uint8)
    edges = np.flatnonzero(text == _TAB)
    colons = np.searchsorted(np.flatnonzero(text == _COLON), [0, *edges, len(text)])
    return int(np.diff(colons).max()) + 1


def few(cells: bytes, alternates: int) -> list[tuple[int, int]]:
    """The two alleles of each call. Raises CallError."""
    return [_alleles(cell.split(b":", 1)[0], alternates) for cell in cells.split(b"\t")]


def many(cells: bytes, alternates: int) -> tuple[Alleles, Alleles]:
    """The first and the second alleles of all calls, an element a sample. Raises CallError."""
    found = _of_three_bytes(np.frombuffer(cells + b"\t\t\t\t", np.uint8), len(cells))
    if found is None:
        pairs = np.array(few(cells, alternates), np.int16)
        return pairs[:, 0], pairs[:, 1]
    if max(int(found[0].max()), int(found[1].max())) > alternates:
        raise CallError
    return found[0], found[1]


def _of_three_bytes(text: npt.NDArray[np.uint8], length: int) -> tuple[Alleles, Alleles] | None:
    """The same, where every call is an allele of one digit, a separator and another; None where one isn't."""
    starts = np.concatenate(([0], np.flatnonzero(text[:length] == _TAB) + 1))
    separators, ends = text[starts + 1], text[starts + 3]
    if not (((separators == _BAR) | (separators == _SLASH)) & ((ends == _TAB) | (ends == _COLON))).all():
        return None
    alleles = []
    for at in (starts, starts + 2):
        characters = text[at]
        found = characters.astype(np.int16) - _ZERO
        found[characters == _DOT] = MISSING
        if found.min() < MISSING or found.max() > 9 or ((found == MISSING) & (characters != _DOT)).any():
            return None
        alleles.append(found)
    return alleles[0], alleles[1]


@lru_cache(maxsize=65_536)
def _alleles(call: bytes, alternates: int) -> tuple[int, int]:
    match = _CALL.fullmatch(call)
    if not match:
        raise CallError
    alleles = [ABSENT if found is None else MISSING if found == b"." else int(found) for found in match.groups()]
    if max(alleles) > alternates:
        raise CallError
    return alleles[0], alleles[1]
