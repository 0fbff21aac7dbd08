"""Minimal representation of alleles: the same as Hail's, whatever the alleles."""

import random

import hail as hl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from genomicslake import session
from genomicslake.alleles import BASES, UNSPECIFIED, minimal

CHROMOSOME_22 = 51_304_566  # bases, GRCh37
EXAMPLES = 20_000

bases = st.text("ACGTNRYacgtn", min_size=1, max_size=12)
repeats = st.builds(lambda unit, count: unit * count, st.text("ACGT", min_size=1, max_size=3), st.integers(1, 6))
allele = bases | repeats | st.builds(str.__add__, bases, repeats)
position = st.integers(1, CHROMOSOME_22)


def alleles_like_those_of_files(chance: random.Random) -> tuple[int, str, str]:
    """A position and two different alleles, most of which share a beginning or an end."""

    def text(most: int, letters: str = "ACGT") -> str:
        return "".join(chance.choices(letters, k=chance.randint(0, most)))

    letters = chance.choice(["ACGT", "ACGT", "A", "AC", "ACGTN"])  # few letters make ambiguous repeats
    while True:
        begin, end = text(6, letters), text(6, letters)
        reference, alternate = begin + text(5, letters) + end, begin + text(5, letters) + end
        if reference and alternate and reference != alternate:
            return chance.randint(1, CHROMOSOME_22 - 40), reference, alternate


def test_minimal_is_hails_min_rep() -> None:
    session.start()
    chance = random.Random(22)  # noqa: S311 - the same examples each time
    examples = [alleles_like_those_of_files(chance) for _ in range(EXAMPLES)]
    table = hl.Table.parallelize(
        [{"position": position, "alleles": [reference, alternate]} for position, reference, alternate in examples],
        hl.tstruct(position=hl.tint32, alleles=hl.tarray(hl.tstr)),
        n_partitions=2,
    )
    least = hl.min_rep(hl.locus("22", table.position, reference_genome="GRCh37"), table.alleles)
    by_hail = table.select(found=(least.locus.position, least.alleles)).found.collect()
    differences = [
        (example, found, (position, *alleles))
        for example, (position, alleles) in zip(examples, by_hail, strict=True)
        if (found := minimal(*example)) != (position, *alleles)
    ]
    assert len(by_hail) == EXAMPLES
    assert differences == []
    assert sum(minimal(*example) != example for example in examples) > EXAMPLES / 4, "the examples try too little"


@given(position, allele, allele)
@example(100, "CTT", "CT")
@example(100, "AAAA", "AA")
@example(1, "A", "AA")
def test_minimal_keeps_the_difference_and_is_idempotent(position: int, reference: str, alternate: str) -> None:
    found = minimal(position, reference, alternate)
    start, least_reference, least_alternate = found
    assert minimal(*found) == found
    assert (least_reference != least_alternate) == (reference != alternate)
    assert least_reference
    assert least_alternate
    assert start >= position
    assert len(reference) - len(alternate) == len(least_reference) - len(least_alternate)
    prefix, end = start - position, start - position + len(least_reference)
    assert reference[prefix:end] == least_reference
    assert alternate == reference[:prefix] + least_alternate + reference[end:], "another haplotype"


@given(position, allele, allele)
def test_no_shared_end_is_left_where_both_alleles_have_more_than_a_base(
    position: int, reference: str, alternate: str
) -> None:
    _, least_reference, least_alternate = minimal(position, reference, alternate)
    if min(len(least_reference), len(least_alternate)) > 1:
        assert least_reference[-1] != least_alternate[-1]
        assert least_reference[0] != least_alternate[0]


@pytest.mark.parametrize("alternate", [*UNSPECIFIED, "*", "<DEL>", "<CN0>", "C[2:321682[", ".TC", "TC."])
def test_alleles_that_are_not_bases_stay(alternate: str) -> None:
    assert not BASES.fullmatch(alternate)
    assert minimal(7, "CTC", alternate) == (7, "CTC", alternate)
