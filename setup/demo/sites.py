"""Where demonstration variants lie: the real drug-response sites, and the grid for invented ones.

Positions are 1-based, on the forward strand of chromosome 22.
"""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import numpy as np

CONTIG = "22"
CONTIG_LENGTH = 51_304_566  # bases, GRCh37
REFERENCE = (
    "ftp://ftp.1000genomes.ebi.ac.uk//vol1/ftp/technical/reference/phase2_reference_assembly_sequence/hs37d5.fa.gz"
)


@dataclass(frozen=True)
class DrugSite:
    """A real variant with a drug-response record, or next to those that have one.

    `heterozygotes` and `homozygotes` are exact numbers of people among the 65 NA12 samples;
    `elsewhere` is the alternate allele's frequency, 0 to 1, among the other samples.
    Empty `phenotypes`: the published ClinVar release has no drug-response record for it.
    """

    rsid: str
    position: int  # GRCh37
    position_grch38: int
    reference: str
    alternate: str
    heterozygotes: int
    homozygotes: int
    elsewhere: float
    gene: str  # "-" where the report names none
    phenotypes: str


# Genotypes of the published report (September 2020); frequencies elsewhere are about those of 1000 Genomes.
# The sites at 0 and 0 give no row for NA12: a few other samples carry them.
DRUG_SITES = (
    DrugSite(
        "rs13306278", 19_929_027, 19_941_504, "C", "T", 18, 3, 0.077, "-",
        "Selective serotonin reuptake inhibitors response - Efficacy",
    ),
    DrugSite(
        "rs4680", 19_951_271, 19_963_748, "G", "A", 36, 10, 0.369, "COMT",
        "CATECHOL-O-METHYLTRANSFERASE POLYMORPHISM;nicotine response - Efficacy",
    ),
    DrugSite(
        "rs2298383", 24_825_511, 24_429_543, "C", "T", 33, 23, 0.401, "-",
        "caffeine response - Toxicity/ADR",
    ),
    DrugSite("rs730882251", 42_522_749, 42_126_747, "G", "A", 0, 0, 0.003, "CYP2D6", "not provided"),
    DrugSite("rs267608319", 42_522_751, 42_126_749, "C", "T", 0, 0, 0.003, "CYP2D6", "not provided"),
    DrugSite(
        "rs3892097", 42_524_947, 42_128_945, "C", "T", 24, 2, 0.093, "CYP2D6",
        "Debrisoquine, poor metabolism of;amitriptyline response - Dosage, Toxicity/ADR",
    ),
    DrugSite(
        "rs5030865", 42_525_035, 42_129_033, "C", "A", 0, 0, 0.003, "CYP2D6",
        "Debrisoquine, poor metabolism of",
    ),
    DrugSite("rs373000587", 42_525_172, 42_129_170, "C", "A", 0, 0, 0.003, "CYP2D6", "not provided"),
    # Carried, but not in the demonstration ClinVar: the published release had no drug-response record for it.
    DrugSite("rs1065852", 42_526_694, 42_130_692, "G", "A", 25, 2, 0.238, "CYP2D6", ""),
    DrugSite(
        "rs738409", 44_324_727, 43_928_847, "C", "G", 19, 3, 0.262, "PNPLA3",
        "Fatty liver disease, nonalcoholic 1",
    ),
)  # fmt: skip
DRUG_RSIDS = frozenset(site.rsid for site in DRUG_SITES)

# Invented names: far above what dbSNP and dbVar have given out.
FIRST_COHORT_RSID = 9_000_000_001
FIRST_PRIVATE_RSID = 9_100_000_001
FIRST_STRUCTURAL_ID = 9_000_000_001

# Invented sites stand at most one to a slot of 100 bases, in its positions 10 to 29, so that their alleles
# (under 20 bases) never meet. An invented GRCh38 position is the GRCh37 one less this offset, which is not
# a multiple of 100: no GRCh38 row can fall on a cohort site by chance.
SLOT = 100  # bases
SLOTS = range(160_600, 512_400)  # 16.06 Mb to 51.24 Mb: the sequenced arm
GRCH38_OFFSET = 396_050  # bases


def _around(position: int) -> tuple[int, int, int]:
    """The slot of a position and its two neighbours."""
    slot = position // SLOT
    return slot - 1, slot, slot + 1


RESERVED_SLOTS = frozenset(
    slot for site in DRUG_SITES for position in (site.position, site.position_grch38) for slot in _around(position)
)


def draw_slots(rng: np.random.Generator, count: int, taken: AbstractSet[int] = frozenset()) -> list[int]:
    """`count` distinct slots in ascending order, none of them taken or near a real site."""
    drawn = rng.choice(len(SLOTS), size=count + len(taken) + len(RESERVED_SLOTS), replace=False)
    free = [SLOTS[index] for index in drawn.tolist() if SLOTS[index] not in taken | RESERVED_SLOTS]
    return sorted(free[:count])


def draw_position(rng: np.random.Generator, slot: int) -> int:
    """A 1-based GRCh37 position within a slot."""
    return slot * SLOT + int(rng.integers(10, 30))
