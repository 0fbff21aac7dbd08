"""The drug-response report: its table, its CSV file and its page."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from dataclasses import astuple, fields, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from setup.report import DrugResponse, Facts, show, write
from setup.report.rows import Zygosity, variants

# The published report, of 65 samples: rsid, 1-based position, alleles, samples with 0/1 and 1/1, phenotypes
PUBLISHED = [
    (
        4680,
        19951271,
        "G",
        "A",
        36,
        10,
        "CATECHOL-O-METHYLTRANSFERASE POLYMORPHISM;nicotine response - Efficacy",
    ),
    (2298383, 24825511, "C", "T", 33, 23, "caffeine response - Toxicity/ADR"),
    (3892097, 42524947, "C", "T", 24, 2, "Debrisoquine, poor metabolism of;amitriptyline response - Dosage"),
    (738409, 44324727, "C", "G", 19, 3, "Fatty liver disease, nonalcoholic 1"),
    (13306278, 19929027, "C", "T", 18, 3, "Selective serotonin reuptake inhibitors response - Efficacy"),
]
ROW = DrugResponse(0.5, 4680, "nicotine response", "22", 19951270, 19951271, "G", "A", 0, 1)
OUTWARD = re.compile(r"https://www\.ncbi\.nlm\.nih\.gov/(snp/rs\d+|clinvar/\?term=rs\d+)")


def published() -> list[DrugResponse]:
    rows = [
        DrugResponse(samples / 65, rsid, names, "22", position - 1, position, ref, alt, genotype0, 1)
        for rsid, position, ref, alt, het, hom, names in PUBLISHED
        for samples, genotype0 in ((het, 0), (hom, 1))
    ]
    return sorted(rows, key=lambda row: -row.genotypefrequency)


def load(**source: Any) -> dict[str, Any]:
    counts = {"path": "lake/chr22.vcf.gz", "sha256": "a1" * 32, "bytes": 1234, "records": 4000}
    return {
        "table": "onekg_chr22_by_sample",
        "run_id": "run-7",
        "loaded_at": "2026-11-23T19:30:00Z",
        "rows": 98765,
        "reference_genome": "GRCh37",
        "coordinate_base": "0-based, half-open",
        "release_date": None,
        "sources": [counts | {"loaded": 4000, "rejected": 0} | source],
        "options": {"layout": "by_sample", "on_error": "fail"},
        "hail_version": "0.2.139",
        "spark_version": "3.5.6",
        "code_commit": "abc1234",
    }


FACTS = Facts("NA12%", 65, 0, "GRCh37", "SELECT 1 < 2\nLIMIT 50", None, {"duckdb": "1.5.6"}, [load()], False)


class Page(HTMLParser):
    """What a browser would make of the page: its elements, and its text by element."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append((self.elements[-1][0] if self.elements else "", data))

    def attributes(self, name: str) -> list[str]:
        return [attrs[name] or "" for _, attrs in self.elements if name in attrs]

    def bars(self, css: str) -> list[float]:
        """The widths, as shares of the samples, of the bars of one kind."""
        rects = [attrs for tag, attrs in self.elements if tag == "rect" and attrs["class"] == css]
        return [float((attrs["width"] or "").rstrip("%")) / 100 for attrs in rects]

    @property
    def text(self) -> str:
        """What a reader sees, in one line."""
        return " ".join(" ".join(data for tag, data in self.texts if tag not in ("style", "title")).split())

    @property
    def warnings(self) -> int:
        return self.attributes("class").count("notice warning")


def page(folder: Path, rows: Iterable[DrugResponse], facts: Facts = FACTS) -> Page:
    write(folder, list(rows), facts)
    return Page((folder / "index.html").read_text(encoding="utf-8"))


def printed(rows: list[DrugResponse], width: int) -> str:
    console = Console(width=width, file=io.StringIO(), force_terminal=False)
    show(rows, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


# drug_response.csv


def test_csv_gives_back_every_value(tmp_path: Path) -> None:
    rows = [
        *published(),
        replace(ROW, rsid=None, phenotypelist=None, genotype1=None),
        replace(ROW, phenotypelist='a,"b"'),
    ]
    write(tmp_path, rows, FACTS)
    text = (tmp_path / "drug_response.csv").read_bytes().decode()
    header, *records = csv.reader(io.StringIO(text, newline=""))
    assert header == [field.name for field in fields(DrugResponse)]
    assert header[:3] == ["genotypefrequency", "rsid", "phenotypelist"]
    assert records == [["" if value is None else str(value) for value in astuple(row)] for row in rows]
    assert [float(record[0]) for record in records] == [row.genotypefrequency for row in rows]
    assert "\r" not in text
    assert text.splitlines()[1].startswith("0.5538461538461539,4680,")


def test_no_rows_leave_the_header(tmp_path: Path) -> None:
    write(tmp_path, [], FACTS)
    assert (tmp_path / "drug_response.csv").read_text().count("\n") == 1


def test_a_failure_leaves_the_last_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, published(), FACTS)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert sorted(before) == ["drug_response.csv", "index.html"]

    def full(self: Path, *_: Any, **__: Any) -> int:
        self.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space"):
        write(tmp_path, [], FACTS)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_same_rows_same_bytes(tmp_path: Path) -> None:
    write(tmp_path / "a", published(), FACTS)
    write(tmp_path / "b", published(), FACTS)
    assert (tmp_path / "a/index.html").read_bytes() == (tmp_path / "b/index.html").read_bytes()


# index.html


def test_page_asks_the_network_for_nothing(tmp_path: Path) -> None:
    found = page(tmp_path, published(), replace(FACTS, is_demo=True))
    text = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert not {"script", "link", "img", "iframe", "object", "image", "use"} & {tag for tag, _ in found.elements}
    assert [name for name in ("src", "srcset", "xlink:href", "background") if found.attributes(name)] == []
    assert {tag for tag, attrs in found.elements if "href" in attrs} == {"a"}
    assert len(found.attributes("href")) == 2 * 10
    assert [link for link in found.attributes("href") if not OUTWARD.fullmatch(link)] == []
    assert not re.search(r"@import|url\(", text)
    assert "default-src 'none'" in text


def test_links_and_both_coordinate_systems(tmp_path: Path) -> None:
    found = page(tmp_path, [ROW])
    assert found.attributes("href") == [
        "https://www.ncbi.nlm.nih.gov/snp/rs4680",
        "https://www.ncbi.nlm.nih.gov/clinvar/?term=rs4680",
    ]
    assert "22:19951271" in found.text
    assert "[19951270, 19951271)" in found.text


def test_markup_in_a_value_stays_text(tmp_path: Path) -> None:
    evil = '<script>alert(1)</script>&amp;" onload="x'
    facts = replace(
        FACTS,
        samples_pattern=evil,
        reference_genome=evil,
        query=evil,
        versions={evil: evil},
        loads=[load(path=evil, sha256=evil, rejected=1) | {"table": evil, "options": {evil: evil}, "run_id": evil}],
    )
    row = replace(ROW, phenotypelist=evil, chromosome=evil, referenceallele=evil, alternateallele=evil, rsid=None)
    found = page(tmp_path, [row], facts)
    assert not [tag for tag, attrs in found.elements if tag == "script" or "onload" in attrs]
    assert found.text.count('<script>alert(1)</script>&amp;" onload="x') >= 8


def test_dollar_and_braces_in_a_value_stay_text(tmp_path: Path) -> None:
    found = page(tmp_path, [replace(ROW, phenotypelist="${query} {0}")], replace(FACTS, reference_genome="{}$x"))
    assert "${query} {0}" in found.text
    assert "{}$x" in found.text


def test_bars_are_the_numbers_of_the_table(tmp_path: Path) -> None:
    found = page(tmp_path, published())
    table = [float(value) for tag, value in found.texts if tag == "b" and re.fullmatch(r"\d\.\d{6}", value)]
    assert table == [round(row.genotypefrequency, 6) for row in published()]
    assert sorted(found.bars("het") + found.bars("hom"), reverse=True) == pytest.approx(table, abs=1e-6)
    by_carriers = [33 / 65, 36 / 65, 24 / 65, 19 / 65, 18 / 65]  # rs2298383 first: 56 carriers
    assert found.bars("het") == pytest.approx(by_carriers, abs=1e-6)
    assert found.bars("hom") == pytest.approx([23 / 65, 10 / 65, 2 / 65, 3 / 65, 3 / 65], abs=1e-6)
    names = [data for tag, data in found.texts if tag == "tspan" and data.startswith("rs")]
    assert names == ["rs2298383", "rs4680", "rs3892097", "rs738409", "rs13306278"]
    assert "rs2298383: 50.8 % heterozygous, 35.4 % homozygous alternate; 86.2 % in all." in found.text


def test_figure_has_a_name_and_a_description(tmp_path: Path) -> None:
    found = page(tmp_path, published())
    figure = next(attrs for tag, attrs in found.elements if tag == "svg")
    assert figure["role"] == "img"
    assert set((figure["aria-labelledby"] or "").split()) <= set(found.attributes("id"))


def test_each_phenotype_is_an_item(tmp_path: Path) -> None:
    found = page(tmp_path, [replace(ROW, phenotypelist="a response;b, poor|a response | c")])
    assert [data for tag, data in found.texts if tag == "li"][-3:] == ["a response", "b, poor", "c"]


def test_empty_result_says_so(tmp_path: Path) -> None:
    found = page(tmp_path, [], replace(FACTS, samples=0, loads=[]))
    assert found.text.count("No sample of this cohort carries a variant related to drug response.") == 2
    assert "svg" not in {tag for tag, _ in found.elements}
    assert "no sample of the cohort carries" in printed([], 100)


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        (replace(FACTS, loads=[load(loaded=3997, rejected=3)]), "3 of 4,000 records rejected"),
        (replace(FACTS, loads=[load(loaded=3999)]), "Records do not add up"),
        (replace(FACTS, guide_rows_agree=False), "Not the published table."),
        (replace(FACTS, query="SELECT 1 ORDER BY 1 LIMIT 10;"), "There may be more."),
    ],
)
def test_warning_comes_before_the_numbers(tmp_path: Path, facts: Facts, says: str) -> None:
    found = page(tmp_path, published(), facts)
    assert found.warnings == 1
    assert found.text.index(says) < found.text.index("Genotype frequency by variant")


def test_no_warning_without_a_reason(tmp_path: Path) -> None:
    found = page(tmp_path, published(), replace(FACTS, guide_rows_agree=True))
    assert found.warnings == 0
    assert "Demonstration data" not in found.text


def test_demonstration_data_are_named_as_such(tmp_path: Path) -> None:
    found = page(tmp_path, published(), replace(FACTS, is_demo=True, guide_rows_agree=True))
    assert "The input of this report was generated" in found.text
    assert "by construction, not a finding" in found.text


def test_where_each_number_came_from(tmp_path: Path) -> None:
    text = page(tmp_path, published()).text
    for fact in (
        "lake/chr22.vcf.gz",
        "a1" * 32,
        "98,765",
        "run-7",
        "4,000",
        "1.5.6",
        "SELECT 1 < 2",
        "not stated",
    ):
        assert fact in text


# Variants


def test_several_clinvar_records_count_once(tmp_path: Path) -> None:
    rows = [replace(ROW, phenotypelist=name, genotypefrequency=0.25) for name in ("a", "b", "c")]
    found = page(tmp_path, rows)
    assert found.bars("het") == [0.25]
    assert found.warnings == 0
    assert [row for row in found.attributes("role") if row == "rowheader"] == ["rowheader"] * (3 + 1)


@pytest.mark.parametrize(("shares", "drawn"), [((0.2, 0.4), 0.2), ((1.2,), 1.0)])
def test_samples_counted_twice_are_reported(tmp_path: Path, shares: tuple[float, ...], drawn: float) -> None:
    rows = [replace(ROW, genotypefrequency=share, phenotypelist=str(share)) for share in shares]
    found = page(tmp_path, rows)
    assert "Samples counted more than once: rs4680." in found.text
    assert found.bars("het") == [drawn]


def test_variant_is_its_position_and_alleles() -> None:
    rows = [
        replace(ROW, rsid=None),
        replace(ROW, rsid=None, alternateallele="C"),
        replace(ROW, rsid=None, startposition=19951280, endposition=19951281),
        replace(ROW, rsid=None, chromosome="X"),
        replace(ROW, rsid=7, phenotypelist="other", genotype0=1),
    ]
    found = variants(rows)
    assert sorted(variant.name for variant in found) == [
        "22:19951271 G>C",
        "22:19951281 G>A",
        "X:19951271 G>A",
        "rs7",
    ]
    assert found[0].frequencies == {Zygosity.HETEROZYGOUS: 0.5, Zygosity.HOMOZYGOUS: 0.5}


@pytest.mark.parametrize(
    ("genotype0", "genotype1", "shown", "zygosity"),
    [
        (0, 1, "0/1", Zygosity.HETEROZYGOUS),
        (1, 1, "1/1", Zygosity.HOMOZYGOUS),
        (1, None, "1", Zygosity.ONE_ALLELE),
        (None, 1, "1", Zygosity.ONE_ALLELE),
        (0, 0, "0/0", None),
        (None, None, ".", None),
    ],
)
def test_genotype(
    tmp_path: Path, genotype0: int | None, genotype1: int | None, shown: str, zygosity: Zygosity | None
) -> None:
    row = replace(ROW, genotype0=genotype0, genotype1=genotype1)
    assert (row.genotype, row.zygosity) == (shown, zygosity)
    assert f" {shown} " in printed([row], 80).splitlines()[4]
    assert (zygosity.label if zygosity else "no alternate") in page(tmp_path, [row]).text


# The table on the console


@pytest.mark.parametrize("width", [40, 72, 80, 100])
def test_console_never_shortens_a_number(width: int) -> None:
    lines = printed(published(), width).splitlines()
    for row in published():
        numbers = (f"{row.genotypefrequency:.6f}", f"rs{row.rsid}", row.locus, row.change, row.genotype)
        assert [line for line in lines if line.split()[:5] == list(numbers)], numbers
    assert "…" in "".join(lines)


@pytest.mark.parametrize("width", [80, 100])
def test_console_table_fits(width: int) -> None:
    assert max(map(len, printed(published(), width).splitlines())) <= width


def test_console_shows_brackets_as_they_are() -> None:
    assert "[red]x[/red]" in printed([replace(ROW, phenotypelist="[red]x[/red]")], 100)


def test_console_long_alleles_keep_the_numbers() -> None:
    row = replace(ROW, referenceallele="ACGT" * 20, alternateallele="TTGA" * 20)
    text = printed([row], 80)
    assert "0.500000" in text
    assert "22:19951271" in text
    assert "ACG…(80 bp)>TTG…(80 bp)" in text
    assert "nicotine" in text
    assert max(map(len, text.splitlines())) <= 80


def test_samples_that_are_not_counted_are_told(tmp_path: Path) -> None:
    told = page(tmp_path, published(), replace(FACTS, samples_without_rows=3))
    assert "3 samples of the cohort not counted" in told.text
    assert "not counted" not in page(tmp_path, published(), FACTS).text
