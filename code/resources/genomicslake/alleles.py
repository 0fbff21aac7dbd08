"""Alleles: what kinds there are, and their minimal representation."""

import re

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
