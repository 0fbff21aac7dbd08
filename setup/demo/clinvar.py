"""The demonstration ClinVar: a table laid out as NCBI's variant_summary.txt is in 2026, 43 columns.

Real rows: the drug-response sites. Everything else is invented, says so, and is about no real variant.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from setup.demo import sites
from setup.demo.alleles import draw_deletion, draw_insertion, draw_snv, trim
from setup.demo.cohort import CohortVariant

# Each column, and what stands in it where NCBI has nothing to say.
COLUMNS = {
    "#AlleleID": "-1",
    "Type": "-",
    "Name": "-",
    "GeneID": "-1",
    "GeneSymbol": "-",
    "HGNC_ID": "-",
    "ClinicalSignificance": "-",
    "ClinSigSimple": "-1",
    "LastEvaluated": "-",
    "RS# (dbSNP)": "-1",
    "nsv/esv (dbVar)": "-",
    "RCVaccession": "-",
    "PhenotypeIDS": "-",
    "PhenotypeList": "-",
    "Origin": "-",
    "OriginSimple": "-",
    "Assembly": "na",
    "ChromosomeAccession": "na",
    "Chromosome": "na",
    "Start": "-1",
    "Stop": "-1",
    "ReferenceAllele": "na",
    "AlternateAllele": "na",
    "Cytogenetic": "-",
    "ReviewStatus": "-",
    "NumberSubmitters": "-1",
    "Guidelines": "-",
    "TestedInGTR": "N",
    "OtherIDs": "-",
    "SubmitterCategories": "-1",
    "VariationID": "-1",
    "PositionVCF": "-1",
    "ReferenceAlleleVCF": "na",
    "AlternateAlleleVCF": "na",
    "SomaticClinicalImpact": "-",
    "SomaticClinicalImpactLastEvaluated": "-",
    "ReviewStatusClinicalImpact": "-",
    "Oncogenicity": "-",
    "OncogenicityLastEvaluated": "-",
    "ReviewStatusOncogenicity": "-",
    "SCVsForAggregateGermlineClassification": "-",
    "SCVsForAggregateSomaticClinicalImpact": "-",
    "SCVsForAggregateOncogenicityClassification": "-",
}
# RefSeq accession of each chromosome in GRCh37 and in GRCh38.
ACCESSIONS = {
    "1": ("NC_000001.10", "NC_000001.11"),
    "7": ("NC_000007.13", "NC_000007.14"),
    "17": ("NC_000017.10", "NC_000017.11"),
    "22": ("NC_000022.10", "NC_000022.11"),
    "X": ("NC_000023.10", "NC_000023.11"),
}
ASSEMBLIES = ("GRCh37", "GRCh38")

FIRST_ID = 900_000_001  # AlleleID, VariationID, RCV and SCV of the first invented row
AT_COHORT_SITES = 900  # invented variants, two rows each
ON_CHR22 = 700
ON_OTHER_CHROMOSOMES = 150
COPY_NUMBER = 40  # no alleles, a range only
UNLOCATED = 30  # one row each

SINGLE = "criteria provided, single submitter"
MULTIPLE = "criteria provided, multiple submitters, no conflicts"
CONFLICT = "criteria provided, conflicting classifications"
# Significance, its share, ClinSigSimple (1: somebody says pathogenic), review status, submitters.
SIGNIFICANCES = (
    ("Uncertain significance", 0.44, "0", SINGLE, "1"),
    ("Likely benign", 0.20, "0", SINGLE, "1"),
    ("Benign", 0.14, "0", MULTIPLE, "3"),
    ("Conflicting classifications of pathogenicity", 0.07, "1", CONFLICT, "4"),
    ("Pathogenic", 0.06, "1", "no assertion criteria provided", "1"),
    ("Likely pathogenic", 0.04, "1", SINGLE, "1"),
    ("Pathogenic/Likely pathogenic", 0.03, "1", MULTIPLE, "2"),
    ("Benign/Likely benign", 0.02, "0", MULTIPLE, "2"),
)
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

Row = dict[str, str]


@dataclass(frozen=True)
class Variant:
    """One alternate allele, trimmed: `position` is 1-based GRCh37, VCF's; `rs` is dbSNP's number."""

    chromosome: str
    position: int
    reference: str
    alternate: str
    rs: str = "-1"


def clinvar_lines(rng: np.random.Generator, cohort: Sequence[CohortVariant]) -> Iterator[str]:
    """The lines of variant_summary.txt."""
    yield "\t".join(COLUMNS)
    for row in (*_drug_rows(), *_invented_rows(rng, cohort)):
        yield "\t".join({**COLUMNS, **row}.values())


def _drug_rows() -> Iterator[Row]:
    """The real drug-response sites, with the phenotypes of the published report."""
    for site in sites.DRUG_SITES:
        if not site.phenotypes:
            continue
        variant = Variant(sites.CONTIG, site.position, site.reference, site.alternate, site.rsid[2:])
        facts = {
            "Name": _hgvs(variant),
            "GeneSymbol": site.gene,
            "ClinicalSignificance": "drug response",
            "ClinSigSimple": "0",
            "PhenotypeList": site.phenotypes,
        }
        yield from _located(variant, facts, site.position - site.position_grch38)


def _invented_rows(rng: np.random.Generator, cohort: Sequence[CohortVariant]) -> Iterator[Row]:
    """The invented variants in the order of their numbers."""
    number = FIRST_ID
    for variant in (*_cohort_variants(rng, cohort), *_other_variants(rng, cohort)):
        yield from _located(variant, _invented_facts(rng, number, _hgvs(variant)), sites.GRCH38_OFFSET)
        number += 1
    for _ in range(COPY_NUMBER):
        yield from _copy_number(rng, number)
        number += 1
    for _ in range(UNLOCATED):
        kind = ("single nucleotide variant", "Deletion", "Variation")[int(rng.integers(3))]
        chromosome = ("na", "Un")[int(rng.integers(2))]
        yield {**_invented_facts(rng, number, "without location"), "Type": kind, "Chromosome": chromosome}
        number += 1


def _cohort_variants(rng: np.random.Generator, cohort: Sequence[CohortVariant]) -> list[Variant]:
    """Alleles that somebody in the cohort carries, real sites and symbolic alleles left out."""
    candidates = [
        (variant.site, alternate)
        for variant in cohort
        if not variant.site.symbolic and variant.site.name not in sites.DRUG_RSIDS
        for alternate in variant.site.alternates
    ]
    chosen = sorted(rng.permutation(len(candidates))[:AT_COHORT_SITES].tolist())
    variants = []
    for site, alternate in (candidates[index] for index in chosen):
        position, reference, (short,) = trim(site.position, site.reference, (alternate,))
        variants.append(Variant(sites.CONTIG, position, reference, short, site.name[2:]))
    return variants


def _other_variants(rng: np.random.Generator, cohort: Sequence[CohortVariant]) -> Iterator[Variant]:
    """Alleles that nobody in the cohort carries: elsewhere on chromosome 22, and on other chromosomes."""
    taken = frozenset(variant.site.position // sites.SLOT for variant in cohort)
    for slot in sites.draw_slots(rng, ON_CHR22, taken):
        yield _draw_variant(rng, sites.CONTIG, sites.draw_position(rng, slot))
    others = sorted(set(ACCESSIONS) - {sites.CONTIG})
    for _ in range(ON_OTHER_CHROMOSOMES):
        chromosome = others[int(rng.integers(len(others)))]
        yield _draw_variant(rng, chromosome, int(rng.integers(10_000_000, 70_000_000)))


def _draw_variant(rng: np.random.Generator, chromosome: str, position: int) -> Variant:
    """An invented substitution, deletion or insertion."""
    draw = (draw_snv, draw_snv, draw_snv, draw_deletion, draw_insertion)[int(rng.integers(5))]
    reference, (alternate,) = draw(rng)
    return Variant(chromosome, position, reference, alternate)


def _invented_facts(rng: np.random.Generator, number: int, name: str) -> Row:
    """Numbers, names and classification of an invented variant; the same in both of its rows."""
    shares = [share for _, share, *_ in SIGNIFICANCES]
    significance, _, simple, review, submitters = SIGNIFICANCES[int(rng.choice(len(shares), p=shares))]
    phenotypes = rng.permutation(60)[: 1 + int(rng.random() < 0.25)].tolist()
    month, day, year = rng.integers([0, 1, 2014], [12, 29, 2026]).tolist()
    return {
        "#AlleleID": str(number),
        "VariationID": str(number),
        "Name": f"{name} (demonstration)",
        "GeneSymbol": f"DEMO{int(rng.integers(1, 61))}",
        "ClinicalSignificance": significance,
        "ClinSigSimple": simple,
        "LastEvaluated": f"{MONTHS[month]} {day:02d}, {year}" if rng.random() < 0.9 else "-",
        "RCVaccession": f"RCV{number}",
        "PhenotypeIDS": "|".join("-" for _ in phenotypes),
        "PhenotypeList": "|".join(f"Demonstration phenotype {index + 1}" for index in phenotypes),
        "Origin": "germline",
        "OriginSimple": "germline",
        "ReviewStatus": review,
        "NumberSubmitters": submitters,
        "SubmitterCategories": "2",
        "SCVsForAggregateGermlineClassification": f"SCV{number}",
    }


def _located(variant: Variant, facts: Row, offset: int) -> Iterator[Row]:
    """A row for each assembly; the GRCh38 position is the GRCh37 one less `offset` bases."""
    kind, start, stop = _extent(variant)
    shifts = (0, offset)
    for assembly, accession, shift in zip(ASSEMBLIES, ACCESSIONS[variant.chromosome], shifts, strict=True):
        yield {
            **facts,
            "Type": kind,
            "RS# (dbSNP)": variant.rs,
            "Assembly": assembly,
            "ChromosomeAccession": accession,
            "Chromosome": variant.chromosome,
            "Start": str(start - shift),
            "Stop": str(stop - shift),
            "Cytogenetic": "22q" if variant.chromosome == sites.CONTIG else "-",
            "PositionVCF": str(variant.position - shift),
            "ReferenceAlleleVCF": variant.reference,
            "AlternateAlleleVCF": variant.alternate,
        }


def _extent(variant: Variant) -> tuple[str, int, int]:
    """Type, Start and Stop, 1-based and inclusive, as NCBI gives them.

    A deletion's are the deleted bases', without VCF's anchor; an insertion's the two bases it lies between.
    """
    deleted = len(variant.reference) - len(variant.alternate)
    if deleted > 0:
        return "Deletion", variant.position + 1, variant.position + deleted
    if deleted < 0:
        return "Insertion", variant.position, variant.position + 1
    return "single nucleotide variant", variant.position, variant.position


def _hgvs(variant: Variant) -> str:
    """The variant's genomic name in GRCh37."""
    kind, start, stop = _extent(variant)
    place = f"{ACCESSIONS[variant.chromosome][0]}:g.{start}"
    if kind == "Insertion":
        return f"{place}_{stop}ins{variant.alternate[1:]}"
    if kind == "Deletion":
        return f"{place}del" if start == stop else f"{place}_{stop}del"
    return f"{place}{variant.reference}>{variant.alternate}"


def _copy_number(rng: np.random.Generator, number: int) -> Iterator[Row]:
    """A copy number variant: a range without alleles, so nothing in the VCF columns."""
    gain = bool(rng.integers(2))
    start = sites.draw_position(rng, sites.draw_slots(rng, 1)[0])
    stop = min(start + int(10 ** rng.uniform(4, 6)), sites.CONTIG_LENGTH)
    label = f"NC_000022.10:g.{start}_{stop}{'dup' if gain else 'del'}"
    facts = _invented_facts(rng, number, label) | {
        "Type": f"copy number {'gain' if gain else 'loss'}",
        "nsv/esv (dbVar)": f"nsv{number}",
        "Chromosome": sites.CONTIG,
        "Cytogenetic": "22q",
    }
    shifts = (0, sites.GRCH38_OFFSET)
    for assembly, accession, shift in zip(ASSEMBLIES, ACCESSIONS[sites.CONTIG], shifts, strict=True):
        place = {"Assembly": assembly, "ChromosomeAccession": accession}
        yield {**facts, **place, "Start": str(start - shift), "Stop": str(stop - shift)}
