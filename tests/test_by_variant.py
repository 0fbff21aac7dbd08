"""Rows of the layout by_variant: plain records many at once as one by one, and by hand."""

from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from genomicslake import by_variant, header, lines, names, plain, scan, typed
from genomicslake.header import Field, Header
from genomicslake.lines import Part
from genomicslake.records import RecordCheck

TYPES = {
    "Integer": ["0", "7", "-12", "123456789", "007"],
    "Float": ["0.5", "-1", "1e-5", "+2.5", "nan", "inf", "-Infinity", ".5", "3."],
    "String": ["a", "b c", "x=y", "%3B", "é", ""],
}
NUMBERS = ["1", "2", "A", "R", "G", "."]
FIELDS = {
    "INFO": {
        **{f"{kind[0]}{number.replace('.', 'x')}": Field(f"{kind[0]}{number.replace('.', 'x')}", number, kind)
           for kind in TYPES for number in NUMBERS},
        "A_LONG_NAME_THAT_ENDS_1": Field("A_LONG_NAME_THAT_ENDS_1", "1", "Integer"),
        "A_LONG_NAME_THAT_ENDS_2": Field("A_LONG_NAME_THAT_ENDS_2", "1", "Integer"),
        "FLAG": Field("FLAG", "0", "Flag"),
    },
    "FORMAT": {
        "GT": Field("GT", "1", "String"),
        "AD": Field("AD", "R", "Integer"),
        "DP": Field("DP", "1", "Integer"),
        "GQ": Field("GQ", "1", "Float"),
        "PL": Field("PL", "G", "Integer"),
        "S": Field("S", ".", "String"),
        "F": Field("F", "A", "Float"),
    },
}  # fmt: skip
CALLS = ["0/1", "1|0", "0|1", "1/1", "./.", ".|.", "0/0", "1", "0", "."]


def head(samples: int) -> Header:
    text = ["##fileformat=VCFv4.2", "##contig=<ID=22,length=51304566>"]
    for kind, fields in FIELDS.items():
        text += [f'##{kind}=<ID={f.id},Number={f.number},Type={f.type},Description="">' for f in fields.values()]
    columns = [*header.COLUMNS, *(["FORMAT", *(f"S{number}" for number in range(samples))] if samples else [])]
    return header.parse("file.vcf", [*text, "\t".join(columns)])


def value(choices: Random, declared: Field, alternates: int) -> str:
    """A value that the field may have."""
    if choices.random() < 0.15:
        return "."
    counts = {"A": alternates, "R": alternates + 1, "G": (alternates + 1) * (alternates + 2) // 2, ".": 3}
    count = counts.get(declared.number, 0) or int(declared.number)
    texts = [*TYPES[declared.type], "."] if count > 1 else TYPES[declared.type]
    return ",".join(choices.choice(texts) for _ in range(count))


def any_fields(choices: Random) -> list[Field]:
    """Some INFO fields, in their order."""
    return [field for field in FIELDS["INFO"].values() if choices.random() < 0.6]


def record(choices: Random, number: int, samples: int, kept: Sequence[Field]) -> str:
    """A record with these INFO fields."""
    alternates = choices.choices([1, 2, 3], [6, 2, 1])[0]
    alleles = ["C", "G", "ACGT"][:alternates]
    infos = [f.id if f.type == "Flag" else f"{f.id}={value(choices, f, alternates)}" for f in kept]
    filters = choices.choice(["PASS", ".", "q10", "s50;q10"])
    quality = choices.choice([".", "50", "1e3", "0.5", "+3"])
    site = [
        "22",
        str(1_000 + 10 * number),
        choices.choice([".", "rs1", "a;b"]),
        choices.choice(["A", "AC"]),
        ",".join(alleles),
    ]
    columns = [*site, quality, filters, ";".join(infos) or "."]
    if samples:
        keys = choices.choice([["GT", "AD", "DP", "GQ", "PL", "S", "F"], ["GT", "DP", "AD"], ["GT"]])
        columns.append(":".join(keys))
        for _ in range(samples):
            call = choices.choice([*CALLS, f"{alternates}/0", f"0|{alternates}", "./1"])
            values = [call, *(value(choices, FIELDS["FORMAT"][key], alternates) for key in keys[1:])]
            columns.append(":".join(values[: choices.choice([len(values), len(values), 1, 2])]))
    return "\t".join(columns)


def rows(
    text: bytes, check: RecordCheck, path: Path, *, at_once: bool, chunk: int = 20_000
) -> tuple[scan.Scan, list[Any]]:
    source = path.with_suffix(".vcf")
    source.write_bytes(text)
    info, formats = names.of_headers([check.header])
    columns = by_variant.Columns.of(check.header, info, formats, keeps_blocks=False)
    part = Part(str(source), "plain", 0, len(text), len(text))
    made = (columns, columns.schema, str(path.parent), path.stem)

    def nothing(found: bytes, _: object, __: object) -> plain.Plain:
        return plain.Plain(plain.Lines.of(found), [])

    with (
        mock.patch.object(plain, "read", plain.read if at_once else nothing),
        mock.patch.object(by_variant, "AT_A_TIME", chunk // 7 if at_once else by_variant.AT_A_TIME),
        mock.patch.multiple(lines, READ=chunk // 4, CHUNK=chunk),
    ):
        found = scan.written_part(part, RecordCheck(check.header, check.contigs, True), {2}, made)
    table = pq.read_table(path.parent / f"rows-{path.stem}.parquet")
    assert table.schema.equals(columns.schema)
    return found, table.to_pylist()


@pytest.mark.parametrize("samples", [0, 1, 3])
@pytest.mark.parametrize("seed", range(4))
def test_many_at_once_are_as_one_by_one(seed: int, samples: int, tmp_path: Path) -> None:
    choices = Random(f"{seed} {samples}")  # noqa: S311 - no secret
    text = "".join(f"{record(choices, number, samples, any_fields(choices))}\n" for number in range(300)).encode()
    check = RecordCheck(head(samples).completed({}), {"22": 51_304_566}, True)
    plainly = plain.read(text, check).is_plain
    assert 20 < plainly.sum() < 300
    as_one_by_one(text, check, tmp_path)


@pytest.mark.parametrize("orders", [1, 3])
@pytest.mark.parametrize("seed", range(4))
def test_records_with_the_same_fields(seed: int, orders: int, tmp_path: Path) -> None:
    """In one of so many orders, each of which is read at once."""
    choices = Random(f"{seed} {orders}")  # noqa: S311 - the same records each time
    known = [field for field in FIELDS["INFO"].values() if field.type != "String"]
    kept = [sorted(choices.sample(range(len(known)), 9)) for _ in range(orders)]
    lists = (choices.choice(kept) for _ in range(600))
    records = (record(choices, number, 1, [known[one] for one in fields]) for number, fields in enumerate(lists))
    text = "".join(f"{one}\n" for one in records).encode()
    check = RecordCheck(head(1).completed({}), {"22": 51_304_566}, True)
    with mock.patch.object(typed, "_as_the_first", wraps=typed._as_the_first) as at_once:
        as_one_by_one(text, check, tmp_path, chunk=1 << 20)
    assert max(len(call.args[1]) for call in at_once.call_args_list) > 100


INFO_OF_ALL = "A1={0};A2=x{0};FLAG;LONGER_THAN_8={0}"


@pytest.mark.parametrize(
    "other",
    [
        "A1=9;A3=x9;FLAG;LONGER_THAN_8=9",
        "A2=x9;A1=9;FLAG;LONGER_THAN_8=9",
        "A1=9;A2=x9;FLAG;LONGER_THEN_8=9",
        "A1=9;A2=x9;FLAG;LONGER_THAN_8",
        "A1=9;A2=x9;FLAG;LONGER_THAN_8=9;A3=1",
        "A1=9;A2=x9;FLAGS;LONGER_THAN_8=9",
        "A1=9;A2=x9;FLAG=9;LONGER_THAN_8=9",
        "A1=9;A2=x9;LONGER_THAN_8=9",
        "A1;A2=x9;FLAG;LONGER_THAN_8=9",
        "A1=9;A2=x9;FLAG;",
        ".",
    ],
)
@pytest.mark.parametrize("orders", [1, typed.ORDERS])
def test_infos_like_others_but_for_one(other: str, orders: int) -> None:
    """What differs is not taken for the same: a name, an order, a flag, a field more or less."""
    for at in range(3):
        infos = [INFO_OF_ALL.format(number) for number in range(3)]
        infos[at] = other
        expected = [dict(entry.partition("=")[::2] for entry in info.split(";")) for info in infos]
        expected = [{name: value for name, value in one.items() if value or name == "FLAG"} for one in expected]
        with mock.patch.object(typed, "ORDERS", orders):
            assert infos_of(infos) == expected


def test_values_without_a_character_and_with_equals_signs() -> None:
    assert infos_of(["A1=;A2=a=b;FLAG", "A1=7;A2==;FLAG"]) == [
        {"A2": "a=b", "FLAG": ""},
        {"A1": "7", "A2": "=", "FLAG": ""},
    ]


def infos_of(infos: Sequence[str]) -> list[dict[str, str]]:
    """The fields that INFOs have, as they are read."""
    chunk = "".join(f"22\t1\ta=b;c\tA\tC\t.\t.\t{info}\tGT\t0/1\n" for info in infos).encode()
    found, every = plain.Lines.of(chunk), np.arange(len(infos))
    names_of_all = {entry.partition("=")[0] for info in infos for entry in info.split(";")}
    declared = {
        name: Field(name, "0", "Flag") if name == "FLAG" else Field(name, "1", "String") for name in names_of_all
    }
    values = typed.infos(found, found.column_ends(every, 7) + 1, found.infos_end(every), declared)
    return [
        {
            name: chunk[value.starts[number] : value.ends[number]].decode()
            for name, value in values.items()
            if value.is_there[number]
        }
        for number in range(len(infos))
    ]


def as_one_by_one(text: bytes, check: RecordCheck, tmp_path: Path, chunk: int = 20_000) -> None:
    """Hold the rows of records that are read at once to those of each by itself."""
    one, other = (rows(text, check, tmp_path / f"{at_once}", at_once=at_once, chunk=chunk) for at_once in (True, False))
    assert str(one[1]) == str(other[1])  # in their order; nan is not itself
    assert (one[0].rows, one[0].checksum) == (other[0].rows, other[0].checksum)
    assert len(one[1]) == one[0].rows > 300
    assert all(row["dp"] == row["format_dp"] for row in one[1])


def test_long_texts_of_many_samples(tmp_path: Path) -> None:
    """Three gigabytes of text in the rows of a chunk, where Arrow's arrays end at two."""
    samples = 1_000
    check = RecordCheck(head(samples).completed({}), {"22": 51_304_566}, True)
    text, calls = "annotation" * 750, "\t0/1" * samples
    lines_ = [f"22\t{1_000 + 10 * number}\t.\tA\tC\t.\tPASS\tSx={text}\tGT{calls}\n" for number in range(400)]
    info, formats = names.of_headers([check.header])
    columns = by_variant.Columns.of(check.header, info, formats, keeps_blocks=False)
    path = tmp_path / "long.vcf"
    path.write_text("".join(lines_))
    part = Part(str(path), "plain", 0, path.stat().st_size, path.stat().st_size)
    found = scan.written_part(part, check, (), (columns, columns.schema, str(tmp_path), "x"))
    written = pq.ParquetFile(tmp_path / "rows-x.parquet")
    assert found.rows == written.metadata.num_rows == 400 * samples
    last = written.read_row_group(written.num_row_groups - 1, ["startposition", "info_sx"])
    assert last["startposition"][-1].as_py() == 1_000 + 10 * 399 - 1
    assert last["info_sx"][-1].as_py() == [text]


@pytest.mark.parametrize(
    ("number", "text", "expected"),
    [
        ("1", b"5", [5, 5]),
        ("A", b"1,2", [1, 2]),
        ("A", b"1,.", [1, None]),
        ("R", b"1,2,3", [[1, 2], [1, 3]]),
        ("G", b"0,1,2,3,4,5", [[0, 1, 2], [0, 3, 5]]),  # 0/0, 0/1, 1/1, 0/2, 1/2, 2/2
        ("G", b"0,1,2", [[0, 1], [0, 2]]),  # of a call of one allele
        ("G", b"7", [[7], [7]]),
        (".", b"4,5", [[4, 5], [4, 5]]),
        ("2", b".", [None, None]),
        ("R", b"1,2", [None, None]),
        ("1", None, [None, None]),
    ],
)
def test_a_row_has_the_part_about_its_alternate(number: str, text: bytes | None, expected: list[Any]) -> None:
    declared = Field("X", number, "Integer")
    assert [typed.of_allele(declared, text, alternate, 2) for alternate in (1, 2)] == expected


def test_a_part_that_has_no_rows_any_more(tmp_path: Path) -> None:
    """The pass that leaves duplicates out writes a part's file anew, or takes it away."""
    text = b"22\t5\t.\tA\tC\t.\t.\tSx=;S1=;FLAG=0\tGT\t0/1\n"
    check = RecordCheck(head(1).completed({}), {"22": 51_304_566}, True)
    info, formats = names.of_headers([check.header])
    columns = by_variant.Columns.of(check.header, info, formats, keeps_blocks=False)
    path = tmp_path / "part.vcf"
    path.write_bytes(text)
    part, made = Part(str(path), "plain", 0, len(text), len(text)), (columns, columns.schema, str(tmp_path), "x")
    scan.written_part(part, check, (), made)
    (row,) = pq.read_table(tmp_path / "rows-x.parquet").to_pylist()
    assert (row["info_sx"], row["info_s1"], row["info_flag"]) == (None, None, False)  # as Hail has them
    scan.written_part(part, check, {1}, made)
    assert not (tmp_path / "rows-x.parquet").exists()


def test_the_largest_integer_is_one() -> None:
    assert [typed.rounded(number) for number in (2**31 - 1, 2**31 - 0.6, 2.5)] == [2**31 - 1, None, 3]


def test_a_name_of_our_own_in_a_header() -> None:
    """Which staged copies have, and no table."""
    own = Header(**{**vars(head(1)), "info": {header.ENDS: Field(header.ENDS, ".", "Integer")}})
    info, formats = names.of_headers([own])
    assert "info_genomicslake_ends" not in by_variant.Columns.of(own, info, formats, keeps_blocks=False).schema.names


def test_a_field_that_only_another_file_declares_is_null(tmp_path: Path) -> None:
    one = head(1).completed({})
    other = Header(
        one.path, one.version, one.reference, {}, {"GT": one.format["GT"]}, one.contigs, one.samples, one.lines
    )
    info, formats = names.of_headers([one, other])
    columns = [by_variant.Columns.of(each, info, formats, keeps_blocks=False) for each in (one, other)]
    schema = by_variant.together(columns)
    assert set(schema.names) == set(columns[0].schema.names)
    path = tmp_path / "other.vcf"
    path.write_bytes(b"22\t5\t.\tA\tC\t.\t.\t.\tGT\t0/1\n")
    part = Part(str(path), "plain", 0, path.stat().st_size, path.stat().st_size)
    scan.written_part(part, RecordCheck(other, {"22": 51_304_566}, True), (), (columns[1], schema, str(tmp_path), "x"))
    table = pq.read_table(tmp_path / "rows-x.parquet")
    assert table.schema.equals(schema)
    (row,) = table.to_pylist()
    assert row["format_gt"] == "0/1"
    assert row["info_flag"] is None
    assert pa.types.is_list(table.schema.field("info_ir").type)
