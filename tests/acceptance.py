"""The acceptance run: real files in, tables and report out, every genotype against an independent reader.

Called by .ci/run (`./setup.sh test tests/acceptance.py`), not by `./setup.sh test` alone: it takes minutes.
"""

import csv
import json
import re
import shutil
from pathlib import Path

import duckdb
import pytest

from setup import __main__ as verbs
from setup import catalog, names
from tests import independent
from vcf_to_parquet import vcf_to_parquet

DATA = names.ROOT.parent / "shared" / "data"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="../shared/data is absent")

VCF_FILES = sorted(
    path.relative_to(DATA).as_posix() for folder in ("1000genomes", "vcf") for path in (DATA / folder).glob("*.vcf*")
)
UNTOLD = {"vcf/1kg_chr20_100samples.vcf.gz": "GRCh37"}  # its header has no contigs


@pytest.mark.parametrize("layout", ["by_sample", "by_variant"])
@pytest.mark.parametrize("file", VCF_FILES)
def test_every_genotype_agrees_with_an_independent_reader(file: str, layout: str, tmp_path: Path) -> None:
    table = tmp_path / "lake" / "table"
    genome = ["--reference_genome", UNTOLD[file]] if file in UNTOLD else []
    vcf_to_parquet(["--input_path", str(DATA / file), "--output_path", str(table), "--layout", layout, *genome])
    found = independent.compare(DATA / file, layout, table)
    shutil.rmtree(tmp_path)
    print(f"{file} {layout}: {found.rows_found:,} rows, {found.genotypes_checked:,} genotypes checked")
    assert found.differences == []
    assert found.rows_found == found.rows_expected


def test_there_are_files() -> None:
    assert len(VCF_FILES) == 13


def local(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[list[dict[str, str]], str]:
    """The rows of the report that `./setup.sh local` writes, and what it prints."""
    verbs.main(["local", *arguments])
    with (names.REPORT / "drug_response.csv").open(newline="") as file:
        return list(csv.DictReader(file)), capsys.readouterr().out


def frequencies(rows: list[dict[str, str]]) -> dict[str, dict[str, float]]:
    """Rows by rsID and genotype, as in the published table."""
    found: dict[str, dict[str, float]] = {}
    for row in rows:
        kind = {"01": "het", "11": "hom_alt"}[row["genotype0"] + row["genotype1"]]
        found.setdefault(f"rs{row['rsid']}", {})[kind] = round(float(row["genotypefrequency"]), 6)
    return found


def published() -> dict[str, dict[str, float]]:
    expected = json.loads((DATA / "expected" / "chr22_expected_counts.json").read_text())
    return dict(expected["published_drug_response_table"])


@pytest.mark.parametrize("columns", ["43col", "31col"])
def test_the_acceptance_input_gives_the_published_frequencies(columns: str, capsys: pytest.CaptureFixture[str]) -> None:
    vcf = DATA / "1000genomes" / "chr22_comt_cyp2d6.2504samples.grch37.vcf.gz"
    clinvar = DATA / "clinvar" / f"variant_summary.{columns}.constructed.txt"
    rows, printed = local(["--vcf", str(vcf), "--clinvar", str(clinvar)], capsys)
    expected = {rsid: published()[rsid] for rsid in ("rs4680", "rs3892097", "rs13306278")}
    assert frequencies(rows) == expected
    assert len(rows) == 6
    for rsid, genotypes in expected.items():
        assert rsid in printed
        assert all(f"{frequency:.6f}" in printed for frequency in genotypes.values())


def test_the_demonstration_is_the_published_table(capsys: pytest.CaptureFixture[str]) -> None:
    rows, printed = local([], capsys)
    assert frequencies(rows) == published()
    assert len(rows) == 10
    assert "65 samples like 'NA12%'" in printed


def guides_query() -> str:
    """The guide's own query, as it stands under step 3, option 2, without the page break's fence."""
    guide = (DATA.parent / "guide.txt").read_text()
    start = guide.rindex("SELECT\n    count(*)/cast(numsamples")
    end = guide.index("LIMIT 50", start) + len("LIMIT 50")
    return guide[start:end].replace("```", "")


def test_the_guides_query_gives_the_same_rows(capsys: pytest.CaptureFixture[str]) -> None:
    local([], capsys)
    lake = names.BUILD / "demo" / "lake"
    guides = catalog.ask(lake, guides_query())
    ours = catalog.ask(lake, catalog.query("drug_response", "GRCh37"), [names.SAMPLES])
    assert [row[0] for row in guides] == [row[0] for row in ours]
    assert sorted(guides) == sorted(ours)
    assert len(ours) == 10


def test_a_second_run_changes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    first, _ = local([], capsys)
    tables = names.BUILD / "demo" / "lake"
    before = {path: path.stat().st_mtime_ns for path in tables.glob("*/**/*.parquet")}
    second, printed = local([], capsys)
    assert second == first
    assert printed.count("up to date") == 3
    assert {path: path.stat().st_mtime_ns for path in tables.glob("*/**/*.parquet")} == before


def test_every_table_carries_its_facts() -> None:
    with duckdb.connect(str(names.BUILD / "demo" / "lake" / "catalog.duckdb"), read_only=True) as connection:
        comments = dict(
            connection.execute(
                "SELECT view_name, comment FROM duckdb_views() WHERE schema_name = ?", [names.DATABASE]
            ).fetchall()
        )
    for table in names.TABLES:
        facts = json.loads(comments[table])
        assert facts["run_id"]
        assert facts["coordinate_base"]
        assert facts["code_commit"]
        assert facts["hail_version"] == "0.2.139"
        assert len(facts["sources"][0]["sha256"]) == 64
    assert json.loads(comments[names.VARIANTS_TABLE])["reference_genome"] == "GRCh37"


def test_the_queries_of_the_docs_run() -> None:
    queries = [
        query
        for page in (names.ROOT / "README.md", *(names.ROOT / "docs").glob("*.md"))
        for query in re.findall(r"^```sql\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    ]
    assert queries
    for query in queries:
        assert catalog.ask(names.BUILD / "demo" / "lake", query), query
