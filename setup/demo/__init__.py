"""Demonstration data, made from a seed: a cohort, an individual and a ClinVar table of chromosome 22.

>>> from pathlib import Path
>>> from setup.demo import make
>>> make(Path("data"), seed=22).cohort.name  # doctest: +SKIP
'onekg_chr22.vcf.gz'
"""

import gzip
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from setup.demo import bgzf
from setup.demo.clinvar import clinvar_lines
from setup.demo.cohort import cohort_lines, draw_cohort
from setup.demo.individual import individual_lines


@dataclass(frozen=True)
class DemoFiles:
    """The files made: a BGZF VCF of 520 samples, a plain VCF of one, and a gzipped table of 43 columns."""

    cohort: Path
    individual: Path
    clinvar: Path


def make(folder: Path, seed: int = 22) -> DemoFiles:
    """Writes the three files under `folder`; the same seed gives the same bytes."""
    files = DemoFiles(
        cohort=folder / "variants" / "onekg_chr22.vcf.gz",
        individual=folder / "variants" / "example.vcf",
        clinvar=folder / "annotation" / "variant_summary.txt.gz",
    )
    # One stream of numbers a file: a change to one leaves the others as they are.
    seeds = np.random.SeedSequence(seed).spawn(3)
    for_cohort, for_individual, for_clinvar = map(np.random.default_rng, seeds)
    cohort = draw_cohort(for_cohort)
    _write(files.cohort, bgzf.compress(_text(cohort_lines(cohort, seed))))
    _write(files.individual, _text(individual_lines(for_individual, cohort, seed)))
    _write(files.clinvar, gzip.compress(_text(clinvar_lines(for_clinvar, cohort)), mtime=0))
    return files


def _text(lines: Iterable[str]) -> bytes:
    """The lines, each ended."""
    return "".join(f"{line}\n" for line in lines).encode()


def _write(path: Path, content: bytes) -> None:
    """Writes under another name, then renames: nobody reads half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.write_bytes(content)
    part.replace(path)
