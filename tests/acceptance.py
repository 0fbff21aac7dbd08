"""The acceptance run: real files in, tables and report out, every genotype against an independent reader.

Called by .ci/run (`./setup.sh test tests/acceptance.py`), not by `./setup.sh test` alone: it takes minutes. One
rehearsal, launched here unless it is up, is asked again and again, as a user would; the last test takes it down.
"""

import csv
import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from clinvar_to_parquet import clinvar_to_parquet
from setup import __main__ as verbs
from setup import names
from setup.rehearsal import process
from tests import independent
from vcf_to_parquet import vcf_to_parquet

DATA = names.ROOT.parent / "shared" / "data"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="../shared/data is absent")

VCF_FILES = sorted(
    path.relative_to(DATA).as_posix() for folder in ("1000genomes", "vcf") for path in (DATA / folder).glob("*.vcf*")
)
UNTOLD = {"vcf/1kg_chr20_100samples.vcf.gz": "GRCh37"}  # its header has no contigs
COHORT = DATA / "1000genomes" / "chr22_comt_cyp2d6.2504samples.grch37.vcf.gz"


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


def test_ncbis_own_vcf_of_clinvar(tmp_path: Path) -> None:
    table = tmp_path / "lake" / "clinvar"
    path = DATA / "clinvar" / "ncbi_sample_clinvar.vcf"
    clinvar_to_parquet(["--input_path", str(path), "--output_path", str(table)])
    columns = ["variationid", "alleleid", "assembly", "chromosome", "start", "alternateallele", "rsid", "origin"]
    found = pq.ParquetDataset(table).read(columns=[*columns, "clinicalsignificance", "phenotypelist"]).to_pylist()
    assert sorted(tuple(row.values()) for row in found) == [
        (12578, 27617, "GRCh37", "12", 25398285, "A", 121913530, "germline;somatic", "Pathogenic",
         "Prostate cancer, hereditary, 1"),
        (16613, 31652, "GRCh37", "7", 55249071, "T", 121434569, "somatic", None, None),
    ]  # fmt: skip


def test_there_are_files() -> None:
    assert len(VCF_FILES) == 13


def local(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[list[dict[str, str]], str]:
    """The rows of the report that `./setup.sh local` writes, and what it prints."""
    verbs.main(["local", "--keep", *arguments])
    with (names.REPORT / "drug_response.csv").open(newline="") as file:
        return list(csv.DictReader(file)), capsys.readouterr().out


def failed(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The error that `./setup.sh local` ends with."""
    with pytest.raises(SystemExit):
        verbs.main(["local", "--keep", *arguments])
    return capsys.readouterr().err


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


def test_the_demonstration_is_the_published_table(capsys: pytest.CaptureFixture[str]) -> None:
    rows, printed = local([], capsys)
    assert frequencies(rows) == published()
    assert len(rows) == 10
    assert "65 samples like 'NA12%'" in printed
    again, _ = local([], capsys)
    assert again == rows


@pytest.mark.parametrize("columns", ["43col", "31col"])
def test_the_acceptance_input_gives_the_published_frequencies(columns: str, capsys: pytest.CaptureFixture[str]) -> None:
    clinvar = DATA / "clinvar" / f"variant_summary.{columns}.constructed.txt"
    rows, printed = local(["--vcf", str(COHORT), "--clinvar", str(clinvar)], capsys)
    expected = {rsid: published()[rsid] for rsid in ("rs4680", "rs3892097", "rs13306278")}
    assert frequencies(rows) == expected
    assert len(rows) == 6
    for rsid, genotypes in expected.items():
        assert rsid in printed
        assert all(f"{frequency:.6f}" in printed for frequency in genotypes.values())


def test_a_bad_record_stops_the_deployed_job(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    vcf = tmp_path / "bad.vcf"
    head = ["##fileformat=VCFv4.2", "##contig=<ID=22,length=51304566>"]
    columns = "#CHROM POS ID REF ALT QUAL FILTER INFO FORMAT NA12003".replace(" ", "\t")
    records = ["22\t19951271\t.\tG\tA\t.\t.\t.\tGT\t0/1", "22\t19951272\t.\tG\t[bold]!\t.\t.\t.\tGT\t0/1"]
    vcf.write_text("\n".join([*head, columns, *records, ""]))
    clinvar = DATA / "clinvar" / "variant_summary.43col.constructed.txt"
    told = failed(["--vcf", str(vcf), "--clinvar", str(clinvar)], capsys)
    assert "Glue job genomicsanalysis-vcf-to-parquet" in told
    assert "1 of 2 records" in told
    assert "line 5: ALT '[bold]!' is no allele" in told
    rows, _ = local(["--vcf", str(COHORT), "--clinvar", str(clinvar)], capsys)
    assert len(rows) == 6


def test_a_cohort_of_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    assert "No sample of the cohort is like 'ZZ%'" in failed(["--samples", "ZZ%"], capsys)


def test_status_and_down(capsys: pytest.CaptureFixture[str]) -> None:
    verbs.main(["local", "--status"])
    assert "AWS_ENDPOINT_URL" in capsys.readouterr().out
    verbs.main(["local", "--down"])
    assert "nothing is left of it" in capsys.readouterr().out
    assert process.find() is None
