"""The direct reader makes of every real file what Hail makes of it, in both layouts."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from genomicslake import header, lines, sources
from genomicslake.errors import LakeError
from tests.test_cases import columns_of, query, rows_of
from vcf_to_parquet import vcf_to_parquet

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
FILES = sorted(path for path in DATA.rglob("*") if ".vcf" in path.name and path.suffix in (".vcf", ".gz", ".bgz"))
GUESSES: list[list[str]] = [[], ["--reference_genome", "GRCh38"], ["--reference_genome", "GRCh37"]]
NO_CARRIERS = ("chrM_haploid.vcf.gz", "ncbi_sample_clinvar.vcf", "one_row.vcf.bgz", "plain_gzip_named_gz.vcf.gz")
RECORDS = 300  # of a file with many samples, of which Hail makes millions of rows by variant


def loaded(path: Path, table: Path, reader: str, layout: str) -> list[str]:
    """Load a file, by a reference genome that fits; what the job said where none does, or it can't be loaded."""
    told = []
    for guess in GUESSES:
        options = ["--on_error", "reject", "--reader", reader, "--layout", layout, *guess]
        try:
            vcf_to_parquet(["--input_path", str(path), "--output_path", str(table), *options])
        except LakeError as error:
            told.append(str(error))
        else:
            break
    return told


def content(table: Path) -> list[Any]:
    """What readers find: rows, rejected records, what was counted; and nothing of which run it was."""
    rows, rejects = rows_of(table), sorted((table.parent / "rejects").glob("*.parquet"))
    columns = ", ".join(sorted(f'"{name}"' for name in columns_of(rows))) if rows else ""
    return [
        query(f"DESCRIBE SELECT {columns} FROM {rows}") if rows else None,
        query(f"SELECT count(*), sum(hash({columns})) FROM {rows}") if rows else None,
        query(f"SELECT line, field, reason, record FROM read_parquet({list(map(str, rejects))}) ORDER BY ALL")
        if rejects
        else None,
        query(
            f"SELECT s.path, s.records, s.loaded, s.rejected, s.rejected_fields, s.rows, s.genotypes FROM "
            f"(SELECT unnest(sources) AS s FROM '{table.parent}/loads/*.parquet') ORDER BY ALL"
        )
        if (table.parent / "loads").exists()
        else None,
    ]


@pytest.mark.skipif(not FILES, reason="../shared/data is absent")
@pytest.mark.parametrize("layout", ["by_sample", "by_variant"])
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_real_files(path: Path, layout: str, tmp_path: Path) -> None:
    if layout == "by_variant":
        path = begin(path, tmp_path / f"{path.stem}.begin.vcf")
    direct, hail = (tmp_path / reader / "variants" for reader in ("auto", "hail"))
    said = loaded(path, direct, "auto", layout), loaded(path, hail, "hail", layout)
    assert said[0] == [text.replace(str(hail), str(direct)) for text in said[1]]
    assert content(direct) == content(hail)
    assert bool(rows_of(direct)) == (layout == "by_variant" or path.name not in NO_CARRIERS)


def begin(path: Path, to: Path) -> Path:
    """The first RECORDS of a file of many samples; any other file as it is."""
    source = sources.inspect(str(path), whole=False)
    with suppress(LakeError):
        if len(header.read(source).samples) > 10:
            text = b"".join(lines.chunks(lines.whole(source)))
            found = text.splitlines(keepends=True)
            first = next(number for number, line in enumerate(found) if not line.startswith(b"#"))
            to.write_bytes(b"".join(found[: first + RECORDS]))
            return to
    return path
