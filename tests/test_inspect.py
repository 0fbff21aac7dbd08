"""What `./setup.sh inspect` and `--inspect` tell of files, and that a conversion then does what they foretell."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from genomicslake import inspection, lines, references, sources
from genomicslake.inspection import Report
from genomicslake.rejects import SHOWN
from inspect_input import ENDINGS, inspect_input
from setup import names
from tests import broken
from tests.test_failures import GENOTYPE, SHARED, bgzf, clinvar_rows, clinvar_text, head, record, records
from vcf_to_parquet import vcf_to_parquet

LENGTHS = references.lengths()

needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="../shared/data is absent")


def reports(*paths: Path, genome: str | None = None) -> list[Report]:
    found = sources.find([str(path) for path in paths], ENDINGS, whole=False)
    return inspection.inspected(found, LENGTHS, genome, lambda _: None)


def report(folder: Path, content: str | bytes, name: str = "new.vcf", genome: str | None = None) -> Report:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return reports(path, genome=genome)[0]


def test_a_sound_file(tmp_path: Path) -> None:
    found = report(tmp_path, head() + records(3) + record(30_000_000, alternate="CT"))
    assert (found.kind, found.container, found.version, found.reference_genome) == ("VCF", "plain", "VCFv4.2", "GRCh37")
    assert found.is_certain
    assert found.why == "certain: the lengths of 1 contigs in the header"
    assert found.samples == ["S1", "S2"]
    assert found.is_sorted
    assert (found.records, found.kinds) == (4, {"SNV": 3, "insertion or deletion": 1})
    assert (found.bad, found.problems, found.undeclared, found.code) == ([], [], [], 0)


@pytest.mark.parametrize(
    ("data", "container", "reason"),
    [
        (head().encode() + records(3).encode(), "plain", None),
        (bgzf(head().encode() + records(3).encode()), "bgzf", None),
        (bgzf(head().encode() + records(3).encode(), end=b""), "bgzf", "block"),
    ],
    ids=["plain", "BGZF", "BGZF without its end"],
)
def test_containers(tmp_path: Path, data: bytes, container: str, reason: str | None) -> None:
    found = report(tmp_path, data, "new.vcf.gz")
    assert (found.container, found.code) == (container, 1 if reason else 0)
    assert [bad.reason for bad in found.bad] == ([reason] if reason else [])


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("hello\n", "no VCF and not ClinVar's"),
        (head(("S1", "S1")) + records(1), "samples stand twice in the header: S1"),
        (head(("S1", "null")) + records(1), "'null' can't name a sample"),
        (head(genome=None) + records(1), "does not tell the reference genome"),
        (head().rsplit("#CHROM", 1)[0], "no #CHROM line"),
        (bgzf(head().encode())[:40], "truncated"),
    ],
    ids=["no VCF", "a sample twice", "an illegal name", "no reference genome", "no columns", "a truncated header"],
)
def test_what_can_not_be_loaded_at_all(tmp_path: Path, content: str | bytes, told: str) -> None:
    found = report(tmp_path, content)
    assert any(told in problem for problem in found.problems), found.problems
    assert found.code == 2


def test_all_that_is_wrong_with_a_header(tmp_path: Path) -> None:
    """Not only the first thing, at which a conversion stops."""
    header = head(("S1", "S1", "")).replace(
        GENOTYPE, GENOTYPE + "##INFO=<Number=1,Type=Float>\n##INFO=<ID=A,Type=Int>\n"
    )
    told = report(tmp_path, header + records(1)).problems
    for words in (
        "line 4: this header line has no ID",
        "line 5: the type 'Int'",
        "line 6: samples stand twice",
        "no name",
    ):
        assert any(words in problem for problem in told), told


def test_a_guess_at_the_reference_genome(tmp_path: Path) -> None:
    text = head(genome=None).replace("##contig", "##reference=file:///refs/hg19.fa\n##contig") + records(1)
    found = report(tmp_path, text)
    assert (found.reference_genome, found.is_certain) == ("GRCh37", False)
    assert report(tmp_path, text, genome="GRCh37").code == 0


def test_records_that_are_not_sorted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "SMALLEST_PART", 100)
    monkeypatch.setattr(inspection, "BYTES_A_PART", 200)
    assert report(tmp_path, head() + records(20)).is_sorted
    found = report(tmp_path, head() + records(20) + record(20_000_000))
    assert not found.is_sorted
    assert [(bad.line, bad.reason) for bad in found.bad] == [(25, "duplicate")]


def test_fields(tmp_path: Path) -> None:
    declared = head().replace(GENOTYPE, GENOTYPE + '##INFO=<ID=DP,Number=1,Type=Integer,Description="">\n')
    text = declared + record(5).replace("\t.\tGT", "\tDP=x;NEW=1\tGT:XX") + record(6)
    found = report(tmp_path, text)
    assert found.undeclared == ["FORMAT/XX", "INFO/NEW"]
    assert [(bad.line, bad.reason, bad.field) for bad in found.bad] == [(6, "info", "INFO/DP")]
    assert (found.rejected, found.rejected_fields, found.code) == (0, 1, 1)
    assert "(INFO/DP is left out)" in inspection.written([found])


def test_headers_that_disagree(tmp_path: Path) -> None:
    paths = []
    for number, kind in enumerate(("Float", "Integer")):
        paths.append(tmp_path / f"{number}.vcf")
        declared = GENOTYPE + f'##INFO=<ID=MQ,Number=1,Type={kind},Description="">\n'
        paths[-1].write_text(head((f"S{number}",)).replace(GENOTYPE, declared) + record(5, "0|1"))
    first, second = reports(*paths)
    assert (first.conflicts, first.code, second.code) == ([], 0, 1)
    assert "the headers disagree about INFO MQ" in second.conflicts[0]


def test_clinvar(tmp_path: Path) -> None:
    text = clinvar_text(clinvar_rows(4)).splitlines()
    text[2] += "\tmore"
    found = report(tmp_path, "\n".join(text), "variant_summary_2026-06.txt")
    assert (found.kind, found.release_date, found.records, len(found.columns)) == ("ClinVar", "2026-06", 4, 31)
    assert [(bad.line, bad.reason) for bad in found.bad] == [(3, "columns")]
    assert (found.rejected, found.code) == (1, 1)


def test_it_foretells_what_the_job_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All reasons and fields, on records of all kinds: the same lines are rejected for the same reasons."""
    monkeypatch.setattr(lines, "SMALLEST_PART", 300)
    monkeypatch.setattr(inspection, "BYTES_A_PART", 700)
    cases = names.ROOT / "tests" / "cases" / "vcf"
    for name in ("rejects_by_variant", "duplicates", "integers_of_32_bits", "block"):
        path = next((cases / name).glob("input.vcf*"))
        table = tmp_path / name / "variants"
        options = ["--layout", "by_variant", "--on_error", "reject", "--output_path", str(table)]
        vcf_to_parquet(["--input_path", str(path), *options])
        rejected = pq.read_table(table.parent / "rejects").to_pylist()
        foretold = reports(path)[0]
        assert foretold.code == 1
        assert sorted((bad.line, bad.reason, bad.field or "") for bad in foretold.bad) == sorted(
            (row["line"], row["reason"], row["field"] or "") for row in rejected if first_few(rejected, row)
        )
        load = pq.read_table(table.parent / "loads").to_pylist()[0]["sources"][0]
        assert (foretold.records, foretold.rejected) == (load["records"], load["rejected"])
        assert foretold.rejected_fields == load["rejected_fields"]


def first_few(rejected: list[dict[str, Any]], row: dict[str, Any]) -> bool:
    """Whether a row is among the first of its reason that are told."""
    same = sorted(other["line"] for other in rejected if other["reason"] == row["reason"])
    return row["line"] in same[:SHOWN]


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(names.SCRIPTS / "inspect_input.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_exit_codes_text_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = tmp_path / "good file.vcf", tmp_path / "bad.vcf"
    good.write_text(head() + records(3))
    bad.write_text(head() + records(3) + record(5, "x", "x"))
    assert inspect_input([str(good)]) == 0
    assert inspect_input([str(tmp_path)]) == 1
    text = capsys.readouterr().out
    assert "line 8: sample S1's GT 'x' is no call" in text
    assert "stops; with --on_error reject it loads 3 of 4 records" in text
    ran = run(tmp_path, "--json")
    assert ran.returncode == 1
    told = json.loads(ran.stdout)
    assert [(one["path"], one["code"]) for one in told] == [(str(bad), 1), (str(good), 0)]
    assert told[0]["bad"] == [{"line": 8, "reason": "call", "field": None, "detail": "sample S1's GT 'x' is no call"}]
    missing = run(tmp_path / "missing.vcf")
    assert (missing.returncode, missing.stdout) == (2, "")
    assert "no such file" in missing.stderr


def test_clinvars_vcf(tmp_path: Path) -> None:
    text = (names.ROOT / "tests" / "cases" / "clinvar" / "vcf_rejects" / "input.vcf").read_text()
    found = report(tmp_path, text, "clinvar.vcf")
    assert (found.kind, found.release_date, found.records, found.code) == ("ClinVar", "2026-06-28", 7, 1)
    assert (found.rejected, found.rejected_fields) == (6, 2)


def test_sites_without_samples(tmp_path: Path) -> None:
    text = (names.ROOT / "tests" / "cases" / "vcf" / "no_samples" / "input.vcf").read_text()
    found = report(tmp_path, text)
    assert (found.kind, found.samples, found.records, found.code) == ("VCF", [], 3, 0)
    assert "loads 3 of 3 records, which are sites only, and in layout by_variant alone" in inspection.written([found])


def test_the_job_s_option(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "new.vcf"
    path.write_text(head() + records(3))
    vcf_to_parquet(["--input_path", str(path), "--inspect"])
    assert "loads all 3 records" in capsys.readouterr().out
    path.write_text(head() + records(3) + "ragged\n")
    with pytest.raises(SystemExit) as ended:
        vcf_to_parquet(["--input_path", str(path), "--inspect"])
    assert ended.value.code == 1
    assert [one.name for one in tmp_path.iterdir()] == ["new.vcf"]


@needs_shared
def test_real_files() -> None:
    found = {Path(one.path).name: one for one in reports(SHARED / "vcf", SHARED / "1000genomes", SHARED / "malformed")}
    cohort = found["chr22_comt_cyp2d6.2504samples.grch37.vcf.gz"]
    assert (cohort.records, len(cohort.samples), cohort.reference_genome, cohort.code) == (1251, 2504, "GRCh37", 0)
    assert found["gatk.NA12249.grch38.g.vcf.gz"].kinds["reference block"] == 976
    assert found["plain_gzip_named_gz.vcf.gz"].container == "gzip"
    assert found["chr22_16-16.5mb.2504samples.grch37.vcf.gz"].kinds["symbolic"] > 0
    assert [bad.reason for bad in found["hail_malformed.vcf"].bad] == ["columns"]
    assert found["1kg_chr20_100samples.vcf.gz"].code == 2  # its header does not tell the reference genome


def test_broken_files_never_stop_it(tmp_path: Path) -> None:
    from random import Random

    for number in range(60):
        made = broken.broken(Random(number), number, 2)  # noqa: S311 - no secret
        (tmp_path / made.name).write_bytes(made.data)
    whole = [path for path in tmp_path.iterdir() if path.stat().st_size]
    found = [one for path in whole for one in reports(path, genome="GRCh37")]
    assert {one.code for one in found} == {0, 1, 2}
    assert inspection.written(found)
