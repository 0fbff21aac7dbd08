"""The demonstration cohort: 520 samples and about 4,000 sites, written like 1000 Genomes phase 3.

Genotypes are drawn site by site: Hardy-Weinberg within a population, no linkage between sites, no kinship.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from setup.demo import sites
from setup.demo.alleles import (
    BASES,
    Site,
    draw_deletion,
    draw_insertion,
    draw_multiallelic,
    draw_snv,
    trim,
)
from setup.demo.samples import NA12_IDS, POPULATIONS, SAMPLES

# How many invented sites of each kind.
KINDS = {"snv": 3430, "insertion": 180, "deletion": 200, "multiallelic": 140, "structural": 40}
DRAWS = {
    "snv": draw_snv,
    "insertion": draw_insertion,
    "deletion": draw_deletion,
    "multiallelic": draw_multiallelic,
}
# Alternates, SVTYPE and CS of structural variants, as phase 3 writes them.
STRUCTURES = (
    ("<CN0>", "DEL", "DEL_union"),
    ("<CN2>", "DUP", "DUP_gs"),
    ("<CN0>,<CN2>", "CNV", "DUP_gs"),
    ("<DEL>", "DEL", "DEL_pindel"),
    ("<INS:ME:ALU>", "ALU", "ALU_umary"),
)

HAPLOTYPES = 2 * len(SAMPLES)
IS_NA12 = np.array([sample.id in NA12_IDS for sample in SAMPLES])
POPULATION = np.array([POPULATIONS.index(sample.population) for sample in SAMPLES])
GENOTYPES = np.array([[f"{first}|{second}" for second in range(4)] for first in range(4)], dtype=object)


@dataclass(frozen=True)
class CohortVariant:
    """A site and its genotypes: `calls` is (samples, 2) of allele numbers, 0 the reference, phased."""

    site: Site
    calls: NDArray[np.int8]


def draw_cohort(rng: np.random.Generator) -> list[CohortVariant]:
    """Every variant of the cohort, real sites and invented ones, by position."""
    real = [_drug_variant(rng, site) for site in sites.DRUG_SITES]
    invented = [_invented_variant(rng, site) for site in _draw_sites(rng)]
    return sorted(real + invented, key=lambda variant: variant.site.position)


def cohort_lines(variants: Sequence[CohortVariant], seed: int) -> Iterator[str]:
    """The lines of the cohort's VCF."""
    yield from _header(seed)
    for variant in variants:
        site = variant.site
        genotypes = "\t".join(GENOTYPES[variant.calls[:, 0], variant.calls[:, 1]])
        alternates = ",".join(site.alternates)
        yield (
            f"{sites.CONTIG}\t{site.position}\t{site.name}\t{site.reference}\t{alternates}"
            f"\t100\tPASS\t{_info(variant)}\tGT\t{genotypes}"
        )


def _draw_sites(rng: np.random.Generator) -> Iterator[Site]:
    """The invented sites, by position, each with a name of its own."""
    kinds = rng.permutation([kind for kind, count in KINDS.items() for _ in range(count)]).tolist()
    slots = sites.draw_slots(rng, len(kinds))
    for number, (kind, slot) in enumerate(zip(kinds, slots, strict=True)):
        position = sites.draw_position(rng, slot)
        if kind == "structural":
            yield _structural_site(rng, position, f"esv{sites.FIRST_STRUCTURAL_ID + number}")
        else:
            reference, alternates = DRAWS[kind](rng)
            yield Site(position, f"rs{sites.FIRST_COHORT_RSID + number}", reference, alternates)


def _structural_site(rng: np.random.Generator, position: int, name: str) -> Site:
    """A site of symbolic alleles, which ends (END, 1-based, inclusive) before the next real site."""
    alternates, kind, call_set = STRUCTURES[int(rng.integers(len(STRUCTURES)))]
    length = 0 if kind == "ALU" else int(10 ** rng.uniform(2.7, 4.7))
    ahead = (site.position - 1 for site in sites.DRUG_SITES if site.position > position)
    end = min(position + length, sites.CONTIG_LENGTH, *ahead)
    interval = int(rng.integers(1, 500))
    parts = [f"CS={call_set}", f"END={end}", f"SVTYPE={kind}"]
    if kind == "DEL":
        parts = [f"CIEND=-{interval},{interval}", f"CIPOS=-{interval},{interval}", *parts]
    reference = BASES[int(rng.integers(4))]
    return Site(position, name, reference, tuple(alternates.split(",")), ";".join(parts))


def _invented_variant(rng: np.random.Generator, site: Site) -> CohortVariant:
    """A site with carriers: each alternate's count k comes up about as 1/k, so that most are rare."""
    most = HAPLOTYPES // len(site.alternates)
    counts = [int(most ** rng.random()) for _ in site.alternates]
    leaning = rng.gamma(2.0, size=len(POPULATIONS))  # how much likelier the allele is in each population
    arrival = rng.exponential(size=HAPLOTYPES) / np.repeat(leaning[POPULATION], 2)
    calls = np.zeros(HAPLOTYPES, dtype=np.int8)
    carriers = np.argsort(arrival)[: sum(counts)]
    calls[carriers] = np.repeat(np.arange(1, len(counts) + 1), counts)
    return CohortVariant(site, calls.reshape(-1, 2))


def _drug_variant(rng: np.random.Generator, drug: sites.DrugSite) -> CohortVariant:
    """A real site: exactly the published genotypes among the NA12; the seed draws who has them."""
    calls = np.zeros((len(SAMPLES), 2), dtype=np.int8)
    calls[IS_NA12] = _draw_genotypes(rng, drug.heterozygotes, drug.homozygotes)
    others = int((~IS_NA12).sum())
    carried = rng.permutation(2 * others) < round(drug.elsewhere * 2 * others)
    calls[~IS_NA12] = carried.reshape(-1, 2)
    return CohortVariant(Site(drug.position, drug.rsid, drug.reference, (drug.alternate,)), calls)


def _draw_genotypes(rng: np.random.Generator, heterozygotes: int, homozygotes: int) -> NDArray[np.int8]:
    """Genotypes of the 65 NA12, shape (65, 2): the carriers drawn, the phase of each heterozygote too."""
    genotypes = np.zeros((len(NA12_IDS), 2), dtype=np.int8)
    carriers = rng.permutation(len(NA12_IDS))
    genotypes[carriers[:heterozygotes], rng.integers(2, size=heterozygotes)] = 1
    genotypes[carriers[heterozygotes : heterozygotes + homozygotes]] = 1
    return genotypes


def _info(variant: CohortVariant) -> str:
    """INFO, in phase 3's order; counts and frequencies are those of the genotypes."""
    site, calls = variant.site, variant.calls
    numbers = range(1, len(site.alternates) + 1)
    counts = [int((calls == number).sum()) for number in numbers]
    parts = [
        "AC=" + ",".join(map(str, counts)),
        "AF=" + ",".join(f"{count / HAPLOTYPES:.6g}" for count in counts),
        f"AN={HAPLOTYPES}",
        *([site.structure] if site.structure else []),
        f"NS={len(SAMPLES)}",
        f"DP={_depth(site)}",
    ]
    for index, name in enumerate(POPULATIONS):
        there = calls[index == POPULATION]
        parts.append(f"{name}_AF=" + ",".join(f"{(there == number).mean():.4g}" for number in numbers))
    return ";".join([*parts, *_description(site)])


def _depth(site: Site) -> int:
    """Reads over all samples: about 7 a sample, different from site to site."""
    return len(SAMPLES) * 7 + site.position % 997


def _description(site: Site) -> list[str]:
    """AA (ancestral allele), VT (what the record holds) and MULTI_ALLELIC."""
    if site.symbolic:
        return ["VT=SV"]
    trimmed = [trim(site.position, site.reference, (alternate,))[1:] for alternate in site.alternates]
    lengths = {len(reference) + len(alternate) for reference, (alternate,) in trimmed}
    types = ["SNP"] * (2 in lengths) + ["INDEL"] * (lengths != {2})
    parts = [f"VT={','.join(types)}"]
    if types == ["SNP"]:
        parts.insert(0, f"AA={site.reference if site.position % 4 else '.'}|||")
    elif len(site.alternates) == 1:
        kind = "insertion" if len(site.alternates[0]) > len(site.reference) else "deletion"
        parts.insert(0, f"AA={site.reference}|{site.reference}|{site.alternates[0]}|{kind}")
    return [*parts, "MULTI_ALLELIC"] if len(site.alternates) > 1 else parts


def _header(seed: int) -> Iterator[str]:
    """The header, which says first of all that nothing below is anybody's genome."""
    yield "##fileformat=VCFv4.1"
    yield '##FILTER=<ID=PASS,Description="All filters passed">'
    yield f"##reference={sites.REFERENCE}"
    yield f"##source=Demonstration data, generated, seed {seed}; genotypes are drawn and belong to no person"
    yield f"##contig=<ID={sites.CONTIG},assembly=b37,length={sites.CONTIG_LENGTH}>"
    for name, text in ALTS.items():
        yield f'##ALT=<ID={name},Description="{text}">'
    yield '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">'
    for name, number, kind, text in INFOS:
        yield f'##INFO=<ID={name},Number={number},Type={kind},Description="{text}">'
    columns = ["CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT"]
    yield "#" + "\t".join([*columns, *(sample.id for sample in SAMPLES)])


ALTS = {
    "CN0": "Copy number allele: 0 copies",
    "CN2": "Copy number allele: 2 copies",
    "DEL": "Deletion",
    "INS:ME:ALU": "Insertion of an ALU element",
}
INFOS = (
    ("AC", "A", "Integer", "Alternate alleles in called genotypes"),
    ("AF", "A", "Float", "Frequency of the alternate allele, from AC and AN"),
    ("AN", "1", "Integer", "Alleles in called genotypes"),
    ("CIEND", "2", "Integer", "Confidence interval around END for imprecise variants"),
    ("CIPOS", "2", "Integer", "Confidence interval around POS for imprecise variants"),
    ("CS", "1", "String", "Call set that the structural variant is written after"),
    ("END", "1", "Integer", "End coordinate of this variant"),
    ("SVTYPE", "1", "String", "Type of structural variant"),
    ("NS", "1", "Integer", "Samples with data"),
    ("DP", "1", "Integer", "Total read depth"),
    *((f"{name}_AF", "A", "Float", f"Allele frequency in {name}, 0 to 1") for name in POPULATIONS),
    ("AA", "1", "String", "Ancestral allele; for indels AA|REF|ALT|IndelType"),
    ("VT", ".", "String", "What type of variant the line represents"),
    ("MULTI_ALLELIC", "0", "Flag", "Whether a site is multi-allelic"),
)
