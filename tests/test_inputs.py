"""Which inputs are refused before anything is converted, because their rows would be wrong or doubled."""

from pathlib import Path

import pytest

from genomicslake import header, names, references
from genomicslake.errors import LakeError
from genomicslake.publish_local import LocalTable
from vcf_to_parquet import vcf_to_parquet

HEADER = """##fileformat=VCFv4.3
##contig=<ID=22,length=51304566>
##INFO=<ID=X,Number=1,Type={type},Description="x">
##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">
#CHROM	POS	ID	REF	ALT	QUAL	FILTER	INFO	FORMAT	{sample}
"""


def vcf(path: Path, *positions: int, sample: str = "S1", type_: str = "Integer") -> str:
    records = "".join(f"22\t{position}\t.\tA\tC\t.\t.\tX=1\tGT\t0/1\n" for position in positions)
    path.write_text(HEADER.format(sample=sample, type=type_) + records)
    return str(path)


def refused(tmp_path: Path, words: str, *paths: str, layout: str = "by_sample") -> None:
    table = tmp_path / "lake" / "variants"
    with pytest.raises(LakeError, match=words):
        vcf_to_parquet(["--input_path", *paths, "--output_path", str(table), "--layout", layout])
    assert not table.exists()


def test_the_same_file_twice(tmp_path: Path) -> None:
    one, copy = vcf(tmp_path / "one.vcf", 100), vcf(tmp_path / "copy.vcf", 100)
    refused(tmp_path, "same file as .*copy.vcf", one, copy)


def test_a_sample_and_contig_in_two_files(tmp_path: Path) -> None:
    one, more = vcf(tmp_path / "one.vcf", 100), vcf(tmp_path / "more.vcf", 100, 200)
    refused(tmp_path, "sample S1 has records on contig 22 in .*more.vcf too", one, more)


def test_headers_that_disagree(tmp_path: Path) -> None:
    one, other = vcf(tmp_path / "one.vcf", 100), vcf(tmp_path / "other.vcf", 100, sample="S2", type_="Float")
    refused(tmp_path, "disagree about INFO X: Number=1, Type=Integer in .*one.vcf", one, other, layout="by_variant")


@pytest.mark.parametrize("name", ["NULL", "null", "__HIVE_DEFAULT_PARTITION__"])
def test_samples_that_folders_cannot_name(tmp_path: Path, name: str) -> None:
    refused(tmp_path, f"'{name}' can't name a sample", vcf(tmp_path / "one.vcf", 100, sample=name))


def test_two_jobs_on_one_table(tmp_path: Path) -> None:
    with LocalTable(str(tmp_path / "lake" / "variants")).locked():
        refused(tmp_path, "another job is writing this table", vcf(tmp_path / "one.vcf", 100))


@pytest.mark.parametrize("name", ["my-table", "Variants", "a b", "2024", "sampleid=x"])
def test_names_that_athena_would_not_take(name: str) -> None:
    with pytest.raises(LakeError, match="can't be a table's name"):
        LocalTable(f"lake/{name}")


LENGTHS = {"GRCh37": {"22": 51304566, "MT": 16569}, "GRCh38": {"chr22": 50818468, "chrM": 16569}}


def of_contigs(**contigs: int | None) -> header.Header:
    return header.Header("x.vcf", "VCFv4.2", "", {}, {}, dict(contigs), ("S1",), 5)


def test_the_reference_genome_is_told_by_lengths_or_asked_for() -> None:
    assert references.choose([of_contigs(chr22=51304566)], LENGTHS, None) == "GRCh37"
    assert references.choose([of_contigs(chr22=50818468)], LENGTHS, None) == "GRCh38"
    assert references.choose([of_contigs(chr22=None)], LENGTHS, "GRCh38") == "GRCh38"
    for contigs in ({"chr22": None}, {"chr22": 1}, {"chrM": 16569}, {}):
        with pytest.raises(LakeError, match="does not tell the reference genome"):
            references.choose([of_contigs(**contigs)], LENGTHS, None)
    with pytest.raises(LakeError, match=r"the file is not GRCh38: .* contig chr22 51304566 bases, GRCh38 has 50818468"):
        references.choose([of_contigs(chr22=51304566)], LENGTHS, "GRCh38")


def test_columns_are_named_once_for_all_files() -> None:
    both = header.parse("both.vcf", declared("A.B", "A_B"))
    one = header.parse("one.vcf", declared("A_B"))
    assert names.of_headers([both, one])[0] == {"A.B": "info_a_b", "A_B": "info_a_b_2"}


def declared(*fields: str) -> list[str]:
    lines = [f'##INFO=<ID={name},Number=1,Type=Integer,Description="">' for name in fields]
    return ["##fileformat=VCFv4.3", *lines, "\t".join([*header.COLUMNS, "FORMAT", "S1"])]


def test_what_glue_adds_is_passed_over(tmp_path: Path) -> None:
    glue = [
        "--JOB_NAME",
        "x-vcf-to-parquet",
        "--JOB_RUN_ID",
        "jr_1",
        "--enable-metrics",
        "true",
        "--TempDir",
        "s3://x/",
    ]
    arguments = ["--input_path", vcf(tmp_path / "one.vcf", 100), "--output_path", str(tmp_path / "lake" / "variants")]
    vcf_to_parquet([*glue[:4], *arguments, *glue[4:]])
    assert [path.name for path in (tmp_path / "lake" / "variants").iterdir() if path.is_dir()] == ["sampleid=S1"]
