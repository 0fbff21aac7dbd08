"""The reader that checks the conversion is itself right: rows worked out by hand, and faults that it must see."""

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from tests import independent
from tests.independent import compare, expected

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
LAYOUTS = ["by_sample", "by_variant"]
ROADS = {"text": 10**9, "matrix": 0}  # EXACT_ROWS that sends a file of any size down that road

HEADER = """\
##fileformat=VCFv4.2
##contig=<ID=chr1>
##contig=<ID=chrM>
##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype, unphased / or phased |">
"""
COHORT = (
    HEADER
    + "#CHROM POS ID REF ALT QUAL FILTER INFO FORMAT A::1 S2 S3\n"
    + "chr1 10 rs1 CAG C,TAG 9.5 PASS . GT 0|1 2/1 ./2\n"
    + "chrM 20 . acg aTg . q10;a . GT 1 0 .\n"
    + "chr1 30 . G <DEL> . . END=35 GT 1|0 0/0 1|1\n"
    + "chr1 40 . T <INS>,*,G]17:198982] . . . GT 1/2 3|. ./.\n"
    + "chr1 50 . A <NON_REF> . . END=70 GT 0/0 1/0 ./0\n"
    + "chr1 60 . A . . . . GT 0/0 0/0 0/0\n"
)
COHORT_BY_SAMPLE = [
    ("A::1", "1", 9, 12, "CAG", "C", 0, 1),
    ("S2", "1", 9, 12, "CAG", "C", 0, 1),
    ("S2", "1", 9, 10, "C", "T", 0, 1),
    ("S3", "1", 9, 10, "C", "T", 1, None),
    ("A::1", "MT", 20, 21, "C", "T", 1, None),
    ("A::1", "1", 29, 35, "G", "<DEL>", 0, 1),
    ("S3", "1", 29, 35, "G", "<DEL>", 1, 1),
    ("A::1", "1", 39, 40, "T", "<INS>", 0, 1),
    ("A::1", "1", 39, 40, "T", "*", 0, 1),
    ("S2", "1", 39, 40, "T", "G]17:198982]", 1, None),
    ("S2", "1", 49, 70, "A", "<NON_REF>", 0, 1),
]
MEASURED = (
    HEADER
    + '##INFO=<ID=AF,Number=A,Type=Float,Description="a">\n'
    + '##INFO=<ID=a.f,Number=.,Type=Integer,Description="collides, twice=2">\n'
    + '##INFO=<ID=A_F,Number=1,Type=String,Description="collides">\n'
    + '##INFO=<ID=DB,Number=0,Type=Flag,Description="f">\n'
    + '##FORMAT=<ID=AD,Number=R,Type=Integer,Description="d">\n'
    + '##FORMAT=<ID=GQ,Number=1,Type=Float,Description="q">\n'
    + '##FORMAT=<ID=PL,Number=G,Type=Integer,Description="p">\n'
    + "#CHROM POS ID REF ALT QUAL FILTER INFO FORMAT S1 S2\n"
    + "chr1 10 rs1;rs2 A C,G 7535.22 q10;a AF=0.1,.;a.f=1,.;A_F=x,y;DB;NEW=7;BARE GT:AD:GQ:DP:PL:ZZ"
    + " 2|1:1,2,3:9.6:6:1,2,3,4,5,6:u 1:4,.,5:.:.:7,8,9\n"
    + "chr1 11 . A C . . a.f=. GT:AD ./.:. ./0:2,3\n"
)


def written(folder: Path, text: str) -> Path:
    """A VCF from text whose columns stand apart by single spaces."""
    lines = [line if line.startswith("##") else line.replace(" ", "\t") for line in text.splitlines()]
    path = folder / "made.vcf.gz"
    path.write_bytes(gzip.compress(("\n".join(lines) + "\n").encode()))
    return path


def parquet(folder: Path, table: pa.Table) -> Path:
    folder.mkdir()
    pq.write_table(table, folder / "part-0.parquet")
    return folder


def tuples(table: pa.Table) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in table.to_pylist()]


@pytest.fixture(params=ROADS)
def road(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(independent, "EXACT_ROWS", ROADS[request.param])
    return str(request.param)


def test_rows_of_called_alleles(tmp_path: Path) -> None:
    table = expected(written(tmp_path, COHORT), "by_sample")
    assert tuples(table) == COHORT_BY_SAMPLE
    assert table.schema.field("startposition").type == pa.int64()


def test_rows_of_every_sample(tmp_path: Path) -> None:
    columns = ["sampleid", "startposition", "alternateallele", "genotype0", "genotype1", "phased", "format_gt"]
    rows = tuples(expected(written(tmp_path, COHORT), "by_variant").select(columns))
    assert rows == [
        ("A::1", 9, "C", 0, 1, True, "0|1"),
        ("S2", 9, "C", 0, 1, False, "1/2"),
        ("S3", 9, "C", 0, None, False, "./2"),
        ("A::1", 9, "T", 0, 0, True, "0|1"),
        ("S2", 9, "T", 0, 1, False, "1/2"),
        ("S3", 9, "T", 1, None, False, "./2"),
        ("A::1", 20, "T", 1, None, False, "1"),
        ("S2", 20, "T", 0, None, False, "0"),
        ("S3", 20, "T", None, None, None, None),
        ("A::1", 29, "<DEL>", 0, 1, True, "1|0"),
        ("S2", 29, "<DEL>", 0, 0, False, "0/0"),
        ("S3", 29, "<DEL>", 1, 1, True, "1|1"),
        ("A::1", 39, "<INS>", 0, 1, False, "1/2"),
        ("S2", 39, "<INS>", 0, None, True, "3|."),
        ("S3", 39, "<INS>", None, None, None, None),
        ("A::1", 39, "*", 0, 1, False, "1/2"),
        ("S2", 39, "*", 0, None, True, "3|."),
        ("S3", 39, "*", None, None, None, None),
        ("A::1", 39, "G]17:198982]", 0, 0, False, "1/2"),
        ("S2", 39, "G]17:198982]", 1, None, True, "3|."),
        ("S3", 39, "G]17:198982]", None, None, None, None),
        ("S2", 49, "<NON_REF>", 0, 1, False, "0/1"),
    ]


def test_typed_fields(tmp_path: Path) -> None:
    table = expected(written(tmp_path, MEASURED), "by_variant")
    first, second, *_ = table.filter(pc.equal(table["alternateallele"], "G")).to_pylist()
    site = {"rsid": "rs1;rs2", "qual": 7535.22, "filters": ["a", "q10"], "info_af": None}
    site |= {"info_a_f": [1, None], "info_a_f_2": "x,y", "info_db": True, "info_new": "7", "info_bare": True}
    call = {"gq": 10, "dp": 6, "ad": [1, 3], "format_ad": [1, 3], "format_gq": 9.6, "format_dp": "6"}
    call |= {"phased": True, "genotype0": 0, "genotype1": 1, "format_gt": "2|1"}
    assert {**first, **site, **call, "format_pl": [1, 4, 6], "format_zz": "u"} == first
    call = dict.fromkeys(["gq", "dp", "format_gq", "format_dp", "format_zz"])
    assert {**second, **site, **call, "ad": [4, 5], "format_pl": [7, 9], "format_gt": "1"} == second
    types = {name: str(table.schema.field(name).type) for name in ("info_af", "info_a_f", "info_db", "format_pl")}
    assert list(types.values()) == ["double", "list<item: int32>", "bool", "list<item: int32>"]


def test_what_the_header_contradicts_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"line 13: AD \(Number=R\) has 1 values"):
        expected(written(tmp_path, MEASURED.replace("1,2,3:9.6", "1:9.6")), "by_variant")
    for wrong in ("3/1", "0/1/1"):
        path = written(tmp_path, COHORT.replace("2/1", wrong))
        with pytest.raises(ValueError, match=r"made\.vcf\.gz, line 6: genotype"):
            expected(path, "by_sample")


def test_absent_values(tmp_path: Path) -> None:
    table = expected(written(tmp_path, MEASURED), "by_variant")
    none, half = table.slice(4).to_pylist()
    assert [half[name] for name in ("genotype0", "genotype1", "phased", "format_gt")] == [0, None, False, "./0"]
    assert (half["ad"], half["gq"], half["info_a_f"], half["info_db"]) == ([2, 3], None, None, False)
    assert (none["phased"], none["format_ad"], none["filters"], none["qual"]) == (None, None, None, None)


@pytest.mark.usefixtures("road")
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("text", [COHORT, MEASURED], ids=["cohort", "measured"])
class TestCompare:
    @pytest.fixture
    def vcf(self, tmp_path: Path, text: str) -> Path:
        return written(tmp_path, text)

    @pytest.fixture
    def table(self, vcf: Path, layout: str) -> pa.Table:
        return expected(vcf, layout)

    def test_same_rows_in_another_order(self, vcf: Path, table: pa.Table, layout: str, tmp_path: Path) -> None:
        shuffled = table.select(table.schema.names[::-1]).take(list(range(table.num_rows))[::-1])
        result = compare(vcf, layout, parquet(tmp_path / "out", shuffled))
        assert result.differences == []
        assert result.rows_found == result.rows_expected == table.num_rows
        assert result.genotypes_checked >= table.num_rows

    def test_folders_named_for_samples(self, vcf: Path, table: pa.Table, layout: str, tmp_path: Path) -> None:
        for sampleid in table["sampleid"].unique().to_pylist():
            rows = table.filter(pc.equal(table["sampleid"], sampleid)).drop_columns("sampleid")
            folder = tmp_path / "out" / f"sampleid={quote(sampleid, safe='')}"
            folder.mkdir(parents=True)
            pq.write_table(rows, folder / "part-0.parquet")
        assert compare(vcf, layout, tmp_path / "out").differences == []

    def test_one_changed_genotype(self, vcf: Path, table: pa.Table, layout: str, tmp_path: Path) -> None:
        rows = table.to_pylist()
        was, rows[1]["genotype1"] = rows[1]["genotype1"], 7
        result = compare(vcf, layout, parquet(tmp_path / "out", pa.Table.from_pylist(rows, table.schema)))
        assert len(result.differences) == 1
        assert result.differences[0].endswith(f": genotype1 is 7, expected {was}")
        assert result.differences[0].startswith(f"{rows[1]['sampleid']} 1:9-")

    def test_genotypes_of_two_rows_swapped(self, vcf: Path, table: pa.Table, layout: str, tmp_path: Path) -> None:
        rows = table.to_pylist()
        one, two = next((r, s) for r in rows for s in rows if r["genotype1"] == 1 and s["genotype1"] is None)
        for name in ("genotype0", "genotype1"):
            one[name], two[name] = two[name], one[name]
        result = compare(vcf, layout, parquet(tmp_path / "out", pa.Table.from_pylist(rows, table.schema)))
        assert [d for d in result.differences if "genotype1 is" in d] == result.differences
        assert len(result.differences) == 2

    def test_a_missing_row(self, vcf: Path, table: pa.Table, layout: str, tmp_path: Path) -> None:
        result = compare(vcf, layout, parquet(tmp_path / "out", table.slice(1)))
        assert result.rows_found == result.rows_expected - 1
        assert len(result.differences) == 1
        assert result.differences[0].endswith(": row missing")

    def test_a_duplicated_row(self, vcf: Path, table: pa.Table, layout: str, tmp_path: Path) -> None:
        twice = pa.concat_tables([table, table.slice(2, 1)])
        result = compare(vcf, layout, parquet(tmp_path / "out", twice))
        assert [d.split(": ")[-1] for d in result.differences] == ["row found 2 times, expected 1"]

    def test_a_row_of_a_stranger(self, vcf: Path, table: pa.Table, layout: str, tmp_path: Path) -> None:
        stranger = table.slice(0, 1).set_column(0, "sampleid", pa.array(["NA1"]))
        result = compare(vcf, layout, parquet(tmp_path / "out", pa.concat_tables([table, stranger])))
        assert [d.split(": ")[-1] for d in result.differences] == ["row not expected"]
        assert result.differences[0].startswith("NA1 1:9-")

    def test_nothing_written(self, vcf: Path, table: pa.Table, layout: str, tmp_path: Path) -> None:
        (tmp_path / "out").mkdir()
        result = compare(vcf, layout, tmp_path / "out")
        assert result.rows_found == 0
        assert len(result.differences) == min(20, table.num_rows)

    def test_columns(self, vcf: Path, table: pa.Table, layout: str, tmp_path: Path) -> None:
        wrong = table.drop_columns("genotype1").append_column("more", table["sampleid"])
        at = wrong.schema.get_field_index("endposition")
        wrong = wrong.set_column(at, "endposition", wrong["endposition"].cast(pa.int32()))
        assert compare(vcf, layout, parquet(tmp_path / "out", wrong)).differences == [
            "column endposition: its type is INTEGER, expected BIGINT",
            "column genotype1: not written",
            "column more: not expected",
        ]


@pytest.mark.usefixtures("road")
@pytest.mark.parametrize(("column", "value"), [("info_a_f", [1, 2]), ("qual", 7535.2202), ("ad", [1, 4])])
def test_one_changed_value(tmp_path: Path, column: str, value: Any) -> None:
    vcf = written(tmp_path, MEASURED)
    table = expected(vcf, "by_variant")
    rows = table.to_pylist()
    rows[2][column] = value
    result = compare(vcf, "by_variant", parquet(tmp_path / "out", pa.Table.from_pylist(rows, table.schema)))
    assert len(result.differences) == 1
    assert result.differences[0].startswith(f"S1 1:9-10 A>G: {column} is {value}, expected ")


def test_a_changed_format_value_of_a_small_file(tmp_path: Path) -> None:
    vcf = written(tmp_path, MEASURED)
    table = expected(vcf, "by_variant")
    rows = table.to_pylist()
    rows[2]["format_pl"] = [1, 4, 5]
    result = compare(vcf, "by_variant", parquet(tmp_path / "out", pa.Table.from_pylist(rows, table.schema)))
    assert result.differences == ["S1 1:9-10 A>G: format_pl is [1, 4, 5], expected [1, 4, 6]"]


@pytest.mark.usefixtures("road")
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    "name",
    [
        "vcf/1kg_chr20_100samples.vcf.gz",
        "vcf/chrM_haploid.vcf.gz",
        "vcf/deepvariant.NA12878.g.vcf",
        "vcf/dragen.NA12878.vcf",
        "vcf/gatk.NA12249.grch38.g.vcf.gz",
        "vcf/manta.sv.vcf",
        "vcf/one_row.vcf.bgz",
        "vcf/strelka.spw-791.vcf.gz",
        "vcf/strelka.trio_segment.vcf.gz",
        "clinvar/ncbi_sample_clinvar.vcf",
    ],
)
def test_both_roads_agree_on_what_callers_write(tmp_path: Path, name: str, layout: str) -> None:
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"{path} is absent")
    table = expected(path, layout)
    result = compare(path, layout, parquet(tmp_path / "out", table))
    assert (result.rows_expected, result.differences) == (table.num_rows, [])


def test_rows_reproduce_the_published_counts() -> None:
    path = SHARED / "1000genomes" / "chr22_comt_cyp2d6.2504samples.grch37.vcf.gz"
    told = SHARED / "expected" / "chr22_expected_counts.json"
    if not path.exists() or not told.exists():
        pytest.skip(f"{path} or {told} is absent")
    counts = json.loads(told.read_text())["chr22_comt_cyp2d6.2504samples.grch37"]
    table = expected(path, "by_sample")
    places = {"rs4680": 19951270, "rs13306278": 19929026, "rs3892097": 42524946, "rs1065852": 42526693}
    for rsid, start in places.items():
        rows = table.filter(pc.equal(table["startposition"], start)).to_pylist()
        for group, prefix in (("NA12", "NA12"), ("all", "")):
            calls = Counter((r["genotype0"], r["genotype1"]) for r in rows if r["sampleid"].startswith(prefix))
            assert calls == {(0, 1): counts[group][rsid]["het"], (1, 1): counts[group][rsid]["hom_alt"]}
