"""Broken ClinVar files, TSV and VCF, through the real job: no crash without a clear message, no record unaccounted for,
no row that its line does not make. Another seed or number of files: BROKEN_SEED, BROKEN_CLINVAR_FILES.
"""

import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from clinvar_to_parquet import clinvar_to_parquet
from genomicslake import clinvar, session
from genomicslake.errors import LakeError
from tests import broken
from tests.broken import Broken
from tests.independent import _minimal
from tests.test_broken import CUT, SEED, lines_of, stopped_by
from tests.test_cases import query, rows_of

pytestmark = pytest.mark.patience(900)

FILES = int(os.environ.get("BROKEN_CLINVAR_FILES", "80"))
TSV = [*clinvar.GUIDE, *clinvar.VCF]
INFO = ("ALLELEID", "CLNSIG", "CLNDN", "RS", "GENEINFO", "ORIGIN", "CLNHGVS")
NASTY = ["", "-", "na", ".", "-1", "x", "1.5", "99999999999999999999", "\u0661", "A,C", "R", "<DEL>", "A B", '"', "0"]
OF_RECORDS = {kind: mutate for kind, mutate in broken.OF_RECORDS.items() if not kind.startswith("replace a ")}
COLUMNS = (
    "alleleid",
    "variationid",
    "rsid",
    "clinicalsignificance",
    "start",
    "stop",
    "referenceallele",
    "alternateallele",
)

Row = tuple[Any, ...]
seen: Counter[str] = Counter()


# --- files ------------------------------------------------------------------------------------------


def tsv(random: Random) -> tuple[list[bytes], list[bytes]]:
    body = []
    for number in range(random.randint(1, 12)):
        position, reference, alternate = random.randint(1, 10**6), *random.sample(["A", "CTT", "CT", "g", "AC"], 2)
        told: dict[str, Any] = {
            "AlleleID": number,
            "Start": position,
            "Stop": position,
            "VariationID": number,
            "RS# (dbSNP)": number,
        }
        told |= dict(zip(clinvar.VCF, (position, reference, alternate), strict=True)) | {"Chromosome": 22}
        told |= {"Assembly": "GRCh37", "ClinicalSignificance": "drug response", "PhenotypeList": "ä; ö"}
        told |= random.choice([{}, dict.fromkeys(clinvar.VCF, "na") | {"ReferenceAllele": "A", "AlternateAllele": "-"}])
        body.append("\t".join(str(told.get(name, "-")) for name in TSV).encode())
    return [b"#" + "\t".join(TSV).encode()], body


def vcf(random: Random) -> tuple[list[bytes], list[bytes]]:
    head = ["##fileformat=VCFv4.1", "##fileDate=2026-06-28", "##source=ClinVar", "##reference=GRCh37"]
    head += [f'##INFO=<ID={name},Number=.,Type=String,Description="">' for name in INFO]
    body = []
    for number in range(random.randint(1, 12)):
        reference, alternate = random.sample(["A", "CTT", "CT", "g", "AC"], 2)
        infos = [f"ALLELEID={number}", "CLNSIG=Benign|drug_response", "CLNDN=a_b", f"RS={number}", "ORIGIN=1"]
        info = ";".join(random.sample(infos, random.randint(0, 5))) or "."
        columns = ["22", str(random.randint(1, 10**6)), str(number), reference, random.choice([alternate, "."])]
        body.append("\t".join([*columns, ".", ".", info]).encode())
    return [*(line.encode() for line in head), b"#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"], body


def made(random: Random, number: int) -> Broken:
    head, body = (tsv, vcf)[number % 2](random)
    found = Broken(f"clinvar-{number}", header=[*head], sound=set(body))
    blocks: list[bytes] | None = None
    for _ in range(random.choice([1, 1, 2, 3])):
        place = random.choice(["value"] * 4 + ["record"] * 3 + ["header", "block"])
        found.mutations.append(place)
        if place == "value":
            at = random.randrange(len(body))
            columns = body[at].split(b"\t")
            columns[random.randrange(len(columns))] = random.choice(NASTY).encode()
            body[at] = b"\t".join(columns)
        elif place == "record":
            found.mutations[-1] = random.choice(sorted(OF_RECORDS))
            at = random.randrange(len(body))
            OF_RECORDS[found.mutations[-1]](random, body, at, body[at].split(b"\t"))
        elif place == "header":
            found.has_sound_header = False
            getattr(broken, random.choice(["_flip", "_byte", "_without_byte"]))(
                random, head, random.randrange(len(head))
            )
    end = random.choice([b"\n", b"\n", b"\r\n"])
    ending, blocks = broken.packed(random, end.join([*head, *body]) + random.choice([end, b""]))
    if "block" in found.mutations:
        kinds = broken.OF_BLOCKS if len(blocks) > 1 else broken.OF_BYTES
        broken.OF_BLOCKS[random.choice(sorted(kinds))](random, blocks, random.randrange(len(blocks)))
    found.name += ending if number % 2 else ending.replace(".vcf", ".txt").replace(".bgz", ".gz")
    found.data = b"".join(blocks)
    return found


# --- what becomes of them ---------------------------------------------------------------------------


def records_of(data: bytes, is_vcf: bool) -> tuple[list[bytes], dict[int, bytes]]:
    """The header's lines, and those behind it by their numbers, but for blank ones."""
    every = [line.text.rstrip(b"\r") for line in lines_of(data)]
    last = next(number for number, line in enumerate(every) if not (is_vcf and line.startswith(b"##")))
    return every[: last + 1], {number: line for number, line in enumerate(every[last + 1 :], last + 2) if line}


def of_tsv(line: bytes) -> Row:
    told = dict(zip(TSV, line.decode().split("\t"), strict=True))
    told |= {name: "" for name, value in told.items() if "Allele" in name and value == "na"}

    def whole(name: str) -> int | None:
        return None if told[name] in ("na", "-", "", "-1") else int(told[name])

    start, stop = whole("Start"), whole("Stop")
    pair = [told["ReferenceAllele"], told["AlternateAllele"]]
    position, reference, alternate = whole("PositionVCF"), told["ReferenceAlleleVCF"], told["AlternateAlleleVCF"]
    if position is not None and is_bases(reference) and is_bases(alternate):
        start, *pair = minimal(position, reference, alternate)
        stop = start + len(pair[0]) - 1
    elif is_bases(pair[0]) and is_bases(pair[1]) and start is not None and len(pair[0]) > 1 < len(pair[1]):
        start, *pair = minimal(start, *pair)
        stop = start + len(pair[0]) - 1
    pair = [value.upper() if is_bases(value) else value for value in pair]
    shown = [None if value in ("na", "") else value for value in pair]
    if shown[0] == "-" and not is_bases(pair[1]):
        shown[0] = None
    if shown[1] == "-" and not is_bases(pair[0]):
        shown[1] = None
    significance = told["ClinicalSignificance"]
    ids = [whole(name) for name in ("AlleleID", "VariationID", "RS# (dbSNP)")]
    return (*ids, None if significance in ("na", "-", "") else significance, start, stop, *shown)


def of_vcf(line: bytes, left_out: set[str]) -> Row:
    _, position, name, reference, alternate, _, _, info, *_ = line.decode().split("\t")
    told: dict[str, str] = {}
    for entry in info.split(";"):
        key, _, value = entry.partition("=")
        told.setdefault(key, value)
    assert all(key in told for key in left_out)

    def whole(text: str) -> int | None:
        return None if text in ("na", "-", "", "-1", ".") else int(text)

    start, shown = int(position), [reference, None if alternate == "." else alternate]
    stop = start + len(reference) - 1
    if is_bases(alternate):
        start, *shown = minimal(start, reference, alternate)
        stop = start + len(str(shown[0])) - 1
    shown = [value.upper() if value and is_bases(value) else value for value in shown]
    significance = told.get("CLNSIG", "").replace("|", "; ").replace("_", " ")
    ids = [whole(told.get("ALLELEID", "")), whole(name), whole(re.split("[,|]", told.get("RS", ""))[0])]
    return (*ids, None if significance in ("na", "-", "", ".") else significance, start, stop, *shown)


def is_bases(value: str) -> bool:
    return bool(re.fullmatch("(?i)[ACGTNRYSWKMBDHV]+", value))


def minimal(position: int, reference: str, alternate: str) -> tuple[int, str, str]:
    return _minimal(position, reference.upper(), alternate.upper())


@pytest.fixture(scope="module", autouse=True)
def started() -> Iterator[None]:
    session.start()
    yield
    print(f"\n{seen}")


@pytest.mark.parametrize("number", range(FILES))
def test_a_broken_file(number: int, tmp_path: Path) -> None:
    file = made(Random(f"{SEED} clinvar {number}"), number)  # noqa: S311 - no secret
    path, table = tmp_path / file.name, tmp_path / "lake" / "clinvar"
    path.write_bytes(file.data)
    try:
        clinvar_to_parquet(["--input_path", str(path), "--output_path", str(table), "--on_error", "reject"])
    except LakeError as error:
        stopped_by(str(error), {path: file})
        assert not file.has_sound_header or "block" in file.mutations
        assert not table.exists()
        seen["refused"] += 1
        return
    head, records = records_of(file.data, bool(number % 2))
    loads = f"(SELECT unnest(sources) AS s FROM '{table.parent}/loads/*.parquet')"
    counts = query(f"SELECT s.records, s.loaded, s.rejected FROM {loads}")
    rejected: list[Any] = []
    if any(table.parent.glob("rejects/*.parquet")):
        rejected = query(f"SELECT line, field, reason, record FROM '{table.parent}/rejects/*.parquet'")
    whole = {line for line, field, _, _ in rejected if not field}
    fields = {line: field.removeprefix("INFO/") for line, field, _, _ in rejected if field}
    for line, _, reason, record in rejected:
        seen[reason] += 1
        assert record == records[line].decode("utf-8", "backslashreplace")[:CUT]
        assert line in fields or records[line] not in file.sound or head != file.header
    assert counts == [(len(records), len(records) - len(whole), len(whole))], file.mutations
    if head != file.header:
        seen["loaded; not compared, for columns may have changed"] += 1
        return
    sound = {line: record for line, record in records.items() if line not in whole}
    expected = [
        of_vcf(record, {fields[line]} if line in fields else set()) if number % 2 else of_tsv(record)
        for line, record in sound.items()
    ]
    found = query(f"SELECT {', '.join(COLUMNS)} FROM {rows_of(table)}") if rows_of(table) else []
    assert Counter(found) == Counter(expected), file.mutations
    seen["loaded"] += 1
