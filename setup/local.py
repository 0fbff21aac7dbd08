"""The main job on one machine: VCF and ClinVar in, the drug-response report out."""

import os
import platform
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
from rich.console import Console

from setup import catalog, demo, jobs, names, report
from setup.demo import samples, sites
from setup.errors import SetupError
from setup.progress import Steps
from setup.report import DrugResponse, Facts


@dataclass(frozen=True)
class Local:
    """What is asked of `./setup.sh local`. Without files, the demonstration data are made and used."""

    vcf: Sequence[Path] = ()
    clinvar: Path | None = None
    samples: str = names.SAMPLES  # a LIKE pattern of sample ids
    reference_genome: str | None = None
    on_error: str = "fail"


def run(asked: Local, console: Console) -> None:
    """Convert, catalogue, ask, report. Raises SetupError; the table of the step that failed is then as it was."""
    is_demo = not asked.vcf
    if is_demo != (asked.clinvar is None):
        raise SetupError("--vcf and --clinvar go together: pass both, or neither for the demonstration data.")
    steps = Steps(console, 6 if is_demo else 4)
    lake = names.BUILD / "demo" / "lake" if is_demo else names.BUILD / "lake"
    vcf, clinvar = asked.vcf, asked.clinvar
    if is_demo:
        with steps.step("demonstration data") as step:
            made = demo.make(names.BUILD / "demo")
            step.made = "a cohort's VCF, an individual's VCF and ClinVar, generated from a seed"
        vcf, clinvar = [made.cohort], made.clinvar
    options = ["--on_error", asked.on_error]
    genome = ["--reference_genome", asked.reference_genome] if asked.reference_genome else []

    def convert(title: str, script: str, table: str, files: Sequence[Path], further: Sequence[str]) -> None:
        with steps.step(title) as step:
            paths = [str(path) for path in files]
            jobs.run(script, ["--input_path", *paths, "--output_path", str(lake / table), *options, *further], step)

    variants = "vcf_to_parquet.py"
    convert("cohort to Parquet", variants, names.VARIANTS_TABLE, vcf, ["--layout", "by_sample", *genome])
    if is_demo:
        convert("individual to Parquet", variants, names.SAMPLE_TABLE, [made.individual], ["--layout", "by_variant"])
    convert("ClinVar to Parquet", "clinvar_to_parquet.py", names.CLINVAR_TABLE, [clinvar] if clinvar else [], [])
    with steps.step("catalog") as step:
        loads = catalog.build(lake)
        step.made = f"{', '.join(loads)} in {_shown(lake / 'catalog.duckdb')}"
    with steps.step("drug-response report") as step:
        rows, facts = ask(lake, asked.samples, is_demo=is_demo)
        report.write(names.REPORT, rows, facts)
        step.made = f"{len(rows)} rows in {_shown(names.REPORT)}"
    console.print()
    if facts.samples_without_rows:
        console.print(
            f"[yellow]warning:[/] {facts.samples_without_rows:,} samples of the cohort carry no variant in these files "
            "and are not in the frequencies' number of samples",
            soft_wrap=True,
        )
    report.show(rows, console, f"{facts.samples:,} samples like {facts.samples_pattern!r} ({facts.reference_genome})")
    console.print(f"\nThe report: {names.REPORT / 'index.html'}", soft_wrap=True, markup=False)


def ask(lake: Path, pattern: str, *, is_demo: bool) -> tuple[list[DrugResponse], Facts]:
    """The drug-response query on a lake, for the samples of a pattern, and where its rows come from."""
    loads = catalog.loads(lake)
    variants = next(load for load in loads if load["table"] == names.VARIANTS_TABLE)
    in_files, with_rows = _cohort(lake, variants, pattern)
    if not in_files:
        raise SetupError(f"No sample of the cohort is like {pattern!r}. --samples is a pattern of ids: NA12%, or %.")
    text = catalog.query("drug_response", variants["reference_genome"])
    rows = [DrugResponse(*row) for row in catalog.ask(lake, text, [pattern])]
    facts = Facts(
        samples_pattern=pattern,
        samples=with_rows,
        samples_without_rows=in_files - with_rows,
        reference_genome=variants["reference_genome"],
        query=text,
        guide_rows_agree=_published(rows) if is_demo and pattern == names.SAMPLES else None,
        versions=_versions(loads[0]["hail_version"], loads[0]["spark_version"]),
        loads=loads,
        is_demo=is_demo,
    )
    return rows, facts


def _cohort(lake: Path, load: dict[str, Any], pattern: str) -> tuple[int, int]:
    """How many samples are like the pattern: in the files that were loaded, and in the table."""
    names_in_files = [name for source in load["sources"] for name in source["samples"]]
    in_files = "SELECT count(DISTINCT name) FROM unnest(?) AS samples(name) WHERE name LIKE ?"
    # only our own names are filled in; the pattern is a parameter
    in_table = f"SELECT count(DISTINCT sampleid) FROM {names.DATABASE}.{names.VARIANTS_TABLE} WHERE sampleid LIKE ?"  # noqa: S608
    return (
        int(catalog.ask(lake, in_files, [names_in_files, pattern])[0][0]),
        int(catalog.ask(lake, in_table, [pattern])[0][0]),
    )


def _published(rows: Sequence[DrugResponse]) -> bool:
    """Whether the rows are the ten of the published report, to six decimals."""
    cohort = len(samples.NA12_IDS)
    published = {
        (int(site.rsid.removeprefix("rs")), genotype): round(count / cohort, 6)
        for site in sites.DRUG_SITES
        for genotype, count in (("0/1", site.heterozygotes), ("1/1", site.homozygotes))
        if site.phenotypes and count
    }
    found = {(row.rsid, row.genotype): round(row.genotypefrequency, 6) for row in rows}
    return found == published and len(rows) == len(published)


def _versions(hail: str, spark: str) -> dict[str, str]:
    java = str(Path(os.environ["JAVA_HOME"], "bin", "java")) if "JAVA_HOME" in os.environ else "java"
    told = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "([^"]+)"', told)
    return {
        "solution": names.VERSION,
        "commit": jobs.commit(),
        "Hail": hail,
        "Spark": spark,
        "DuckDB": duckdb.__version__,
        "Python": platform.python_version(),
        "Java": version[1] if version else "unknown",
    }


def _shown(path: Path) -> str:
    """A path as it is shown: from the checkout, where it is inside."""
    return str(path.relative_to(names.ROOT)) if path.is_relative_to(names.ROOT) else str(path)
