"""The patterns of plain records (see plain), made from records of a chunk, for Arrow's RE2.

A pattern takes less than what records.RecordCheck would: fields that the header declares, each once, in the order that
they have in most records. Of FORMATs, it takes those that were seen.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from typing import TypeGuard

from genomicslake import values
from genomicslake.alleles import UNSPECIFIED
from genomicslake.header import Field
from genomicslake.records import KEY, RecordCheck, misplaced

FORMATS = 8  # the most that a pattern has

END_OF_LINE = rb"\r?\n?$"
_OTHER = rb"\t\r\n\x80-\xff"  # what no plain value has
_NOTHING = rb"[^\x00-\xff]"
_BASES = rb"[ACGTN]+"


@dataclass(frozen=True, order=True)
class Kind:
    """What alternates records have: so many, the last of which may be UNSPECIFIED."""

    alternates: int
    has_unspecified: bool

    @property
    def is_reference_only(self) -> bool:
        """Whether there is no alternate, or only that of a gVCF's block."""
        return self.alternates == self.has_unspecified


def of(kind: Kind, records: Sequence[Sequence[bytes]], check: RecordCheck) -> tuple[bytes, bytes]:
    """The patterns of a record's columns CHROM to INFO, and of what follows, made from the columns of some records."""
    contigs = sorted(filter(bytes.isascii, {columns[0] for columns in records} & check.lengths.keys()))
    site = rb"^(?:%b)\t[1-9][0-9]{0,8}\t[^%b]*\t%b\t%b\t(?:\.|%b)\t[^%b]*\t(?:\.|%b)$" % (
        *(b"|".join(map(re.escape, contigs)) or _NOTHING, _OTHER, _BASES, _alternates(kind), values.NUMBER, _OTHER),
        _infos(kind, [columns[7] for columns in records], check),
    )
    if not check.header.samples:
        return site, b"^" + END_OF_LINE
    formats = Counter(columns[8] for columns in records).most_common(FORMATS)
    cells = b"|".join(filter(None, (_cells(kind, keys, check) for keys, _ in formats)))
    return site, rb"^(?:%b)" % (cells or _NOTHING) + END_OF_LINE


def _alternates(kind: Kind) -> bytes:
    if not kind.alternates:
        return rb"\."
    allele = _BASES if kind.alternates == 1 else rb"(?:%b|\*)" % _BASES
    alleles = [allele] * (kind.alternates - kind.has_unspecified)
    if kind.has_unspecified:
        alleles.append(b"(?:%b)" % b"|".join(re.escape(name.encode()) for name in UNSPECIFIED))
    return b",".join(alleles)


def _infos(kind: Kind, infos: Iterable[bytes], check: RecordCheck) -> bytes:
    """The pattern of INFO: fields with sound values, each once at most, in the order that they have in `infos`."""
    if not (check.every_field or kind.has_unspecified):
        return rb"(?:[^ =;%b]*(?:=[^;%b]*)?(?:;|$))*" % (_OTHER, _OTHER)  # names without a space
    keys = _order([[entry.partition(b"=")[0] for entry in info.split(b";")] for info in infos])
    entries = (_info(kind, key, check) for key in keys)
    return b"".join(b"(?:%b(?:;|$))?" % entry for entry in entries if entry)


def _info(kind: Kind, key: bytes, check: RecordCheck) -> bytes:
    """The pattern of a field; empty for one that a plain record does not have."""
    name = key.decode("utf-8", "replace")
    declared = check.header.info.get(name)
    if not KEY.fullmatch(key) or (check.every_field and not declared):  # what is undeclared is to be told of
        return b""
    if key == b"END":
        return rb"END=[1-9][0-9]{0,8}" if kind.has_unspecified else b""
    if key == b"SVLEN" and kind.has_unspecified:
        return b""
    if not check.every_field:
        return rb"%b(?:=[^;%b]*)?" % (re.escape(key), _OTHER)
    if not _has_pattern(declared):
        return b""
    if declared.type == "Flag":
        return re.escape(key)
    return rb"%b=%b" % (re.escape(key), values.pattern(declared, kind.alternates, b";" + _OTHER, is_plain=True))


def _has_pattern(declared: Field | None) -> TypeGuard[Field]:
    return declared is not None and declared.type != "Character"


def _order(lists: list[list[bytes]]) -> list[bytes]:
    """The order of names that lists of them have in common; that of the first to have each where they disagree."""
    before: dict[bytes, set[bytes]] = {name: set() for names in lists for name in names}
    for names in lists:
        for one, other in pairwise(names):
            before[other].add(one)
    try:
        return list(TopologicalSorter(before).static_order())
    except CycleError:
        return list(before)


def _cells(kind: Kind, keys: bytes, check: RecordCheck) -> bytes:
    """The pattern of a FORMAT and the cells of all samples; empty for a FORMAT that a plain record does not have."""
    first, *others = keys.split(b":")
    declared = [check.header.format.get(key.decode("utf-8", "replace")) for key in others]
    if first != b"GT" or not keys.isascii() or misplaced(keys) or b"LEN" in keys:
        return b""
    if check.every_field and not all(map(_has_pattern, declared)):
        return b""
    further = b""
    for field in reversed(declared):  # trailing values may be dropped
        is_checked = check.every_field and field
        value = b"[^:%b]*" % _OTHER
        if is_checked:
            value = values.pattern(field, kind.alternates, b":" + _OTHER, is_plain=True)
        further = b"(?::%b%b)?" % (value, further)
    call = rb"(?:[0-%d][/|][0-%d]|\.[/|]\.|[0-%d]|\.)" % (3 * (kind.alternates,))
    return b"\t%b(?:\t%b%b)+" % (re.escape(keys), call, further)
