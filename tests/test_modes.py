"""Cohorts that grow and shrink: what is added, taken in the place of others, or taken out, and nothing else."""

import json
import random
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from genomicslake import checksums
from genomicslake.errors import LakeError
from tests.test_failures import GENOTYPE, head, record, rows_of
from vcf_to_parquet import vcf_to_parquet

LAYOUTS = ["by_sample", "by_variant"]
CLUSTERED = "clustered"  # by_sample, and its clustered table
CONTIG_21 = "##contig=<ID=21,length=48129895>\n"


def vcf(samples: Sequence[str], contigs: Sequence[str] = ("22",), first: int = 20_000_000, count: int = 4) -> str:
    text = head(samples).replace("##contig", CONTIG_21 + "##contig", 1)
    calls = ["0|1", "1|1", "1|0"]
    for contig in contigs:
        for number in range(count):
            given = [calls[(number + at) % 3] for at in range(len(samples))]
            text += record(first + 7 * number, *given).replace("22", contig, 1)
    return text


class Lake:
    def __init__(self, folder: Path, layout: str) -> None:
        self.folder, self.layout = folder, layout
        self.table = folder / "lake" / "variants"

    def given(self, name: str, text: str) -> str:
        path = self.folder / name
        path.write_text(text)
        return str(path)

    def load(self, mode: str, *paths: str, options: Sequence[str] = ()) -> None:
        layout = ["--layout", "by_sample"] if self.layout == CLUSTERED else ["--layout", self.layout]
        if self.layout == CLUSTERED and not self.table.exists():  # from then on, that which stands
            layout += ["--clustered", CLUSTERED]
        arguments = [*layout, "--mode", mode, "--output_path", str(self.table), *options]
        vcf_to_parquet([*(["--input_path", *paths] if paths else []), *arguments])

    def remove(self, *samples: str) -> None:
        vcf_to_parquet(["--mode", "remove", "--samples", *samples, "--output_path", str(self.table)])

    def rows(self) -> list[dict[str, Any]]:
        return rows_of(self.table)

    def standing(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads((self.table / "_load.json").read_text())
        return told

    def loads(self) -> list[dict[str, Any]]:
        found = [row for path in (self.folder / "lake" / "loads").iterdir() for row in pq.read_table(path).to_pylist()]
        return sorted((load for load in found if load["dataset"] != CLUSTERED), key=lambda load: load["loaded_at"])

    def check(self) -> None:
        """The record of the table is that of its rows, as a whole and source by source."""
        told, rows = self.standing(), self.rows()
        assert told["rows"] == len(rows) == sum(source["rows"] for source in told["sources"])
        every = [pq.ParquetFile(path).read() for path in self.table.rglob("*.parquet")]
        if self.layout == "by_variant":
            whole = checksums.add(*map(checksums.of_table, every))
            assert told["genotypes"] == checksums.shown(whole)
        parts = checksums.add(*(int(source["genotypes"], 16) for source in told["sources"]))
        assert told["genotypes"] == checksums.shown(parts)
        pairs = {(row["sampleid"], row["chromosome"]) for row in rows}
        assert pairs == {(s, c) for source in told["sources"] for s in source["samples"] for c in source["contigs"]}
        assert not [path for path in self.table.parent.iterdir() if path.name.startswith(".")]
        if self.layout == CLUSTERED:
            other = Lake(self.folder, "by_variant")  # no folders
            other.table = self.table.with_name(CLUSTERED)
            other.check()
            assert other.rows() == rows
            assert {name: told[name] for name in ("rows", "genotypes", "sources")}.items() <= other.standing().items()


@pytest.fixture(params=[*LAYOUTS, CLUSTERED])
def lake(tmp_path: Path, request: pytest.FixtureRequest) -> Lake:
    return Lake(tmp_path, request.param)


def test_append_adds_samples_and_contigs(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = lake.given("first.vcf", vcf(["A", "B"])), lake.given("second.vcf", vcf(["C"]))
    third = lake.given("third.vcf", vcf(["A", "B"], ["21"]))
    lake.load("append", first)
    before = lake.rows()
    assert len(before) == 8
    lake.load("append", second)
    lake.load("append", third)
    lake.check()
    assert [row for row in lake.rows() if row in before] == before
    assert len(lake.rows()) == 8 + 4 + 8
    assert [load["mode"] for load in lake.loads()] == ["append"] * 3
    assert [load["rows"] for load in lake.loads()] == [8, 12, 20]
    assert [[Path(source["path"]).name for source in load["sources"]] for load in lake.loads()] == [
        ["first.vcf"], ["second.vcf"], ["third.vcf"],
    ]  # fmt: skip
    capsys.readouterr()
    lake.load("append", second)
    assert "has these files already" in capsys.readouterr().out
    assert len(lake.rows()) == 20
    whole = Lake(lake.folder / "whole", lake.layout)
    whole.folder.mkdir()
    whole.load("overwrite", first, second, third)
    assert whole.rows() == lake.rows()
    assert whole.standing()["genotypes"] == lake.standing()["genotypes"]


def test_the_same_sample_on_the_same_contig_is_refused(lake: Lake) -> None:
    first, again = lake.given("first.vcf", vcf(["A", "B"])), lake.given("again.vcf", vcf(["B"], count=5))
    lake.load("overwrite", first)
    before = lake.rows()
    with pytest.raises(LakeError, match=rf"again\.vcf: sample B has records on contig 22 in {re.escape(first)} too"):
        lake.load("append", again)
    assert lake.rows() == before
    lake.load("replace", again)
    lake.check()
    assert [row for row in lake.rows() if row["sampleid"] == "A"] == [row for row in before if row["sampleid"] == "A"]
    assert len([row for row in lake.rows() if row["sampleid"] == "B"]) == 5
    assert lake.loads()[-1]["rows_removed"] == 4
    assert [source["samples"] for source in lake.standing()["sources"]] == [["A"], ["B"]]


def test_replace_on_one_of_two_contigs(lake: Lake) -> None:
    lake.load("overwrite", lake.given("first.vcf", vcf(["A", "B"], ["21", "22"])))
    lake.load("replace", lake.given("again.vcf", vcf(["A"], ["21"], count=2)))
    lake.check()
    counts = {(row["sampleid"], row["chromosome"]): 0 for row in lake.rows()}
    for row in lake.rows():
        counts[row["sampleid"], row["chromosome"]] += 1
    assert counts == {("A", "21"): 2, ("A", "22"): 4, ("B", "21"): 4, ("B", "22"): 4}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda text: text.replace("51304566", "50818468").replace("48129895", "46709983"), "another reference genome"),
        (
            lambda text: text.replace(GENOTYPE, GENOTYPE + '##INFO=<ID=DP,Number=1,Type=Float,Description="">\n'),
            "column info_dp",
        ),
    ],
    ids=["reference genome", "type of a field"],
)
def test_what_does_not_go_together(lake: Lake, change: Any, told: str) -> None:
    declared = GENOTYPE + '##INFO=<ID=DP,Number=1,Type=Integer,Description="">\n'
    lake.load("overwrite", lake.given("first.vcf", vcf(["A"]).replace(GENOTYPE, declared)))
    before = lake.rows()
    other = lake.given("other.vcf", change(vcf(["B"])))
    if told.startswith("column") and lake.layout != "by_variant":
        lake.load("append", other)  # which has no such column
        return
    with pytest.raises(LakeError, match=told):
        lake.load("append", other)
    assert lake.rows() == before


def test_another_layout(tmp_path: Path) -> None:
    first, second = (Lake(tmp_path, layout) for layout in LAYOUTS)
    first.load("overwrite", first.given("first.vcf", vcf(["A"])))
    with pytest.raises(LakeError, match="another layout"):
        second.load("append", second.given("second.vcf", vcf(["B"])))


def test_remove(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    bad = vcf(["A", "B"]) + record(5, "x", "0|1")
    lake.load("overwrite", lake.given("first.vcf", bad), options=["--on_error", "reject"])
    lake.load("append", lake.given("second.vcf", vcf(["C"]) + record(5, "x")), options=["--on_error", "reject"])
    sample = Lake(lake.folder, "by_variant")
    sample.table = lake.table.with_name("sample")
    sample.load("overwrite", lake.given("third.vcf", vcf(["A", "D"], ["21"])))
    before = lake.rows()
    capsys.readouterr()
    lake.remove("A")
    told = capsys.readouterr().out
    for table in (lake, sample):
        table.check()
        assert not [row for row in table.rows() if row["sampleid"] == "A"]
    assert lake.rows() == [row for row in before if row["sampleid"] != "A"]
    assert {row["sampleid"] for row in sample.rows()} == {"D"}
    rejects = [row for path in (lake.folder / "lake" / "rejects").iterdir() for row in pq.read_table(path).to_pylist()]
    texts = {Path(row["source"]).name: (row["line"], row["record"]) for row in rejects}
    assert texts["first.vcf"] == (10, None)
    assert texts["second.vcf"][1].startswith("22\t5\t")
    assert all("A" not in source["samples"] for load in lake.loads() for source in load["sources"])
    assert [json.loads(load["options"])["samples"] for load in lake.loads() if load["mode"] == "remove"] == [["A"]] * 2
    for name in ("first.vcf", "third.vcf"):
        assert f"still stand in the input file {lake.folder / name}" in told
    lake.remove("A")
    assert "variants has none of them" in capsys.readouterr().out
    with pytest.raises(LakeError, match="no table has a sample AB"):
        lake.remove("AB")


def test_any_sequence_is_one_load(lake: Lake) -> None:
    """Whatever is added, replaced and taken out, in whatever order: the rows of what should stand."""
    choices = random.Random(5)  # noqa: S311 - no secret
    versions = {
        (sample, contig, version): vcf([sample], [contig], count=2 + version)
        for sample in "ABC"
        for contig in ("21", "22")
        for version in range(2)
    }
    stands: dict[tuple[str, str], str] = {}
    for step in range(9):
        sample, contig, version = choices.choice(sorted(versions))
        path = lake.given(f"{sample}{contig}{version}.vcf", versions[sample, contig, version])
        mode = choices.choice(["append", "replace", "remove"])
        if mode == "remove" and any(name == sample for name, _ in stands) and len({name for name, _ in stands}) > 1:
            lake.remove(sample)
            stands = {pair: other for pair, other in stands.items() if pair[0] != sample}
        else:
            lake.load("replace" if (sample, contig) in stands else "append", path)
            stands[sample, contig] = path
        lake.check()
        whole = Lake(lake.folder / f"whole-{step}", lake.layout)
        whole.folder.mkdir()
        whole.load("overwrite", *stands.values())
        assert lake.rows() == whole.rows()
