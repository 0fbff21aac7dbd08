"""Column names that Athena, crawlers and people can read."""

import re
from collections.abc import Iterable, Sequence

from genomicslake.header import ENDS, TEXT_OF_CALL, Header, merged


def columns(prefix: str, fields: Iterable[str]) -> dict[str, str]:
    """A lower-case column name for each field: `prefix`, then letters, digits and `_`; numbered where two collide.

    >>> columns("info_", ["AF", "S.X", "af"])
    {'AF': 'info_af', 'S.X': 'info_s_x', 'af': 'info_af_2'}
    """
    named: dict[str, str] = {}
    taken: set[str] = set()
    for field in fields:
        plain = prefix + re.sub(r"[^a-z0-9_]", "_", field.lower())
        name, count = plain, 1
        while name in taken:
            count += 1
            name = f"{plain}_{count}"
        named[field] = name
        taken.add(name)
    return named


def of_headers(headers: Sequence[Header]) -> tuple[dict[str, str], dict[str, str]]:
    """The columns of all INFO and of all FORMAT fields of some headers. Raises LakeError where headers disagree."""
    paths = [header.path for header in headers]
    info = merged("INFO", [header.info for header in headers], paths)
    formats = merged("FORMAT", [header.format for header in headers], paths)
    info.pop(ENDS, None)
    formats.pop(TEXT_OF_CALL, None)
    return columns("info_", info), columns("format_", formats)


def snake(name: str) -> str:
    """A name in snake case.

    >>> snake("SCVsForAggregateGermlineClassification"), snake("PositionVCF")
    ('scvs_for_aggregate_germline_classification', 'position_vcf')
    """
    name = re.sub(r"^SCVs", "Scvs", name)  # the plural of an acronym
    name = re.sub(r"([a-z0-9])([A-Z])|([A-Z])([A-Z][a-z])", r"\1\3_\2\4", name)
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
