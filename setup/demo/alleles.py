"""Invented alleles, and their shortest writing.

The bases are drawn, not read from a reference genome: REF of an invented site is not GRCh37's base there.
"""

from dataclasses import dataclass

import numpy as np

BASES = "ACGT"
TRANSITIONS = {"A": "G", "C": "T", "G": "A", "T": "C"}
TRANSITION_SHARE = 0.68  # of substitutions: about two to one, as in a human genome


@dataclass(frozen=True)
class Site:
    """A variant site without genotypes.

    `position` is 1-based GRCh37; `structure` is the part of INFO that only symbolic alleles have.
    """

    position: int
    name: str
    reference: str
    alternates: tuple[str, ...]
    structure: str = ""

    @property
    def symbolic(self) -> bool:
        """Whether the alternates are symbols such as <CN0>."""
        return self.alternates[0].startswith("<")


def trim(position: int, reference: str, alternates: tuple[str, ...]) -> tuple[int, str, tuple[str, ...]]:
    """Position, reference and alternates without the bases that all alleles share, each one base or longer.

    >>> trim(100, "CTT", ("CT",))
    (100, 'CT', ('C',))
    """
    alleles = (reference, *alternates)
    while min(map(len, alleles)) > 1 and len({allele[-1] for allele in alleles}) == 1:
        alleles = tuple(allele[:-1] for allele in alleles)
    while min(map(len, alleles)) > 1 and len({allele[0] for allele in alleles}) == 1:
        alleles = tuple(allele[1:] for allele in alleles)
        position += 1
    return position, alleles[0], alleles[1:]


def draw_bases(rng: np.random.Generator, length: int) -> str:
    """A sequence of `length` bases."""
    return "".join(BASES[index] for index in rng.integers(4, size=length).tolist())


def draw_distinct(rng: np.random.Generator, count: int) -> list[str]:
    """`count` different bases, at most four."""
    return [BASES[index] for index in rng.permutation(4)[:count].tolist()]


def draw_snv(rng: np.random.Generator) -> tuple[str, tuple[str, ...]]:
    """Reference and one alternate, a base each."""
    reference, *others = draw_distinct(rng, 4)
    transition = TRANSITIONS[reference]
    others.remove(transition)
    return reference, (transition if rng.random() < TRANSITION_SHARE else others[0],)


def draw_deletion(rng: np.random.Generator) -> tuple[str, tuple[str, ...]]:
    """Reference and one alternate, 1 to 15 bases shorter; left-aligned, since the last base differs."""
    anchor, last = draw_distinct(rng, 2)
    length = min(int(rng.geometric(0.35)), 15)
    return anchor + draw_bases(rng, length - 1) + last, (anchor,)


def draw_insertion(rng: np.random.Generator) -> tuple[str, tuple[str, ...]]:
    """Reference and one alternate, 1 to 15 bases longer; left-aligned."""
    longer, (anchor,) = draw_deletion(rng)
    return anchor, (longer,)


def draw_multiallelic(rng: np.random.Generator) -> tuple[str, tuple[str, ...]]:
    """Reference and two or three alternates, most of which need trimming once they stand alone."""
    a, b, c, d = draw_distinct(rng, 4)
    shapes: tuple[tuple[str, tuple[str, ...]], ...] = (
        (a, (b, c)),
        (a, (b, c, d)),
        (a + b + b, (a + b, a)),  # CTT -> CT,C
        (a + b, (a + b + b, a)),  # GA -> GAA,G
        (a + b + b, (a + b + b + b, a + b, a)),
        (a + b, (c + b, a)),  # GC -> TC,G: a substitution and a deletion
        (a + b + c + d, (a + b + c + a, a)),  # the substitution is three bases further on
    )
    return shapes[int(rng.integers(len(shapes)))]
