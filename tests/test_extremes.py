"""Large and odd VCFs through the real job, against the independent reader."""

from pathlib import Path
from random import Random

import pyarrow.parquet as pq
import pytest

from genomicslake import session
from tests import independent
from tests.test_failures import CONTIGS, bgzf, head, record
from vcf_to_parquet import vcf_to_parquet

SAMPLES = 3_202  # of the 1000 Genomes Project's high-coverage release
FIELDS = '##INFO=<ID=TXT,Number=1,Type=String,Description="">\n##FORMAT=<ID=PL,Number=G,Type=Integer,Description="">\n'


@pytest.fixture(scope="module", autouse=True)
def started() -> None:
    session.start()


def names(count: int) -> list[str]:
    return [f"HG{number:05d}" for number in range(count)]


def cohort(samples: int, records: int, alternates: int) -> str:
    """Records with so many alternates, which all come in calls."""
    chosen = Random(1)  # noqa: S311 - no secret
    alleles = ",".join("C" + "ACGT"[number % 4] * (1 + number // 4) for number in range(alternates))
    made = []
    for number in range(records):
        calls = [f"{chosen.randint(0, alternates)}|{chosen.randint(0, alternates)}" for _ in range(samples)]
        made.append(record(20_000_000 + 100 * number, *calls, alternate=alleles))
    return head(names(samples)) + "".join(made)


def long_line(length: int) -> str:
    """A record whose INFO alone has so many characters, and one whose REF has; others around them."""
    columns = head(["S1"]).replace("#CHROM", FIELDS + "#CHROM")
    bases = "ACGT" * (length // 4)
    return columns + "".join(
        [
            "22\t20000000\t.\tA\tC\t.\tPASS\tTXT=a\tGT\t0|1\n",
            f"22\t20000010\t.\tA\tC\t.\tPASS\tTXT={'x' * length}\tGT\t1|1\n",
            f"22\t20000020\t.\t{bases}\tA\t.\tPASS\tTXT=b\tGT\t0|1\n",
            f"22\t40000000\t.\tG\tG{bases}\t.\tPASS\tTXT=b\tGT\t0|1\n",
            "22\t40000010\t.\tA\tC\t.\tPASS\tTXT=c\tGT\t0|1\n",
        ]
    )


def many_contigs(count: int) -> str:
    """A header of so many contigs, of which the reference genome has one."""
    contigs = "".join(f"##contig=<ID=scaffold_{number},length={1000 + number}>\n" for number in range(count))
    return head(["S1"]).replace("#CHROM", contigs + "#CHROM") + record(20_000_000, "0|1") + record(20_000_007, "1|1")


def many_genotypes(alternates: int) -> str:
    """A value for each genotype of so many alternates."""
    alleles = ",".join("C" + "A" * number for number in range(alternates))
    values = ",".join(map(str, range((alternates + 1) * (alternates + 2) // 2)))
    columns = head(["S1"]).replace("#CHROM", FIELDS + "#CHROM")
    return columns + f"22\t20000000\t.\tA\t{alleles}\t.\tPASS\t.\tGT:PL\t{alternates - 1}/{alternates}:{values}\n"


CASES = {
    "3,202 samples": cohort(SAMPLES, 20, 2),
    "33 alternates": cohort(40, 20, 33),
    "33 alternates, a value a genotype": many_genotypes(33),
    "lines of 1 MB": long_line(1 << 20),
    "10,000 contigs": many_contigs(10_000),
}


@pytest.mark.parametrize("layout", ["by_sample", "by_variant"])
@pytest.mark.parametrize(("case", "kind"), [*((case, "bgzf") for case in CASES), ("lines of 1 MB", "plain")])
def test_as_the_independent_reader(tmp_path: Path, case: str, layout: str, kind: str) -> None:
    path, table = tmp_path / f"input.vcf{'.gz' if kind == 'bgzf' else ''}", tmp_path / "lake" / "variants"
    text = CASES[case].encode()
    path.write_bytes(bgzf(text) if kind == "bgzf" else text)
    vcf_to_parquet(["--input_path", str(path), "--output_path", str(table), "--layout", layout])
    result = independent.compare(path, layout, table)
    assert result.differences == []
    assert result.rows_found == result.rows_expected > 0


@pytest.mark.parametrize("genome", CONTIGS)
def test_positions_at_the_ends_of_a_contig(tmp_path: Path, genome: str) -> None:
    """1 and the contig's length are loaded; 0, which VCF has for telomeres (1.6.1), and length + 1 are rejected."""
    end = CONTIGS[genome]
    path, table = tmp_path / "input.vcf", tmp_path / "lake" / "variants"
    path.write_text(
        head(genome=genome).replace("ID=22", "ID=chr22")
        + "".join(record(at).replace("22\t", "chr22\t", 1) for at in (0, 1, end, end + 1))
    )
    vcf_to_parquet(["--input_path", str(path), "--output_path", str(table), "--on_error", "reject"])
    found = [row for part in table.rglob("*.parquet") for row in pq.read_table(part).to_pylist()]
    assert {row["startposition"] for row in found} == {0, end - 1}
    rejects = [row for part in (tmp_path / "lake" / "rejects").iterdir() for row in pq.read_table(part).to_pylist()]
    first = len(head(genome=genome).splitlines()) + 1
    told = {(row["line"], row["reason"]) for row in rejects}
    assert told == {(first, "position"), (first + 3, "beyond_contig")}
