"""The direct reader makes of every real file what Hail makes of it."""

from pathlib import Path
from typing import Any

import pytest

from genomicslake.errors import LakeError
from tests.test_cases import query, rows_of
from vcf_to_parquet import vcf_to_parquet

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
FILES = sorted(path for path in DATA.rglob("*") if ".vcf" in path.name and path.suffix in (".vcf", ".gz", ".bgz"))
GUESSES: list[list[str]] = [[], ["--reference_genome", "GRCh38"], ["--reference_genome", "GRCh37"]]


def loaded(path: Path, table: Path, reader: str) -> list[str]:
    """Load a file, by a reference genome that fits; what the job said where none does, or it can't be loaded."""
    told = []
    for guess in GUESSES:
        options = ["--on_error", "reject", "--reader", reader, *guess]
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
    columns = "chromosome, startposition, endposition, referenceallele, alternateallele, genotype0, genotype1, sampleid"
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
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_real_files(path: Path, tmp_path: Path) -> None:
    direct, hail = (tmp_path / reader / "variants" for reader in ("direct", "hail"))
    said = loaded(path, direct, "direct"), loaded(path, hail, "hail")
    assert said[0] == [text.replace(str(hail), str(direct)) for text in said[1]]
    assert content(direct) == content(hail)
