"""The people of the demonstration cohort: 65 real sample names, and others that are plainly invented.

The names are public (International Genome Sample Resource); the genotypes given to them here are drawn.
"""

from dataclasses import dataclass

POPULATIONS = ("EAS", "AMR", "AFR", "EUR", "SAS")  # super-populations, in the order of phase 3's INFO
EACH = 104  # samples in each super-population

INDIVIDUAL = "NA12878"  # the sample with a file of its own

NA12_IDS = tuple(
    f"NA{number}"
    for number in (
        12003, 12004, 12005, 12006, 12043, 12044, 12045, 12046, 12058, 12144, 12154, 12155, 12156,
        12234, 12249, 12272, 12273, 12275, 12282, 12283, 12286, 12287, 12340, 12341, 12342, 12347,
        12348, 12383, 12399, 12400, 12413, 12414, 12489, 12546, 12716, 12717, 12718, 12748, 12749,
        12750, 12751, 12760, 12761, 12762, 12763, 12775, 12776, 12777, 12778, 12812, 12813, 12814,
        12815, 12827, 12828, 12829, 12830, 12842, 12843, 12872, 12873, 12874, 12878, 12889, 12890,
    )
)  # fmt: skip


@dataclass(frozen=True)
class Sample:
    """A sample's id and its super-population."""

    id: str
    population: str


def _samples() -> tuple[Sample, ...]:
    """All samples: DEMO0001 and on, filling each super-population up to `EACH`, then the NA12, all EUR."""
    sizes = {name: EACH - (len(NA12_IDS) if name == "EUR" else 0) for name in POPULATIONS}
    populations = [name for name, size in sizes.items() for _ in range(size)]
    invented = [Sample(f"DEMO{number:04d}", name) for number, name in enumerate(populations, start=1)]
    return (*invented, *(Sample(name, "EUR") for name in NA12_IDS))


SAMPLES = _samples()
