"""Why records, or fields of them, are not loaded: the closed list of codes in the table `rejects` (docs/rejects.md)."""

from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """The codes. QUALITY, INFO, FORMAT and NUMBER may be about a field that alone is left out."""

    COLUMNS = "columns"  # another number of columns than the header
    CONTIG = "contig"  # not in the reference genome, or of another length
    POSITION = "position"  # no whole number from 1
    BEYOND_CONTIG = "beyond_contig"  # a position behind the contig's end
    REFERENCE = "reference"  # REF is not bases
    ALTERNATE = "alternate"  # ALT is nothing that the specification knows, or the same as REF
    QUALITY = "quality"  # QUAL is not a number
    INFO = "info"  # an INFO value that its type does not allow
    FORMAT = "format"  # a FORMAT value, but GT, that its type does not allow, or FORMAT itself is malformed
    NUMBER = "number"  # another count of values than the field's Number
    CALL = "call"  # GT is malformed, or of more than two alleles
    ALLELE = "allele"  # GT names an allele that the record lacks
    DUPLICATE = "duplicate"  # an allele that stands in an earlier record of the file
    ENCODING = "encoding"  # bytes that are not UTF-8
    BLOCK = "block"  # bytes of the file that can't be decompressed
    HEADER = "header"  # a header line among the records
    INTEGER = "integer"  # ClinVar: no whole number where one is needed


@dataclass(frozen=True)
class Problem:
    """Why a record can't be loaded: the reason's code, and the detail for a person.

    With a `field` (`QUAL`, `INFO/…`, `FORMAT/…`) the record can be loaded without it.
    """

    reason: Reason
    detail: str
    field: str | None = None


class RecordError(Exception):
    """A record can't be loaded, for its `problem`."""

    def __init__(self, reason: Reason, detail: str) -> None:
        """Take the problem's parts."""
        super().__init__(reason, detail)
        self.problem = Problem(reason, detail)


def text(value: bytes) -> str:
    """A value as it stands in messages: decoded, cut at 60 characters."""
    shown = value.decode("utf-8", "backslashreplace")
    return repr(shown if len(shown) <= 60 else shown[:57] + "…")
