"""What the report is about: the rows of the drug-response query, and the variants they describe."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from enum import Enum
from typing import Any

VariantKey = tuple[str, int, str, str]
LONGEST_ALLELE = 10


@dataclass(frozen=True)
class DrugResponse:
    """One row of the drug-response query; the fields are its columns, in its order."""

    genotypefrequency: float  # samples with this genotype / samples of the cohort
    rsid: int | None
    phenotypelist: str | None
    chromosome: str
    startposition: int  # 0-based
    endposition: int  # half-open
    referenceallele: str
    alternateallele: str
    genotype0: int | None
    genotype1: int | None  # None: haploid, or the other allele is not known

    @property
    def key(self) -> VariantKey:
        """What makes two rows the same variant. The rsID does not: it may be missing or shared."""
        return self.chromosome, self.startposition, self.referenceallele, self.alternateallele

    @property
    def locus(self) -> str:
        """Chromosome and 1-based position, as in a VCF."""
        return f"{self.chromosome}:{self.startposition + 1}"

    @property
    def change(self) -> str:
        """Reference and alternate allele, long ones shortened: 'G>A'."""
        return f"{short_allele(self.referenceallele)}>{short_allele(self.alternateallele)}"

    @property
    def alleles(self) -> tuple[int, ...]:
        """The alleles that are known."""
        return tuple(allele for allele in (self.genotype0, self.genotype1) if allele is not None)

    @property
    def genotype(self) -> str:
        """As in a VCF: '0/1', '1/1', '1' where one allele is known, '.' where none is."""
        return "/".join(map(str, self.alleles)) or "."

    @property
    def zygosity(self) -> Zygosity | None:
        """None where no alternate allele is known."""
        if not any(self.alleles):
            return None
        if len(self.alleles) == 1:
            return Zygosity.ONE_ALLELE
        return Zygosity.HOMOZYGOUS if len(set(self.alleles)) == 1 else Zygosity.HETEROZYGOUS

    @property
    def phenotypes(self) -> list[str]:
        """The phenotype list, one entry each; ClinVar separates with ';' within a record, '|' between."""
        names = (name.strip() for name in re.split(r"[;|]", self.phenotypelist or ""))
        return list(dict.fromkeys(name for name in names if name))


class Zygosity(Enum):
    """The kinds of carrier, in the order in which they are stacked."""

    HETEROZYGOUS = ("0/1", "heterozygous")
    HOMOZYGOUS = ("1/1", "homozygous alternate")
    ONE_ALLELE = ("1", "one allele known")

    def __init__(self, genotype: str, label: str) -> None:
        """`genotype` as in a VCF, `label` in words."""
        self.genotype = genotype
        self.label = label


@dataclass(frozen=True)
class Facts:
    """Where the rows came from."""

    samples_pattern: str  # the LIKE pattern that chose the cohort: 'NA12%'
    samples: int  # the denominator of every frequency: samples of the cohort that have a row
    samples_without_rows: int  # samples of the cohort in the files that carry no variant at all
    reference_genome: str
    query: str  # the SQL that ran
    guide_rows_agree: bool | None  # with the ten rows of the published report; None: not compared
    versions: dict[str, str]
    loads: list[dict[str, Any]]  # what each job run recorded of its input and its table
    is_demo: bool  # the input was generated


@dataclass(frozen=True)
class Variant:
    """A variant, and the share of the cohort that carries it in each way."""

    rsid: int | None
    locus: str
    change: str
    frequencies: dict[Zygosity, float]
    is_counted_once: bool  # False: rows of one genotype disagree, or add up to more than the cohort

    @property
    def carriers(self) -> float:
        """The share of the cohort that carries it in any way."""
        return sum(self.frequencies.values())

    @property
    def name(self) -> str:
        """Its rsID, or where and what it is if it has none."""
        return f"{self.locus} {self.change}" if self.rsid is None else f"rs{self.rsid}"


def variants(rows: Iterable[DrugResponse]) -> list[Variant]:
    """The variants in the rows, the most carried first.

    ClinVar may have several records for one variant; each brings the same samples again, under
    another phenotype list. So a genotype counts once, however many rows show it.
    """
    by_key: dict[VariantKey, list[DrugResponse]] = {}
    for row in rows:
        by_key.setdefault(row.key, []).append(row)
    found = [_variant(of_one) for of_one in by_key.values()]
    return sorted(found, key=lambda variant: -variant.carriers)


def _variant(rows: Sequence[DrugResponse]) -> Variant:
    seen: dict[tuple[int, ...], set[float]] = {}
    zygosity: dict[tuple[int, ...], Zygosity] = {}
    for row in rows:
        if row.zygosity is not None:
            zygosity[row.alleles] = row.zygosity
            seen.setdefault(row.alleles, set()).add(row.genotypefrequency)
    frequencies = {
        kind: sum(min(seen[alleles]) for alleles in seen if zygosity[alleles] is kind)
        for kind in Zygosity
        if kind in zygosity.values()
    }
    agree = all(max(values) - min(values) < 1e-9 for values in seen.values())
    rsid = next((row.rsid for row in rows if row.rsid is not None), None)
    counted_once = agree and sum(frequencies.values()) < 1 + 1e-9
    return Variant(rsid, rows[0].locus, rows[0].change, frequencies, counted_once)


def short_allele(allele: str, bases: int = LONGEST_ALLELE) -> str:
    """A long allele as its first bases and its length: 'ACGTACGTAC…(52 bp)'."""
    if len(allele) <= LONGEST_ALLELE:
        return allele
    return f"{allele[:bases]}…({len(allele)} bp)"


def csv_text(rows: Iterable[DrugResponse]) -> str:
    """The rows as the query gave them: every digit of the frequency, nothing for null."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(field.name for field in fields(DrugResponse))
    writer.writerows(astuple(row) for row in rows)
    return text.getvalue()
