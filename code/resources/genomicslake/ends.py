"""Where symbolic alleles end for which INFO's END does not tell it.

`<DEL>`, `<DUP>`, `<INV>` and `<CNV>` end SVLEN bases behind POS (VCF 4.5, 3.2), and "any other allele" of a gVCF ends
with the longest of its samples' LEN bases from POS (1.6.2). END stands first, where a record has it: it was there
before them, and VCF 4.5 reckons it from them.
"""

import re
from collections.abc import Sequence

from genomicslake.alleles import UNSPECIFIED
from genomicslake.reasons import Reason, RecordError, text

_HAS_LENGTH = re.compile(rb"<(?:DEL|DUP|INV|CNV|CN[0-9]+)(?::[^>]*)?>")
_LENGTHS = re.compile(rb"(?:-?[0-9]{1,10}|\.)(?:,(?:-?[0-9]{1,10}|\.))*")
_UNSPECIFIED = {allele.encode() for allele in UNSPECIFIED}


def of_alternates(
    position: int, alternates: Sequence[bytes], lengths: bytes, keys: bytes, cells: bytes
) -> tuple[int | None, ...]:
    """The 1-based ends of a record's alternates, None where nothing tells; empty where nothing tells of any.

    `lengths` is the value of INFO's SVLEN, `keys` FORMAT, `cells` what the samples have. Raises RecordError for an
    SVLEN that is not a whole number for each alternate.
    """
    found: list[int | None] = [None] * len(alternates)
    if lengths not in (b"", b".") and any(_HAS_LENGTH.fullmatch(allele) for allele in alternates):
        for number, (allele, length) in enumerate(zip(alternates, _numbers(lengths, len(alternates)), strict=True)):
            if length is not None and _HAS_LENGTH.fullmatch(allele):
                found[number] = position + abs(length)
    if any(allele in _UNSPECIFIED for allele in alternates) and (longest := _longest(keys, cells)):
        found = [
            position + longest - 1 if allele in _UNSPECIFIED else end
            for allele, end in zip(alternates, found, strict=True)
        ]
    return tuple(found) if any(found) else ()


def _numbers(lengths: bytes, alternates: int) -> list[int | None]:
    if not _LENGTHS.fullmatch(lengths):
        raise RecordError(Reason.INFO, f"INFO SVLEN={text(lengths)} is not whole numbers")
    found = [None if length == b"." else int(length) for length in lengths.split(b",")]
    if len(found) != alternates:
        raise RecordError(Reason.NUMBER, f"INFO SVLEN={text(lengths)} is not a number for each alternate")
    return found


def _longest(keys: bytes, cells: bytes) -> int:
    """The greatest LEN of the samples; 0 where there is none."""
    fields = keys.split(b":")
    if b"LEN" not in fields:
        return 0
    at = fields.index(b"LEN")
    values = [cell.split(b":")[at : at + 1] for cell in cells.split(b"\t")]
    return max((int(value[0]) for value in values if value and re.fullmatch(rb"[0-9]{1,9}", value[0])), default=0)
