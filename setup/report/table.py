"""The table on the console."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from setup.report.rows import DrugResponse, short_allele

NARROWEST = 72  # below this the terminal folds the lines; no digit is left out
NUMBERS = ("frequency", "rsID", "position", "alleles", "genotype")
LEGEND = "0/1 heterozygous, 1/1 homozygous alternate, 1 one allele known; position 1-based, as in a VCF"


def show(rows: Sequence[DrugResponse], console: Console, cohort: str = "the cohort") -> None:
    """Print the rows in the query's order. Where room is short the phenotypes give way, numbers never."""
    if not rows:
        console.print(f"Drug response: no sample of {cohort} carries a variant related to drug response.", markup=False)
        return
    table = Table(title=Text(f"Drug response in {cohort}"), box=SIMPLE_HEAD, title_justify="left", padding=(0, 1, 0, 0))
    table.width = NARROWEST if console.width < NARROWEST else None
    cells = [_numbers(row) for row in rows]
    for heading, column in zip(NUMBERS, zip(*cells, strict=True), strict=True):
        table.add_column(heading, no_wrap=True, min_width=max(map(len, (heading, *column))))
    table.add_column("phenotypes", overflow="ellipsis")
    for row, numbers in zip(rows, cells, strict=True):
        phenotypes = Text("; ".join(row.phenotypes) or "-", no_wrap=True, overflow="ellipsis")
        table.add_row(*map(Text, numbers), phenotypes)
    console.print(table, crop=False)
    console.print(Text(LEGEND, style="dim"))


def _numbers(row: DrugResponse) -> tuple[str, ...]:
    rsid = "-" if row.rsid is None else f"rs{row.rsid}"
    change = f"{short_allele(row.referenceallele, 3)}>{short_allele(row.alternateallele, 3)}"
    return f"{row.genotypefrequency:.6f}", rsid, row.locus, change, row.genotype
