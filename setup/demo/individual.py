"""The demonstration individual: NA12878's variants, about 2,000 records, written like GATK's HaplotypeCaller.

The sample carries what it carries in the cohort, and variants of its own besides.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from setup.demo import sites
from setup.demo.alleles import Site, draw_deletion, draw_insertion, draw_multiallelic, draw_snv, trim
from setup.demo.cohort import CohortVariant
from setup.demo.samples import INDIVIDUAL, SAMPLES

RECORDS = 2000
NO_CALLS = 6  # records at which no read tells the genotype
NEIGHBOURS = 80  # of the sample's own sites, lie next to another of them
PHASED_WITHIN = 250  # bases: how far apart one read pair still phases two heterozygotes
READ_ERROR = 0.003  # probability that a read shows the wrong allele
LOW_QUALITY = 30.0  # QUAL below this is filtered


@dataclass(frozen=True)
class Call:
    """A site and the sample's genotype: two allele numbers in ascending order, None where not called."""

    site: Site
    genotype: tuple[int, int] | None
    phase: str = ""  # PGT:PID, where a neighbour is on the same reads


@dataclass(frozen=True)
class Evidence:
    """Numbers of reads by allele, and the genotypes' likelihoods, phred-scaled, in VCF's order."""

    allele_depths: tuple[int, ...]
    likelihoods: tuple[int, ...]
    depth: int  # reads that pass the caller's filters
    all_reads: int


def individual_lines(rng: np.random.Generator, cohort: Sequence[CohortVariant], seed: int) -> Iterator[str]:
    """The lines of the individual's VCF."""
    yield from _header(seed)
    for call in _phase(rng, _draw_calls(rng, cohort)):
        yield _record(rng, call)


def _draw_calls(rng: np.random.Generator, cohort: Sequence[CohortVariant]) -> list[Call]:
    """All the sample's calls, by position."""
    column = [sample.id for sample in SAMPLES].index(INDIVIDUAL)
    shared = [call for variant in cohort if (call := _call_in_cohort(variant, column))]
    taken = frozenset(variant.site.position // sites.SLOT for variant in cohort)
    own = _private_calls(rng, RECORDS - len(shared), taken)
    return sorted([*shared, *own], key=lambda call: call.site.position)


def _call_in_cohort(variant: CohortVariant, column: int) -> Call | None:
    """The sample's call at a cohort site, with the alternates it carries; at the real sites, always one."""
    site = variant.site
    first, second = sorted(variant.calls[column].tolist())
    if site.symbolic or (second == 0 and site.name not in sites.DRUG_RSIDS):
        return None
    carried = sorted({first, second} - {0}) or [1]
    numbers = {0: 0} | {number: rank for rank, number in enumerate(carried, start=1)}
    alternates = tuple(site.alternates[number - 1] for number in carried)
    trimmed = trim(site.position, site.reference, alternates)
    return Call(Site(trimmed[0], site.name, *trimmed[1:]), (numbers[first], numbers[second]))


def _private_calls(rng: np.random.Generator, count: int, taken: frozenset[int]) -> Iterator[Call]:
    """`count` calls that nobody in the cohort has, some with a close neighbour, some without a dbSNP name."""
    slots = sites.draw_slots(rng, count - NEIGHBOURS, taken)
    unfit = taken | sites.RESERVED_SLOTS | set(slots)
    beside = [slot + 1 for slot in rng.permutation(slots).tolist() if slot + 1 not in unfit]
    uncalled = set(rng.permutation(slots)[:NO_CALLS].tolist())
    for number, slot in enumerate([*slots, *beside[:NEIGHBOURS]]):
        name = f"rs{sites.FIRST_PRIVATE_RSID + number}" if rng.random() < 0.8 else "."
        reference, alternates, genotype = _draw_alleles(rng)
        site = Site(sites.draw_position(rng, slot), name, reference, alternates)
        yield Call(site, None if slot in uncalled else genotype)


def _draw_alleles(rng: np.random.Generator) -> tuple[str, tuple[str, ...], tuple[int, int]]:
    """Reference, alternates and a genotype that carries every alternate."""
    share = rng.random()
    if share < 0.02:
        reference, alternates = draw_multiallelic(rng)
        _, reference, alternates = trim(0, reference, alternates[:2])
        return reference, alternates, (1, 2)
    draw = draw_insertion if share < 0.08 else draw_deletion if share < 0.15 else draw_snv
    return *draw(rng), ((0, 1) if rng.random() < 0.63 else (1, 1))


def _phase(rng: np.random.Generator, calls: Sequence[Call]) -> Iterator[Call]:
    """The calls in order; neighbouring heterozygotes get the name of their block and a side in it."""
    near = [_on_same_reads(*pair) for pair in pairwise(calls)]
    block = ""
    for call, follows, leads in zip(calls, [False, *near], [*near, False], strict=True):
        if not follows and leads:
            block = f"{call.site.position}_{call.site.reference}_{call.site.alternates[0]}"
        side = "0|1" if not follows or rng.random() < 0.7 else "1|0"
        yield replace(call, phase=f"{side}:{block}") if follows or leads else call


def _on_same_reads(first: Call, second: Call) -> bool:
    """Whether two calls are heterozygous and close enough for one read pair to hold both."""
    both = first.genotype == second.genotype == (0, 1)
    return both and second.site.position - first.site.position < PHASED_WITHIN


def _record(rng: np.random.Generator, call: Call) -> str:
    """One line of the VCF."""
    site = call.site
    evidence = _draw_evidence(rng, call)
    quality = _draw_quality(rng, call, evidence)
    shown = "." if quality is None else f"{quality:.2f}"
    status = "." if quality is None else "LowQual" if quality < LOW_QUALITY else "PASS"
    alternates = ",".join(site.alternates)
    keys, values = _sample_column(call, evidence)
    return (
        f"{sites.CONTIG}\t{site.position}\t{site.name}\t{site.reference}\t{alternates}"
        f"\t{shown}\t{status}\t{_info(rng, call, evidence, quality)}\t{keys}\t{values}"
    )


def _genotypes(alleles: int) -> list[tuple[int, int]]:
    """Every genotype of so many alleles, in VCF's order: (0,0), (0,1), (1,1), (0,2), ..."""
    return [(first, second) for second in range(alleles) for first in range(second + 1)]


def _read_probabilities(alleles: int) -> NDArray[np.float64]:
    """Probability that a read shows an allele, given the genotype; shape (genotypes, alleles)."""
    one = np.full((alleles, alleles), READ_ERROR / (alleles - 1))
    np.fill_diagonal(one, 1 - READ_ERROR)
    return np.array([(one[first] + one[second]) / 2 for first, second in _genotypes(alleles)])


def _draw_evidence(rng: np.random.Generator, call: Call) -> Evidence:
    """Reads drawn until they favour the genotype over every other; none where there is no call."""
    alleles = 1 + len(call.site.alternates)
    if call.genotype is None:
        return Evidence((0,) * alleles, (), 0, int(rng.integers(3)))
    probabilities = _read_probabilities(alleles)
    truth = _genotypes(alleles).index(call.genotype)
    shallow = rng.random() < 0.06 and call.site.name not in sites.DRUG_RSIDS
    while True:
        depth = int(rng.integers(4, 9)) if shallow else max(int(rng.poisson(33)), 12)
        reads = rng.multinomial(depth, probabilities[truth])
        log_likelihoods = np.log10(probabilities) @ reads
        likelihoods = np.rint(10 * (log_likelihoods.max() - log_likelihoods)).astype(int).tolist()
        if [index for index, value in enumerate(likelihoods) if value == 0] == [truth]:
            break
    passing = depth + int(rng.binomial(2, 0.1))  # a few reads fit no allele better than another
    all_reads = passing + int(rng.poisson(0.8))
    return Evidence(tuple(reads.tolist()), tuple(likelihoods), passing, all_reads)


def _draw_quality(rng: np.random.Generator, call: Call, evidence: Evidence) -> float | None:
    """QUAL, about the phred-scaled likelihood that there is no variant; None where none was found."""
    if call.genotype in (None, (0, 0)):
        return None
    return float(evidence.likelihoods[0]) + int(rng.integers(100)) / 100


def _info(rng: np.random.Generator, call: Call, evidence: Evidence, quality: float | None) -> str:
    """INFO in alphabetical order, as GATK writes it; what cannot be computed is left out."""
    alleles = call.genotype or ()
    counts = [alleles.count(number) for number in range(1, len(call.site.alternates) + 1)]
    count = ",".join(map(str, counts))
    fraction = ",".join({0: "0.00", 1: "0.500", 2: "1.00"}[number] for number in counts)
    fields: dict[str, str | None] = {"AC": count, "AF": fraction, "AN": str(len(alleles))}
    if not alleles:
        fields["AF"] = None  # nothing to divide by
    fields["DP"] = str(evidence.all_reads)
    if quality is not None:
        fields |= {"ExcessHet": "3.0103", "MLEAC": count, "MLEAF": fraction}
        fields |= _site_statistics(rng, evidence, quality)
    if 0 in alleles and quality is not None:
        fields |= _rank_sums(rng)
    parts = sorted(f"{name}={value}" for name, value in fields.items() if value is not None)
    flags = ["DB"] if call.site.name != "." else []
    return ";".join(sorted(parts + flags, key=str.lower))


def _site_statistics(rng: np.random.Generator, evidence: Evidence, quality: float) -> dict[str, str | None]:
    """Strand bias, mapping quality and quality by depth."""
    return {
        "FS": f"{rng.exponential(1.5):.3f}",
        "MQ": f"{60 - rng.exponential(0.6):.2f}",
        "QD": f"{quality / max(evidence.depth, 1):.2f}",
        "SOR": f"{rng.gamma(4.0, 0.2):.3f}",
    }


def _rank_sums(rng: np.random.Generator) -> dict[str, str | None]:
    """The rank-sum tests, which need reads of both the reference and an alternate."""
    names = ("BaseQRankSum", "ClippingRankSum", "MQRankSum", "ReadPosRankSum")
    return {name: f"{score:.3f}" for name, score in zip(names, rng.normal(size=4).tolist(), strict=True)}


def _sample_column(call: Call, evidence: Evidence) -> tuple[str, str]:
    """FORMAT and the sample's values."""
    depths = ",".join(map(str, evidence.allele_depths))
    if call.genotype is None:
        return "GT:AD:DP:GQ:PL", f"./.:{depths}:{evidence.depth}:.:."
    genotype = "/".join(map(str, call.genotype))
    quality = min(sorted(evidence.likelihoods)[1], 99)
    likelihoods = ",".join(map(str, evidence.likelihoods))
    if not call.phase:
        return "GT:AD:DP:GQ:PL", f"{genotype}:{depths}:{evidence.depth}:{quality}:{likelihoods}"
    return (
        "GT:AD:DP:GQ:PGT:PID:PL",
        f"{genotype}:{depths}:{evidence.depth}:{quality}:{call.phase}:{likelihoods}",
    )


def _header(seed: int) -> Iterator[str]:
    """The header."""
    yield "##fileformat=VCFv4.2"
    yield '##FILTER=<ID=PASS,Description="All filters passed">'
    yield f'##FILTER=<ID=LowQual,Description="QUAL below {LOW_QUALITY:g}">'
    for name, number, kind, text in FORMATS:
        yield f'##FORMAT=<ID={name},Number={number},Type={kind},Description="{text}">'
    for name, number, kind, text in INFOS:
        yield f'##INFO=<ID={name},Number={number},Type={kind},Description="{text}">'
    yield f"##contig=<ID={sites.CONTIG},length={sites.CONTIG_LENGTH},assembly=b37>"
    yield f"##reference={sites.REFERENCE}"
    yield f"##source=Demonstration data, generated, seed {seed}; genotypes are drawn and belong to no person"
    yield f"#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t{INDIVIDUAL}"


FORMATS = (
    ("AD", "R", "Integer", "Reads that show each allele, the reference first"),
    ("DP", "1", "Integer", "Reads that pass the caller's filters"),
    ("GQ", "1", "Integer", "Genotype quality, phred-scaled"),
    ("GT", "1", "String", "Genotype"),
    ("PGT", "1", "String", "Which haplotype of its phasing group the alternate is on"),
    ("PID", "1", "String", "Phasing group: its first variant"),
    ("PL", "G", "Integer", "Likelihoods of the genotypes, phred-scaled, the called one 0"),
)
INFOS = (
    ("AC", "A", "Integer", "Alternate alleles in the called genotype"),
    ("AF", "A", "Float", "Frequency of the alternate allele"),
    ("AN", "1", "Integer", "Alleles in the called genotype"),
    ("BaseQRankSum", "1", "Float", "Rank-sum test of base qualities, alternate against reference"),
    ("ClippingRankSum", "1", "Float", "Rank-sum test of hard-clipped bases, alternate against reference"),
    ("DB", "0", "Flag", "Has a dbSNP name (an invented one, except at the drug-response sites)"),
    ("DP", "1", "Integer", "Reads at the site, filtered ones among them"),
    ("ExcessHet", "1", "Float", "Excess of heterozygotes, phred-scaled p-value"),
    ("FS", "1", "Float", "Strand bias by Fisher's exact test, phred-scaled p-value"),
    ("MLEAC", "A", "Integer", "Likeliest allele count"),
    ("MLEAF", "A", "Float", "Likeliest allele frequency"),
    ("MQ", "1", "Float", "Root mean square of mapping quality"),
    ("MQRankSum", "1", "Float", "Rank-sum test of mapping qualities, alternate against reference"),
    ("QD", "1", "Float", "Quality by depth"),
    ("ReadPosRankSum", "1", "Float", "Rank-sum test of position in the read, alternate against reference"),
    ("SOR", "1", "Float", "Strand bias by symmetric odds ratio"),
)
