"""What fails, fails with a clear error, and leaves the tables as they were."""

import errno
import functools
import gzip
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

import clinvar_to_parquet
import vcf_to_parquet
from genomicslake import clinvar, job, lines, publish_local, scan, session, sources, staged, writing
from genomicslake.errors import LakeError
from genomicslake.lines import Part
from genomicslake.publish import Table
from genomicslake.publish_local import LocalTable
from genomicslake.shuffle import Shuffle
from setup.demo.bgzf import EOF_BLOCK, compress

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "data"
SCRIPTS = ROOT / "code" / "resources" / "scripts"
LAYOUTS = ["by_sample", "by_variant"]
JOBS = ["vcf", "clinvar"]

FILE_FORMAT = "##fileformat=VCFv4.2\n"
CONTIGS = {"GRCh37": 51_304_566, "GRCh38": 50_818_468}
GENOTYPE = '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n'


# Input


def head(samples: Sequence[str] = ("S1", "S2"), genome: str | None = "GRCh37") -> str:
    contig = f"##contig=<ID=22,length={CONTIGS[genome]}>\n" if genome else "##contig=<ID=22>\n"
    columns = ["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT"]
    return FILE_FORMAT + contig + GENOTYPE + "\t".join([*columns, *samples]) + "\n"


def record(position: int, *calls: str, reference: str = "A", alternate: str = "C") -> str:
    fixed = f"22 {position} . {reference} {alternate} . PASS . GT".split()
    return "\t".join([*fixed, *(calls or ("0|1", "1|1"))]) + "\n"


def records(count: int, first: int = 20_000_000) -> str:
    return "".join(record(first + 7 * number) for number in range(count))


def bgzf(data: bytes, *, end: bytes = EOF_BLOCK) -> bytes:
    return compress(data).removesuffix(EOF_BLOCK) + end


OLD = head() + records(5)
NEW = head() + records(9, 30_000_000)


def clinvar_text(rows: Sequence[dict[str, str]], columns: Sequence[str] = tuple(clinvar.GUIDE)) -> str:
    lines = [[row.get(name, "-") for name in columns] for row in rows]
    return "#" + "".join("\t".join(line) + "\n" for line in [list(columns), *lines])


def clinvar_rows(count: int, first: int = 20_000_000) -> list[dict[str, str]]:
    return [
        {
            "AlleleID": str(15000 + number),
            "Name": f"NM_000754.4(COMT):c.{number}G>A",
            "ClinicalSignificance": "drug response",
            "RS# (dbSNP)": str(4680 + number),
            "PhenotypeList": "Tramadol response",
            "Assembly": "GRCh37",
            "Chromosome": "22",
            "Start": str(first + 7 * number),
            "Stop": str(first + 7 * number),
            "ReferenceAllele": "A",
            "AlternateAllele": "C",
        }
        for number in range(count)
    ]


OLD_CLINVAR = clinvar_text(clinvar_rows(5))
NEW_CLINVAR = clinvar_text(clinvar_rows(9, 30_000_000))


# Tables


def job_of(which: str) -> Callable[[Sequence[str]], None]:
    return vcf_to_parquet.vcf_to_parquet if which == "vcf" else clinvar_to_parquet.clinvar_to_parquet


@dataclass(frozen=True)
class Lake:
    """A folder with a table of each job, made from OLD and OLD_CLINVAR."""

    path: Path
    input: Path

    def table(self, which: str) -> Path:
        return self.path / {"vcf": "variants"}.get(which, which)

    def given(self, name: str, content: str | bytes) -> str:
        path = self.input / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    def convert(self, which: str, *paths: str, options: Sequence[str] = ()) -> None:
        job_of(which)(["--input_path", *paths, "--output_path", str(self.table(which)), *options])

    def rows(self, which: str) -> list[dict[str, Any]]:
        return rows_of(self.table(which))


PATIENCE = 60  # seconds for a test; a job that never ends would be the worst of failures
pytestmark = pytest.mark.patience(PATIENCE)


@pytest.fixture(autouse=True)
def parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of several parts need not be large here."""
    monkeypatch.setattr(lines, "SMALLEST_PART", 256 << 10)


@pytest.fixture(scope="module")
def made_lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    lake = Lake(tmp_path_factory.mktemp("made") / "lake", tmp_path_factory.mktemp("old"))
    lake.convert("vcf", lake.given("old.vcf", OLD))
    lake.convert("clinvar", lake.given("old.txt", OLD_CLINVAR))
    assert {which: len(lake.rows(which)) for which in JOBS} == {"vcf": 10, "clinvar": 5}
    return lake


@pytest.fixture
def lake(made_lake: Lake, tmp_path: Path) -> Lake:
    shutil.copytree(made_lake.path, tmp_path / "lake")
    (tmp_path / "input").mkdir()
    return Lake(tmp_path / "lake", tmp_path / "input")


def rows_of(table: Path) -> list[dict[str, Any]]:
    """A table's rows, as a reader sees them who knows nothing of the job, in order."""
    partitions = ds.partitioning(pa.schema([("sampleid", pa.string())]), flavor="hive")
    found = ds.dataset(table, format="parquet", partitioning=partitions).to_table().to_pylist()
    return sorted(found, key=str)


def snapshot(folder: Path) -> dict[str, tuple[int, int, str]]:
    """Every file under a folder: inode, time of change, SHA-256; folders too."""
    return {
        str(path.relative_to(folder)): (path.stat().st_ino, path.stat().st_mtime_ns, content)
        if (content := "" if path.is_dir() else hashlib.sha256(path.read_bytes()).hexdigest())
        else (path.stat().st_ino, 0, "")
        for path in sorted(folder.rglob("*"))
    }


def leftovers(lake: Lake) -> list[str]:
    return sorted(path.name for path in lake.path.iterdir() if path.name.startswith("."))


@contextmanager
def refused(lake: Lake, *told: str) -> Iterator[None]:
    """The job inside fails, saying what is told and what to do, and leaves the lake as it was."""
    before = snapshot(lake.path)
    with pytest.raises(LakeError) as caught:
        yield
    assert snapshot(lake.path) == before
    message = str(caught.value)
    for words in told:
        assert words in message
    assert "Traceback" not in message
    for path in (part for part in told if part.startswith("/")):
        message = message.replace(path, "FILE")
    assert re.search(r"(?:[.)?]\s+|\n)[A-Z][^.]* .*[.?)]$", message, re.DOTALL), f"what is there to do? {message}"


# Files that can't be read


@pytest.mark.parametrize("which", JOBS)
@pytest.mark.parametrize("path", ["missing.vcf", "*.vcf.gz", "nowhere/*.txt", "empty-folder", "[a].vcf"])
def test_no_file(lake: Lake, which: str, path: str) -> None:
    (lake.input / "empty-folder").mkdir()
    lake.given("other.json", "{}")
    asked = str(lake.input / path)
    with refused(lake, asked, "no such file" if path != "empty-folder" else "the folder has no file that ends in"):
        lake.convert(which, asked)


def test_one_of_several_files_is_missing(lake: Lake) -> None:
    missing = str(lake.input / "missing.vcf")
    with refused(lake, missing, "no such file"):
        lake.convert("vcf", lake.given("new.vcf", NEW), missing)


@pytest.mark.parametrize("which", JOBS)
def test_empty_file(lake: Lake, which: str) -> None:
    path = lake.given("empty.vcf.gz", b"")
    with refused(lake, path, "the file is empty"):
        lake.convert(which, path)


@pytest.mark.parametrize("which", JOBS)
@pytest.mark.parametrize("data", [gzip.compress(b""), bgzf(b"")], ids=["gzip", "bgzf"])
def test_nothing_compressed(lake: Lake, which: str, data: bytes) -> None:
    path = lake.given("empty.gz", data)
    with refused(lake, path):
        lake.convert(which, path)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("container", ["plain", "gzip", "bgzf"])
def test_vcf_of_a_header_only_makes_a_table_without_rows(lake: Lake, layout: str, container: str) -> None:
    pack: dict[str, Callable[[bytes], bytes]] = {"plain": bytes, "gzip": gzip.compress, "bgzf": bgzf}
    lake.convert("vcf", lake.given("new.vcf", pack[container](head().encode())), options=["--layout", layout])
    assert lake.rows("vcf") == []
    current = LocalTable(str(lake.table("vcf"))).current()
    assert current
    assert (current["rows"], current["sources"][0]["records"], leftovers(lake)) == (0, 0, [])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_vcf_without_a_variant_genotype_makes_a_table(lake: Lake, layout: str) -> None:
    """Records that are loaded, and give no row to by_sample; by_variant has a row for each sample all the same."""
    text = head() + record(20_000_000, "0|0", "0|0") + record(20_000_007, "./.", "0|0")
    lake.convert("vcf", lake.given("new.vcf", text), options=["--layout", layout])
    assert len(lake.rows("vcf")) == {"by_sample": 0, "by_variant": 4}[layout]
    current = LocalTable(str(lake.table("vcf"))).current()
    assert current
    assert (current["sources"][0]["records"], current["sources"][0]["loaded"], leftovers(lake)) == (2, 2, [])


def test_clinvar_of_a_header_only_makes_a_table_without_rows(lake: Lake) -> None:
    lake.convert("clinvar", lake.given("new.txt", clinvar_text([])))
    assert lake.rows("clinvar") == []
    assert ds.dataset(lake.table("clinvar"), format="parquet").schema.names[:31] == list(clinvar.GUIDE.values())


JSON = json.dumps({"22": [19951271, "G", "A"]}, indent=1)
NO_VCF = {
    "text": "Dear colleague,\nthe VCF will follow.\n",
    "one word": "nothing",
    "json": JSON,
    "json in gzip": gzip.compress(JSON.encode()),
    "json in bgzf": bgzf(JSON.encode()),
    "html": "<!DOCTYPE html>\n<html><body>404 Not Found</body></html>\n",
    "utf-16": OLD.encode("utf-16"),
    "binary": bytes(range(256)) * 9,
    "bcf": b"BCF\x02\x02" + bytes(200),
    "zip": b"PK\x03\x04" + bytes(200),
    "clinvar's tsv": OLD_CLINVAR,
    "a vcf without its first line": OLD.removeprefix(FILE_FORMAT),
    "blank lines": "\n\n\n",
}


@pytest.mark.parametrize("content", NO_VCF.values(), ids=NO_VCF)
def test_no_vcf(lake: Lake, content: str | bytes) -> None:
    path = lake.given("new.vcf.gz", content)
    with refused(lake, path, "line 1", "this is no VCF"):
        lake.convert("vcf", path)


@pytest.mark.parametrize("content", [NO_VCF["json"], NO_VCF["html"], NO_VCF["binary"]], ids=str)
def test_no_clinvar(lake: Lake, content: str | bytes) -> None:
    path = lake.given("new.txt", content)
    with refused(lake, path, "line 1", "columns that the drug-response query needs are missing"):
        lake.convert("clinvar", path)


def test_another_vcf_than_clinvars(lake: Lake) -> None:
    path = lake.given("new.vcf", OLD)
    with refused(lake, path, "line 1", "the header declares no CLNSIG, so this is not ClinVar's VCF"):
        lake.convert("clinvar", path)


# Headers


HEADERS = {
    "no column line": (head().rsplit("#CHROM")[0], "#CHROM"),
    "cut in the column line": (head()[:-20].rstrip("\t"), "column line"),
    "spaces for tabs": (OLD.replace("\t", " "), "column line"),
    "without samples": (head(()) + record(5, "0").rsplit("\t", 1)[0] + "\n", "no samples"),
    "without samples and format": (head(()).replace("\tFORMAT", ""), "no samples"),
    "records where the columns should be": (FILE_FORMAT + records(2), "column line"),
    "duplicate samples": (head(("S1", "S2", "S1")) + record(5, "0|1", "0|1", "0|1"), "twice in the header: S1"),
    "a sample without a name": (head(("S1", "")) + record(5), "no name"),
    "unknown type": (OLD.replace("Type=String", "Type=Text"), "type 'Text'"),
    "field without id": (OLD.replace("ID=GT,", ""), "no ID"),
    "contig without id": (OLD.replace("ID=22,", ""), "no ID"),
}


@pytest.mark.parametrize(("content", "told"), HEADERS.values(), ids=HEADERS)
def test_bad_header(lake: Lake, content: str, told: str) -> None:
    path = lake.given("new.vcf", content)
    with refused(lake, path, told):
        lake.convert("vcf", path)


@pytest.mark.parametrize("version", [f"VCFv4.{minor}" for minor in range(6)])
def test_versions(lake: Lake, version: str) -> None:
    path = lake.given("new.vcf", NEW.replace("VCFv4.2", version))
    lake.convert("vcf", path)
    assert len(lake.rows("vcf")) == 18


@pytest.mark.parametrize("version", ["VCFv3.3", "VCFv4.6", "VCFv5.0"])
def test_versions_whose_rules_are_not_known(lake: Lake, version: str) -> None:
    path = lake.given("new.vcf", NEW.replace("VCFv4.2", version))
    with refused(lake, path, f"line 1: {version} is none of the versions", "VCFv4.0 to VCFv4.5"):
        lake.convert("vcf", path)


def test_blocks_in_a_layout_without_reference_calls(lake: Lake) -> None:
    with refused(lake, "no rows of homozygous reference calls", "Pass --layout by_variant"):
        lake.convert("vcf", lake.given("new.vcf", NEW), options=["--gvcf_blocks", "keep"])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_wrong_reference_genome(lake: Lake, layout: str) -> None:
    path = lake.given("new.vcf", NEW)
    with refused(lake, path, "not GRCh38", "contig 22", "51304566", "50818468", "--reference_genome"):
        lake.convert("vcf", path, options=["--reference_genome", "GRCh38", "--layout", layout])


def test_reference_genome_that_does_not_exist(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        lake.convert("vcf", lake.given("new.vcf", NEW), options=["--reference_genome", "hg18"])
    assert caught.value.code == 2
    assert "GRCh37" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text",
    [head(genome=None) + records(3), NEW.replace("51304566", "12345"), NEW.replace("ID=22,", "ID=scaffold_1,")],
    ids=["no lengths", "a length of neither", "contigs of neither"],
)
def test_reference_genome_that_the_header_does_not_tell(lake: Lake, text: str) -> None:
    path = lake.given("new.vcf", text)
    with refused(lake, path, "does not tell the reference genome", "--reference_genome GRCh37|GRCh38"):
        lake.convert("vcf", path)


def test_files_of_different_reference_genomes(lake: Lake) -> None:
    paths = [lake.given("37.vcf", NEW), lake.given("38.vcf", head(("S3", "S4"), "GRCh38") + records(3))]
    with refused(lake, *paths, "different reference genomes", "GRCh37", "GRCh38"):
        lake.convert("vcf", *paths)


# Compressed files that are damaged

MANY = 120_000


@functools.cache
def large(which: str) -> bytes:
    """Text of more than lines.CHUNK bytes, in no order that compresses well: what is damaged late, tasks find."""
    noise = [int.from_bytes(hashlib.sha256(b"%d" % number).digest()[:4], "big") for number in range(MANY)]
    if which == "vcf":
        text = head(("S1",)) + "".join(
            record(1 + number % 51_000_000, "0|1").replace("PASS", f"f{number}") for number in noise
        )
    else:
        columns = [*clinvar.NEEDED, "Name"]
        rows = clinvar_rows(MANY)
        text = clinvar_text([row | {"Name": f"n{number}"} for row, number in zip(rows, noise, strict=True)], columns)
    assert len(text) > lines.CHUNK
    return text.encode()


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :]


def block_at(data: bytes, at: int) -> int:
    """Where the first BGZF block at or behind a byte begins."""
    return data.index(b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x06\0BC\x02\0", at)


def bgzf_cut_in_the_end_block(data: bytes) -> bytes:
    return bgzf(data)[:-5]


def bgzf_without_the_end_block(data: bytes) -> bytes:
    return bgzf(data, end=b"")


def bgzf_cut_in_a_block(data: bytes) -> bytes:
    packed = bgzf(data)
    return packed[: block_at(packed, len(packed) * 2 // 3) + 1000]


def bgzf_with_a_hole(data: bytes) -> bytes:
    packed = bgzf(data)
    at = block_at(packed, len(packed) * 2 // 3) + 1000
    return packed[:at] + packed[at + 500 :]


def bgzf_flipped_late(data: bytes) -> bytes:
    packed = bgzf(data)
    return flipped(packed, block_at(packed, len(packed) * 9 // 10) + 1000)


def bgzf_flipped_early(data: bytes) -> bytes:
    return flipped(bgzf(data), 1000)


def bgzf_flipped_crc(data: bytes) -> bytes:
    packed = bgzf(data)
    return flipped(packed, block_at(packed, len(packed) * 9 // 10) - 8)


def bgzf_flipped_length(data: bytes) -> bytes:
    packed = bgzf(data)
    return flipped(packed, block_at(packed, len(packed) * 9 // 10) + 16)


def gzip_cut_late(data: bytes) -> bytes:
    packed = gzip.compress(data, 1)
    return packed[: len(packed) * 9 // 10]


def gzip_cut_in_its_end(data: bytes) -> bytes:
    return gzip.compress(data, 1)[:-3]


def gzip_flipped(data: bytes) -> bytes:
    packed = gzip.compress(data, 1)
    return flipped(packed, len(packed) - 6)


def gzip_with_garbage_behind(data: bytes) -> bytes:
    return gzip.compress(data, 1) + b"<html>502</html>"


def gzip_with_half_a_member_behind(data: bytes) -> bytes:
    return gzip.compress(data, 1) + gzip.compress(data[:1000])[:50]


DAMAGES: list[tuple[Callable[[bytes], bytes], str]] = [
    (bgzf_cut_in_the_end_block, "truncated"),
    (bgzf_without_the_end_block, "truncated"),
    (bgzf_cut_in_a_block, "truncated"),
    (bgzf_with_a_hole, "corrupt"),
    (bgzf_flipped_late, "corrupt"),
    (bgzf_flipped_early, "corrupt"),
    (bgzf_flipped_crc, "corrupt"),
    (bgzf_flipped_length, "corrupt"),
    (gzip_cut_late, "truncated"),
    (gzip_cut_in_its_end, "truncated"),
    (gzip_flipped, "corrupt"),
    (gzip_with_garbage_behind, "corrupt"),
    (gzip_with_half_a_member_behind, "truncated"),
]


@pytest.mark.parametrize("which", JOBS)
@pytest.mark.parametrize(("damage", "told"), DAMAGES, ids=[damage.__name__ for damage, _ in DAMAGES])
def test_damaged_file(lake: Lake, which: str, damage: Callable[[bytes], bytes], told: str) -> None:
    path = lake.given("new.vcf.gz" if which == "vcf" else "new.txt.gz", damage(large(which)))
    with refused(lake, path, told, " again"):
        lake.convert(which, path)


@pytest.mark.parametrize("which", JOBS)
def test_a_broken_block_behind_the_first_of_a_part(lake: Lake, which: str) -> None:
    """In each place where a part begins: between two blocks of a part, nothing may be left out."""
    packed = bgzf(large(which))
    context = session.start().sparkContext
    whole = sources.Source("file", len(packed), "bgzf")
    part = lines.parts(whole, 4 * context.defaultParallelism)[1]
    first = block_at(packed, part.start)
    path = lake.given("new.vcf.gz" if which == "vcf" else "new.txt.gz", flipped(packed, block_at(packed, first + 1)))
    with refused(lake, path, "corrupt"):
        lake.convert(which, path)


# Names that contradict the bytes, and files that are unusual but sound

PACKED: dict[str, Callable[[bytes], bytes]] = {"plain": bytes, "gzip": gzip.compress, "bgzf": bgzf}


@pytest.fixture(scope="module")
def made_rows(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    folder = tmp_path_factory.mktemp("rows")
    lake = Lake(folder, folder)
    found = {}
    for layout in LAYOUTS:
        lake.convert("vcf", lake.given("new.vcf", NEW), options=["--layout", layout])
        found[layout] = lake.rows("vcf")
    lake.convert("clinvar", lake.given("new.txt", NEW_CLINVAR))
    return found | {"clinvar": lake.rows("clinvar")}


@pytest.mark.parametrize("container", PACKED)
@pytest.mark.parametrize(
    "name", ["a.vcf", "a.vcf.gz", "a.vcf.bgz", "a", "my [a]{b} cohort: 1,2 50%20.vcf.gz", "ä*?.vcf"]
)
def test_vcf_under_any_name_converts(
    lake: Lake, made_rows: dict[str, list[dict[str, Any]]], name: str, container: str
) -> None:
    lake.convert("vcf", lake.given(name, PACKED[container](NEW.encode())))
    assert lake.rows("vcf") == made_rows["by_sample"]
    assert leftovers(lake) == []


@pytest.mark.parametrize("container", PACKED)
@pytest.mark.parametrize("name", ["variant_summary.txt", "variant_summary.txt.gz", "clinvar [1] 50%.tsv"])
def test_clinvar_under_any_name_converts(
    lake: Lake, made_rows: dict[str, list[dict[str, Any]]], name: str, container: str
) -> None:
    lake.convert("clinvar", lake.given(name, PACKED[container](NEW_CLINVAR.encode())))
    assert lake.rows("clinvar") == made_rows["clinvar"]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("container", PACKED)
@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.removesuffix("\n"),
        lambda text: text + "\n\n",
        lambda text: text.replace("\n22\t", "\n\n22\t"),
    ],
    ids=["CRLF", "no final newline", "blank lines at the end", "blank lines between"],
)
def test_line_ends(
    lake: Lake,
    made_rows: dict[str, list[dict[str, Any]]],
    layout: str,
    container: str,
    change: Callable[[str], str],
) -> None:
    data = PACKED[container](change(NEW).encode())
    lake.convert("vcf", lake.given("new.vcf", data), options=["--layout", layout])
    assert lake.rows("vcf") == made_rows[layout]


@pytest.mark.parametrize("folder", ["[a]{b}", "50%25", "a:b"])
def test_output_folder_that_spark_takes_for_something_else(tmp_path: Path, folder: str) -> None:
    with pytest.raises(LakeError, match="Spark takes characters of this path for something else"):
        vcf_to_parquet.vcf_to_parquet(["--input_path", "new.vcf", "--output_path", str(tmp_path / folder / "variants")])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("folder", ["with space", "ä", "a=b"])
def test_output_folder_of_any_name(tmp_path: Path, made_rows: dict[str, list[dict[str, Any]]], folder: str) -> None:
    (tmp_path / "input").mkdir()
    lake = Lake(tmp_path / folder, tmp_path / "input")
    half_missing = head() + records(9, 30_000_000) + record(40_000_000, "0|0", "0|0") + record(40_000_001, "./0", ".|.")
    lake.convert("vcf", lake.given("new.vcf", half_missing))
    assert lake.rows("vcf") == made_rows["by_sample"]
    lake.convert("clinvar", lake.given("new.txt", NEW_CLINVAR))
    assert lake.rows("clinvar") == made_rows["clinvar"]


@pytest.mark.parametrize("output", ["variants", "./variants", "lake/variants", "lake/variants/"])
def test_what_is_written_aside_stands_beside_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: str
) -> None:
    monkeypatch.chdir(tmp_path)
    table = LocalTable(output)
    assert table.name == "variants"
    assert Path(table.staging).absolute().parents[1] == (tmp_path / output).parent


def test_relative_output_path(tmp_path: Path) -> None:
    (tmp_path / "new.vcf").write_text(NEW)
    command = [sys.executable, str(SCRIPTS / "vcf_to_parquet.py"), "--input_path", "new.vcf", "--output_path"]
    subprocess.run([*command, "lake/variants/"], cwd=tmp_path, check=True, stdout=subprocess.DEVNULL)
    assert len(rows_of(tmp_path / "lake" / "variants")) == 18
    assert sorted(path.name for path in (tmp_path / "lake").iterdir()) == ["loads", "variants"]


def test_file_uris(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "new.vcf").write_text(NEW)
    uri = (tmp_path / "lake" / "variants").as_uri()
    vcf_to_parquet.vcf_to_parquet(["--input_path", (tmp_path / "new.vcf").as_uri(), "--output_path", uri])
    assert len(rows_of(tmp_path / "lake" / "variants")) == 18
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lake", "new.vcf"]


@pytest.mark.parametrize("uri", ["gs://lake/variants", "s3a://lake/variants", "hdfs://host/lake/variants"])
def test_output_that_is_neither_a_folder_nor_s3(lake: Lake, uri: str) -> None:
    with pytest.raises(LakeError, match=f"{uri}: tables are published to local folders and to S3"):
        vcf_to_parquet.vcf_to_parquet(["--input_path", lake.given("new.vcf", NEW), "--output_path", uri])


def test_plain_gzip_gives_a_warning(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    path = lake.given("new.vcf.gz", gzip.compress(NEW.encode()))
    lake.convert("vcf", path)
    told = [line for line in capsys.readouterr().out.splitlines() if "warning: " in line]
    assert len(told) == 1
    assert path in told[0]
    assert "plain gzip, which no task can begin to read in its middle" in told[0]
    assert "bgzip" in told[0]
    lake.convert("vcf", lake.given("new.vcf.gz", bgzf(OLD.encode())))
    assert "warning: " not in capsys.readouterr().out


def shared(name: str) -> Path:
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"../shared/data/{name} is absent")
    return path


def test_real_plain_gzip(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    path = shared("malformed/plain_gzip_named_gz.vcf.gz")
    lake.convert("vcf", str(path), options=["--layout", "by_variant"])
    assert "which no task can begin to read in its middle" in capsys.readouterr().out
    assert len(lake.rows("vcf")) == 1


def test_real_malformed_vcf(lake: Lake) -> None:
    path = shared("malformed/hail_malformed.vcf")
    with refused(lake, str(path)):
        lake.convert("vcf", str(path), options=["--reference_genome", "GRCh37"])


# Records that can't be loaded

BAD_RECORDS = {
    "too few columns": (record(5, "0|1"), "10 columns, the header has 11"),
    "too many columns": (record(5, "0|1", "0|1", "0|1"), "12 columns, the header has 11"),
    "unknown contig": (record(5).replace("22", "99", 1), "no contig '99'"),
    "position that is no number": (record(5).replace("\t5\t", "\tfive\t"), "POS 'five'"),
    "position behind the contig": (record(51_304_567), "POS 51304567 is behind the end of '22'"),
    "position zero": (record(0), "POS '0'"),
    "no bases": (record(5, reference="Q"), "REF 'Q' is not bases"),
    "no allele": (record(5, alternate="Q!"), "ALT 'Q!' is no allele"),
    "alternate is reference": (record(5, alternate="a"), "the same as REF"),
    "allele that the record lacks": (record(5, "0|2", "0|1"), "S1's GT '0|2' names an allele that the record lacks"),
    "no call": (record(5, "0|1", "x"), "S2's GT 'x' is no call"),
    "triploid": (record(5, "0/0/1", "0|1"), "S1's GT '0/0/1' has 3 alleles"),
    "second header": (head().splitlines(keepends=True)[-1], "a header line stands among the records"),
    "quality": (record(5).replace("\t.\tPASS", "\thigh\tPASS"), "QUAL 'high' is not a number"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("bad", "told"), BAD_RECORDS.values(), ids=BAD_RECORDS)
def test_bad_record_stops_a_strict_job(lake: Lake, bad: str, told: str, layout: str) -> None:
    path = lake.given("new.vcf", head() + records(3) + bad + records(2, 30_000_000))
    number = "0 of 6 records can't be loaded, nor 1 fields of others" if "QUAL" in told else "1 of 6 records"
    with refused(lake, path, "line 8: ", told, number, "--on_error reject"):
        lake.convert("vcf", path, options=["--layout", layout])


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("bad", "told"), BAD_RECORDS.values(), ids=BAD_RECORDS)
def test_bad_record_is_rejected(lake: Lake, bad: str, told: str, layout: str) -> None:
    path = lake.given("new.vcf", head() + records(3) + bad + records(2, 30_000_000))
    lake.convert("vcf", path, options=["--layout", layout, "--on_error", "reject"])
    assert len(lake.rows("vcf")) == (12 if "QUAL" in told else 10)
    found = pq.read_table(lake.path / "rejects").to_pylist()
    assert [(row["dataset"], row["source"], row["line"]) for row in found] == [("variants", path, 8)]
    assert told in found[0]["detail"]
    assert found[0]["record"] == bad.rstrip("\n")
    assert leftovers(lake) == []


@pytest.mark.parametrize("on_error", ["fail", "reject"])
def test_second_file_behind_the_first(lake: Lake, on_error: str) -> None:
    path = lake.given("new.vcf", NEW + head() + records(9, 40_000_000))
    if on_error == "fail":
        with refused(lake, path, "line 14: a header line", "4 of 22 records"):
            lake.convert("vcf", path)
    else:
        lake.convert("vcf", path, options=["--on_error", "reject"])
        assert len(lake.rows("vcf")) == 36


@pytest.mark.parametrize("on_error", ["fail", "reject"])
def test_second_header_at_the_begin_of_a_part(lake: Lake, on_error: str) -> None:
    """Where a part of the file happens to begin, the same is said and done as anywhere else."""
    width = 64
    filters = "P" * (width - len(record(20_000_000)) + 4)
    header = head().replace(GENOTYPE, GENOTYPE.replace("Genotype", "G" * (8 + -len(head()) % width)))
    count = (2 * lines.SMALLEST_PART + width) // width
    every = [record(20_000_000 + number).replace("PASS", filters) for number in range(count)]
    assert (len(every[0]), len(header) % width) == (width, 0)
    text = [header, *every]
    middle = -(-len("".join(text)) // 2)
    number = -(-(middle + 1 - len(header)) // width)  # the first line that begins behind the edge
    text[1 + number] = "#" + "x" * (width - 2) + "\n"
    path = lake.given("new.vcf", "".join(text))
    place = header.count("\n") + number + 1
    if on_error == "fail":
        with refused(lake, path, f"line {place}"):
            lake.convert("vcf", path)
    else:
        lake.convert("vcf", path, options=["--on_error", "reject"])
        found = pq.read_table(lake.path / "rejects").to_pylist()
        assert [(row["line"], row["reason"]) for row in found] == [(place, "header")]


def test_message_shows_the_first_few_of_many(lake: Lake) -> None:
    path = lake.given("new.vcf", head() + record(5, "0|7", "0|0") * 1000)
    with refused(lake, path, "1,000 of 1,000 records", "line 5: ", "line 9: "):
        lake.convert("vcf", path)
    with pytest.raises(LakeError) as caught:
        lake.convert("vcf", path)
    assert str(caught.value).count("line ") == 5


def test_every_record_rejected(lake: Lake) -> None:
    path = lake.given("new.vcf", head() + record(5, "0|7", "0|0") * 3)
    lake.convert("vcf", path, options=["--on_error", "reject"])
    assert lake.rows("vcf") == []
    assert len(pq.read_table(lake.path / "rejects")) == 3


# ClinVar


@pytest.mark.parametrize("column", clinvar.NEEDED)
def test_clinvar_without_a_needed_column(lake: Lake, column: str) -> None:
    columns = [name for name in clinvar.GUIDE if name != column]
    path = lake.given("new.txt", clinvar_text(clinvar_rows(3), columns))
    with refused(lake, path, "line 1", f"missing: {column}"):
        lake.convert("clinvar", path)


def test_clinvar_with_a_column_twice(lake: Lake) -> None:
    path = lake.given("new.txt", clinvar_text(clinvar_rows(3), [*clinvar.GUIDE, "Start"]))
    with refused(lake, path, "line 1", "columns stand twice: Start"):
        lake.convert("clinvar", path)


BAD_ROWS = {
    "ragged": (lambda line: line.rsplit("\t", 1)[0], "30 columns, the first line has 31", "columns"),
    "too long": (lambda line: line + "\tmore", "32 columns, the first line has 31", "columns"),
    "no number": (
        lambda line: line.replace("\t20000007\t", "\ttwo\t", 1),
        "start 'two' is not a whole number",
        "integer",
    ),
}


@pytest.mark.parametrize(("change", "told", "reason"), BAD_ROWS.values(), ids=BAD_ROWS)
@pytest.mark.parametrize("on_error", ["fail", "reject"])
def test_bad_clinvar_row(lake: Lake, change: Callable[[str], str], told: str, reason: str, on_error: str) -> None:
    text = clinvar_text(clinvar_rows(4)).splitlines()
    text[2] = change(text[2])
    path = lake.given("new.txt", "\n".join(text) + "\n")
    if on_error == "fail":
        with refused(lake, path, "1 of 4 records", f"line 3: {told}", "--on_error reject"):
            lake.convert("clinvar", path)
    else:
        lake.convert("clinvar", path, options=["--on_error", "reject"])
        assert len(lake.rows("clinvar")) == 3
        found = pq.read_table(lake.path / "rejects").to_pylist()
        assert [(row["dataset"], row["source"], row["line"], row["reason"]) for row in found] == [
            ("clinvar", path, 3, reason)
        ]


def test_two_clinvar_files(lake: Lake) -> None:
    paths = [lake.given("new.txt", NEW_CLINVAR), lake.given("old.txt", OLD_CLINVAR)]
    with refused(lake, *paths, "one ClinVar release is one file", "--input_path"):
        lake.convert("clinvar", *paths)


# Surroundings

CONFINED = """
import json, shutil, signal, subprocess, sys, time
from pathlib import Path
from genomicslake.errors import LakeError
from genomicslake.publish_local import LocalTable
from tests.test_failures import job_of, rows_of, snapshot

plan = json.loads(sys.argv[1])
lake = Path(plan["lake"])
lake.mkdir()
subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={plan['size']}", "none", lake], check=True)
told = []
for case in plan["cases"]:
    time.sleep(1)  # the tasks beside the one that failed end a moment after their job
    for path in lake.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.copytree(plan["old"], lake, dirs_exist_ok=True)
    room = shutil.disk_usage(lake).free - case["free"]
    (lake / "filler").write_bytes(bytes(max(0, room)))
    if case["read_only"]:
        subprocess.run(["mount", "-o", "remount,ro", lake], check=True)
    before = snapshot(lake)
    signal.alarm(plan["patience"] if case["read_only"] else 0)
    try:
        job_of(plan["which"])(["--input_path", plan["new"], "--output_path", plan["table"]])
        error = None
    except LakeError as failure:
        error = str(failure)
    except Exception as failure:
        error = f"not a LakeError: {failure!r}"
    signal.alarm(0)
    after = snapshot(lake)
    told.append(case | {
        "error": error, "rows": len(rows_of(Path(plan["table"]))), "unchanged": before == after,
        "recorded": bool(LocalTable(plan["table"]).current()),
    })
    if case["read_only"]:
        subprocess.run(["mount", "-o", "remount,rw", lake], check=True)
Path(plan["told"]).write_text(json.dumps(told))
"""
FREE = [0, *(4096 * pages for pages in (1, 2, 4, 6, 8, 12, 16, 20, 24, 32, 48, 64, 256))]  # bytes


@functools.cache
def in_a_namespace() -> list[str]:
    """What a command needs before it to mount a small disk of its own; empty where this machine allows none."""
    for before in (["unshare", "-m"], ["unshare", "-Urm"]):
        try:
            tried = subprocess.run([*before, "mount", "-t", "tmpfs", "-o", "size=64k", "none", "/mnt"], check=False)
        except OSError:
            continue
        if tried.returncode == 0:
            return before
    return []


@pytest.fixture(scope="module", params=JOBS)
def on_small_disks(request: pytest.FixtureRequest, made_lake: Lake, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What becomes of a job on a disk of its own, for so many bytes of free space each, and where it is read-only."""
    before = in_a_namespace()
    if not before:
        assert "CI" not in os.environ, "CI must be able to mount a tmpfs"
        pytest.skip("neither root nor a user namespace can mount a tmpfs here")
    which, folder = request.param, tmp_path_factory.mktemp("confined")
    lake = Lake(folder / "disk", folder)
    new = head() + records(3000) if which == "vcf" else clinvar_text(clinvar_rows(6000))
    plan: dict[str, Any] = {
        "lake": str(lake.path),
        "table": str(lake.table(which)),
        "size": "2m",
        "which": which,
        "old": str(made_lake.path),
        "new": lake.given("new.txt", new),
        "cases": [{"free": free, "read_only": False} for free in FREE] + [{"free": 1 << 20, "read_only": True}],
        "told": str(folder / "told.json"),
        "patience": PATIENCE,
    }
    ran = subprocess.run(
        [*before, sys.executable, "-c", CONFINED, json.dumps(plan)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (ROOT, SCRIPTS, SCRIPTS.parent)))},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return which, json.loads(Path(plan["told"]).read_text())


def test_full_disk(on_small_disks: Any) -> None:
    """However much room there is, the new table is there, or it is said that the disk is full and nothing is."""
    which, told = on_small_disks
    told = [one for one in told if not one["read_only"]]
    assert told[0]["error"], "the disk never was full"
    assert told[-1]["error"] is None, told[-1]
    rows_old, rows_new = {"vcf": (10, 6000), "clinvar": (5, 6000)}[which]
    for one in told:
        if one["error"]:
            assert "the disk is full" in one["error"], one
            assert "Make room" in one["error"], one
            assert (one["rows"], one["unchanged"]) == (rows_old, True), one
        else:
            assert (one["rows"], one["recorded"]) == (rows_new, True), one


def test_output_folder_that_is_not_writable(on_small_disks: Any) -> None:
    told = on_small_disks[1][-1]
    assert told["read_only"]
    assert not told["error"].startswith("not a LakeError"), told
    assert re.search(r"disk: .*(not writable|can't be written|read-only|Read-only).*", told["error"]), told
    assert told["unchanged"]


@pytest.mark.parametrize("which", JOBS)
def test_output_folder_inside_a_file(lake: Lake, which: str) -> None:
    lake.given("file", "something")
    inside = Lake(lake.input / "file", lake.input)
    path = lake.given("new", NEW if which == "vcf" else NEW_CLINVAR)
    with refused(lake, str(inside.path)):
        inside.convert(which, path)
    assert (lake.input / "file").read_text() == "something"


@pytest.mark.parametrize("which", JOBS)
def test_output_path_that_is_a_file(lake: Lake, which: str) -> None:
    shutil.rmtree(lake.table(which))
    lake.table(which).write_text("my notes")
    path = lake.given("new", NEW if which == "vcf" else NEW_CLINVAR)
    with refused(lake, str(lake.table(which))):
        lake.convert(which, path)


@pytest.mark.parametrize("which", JOBS)
def test_output_folder_that_is_no_table_is_not_replaced(lake: Lake, which: str) -> None:
    """A slip in --output_path must not cost what stands there: the input's own folder, for one."""
    path = lake.given("new", NEW if which == "vcf" else NEW_CLINVAR)
    lake.given("thesis.txt", "four years")
    before = snapshot(lake.input)
    with pytest.raises(LakeError, match=re.escape(str(lake.input))):
        job_of(which)(["--input_path", path, "--output_path", str(lake.input)])
    assert snapshot(lake.input) == before


@pytest.mark.parametrize("which", JOBS)
def test_a_damaged_table_is_made_anew(lake: Lake, which: str) -> None:
    """A file of the table is cut short: the job says so or mends it, rather than break on it."""
    file = next(lake.table(which).rglob("*.parquet"))
    file.write_bytes(file.read_bytes()[:-7])
    lake.convert(which, lake.given("new", NEW if which == "vcf" else NEW_CLINVAR))
    assert len(lake.rows(which)) == {"vcf": 18, "clinvar": 9}[which]


# Publishing


@pytest.mark.parametrize("which", JOBS)
def test_failure_while_the_load_is_recorded_publishes_nothing(
    lake: Lake, which: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = pq.write_table

    def full(table: Any, path: Any, **options: Any) -> None:
        if Path(path).name == "load.parquet":
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        write(table, path, **options)

    monkeypatch.setattr(pq, "write_table", full)
    path = lake.given("new", NEW if which == "vcf" else NEW_CLINVAR)
    with refused(lake, "the disk is full", "Nothing was published"):
        lake.convert(which, path)


@pytest.mark.parametrize("which", JOBS)
@pytest.mark.parametrize("exchange", [True, False])
def test_failure_while_publishing_leaves_no_rejects(
    lake: Lake, which: str, exchange: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where two folders can be exchanged at once, and where it takes two renames."""
    rename = Path.rename
    failure = OSError(errno.EIO, "Input/output error", str(lake.table(which)))

    def refuse(self: Path, target: Any) -> Path:
        if Path(target) == lake.table(which) and self.name == "data":
            raise failure
        return rename(self, target)

    def refuse_exchange(*_: Path) -> bool:
        raise failure

    monkeypatch.setattr(Path, "rename", refuse)
    monkeypatch.setattr(publish_local, "_exchanged", refuse_exchange if exchange else lambda *_: False)
    bad = head() + records(3) + record(5, "x", "x") if which == "vcf" else NEW_CLINVAR + "ragged\n"
    path = lake.given("new", bad)
    with refused(lake, "Nothing was published"):
        lake.convert(which, path, options=["--on_error", "reject"])


@pytest.mark.parametrize("which", JOBS)
def test_where_folders_can_not_be_exchanged(lake: Lake, which: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish_local, "_exchanged", lambda *_: False)
    lake.convert(which, lake.given("new", NEW if which == "vcf" else NEW_CLINVAR))
    assert len(lake.rows(which)) == {"vcf": 18, "clinvar": 9}[which]
    assert leftovers(lake) == []


def test_interrupted_between_the_table_and_its_record_the_older_input_is_loaded_again(lake: Lake) -> None:
    """What is up to date, the table itself decides: not a count of rows that happens to be the same."""
    older, newer = (
        lake.given("older.vcf", head() + records(5)),
        lake.given("newer.vcf", head() + records(5, 40_000_000)),
    )
    lake.convert("vcf", older)
    before = lake.rows("vcf")
    recorded = set(lake.path.glob("loads/*"))
    lake.convert("vcf", newer)
    for load in set(lake.path.glob("loads/*")) - recorded:
        load.unlink()  # as if the job had been killed before it wrote this
    lake.convert("vcf", older)
    assert lake.rows("vcf") == before


@pytest.mark.parametrize("which", JOBS)
def test_killed_while_publishing_the_next_run_puts_things_right(lake: Lake, which: str) -> None:
    """The older table stands aside, the newer is not in its place yet: the next job completes."""
    table = lake.table(which)
    staging = table.with_name(f".staging-{table.name}") / "data"
    staging.mkdir(parents=True)
    (staging / "part-0.parquet").write_bytes(b"PAR1 half a file")
    table.rename(table.with_name(f".previous-{table.name}"))
    lake.convert(which, lake.given("new", NEW if which == "vcf" else NEW_CLINVAR))
    assert len(lake.rows(which)) == {"vcf": 18, "clinvar": 9}[which]
    assert leftovers(lake) == []


@pytest.mark.parametrize("which", JOBS)
def test_killed_while_publishing_a_next_run_that_fails_brings_the_older_table_back(lake: Lake, which: str) -> None:
    table = lake.table(which)
    before = lake.rows(which)
    table.rename(table.with_name(f".previous-{table.name}"))
    bad = head() + records(3) + record(5, "x", "x") if which == "vcf" else NEW_CLINVAR + "ragged\n"
    with pytest.raises(LakeError, match="can't be loaded"):
        lake.convert(which, lake.given("new", bad))
    assert lake.rows(which) == before
    assert leftovers(lake) == []


def killed_while_it_writes(command: Sequence[str], staging: Path) -> None:
    """Start a job and send it SIGKILL as soon as it has written something of its table."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        until = time.monotonic() + 120
        while not any(path.is_file() and path.stat().st_size for path in staging.glob("*/data/**/*.parquet")):
            assert process.poll() is None, "the job ended before it could be killed"
            assert time.monotonic() < until, "the job wrote nothing"
            time.sleep(0.005)
    finally:
        process.kill()
        process.wait()
    until = time.monotonic() + 20
    try:
        while time.monotonic() < until:  # Spark's own process ends by itself
            os.killpg(process.pid, 0)
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    assert process.returncode == -signal.SIGKILL


@pytest.mark.parametrize("which", JOBS)
@pytest.mark.patience(240)
def test_job_killed_while_it_writes(lake: Lake, which: str) -> None:
    if which == "vcf":
        samples = [f"S{number}" for number in range(300)]
        calls = ["0|1"] * 300
        text = head(samples) + "".join(record(20_000_000 + number, *calls) for number in range(600))
    else:
        text = clinvar_text(clinvar_rows(200_000))
    path = lake.given("new", text)
    table = lake.table(which)
    before, rows = snapshot(table), lake.rows(which)
    command = [sys.executable, str(SCRIPTS / f"{which}_to_parquet.py")]
    killed_while_it_writes(
        [*command, "--input_path", path, "--output_path", str(table)], table.with_name(f".staging-{table.name}")
    )
    assert snapshot(table) == before
    assert lake.rows(which) == rows
    assert leftovers(lake) == [f".staging-{table.name}"]
    lake.convert(which, path)
    assert pq_rows(table) == {"vcf": 180_000, "clinvar": 200_000}[which]
    assert leftovers(lake) == []


def pq_rows(table: Path) -> int:
    return sum(pq.read_metadata(path).num_rows for path in table.rglob("*.parquet"))


# Doing it again


@pytest.mark.parametrize("which", JOBS)
def test_the_same_input_changes_nothing(
    lake: Lake, made_lake: Lake, which: str, capsys: pytest.CaptureFixture[str]
) -> None:
    same = OLD if which == "vcf" else OLD_CLINVAR
    before = snapshot(lake.path)
    name = {"vcf": "old.vcf", "clinvar": "old.txt"}[which]
    for path in (str(made_lake.input / name), lake.given(f"another-{name}", same)):
        lake.convert(which, path)
        assert "nothing to do" in capsys.readouterr().out
        assert snapshot(lake.path) == before


@pytest.mark.parametrize("which", JOBS)
def test_the_same_input_with_rejects_changes_nothing(
    lake: Lake, which: str, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = head() + records(3) + record(5, "x", "x") if which == "vcf" else NEW_CLINVAR + "ragged\n"
    path = lake.given("new", bad)
    lake.convert(which, path, options=["--on_error", "reject"])
    capsys.readouterr()
    before = snapshot(lake.path)
    lake.convert(which, path, options=["--on_error", "reject"])
    assert "nothing to do" in capsys.readouterr().out
    assert snapshot(lake.path) == before


@pytest.mark.parametrize("which", JOBS)
def test_changed_input_converts(lake: Lake, which: str, capsys: pytest.CaptureFixture[str]) -> None:
    lake.convert(which, lake.given("old.vcf", NEW if which == "vcf" else NEW_CLINVAR))
    assert "nothing to do" not in capsys.readouterr().out
    assert len(lake.rows(which)) == {"vcf": 18, "clinvar": 9}[which]


@pytest.mark.parametrize(
    ("which", "options"),
    [
        ("vcf", ["--layout", "by_variant"]),
        ("vcf", ["--reference_genome", "GRCh37"]),
        ("vcf", ["--on_error", "reject"]),
        ("clinvar", ["--release_date", "2020-09"]),
        ("clinvar", ["--on_error", "reject"]),
    ],
)
def test_changed_options_convert(
    lake: Lake, which: str, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    before = snapshot(lake.table(which))
    lake.convert(which, lake.given("old.vcf", OLD if which == "vcf" else OLD_CLINVAR), options=options)
    assert "nothing to do" not in capsys.readouterr().out
    assert snapshot(lake.table(which)) != before


@pytest.mark.parametrize("which", JOBS)
def test_a_table_that_lost_a_file_is_made_again(lake: Lake, made_lake: Lake, which: str) -> None:
    before = lake.rows(which)
    next(lake.table(which).rglob("*.parquet")).unlink()
    lake.convert(which, str(made_lake.input / {"vcf": "old.vcf", "clinvar": "old.txt"}[which]))
    assert lake.rows(which) == before


# Records in = records loaded + records rejected


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_record_that_hail_does_not_see(lake: Lake, layout: str, monkeypatch: pytest.MonkeyPatch) -> None:
    readable = staged.readable

    def without_the_last(*given: Any) -> Any:
        vcf = readable(*given)
        Path(vcf.paths[0]).write_text(head() + records(8, 30_000_000))
        return vcf

    monkeypatch.setattr(staged, "readable", without_the_last)
    path = lake.given("new.vcf", NEW)
    with refused(lake, str(lake.table("vcf")), "16 rows were written, the records make 18"):
        lake.convert("vcf", path, options=["--layout", layout, "--reader", "hail"])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_genotype_that_hail_reads_otherwise(lake: Lake, layout: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of rows is the same, one of two samples' genotypes are exchanged."""
    readable = staged.readable

    def exchanged(*given: Any) -> Any:
        vcf = readable(*given)
        text = Path(vcf.paths[0]).read_text()
        Path(vcf.paths[0]).write_text(text.replace("0|1\t1|1", "1|1\t0|1", 1))
        return vcf

    monkeypatch.setattr(staged, "readable", exchanged)
    path = lake.given("new.vcf", NEW)
    with refused(lake, str(lake.table("vcf")), "genotypes were changed on the way", "Nothing was published"):
        lake.convert("vcf", path, options=["--layout", layout, "--reader", "hail"])


def test_genotypes_that_are_exchanged_between_reading_and_writing(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the direct reader's tasks, with the files of two samples."""
    write = Shuffle.write

    def exchanging(shuffle: Shuffle, folder: str) -> None:
        write(shuffle, folder)
        one, other = sorted(Path(folder).glob("*/*.parquet"))
        one.rename(one.with_suffix(".other"))
        other.rename(one)
        one.with_suffix(".other").rename(other)

    monkeypatch.setattr(Shuffle, "write", exchanging)
    with refused(lake, str(lake.table("vcf")), "genotypes were changed on the way", "Nothing was published"):
        lake.convert("vcf", lake.given("new.vcf", NEW))


def test_a_record_that_the_scan_does_not_see(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    found = scan.scan

    def fewer(*given: Any) -> Any:
        result = found(*given)
        result[0].records -= 1
        return result

    monkeypatch.setattr(scan, "scan", fewer)
    path = lake.given("new.vcf", NEW)
    with refused(lake, path, "8 records are not 9 loaded + 0 rejected"):
        lake.convert("vcf", path)


@pytest.mark.parametrize(
    ("layout", "reader", "writer", "name"),
    [
        ("by_sample", "direct", Shuffle, "write"),
        ("by_sample", "hail", writing, "by_sample"),
        ("by_variant", "hail", writing, "by_variant"),
    ],
)
def test_a_file_that_is_lost_while_it_is_written(
    lake: Lake, layout: str, reader: str, writer: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = getattr(writer, name)

    def losing(rows: Any, path: str) -> None:
        write(rows, path)
        next(file for file in Path(path).rglob("*.parquet") if pq.read_metadata(file).num_rows).unlink()

    monkeypatch.setattr(writer, name, losing)
    with refused(lake, str(lake.table("vcf")), "rows were written, the records make 18", "Nothing was published"):
        lake.convert("vcf", lake.given("new.vcf", NEW), options=["--layout", layout, "--reader", reader])


@pytest.mark.parametrize("which", JOBS)
@pytest.mark.parametrize("count", ["records", "loaded", "rejected"])
def test_counts_that_do_not_add_up(lake: Lake, which: str, count: str, monkeypatch: pytest.MonkeyPatch) -> None:
    script = {"vcf": vcf_to_parquet, "clinvar": clinvar_to_parquet}[which]
    convert = script.convert

    def wrong(options: Any, counts: list[job.Counts], table: Table) -> Any:
        result = convert(options, counts, table)
        setattr(counts[0], count, getattr(counts[0], count) + 1)
        return result

    monkeypatch.setattr(script, "convert", wrong)
    path = lake.given("new", NEW if which == "vcf" else NEW_CLINVAR)
    with refused(lake, path, "records are not", "Nothing was published"):
        lake.convert(which, path)


def test_a_clinvar_row_that_is_lost_in_the_file(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    convert = clinvar_to_parquet.convert

    def losing(options: Any, counts: list[job.Counts], table: Table) -> Any:
        result = convert(options, counts, table)
        file = next(Path(table.data).glob("*.parquet"))
        pq.write_table(pq.read_table(file).slice(1), file)
        return result

    monkeypatch.setattr(clinvar_to_parquet, "convert", losing)
    with refused(lake, str(lake.table("clinvar")), "8 rows were written, the records make 9"):
        lake.convert("clinvar", lake.given("new.txt", NEW_CLINVAR))


def test_a_clinvar_row_that_is_lost_between_reading_and_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part's records are counted before they become rows: one that does not is seen."""
    split = clinvar._split
    monkeypatch.setattr(clinvar, "_split", lambda records, columns: split(records, columns).slice(1))
    path = tmp_path / "new.txt"
    path.write_text(NEW_CLINVAR)
    source = sources.inspect(str(path))
    part = Part(source.path, source.container, 0, source.size, source.size)
    found = clinvar.write_part(part, 0, clinvar.read_columns(source), str(tmp_path), str(tmp_path))
    assert (found.records, found.rows, found.problems) == (9, 8, 0)


# Scripts and setup.sh: exit codes, and what goes to standard error


@pytest.mark.parametrize("which", JOBS)
def test_script_fails_with_exit_code_1(lake: Lake, which: str) -> None:
    missing = str(lake.input / "missing.vcf")
    command = [sys.executable, str(SCRIPTS / f"{which}_to_parquet.py")]
    ran = subprocess.run(
        [*command, "--input_path", missing, "--output_path", str(lake.table(which))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 1
    assert ran.stderr == f"error: {missing}: no such file. Check the path: a file, a folder or a glob is taken.\n"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of this checkout, so that what stands in its build folder is left alone, with this Python for a venv."""
    root = tmp_path_factory.mktemp("checkout")
    ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
    for name in ("setup", "code", "requirements"):
        shutil.copytree(ROOT / name, root / name, ignore=ignored)
    shutil.copy(ROOT / "setup.sh", root)
    (root / ".venv" / "bin").mkdir(parents=True)
    python = root / ".venv" / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    for venv, name in ((".venv", "local"), (".venv-emulator", "emulator")):
        lock = hashlib.sha256((root / "requirements" / f"{name}.txt").read_bytes()).hexdigest()[:16]
        (root / venv).mkdir(exist_ok=True)
        (root / venv / f".installed-{name}-{lock}").touch()
    return root


def setup_sh(checkout: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(checkout / "setup.sh"), *arguments],
        cwd=checkout.parent,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def assert_told(ran: subprocess.CompletedProcess[str], *told: str) -> None:
    assert ran.returncode == 1, ran
    for words in told:
        assert words in ran.stderr
        assert words not in ran.stdout
    assert ran.stderr.startswith("error: ")
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize("option", ["--vcf", "--clinvar"])
def test_setup_local_with_one_of_two(checkout: Path, lake: Lake, option: str) -> None:
    path = lake.given("new.txt", NEW if option == "--vcf" else NEW_CLINVAR)
    assert_told(setup_sh(checkout, "local", option, path), "--vcf and --clinvar go together")
    assert not (checkout / "build").exists()


@pytest.mark.parametrize("missing", ["vcf", "clinvar"])
@pytest.mark.parametrize("name", ["missing.vcf", "my [bold]cohort[/italic].vcf"])
def test_setup_local_with_a_missing_file(checkout: Path, lake: Lake, missing: str, name: str) -> None:
    paths = {"vcf": lake.given("new.vcf", NEW), "clinvar": lake.given("new.txt", NEW_CLINVAR)}
    paths[missing] = str(lake.input / name)
    ran = setup_sh(checkout, "local", "--vcf", paths["vcf"], "--clinvar", paths["clinvar"])
    assert_told(ran, f"{paths[missing]}: no such file. Check the path")


def test_setup_with_an_unknown_verb(checkout: Path) -> None:
    ran = setup_sh(checkout, "lokal")
    assert (ran.returncode, ran.stdout) == (1, "")
    assert "error: there is no verb lokal" in ran.stderr
    assert "./setup.sh VERB" in ran.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["help"], []])
def test_setup_help_explains_each_verb_in_a_line(checkout: Path, arguments: list[str]) -> None:
    ran = setup_sh(checkout, *arguments)
    assert (ran.returncode, ran.stderr) == (0, "")
    explained = dict(re.findall(r"^  (\S+) +(\S.{10,})$", ran.stdout, re.MULTILINE))
    case = (ROOT / "setup.sh").read_text().split("case $verb in")[1]
    verbs = {verb for line in re.findall(r"^  ([a-z |]+)\)$", case, re.MULTILINE) for verb in line.split(" | ")}
    assert {"local", "demo", "test"} <= verbs
    assert set(explained) == verbs
    assert all(len(line) < 100 for line in ran.stdout.splitlines())


def test_setup_local_with_an_unknown_option(checkout: Path) -> None:
    ran = setup_sh(checkout, "local", "--sample", "NA12%")
    assert ran.returncode == 2
    assert "--sample" in ran.stderr
    assert "Traceback" not in ran.stderr
