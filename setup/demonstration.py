"""The demonstration data and their tables: made from a seed, then converted by the jobs' own scripts."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from setup import demo, jobs, names
from setup.demo import DemoFiles
from setup.progress import Steps

STEPS = 4


@dataclass(frozen=True)
class Demonstration:
    """Where they stand: the source files, and the folder of the tables."""

    sources: DemoFiles
    tables: Path


def make(steps: Steps, folder: Path = names.BUILD / "demo") -> Demonstration:
    """Make what is not there yet, in STEPS steps. Raises SetupError."""
    with steps.step("demonstration data") as step:
        sources = demo.make(folder)
        step.made = "a cohort's VCF, an individual's VCF and ClinVar, generated from a seed"
    tables = folder / "lake"
    for title, script, table, source, options in (
        (
            "cohort to Parquet",
            "vcf_to_parquet.py",
            names.VARIANTS_TABLE,
            sources.cohort,
            ["--layout", "by_sample", "--clustered", names.CLUSTERED_TABLE],
        ),
        (
            "individual to Parquet",
            "vcf_to_parquet.py",
            names.SAMPLE_TABLE,
            sources.individual,
            ["--layout", "by_variant"],
        ),
        ("ClinVar to Parquet", "clinvar_to_parquet.py", names.CLINVAR_TABLE, sources.clinvar, []),
    ):
        with steps.step(title) as step:
            stamp = folder / f".{table}-{_digest(source, [script, *options])}"
            if stamp.exists() and (tables / table / names.LOAD).exists():
                step.made = f"{table} is there, made by these scripts from this file"
                continue
            for older in folder.glob(f".{table}-*"):
                older.unlink()
            jobs.run(script, ["--input_path", str(source), "--output_path", str(tables / table), *options], step)
            stamp.touch()
    return Demonstration(sources, tables)


def _digest(source: Path, command: Sequence[str]) -> str:
    """Of all that a table's rows depend on: the file, the command, the jobs' code, Hail and Spark."""
    digest = hashlib.sha256(repr((command, version("hail"), version("pyspark"))).encode())
    for path in (source, *sorted((names.ROOT / "code" / "resources").rglob("*.py"))):
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]
