"""Records that are told many at once are those that would be told so one by one."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genomicslake import header, lines, plain, references, scan, sources
from genomicslake.duplicates import are_sorted
from genomicslake.header import Header
from genomicslake.lines import Part
from genomicslake.records import RecordCheck
from genomicslake.scan import Scan
from tests import broken
from tests.test_cases import CASES

CONTIGS = {"22": 51_304_566, "chrM": 16_569, "1": 249_250_621}
SITE = "22\t100\trs1\tA\tC\t50\tPASS\tAC=1;AF=0.5;DB;TXT=a b"
FORMATS = {"GT": "0|1", "GT:AD:DP": "0/1:10,11:21", "GT:PL": "1/1:30,3,0"}
TWO = "22\t100\t.\tA\tC,G\t50\tPASS\tAC=1,2;AF=0.5,.;RC=3,2,1\tGT:AD\t1/2:1,2,3"
BLOCK = "22\t100\t.\tA\t<NON_REF>\t.\t.\tEND=150;DP=3\tGT:DP\t0/0:3"
OF_GVCF = "22\t100\t.\tA\tC,<NON_REF>\t50\tPASS\tAC=1,0;DP=3\tGT:AD\t0/1:1,2,0"
WITHOUT = "22\t100\t.\tA\t.\t50\tPASS\tDP=3\tGT:AD\t0/0:1"


def head(samples: int) -> Header:
    text = [line.decode() for line in broken.header([f"S{number}" for number in range(samples)])]
    return header.parse("file.vcf", text if samples else [*text[:-1], "\t".join(header.COLUMNS)])


def scans(text: bytes, check: RecordCheck, tmp_path: Path, *, keeps_blocks: bool = False) -> tuple[Scan, Scan]:
    """What a pass over a text finds, and what it finds if it looks at all records one by one."""
    path = tmp_path / "records.vcf"
    path.write_bytes(text)

    def nothing(chunk: bytes, _: object, __: object) -> plain.Plain:
        return plain.Plain(plain.Lines.of(chunk), [])

    found = []
    for read in (plain.read, nothing):
        with mock.patch.object(plain, "read", read), mock.patch.object(lines, "CHUNK", 2000):
            anew = RecordCheck(check.header, check.contigs, check.every_field)
            part = Part(str(path), "plain", 0, len(text), len(text))
            found.append(scan.scan_part(part, anew, {3, 7}, keeps_blocks=keeps_blocks))
    return found[0], found[1]


def plain_lines(records: Sequence[str], samples: int, *, every_field: bool = True) -> list[int]:
    text = "".join(f"{record}\n" for record in records).encode()
    return list(np.flatnonzero(plain.read(text, RecordCheck(head(samples), CONTIGS, every_field)).is_plain))


@pytest.mark.parametrize("every_field", [True, False])
@pytest.mark.parametrize("samples", [1, 3, 12])
@pytest.mark.parametrize("keys", FORMATS)
def test_clean_records_are_plain(keys: str, samples: int, every_field: bool) -> None:
    """Or the pass would be right, and slow without anybody's notice."""
    cells = "\t".join([FORMATS[keys], ".", "./.", "1", "0/0", *["1|0"] * 20][:samples])
    sites = [SITE, SITE.replace("AC=1;", ""), SITE.replace("\tA\t", "\tACT\t"), SITE.replace("\t50\t", "\t.\t")]
    sites += ["chrM\t16569\t.\tN\tT\t1e3\t.\t.", "1\t1\t.\tG\tGTT\t.\tq10;s50\tDB"]
    assert plain_lines([f"{site}\t{keys}\t{cells}" for site in sites], samples, every_field=every_field) == [
        *range(len(sites))
    ]


def test_sites_without_samples_are_plain() -> None:
    without_info = SITE.rpartition("\t")[0]
    assert plain_lines([SITE, SITE, f"{SITE}\r", without_info, f"{without_info}\t", f"{SITE}\tGT"], 0) == [0, 1, 2]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize(
    ("keys", "cells"),
    [
        ("GT", ["0|1", "1/1", "./.", "0/0"]),
        ("GT", [".|.", "1|1", "0|0", "1|0"]),
        ("GT:DP", ["0:5", "1:7", "1:0", ".:9"]),  # as long as calls of two alleles
        ("GT:DP", ["0:5", "1|1", "0|0", "0/1"]),
        ("GT:DP", ["1", "0|1:3", "1|0", ".:5"]),  # together as long as four of three
        ("GT", ["1", "0", "0|1", "."]),
    ],
)
def test_calls_that_are_told_at_once(keys: str, cells: list[str], end: str, tmp_path: Path) -> None:
    """Most files have cells of three characters: an allele, a separator, another allele."""
    records = [
        f"22\t{100 + number}\t.\tA\tC\t.\t.\t.\t{keys}\t" + "\t".join(cells[number % 4 :] + cells[: number % 4])
        for number in range(plain.FEWEST)
    ]
    check = RecordCheck(head(len(cells)), CONTIGS, False)
    text = "".join(record + end for record in records).encode()
    assert plain.read(text, check).is_plain.all()
    at_once, one_by_one = scans(text, check, tmp_path)
    assert (at_once.rows, at_once.checksum) == (one_by_one.rows, one_by_one.checksum)
    assert at_once.rows > plain.FEWEST - 2  # less what scans leaves out


@pytest.mark.parametrize("every_field", [True, False])
@pytest.mark.parametrize(
    "record",
    [
        *(TWO, TWO.replace("C,G", "CC,*"), TWO.replace("1/2", "2|0"), BLOCK, BLOCK.replace("NON_REF", "*")),
        *(BLOCK.replace("END=150", "END=100"), BLOCK.replace("END=150;", ""), OF_GVCF, WITHOUT),
        OF_GVCF.replace("0/1:1,2,0", "2/2"),
    ],
)
def test_clean_records_of_other_kinds_are_plain(record: str, every_field: bool) -> None:
    assert plain_lines([record, record], 1, every_field=every_field) == [0, 1]


@pytest.mark.parametrize(
    "record",
    [
        *(TWO.replace("C,G", alleles) for alleles in ("C,C", "C,A", "C,", "C,<DEL>", "C,c", "*,*", "C,G,T,CC,CG")),
        *(TWO.replace("1/2", call) for call in ("1/3", "./2", "1/2/1")),
        *(TWO.replace("1,2;", "1,2,3;"), TWO.replace(":1,2,3", ":1,2")),
        *(
            BLOCK.replace("END=150", info)
            for info in ("END=x", "END=", "END=51304567", "END=1;END=2", "END=150;SVLEN=50")
        ),
        *(BLOCK.replace("NON_REF", name) for name in ("DEL", "CNV", "NON_REF,NON_REF")),
        *(BLOCK.replace("0/0", "0/2"), BLOCK.replace("GT:DP", "GT:LEN"), WITHOUT.replace("0/0", "0/1")),
    ],
)
def test_what_needs_a_closer_look_among_other_kinds(record: str) -> None:
    assert plain_lines([TWO, BLOCK, OF_GVCF, WITHOUT, record, record], 1) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    "record",
    [
        *(f"{SITE}\tGT\t{call}" for call in ("0/2", "./1", "/0/1", "0/0/1", "x", "", "0/1:3", "01", "0\\1")),
        *(f"{SITE}\tGT:DP\t{cell}" for cell in ("0/1:x", "0/1:1:2", "0/1:1,2", "0/1:2147483648")),
        *(f"{SITE.replace('AC=1', info)}\tGT\t0/1" for info in ("AC=x", "AC=1,2", "AF=1;AF=1", "NEW=3", "A B=3", "AC")),
        *(f"{SITE.replace('100', position)}\tGT\t0/1" for position in ("0", "007", "51304567", "-1", "1e3", "")),
        *(f"{SITE.replace('C', alt, 1)}\tGT\t0/1" for alt in ("A", "C,G", "<DEL>", "*", "c", "R")),
        *(
            f"{site}\tGT\t0/1"
            for site in (SITE.replace("22", "23", 1), SITE.replace("50", "high"), SITE + "ä", "#" + SITE)
        ),
        *(f"{SITE}\t{keys}\t0/1:1" for keys in ("GT:NEW", "GT:GT", "GT:LEN", "DP:GT", "")),
        *(f"{SITE}\tGT\t0/1\t0/1", f"{SITE}\tGT\t0/1\t", SITE.replace("\tPASS", "") + "\tGT\t0/1", ""),
        # as many tabs as wanted, but not where they belong
        SITE.replace("PASS\t", "PASS;") + "\tGT\t0/1\t0/1",
        SITE.replace("AC=1;", "AC=1\t") + "\tGT",
    ],
)
def test_what_needs_a_closer_look_is_not_plain(record: str) -> None:
    clean = f"{SITE}\tGT\t0/1"
    assert plain_lines([clean, record, f"{SITE}\tGT:DP\t0/1:3", record], 1) == [0, 2]


def test_a_length_that_tells_an_end_is_not_plain() -> None:
    record = BLOCK.replace("END=150", "SVLEN=50")
    assert plain_lines([BLOCK, record, record], 1, every_field=False) == [0]


def test_a_character_is_not_plain(tmp_path: Path) -> None:
    """Its pattern takes what ends a field, too."""
    text = [
        line.decode().replace("TXT,Number=1,Type=String", "TXT,Number=1,Type=Character")
        for line in broken.header(["S1"])
    ]
    check = RecordCheck(header.parse("file.vcf", text), CONTIGS, True)
    records = "".join(f"{SITE.replace('a b', value)}\tGT\t0/1\n" for value in ("a", ";"))
    together, one_by_one = scans(records.encode(), check, tmp_path)
    assert together == one_by_one
    assert (together.loaded, together.rejected_fields) == (2, 1)


def test_an_end_that_is_not_declared_is_told_of(tmp_path: Path) -> None:
    text = [line.decode() for line in broken.header(["S1"]) if b"ID=END" not in line]
    check = RecordCheck(header.parse("file.vcf", text), CONTIGS, True)
    together, one_by_one = scans(f"{BLOCK}\n{BLOCK}\n".encode(), check, tmp_path)
    assert together == one_by_one
    assert together.undeclared_info == {"END": False}


@pytest.mark.parametrize("number", ["100", "5000"])
def test_fields_of_many_values(number: str, tmp_path: Path) -> None:
    """RE2 has a limit that Python's patterns don't have: then no record is plain."""
    lines_ = [line.decode().replace("RC,Number=R", f"RC,Number={number}") for line in broken.header(["S1"])]
    lines_ = [line.replace("PL,Number=G", f"PL,Number={number}") for line in lines_]
    many = ",".join("1" * int(number))
    text = f"{SITE};RC={many}\tGT:PL\t0/1:{many}\n".encode() + f"{SITE};RC={many},1\tGT:PL\t0/1\n".encode()
    check = RecordCheck(header.parse("file.vcf", lines_), CONTIGS, True)
    assert plain.read(text, check).is_plain.tolist() == [number == "100", False]
    together, one_by_one = scans(text, check, tmp_path)
    assert together == one_by_one
    assert (together.loaded, together.rejected_fields) == (2, 1)


@pytest.mark.parametrize(
    ("contigs", "is_sorted"),
    [("22 22 22 22 1 1", True), ("22 1 1 1 22", False), ("22 1 1 22 1", False), ("chrM 22 22 1 1", True)],
)
def test_order_of_plain_records(contigs: str, is_sorted: bool, tmp_path: Path) -> None:
    """Positions that go up are not all of it."""
    rest = SITE.removeprefix("22\t100")
    records = [f"{contig}\t{100 + number}{rest}\tGT\t0/1\n" for number, contig in enumerate(contigs.split())]
    together, one_by_one = scans("".join(records).encode(), RecordCheck(head(1), CONTIGS, True), tmp_path)
    assert together == one_by_one
    assert are_sorted([together.loci]) == is_sorted


@settings(deadline=None, max_examples=300)
@given(st.randoms(use_true_random=False), st.sampled_from([0, 1, 3, 12]), st.booleans(), st.booleans())
def test_broken_records(
    tmp_path_factory: pytest.TempPathFactory, random: Random, samples: int, every_field: bool, keeps: bool
) -> None:
    """Records of all kinds, then such that are all alike but for a mutation: of a column, a cell, a byte."""
    records = broken.records(random, samples, ["22", "chrM", "1"])
    cells = ["\t".join(["", keys, *random.choices([cell, ".", "0/0"], k=samples)]) for keys, cell in FORMATS.items()]
    alike = [
        SITE.replace("100", str(100 + number // 2 * random.choice([1, 7]))).replace("\tC\t", f"\t{'CGT'[number % 3]}\t")
        + (random.choice(cells) if samples else "")
        for number in range(40)
    ]
    of_one = [TWO, BLOCK, OF_GVCF, WITHOUT] if samples == 1 else []
    alike += [record.replace("100", str(500 + number)) for number, record in enumerate(3 * of_one)]
    records += [record.encode() for record in alike]
    for _ in range(random.randint(0, 6)):
        broken.mutate_record(random, records)
    text = random.choice([b"\n", b"\n", b"\r\n"]).join(records) + random.choice([b"", b"\n"])
    check = RecordCheck(head(samples), CONTIGS, every_field)
    together, one_by_one = scans(text, check, tmp_path_factory.mktemp("plain"), keeps_blocks=keeps)
    assert together == one_by_one


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Patterns for each kind of records, of which there may be one."""
    monkeypatch.setattr(plain, "FEWEST", 1)


@pytest.fixture(scope="module")
def lengths() -> Mapping[str, references.Lengths]:
    return references.lengths()


@pytest.mark.parametrize("every_field", [True, False])
@pytest.mark.parametrize("case", sorted(path.name for path in (CASES / "vcf").iterdir()))
def test_cases(case: str, every_field: bool, lengths: Mapping[str, references.Lengths], tmp_path: Path) -> None:
    encoding = "latin-1" if case == "latin_1" else "utf-8"
    for path in sorted((CASES / "vcf" / case).glob("input*.vcf")):
        source = replace(sources.inspect(str(path)), encoding=encoding)
        found = header.read(source)
        genome = lengths[references.choose([found], lengths, None)]
        check = RecordCheck(
            found, {name: genome[contig] for name, contig in references.contigs_of(found, genome).items()}, every_field
        )
        text = b"".join(chunk for chunk in lines.chunks_and_gaps(lines.whole(source)) if isinstance(chunk, bytes))
        together, one_by_one = scans(text, check, tmp_path)
        assert together == one_by_one


def test_which_texts_begin_with_another() -> None:
    """Those that are shorter don't, whatever stands behind them."""
    found = plain.Lines.of(b"abcdefghij\tabc\tabcdefghij\n")
    starts, ends = np.array([0, 11, 15, 15, 25]), np.array([10, 14, 25, 24, 25])
    expected = {
        b"": [True] * 5,
        b"abc": [True, True, True, True, False],
        b"abcdefghij": [True, False, True, False, False],
        b"abcdefghiJ": [False] * 5,
        b"Abcdefghij": [False] * 5,
    }
    assert {own: found.begin_with(starts, ends, own).tolist() for own in expected} == expected
