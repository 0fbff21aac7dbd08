"""What others make of a cohort's VCF, in a venv of their own (see turns for how they run).

cyvcf2 and DuckDB make the rows of onekg_chr22_by_sample in one file; vcf2parquet a column a sample, polars-bio a list
of calls a variant.
"""

import gzip
from pathlib import Path

from benchmarks.turns import Contender, main


def cyvcf2(vcf: Path, folder: Path) -> None:
    """cyvcf2 reads, numpy finds the carriers, pyarrow writes."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq
    from cyvcf2 import VCF

    reader = VCF(str(vcf))
    sites, found = [], []
    for at, record in enumerate(reader):
        calls = record.genotype.array()[:, :2]
        copies = (calls == 1).sum(1)
        carriers = np.flatnonzero(copies)
        found.append((np.full(len(carriers), at), carriers, copies[carriers]))
        sites.append((record.CHROM, record.start, record.end, record.REF, record.ALT[0]))
    number, sample, copies = (np.concatenate(column) for column in zip(*found, strict=True))
    contigs, starts, ends, references, alternates = (pa.array(column) for column in zip(*sites, strict=True))
    columns = {
        "sampleid": pa.DictionaryArray.from_arrays(sample.astype(np.int32), reader.samples),
        "chromosome": contigs.take(number),
        "startposition": starts.take(number),
        "endposition": ends.take(number),
        "referenceallele": references.take(number),
        "alternateallele": alternates.take(number),
        "genotype0": (copies == 2).astype(np.int32),
        "genotype1": np.ones(len(copies), np.int32),
    }
    pq.write_table(pa.table(columns), folder / "rows.parquet", compression="zstd")


def duckdb(vcf: Path, folder: Path) -> None:
    """DuckDB reads the lines as a table of text and unpivots the samples."""
    import duckdb

    duckdb.execute(
        f"""
        COPY (
            SELECT sampleid, "#CHROM" AS chromosome, POS - 1 AS startposition, POS - 1 + length("REF") AS endposition,
                "REF" AS referenceallele, ALT AS alternateallele,
                CASE WHEN call = '1|1' THEN 1 ELSE 0 END::INTEGER AS genotype0, 1::INTEGER AS genotype1
            FROM (
                UNPIVOT (
                    SELECT * EXCLUDE (ID, QUAL, FILTER, INFO, FORMAT)
                    FROM read_csv('{vcf}', delim = '\\t', header = true, comment = '', skip = {_skipped(vcf)},
                        all_varchar = true, max_line_size = 100000000, types = {{'POS': 'BIGINT'}})
                )
                ON COLUMNS(* EXCLUDE ("#CHROM", POS, "REF", ALT)) INTO NAME sampleid VALUE call
            )
            WHERE call <> '0|0'
        ) TO '{folder}/rows.parquet' (FORMAT parquet, COMPRESSION zstd)"""  # noqa: S608 - the benchmark's own paths
    )


def duckdb_clinvar(path: Path, folder: Path) -> None:
    """DuckDB reads the table, as the job has its columns' names and types."""
    import duckdb

    from genomicslake.clinvar import ALLELES, INTEGERS, NORMALISED, parse_columns

    with gzip.open(path, "rt", encoding="utf-8") as file:
        named = parse_columns(str(path), file.readline().rstrip("\n")).named
    columns = []
    for ncbi, name in named.items():
        source = f'"#{ncbi}"' if ncbi == "AlleleID" else f'"{ncbi}"'
        missing = "'na', ''" if name in ALLELES else "'na', '-', ''"
        value = f"CASE WHEN {source} NOT IN ({missing}) THEN {source} END"
        if name in INTEGERS:
            value = f"CAST({value} AS BIGINT)" if name == "clinsigsimple" else f"nullif(CAST({value} AS BIGINT), -1)"
        columns.append(f"{value} AS {f'ncbi_{name}' if name in NORMALISED else name}")
    duckdb.execute(
        f"COPY (SELECT {', '.join(columns)} FROM read_csv('{path}', delim = '\t', header = true, quote = '', "  # noqa: S608 - the benchmark's own paths
        f"all_varchar = true, nullstr = '\x01')) TO '{folder}/rows.parquet' (FORMAT parquet, COMPRESSION zstd)"
    )


def _skipped(vcf: Path) -> int:
    """The lines before the one with the columns' names."""
    with gzip.open(vcf) as file:
        return next(number for number, line in enumerate(file) if line.startswith(b"#CHROM"))


def polars_bio(vcf: Path, folder: Path) -> None:
    """polars-bio, to its end."""
    import polars_bio

    polars_bio.scan_vcf(str(vcf), info_fields=[], format_fields=["GT"]).sink_parquet(folder / "rows.parquet")


def vcf2parquet(vcf: Path, folder: Path) -> None:
    """vcf2parquet; it wants to be told of batches that fit into memory."""
    import pyvcf2parquet

    pyvcf2parquet.convert_vcf(
        str(vcf), str(folder / "rows.parquet"), batch_size=1_000, compression=pyvcf2parquet.Compression.Zstd
    )


def cyvcf2_by_variant(vcf: Path, folder: Path) -> None:
    """cyvcf2 reads, pyarrow writes: INFO, and the sample's call."""
    import cyvcf2
    import pyarrow as pa
    import pyarrow.parquet as pq

    reader = cyvcf2.VCF(str(vcf))
    names = [*INTEGERS, *FLOATS, *LISTS]
    columns: dict[str, list[object]] = {name: [] for name in ("position", "reference", "alternate", "DP", "GQ", *names)}
    for variant in reader:
        columns["position"].append(variant.POS)
        columns["reference"].append(variant.REF)
        columns["alternate"].append(variant.ALT[0])
        for name in names:
            columns[name].append(variant.INFO.get(name))
        for name in ("DP", "GQ"):
            columns[name].append(int(variant.format(name)[0][0]))
    pq.write_table(pa.table(columns), folder / "rows.parquet", compression="zstd")


def duckdb_by_variant(vcf: Path, folder: Path) -> None:
    """DuckDB splits the texts, whose order this input has, what may lack at the end; no header tells it their types."""
    import duckdb

    types = {**dict.fromkeys(INTEGERS, "INTEGER"), **dict.fromkeys((*LISTS, *FLOATS), "DOUBLE")}
    infos = [f"split_part(infos[{at}], '=', 2)::{kind} AS {name}" for at, (name, kind) in enumerate(types.items(), 1)]
    values = [
        "values[1] AS GT",
        "str_split(values[2], ',')::INTEGER[] AS AD",
        "values[3]::INTEGER AS DP",
        "values[4]::INTEGER AS GQ",
        "str_split(values[5], ',')::INTEGER[] AS PL",
    ]
    duckdb.execute(
        f"""
        COPY (
            SELECT "#CHROM" AS chromosome, POS AS position, "REF" AS reference, ALT AS alternate,
                QUAL::DOUBLE AS quality, FILTER AS filter, {", ".join([*infos, *values])}
            FROM (
                SELECT *, str_split(INFO, ';') AS infos, str_split(S1, ':') AS values
                FROM read_csv('{vcf}', delim = '\t', header = true, comment = '', skip = {_skipped(vcf)},
                    all_varchar = true, types = {{'POS': 'BIGINT'}})
            )
        ) TO '{folder}/rows.parquet' (FORMAT parquet, COMPRESSION zstd)"""  # noqa: S608 - the benchmark's own paths
    )


def polars_bio_by_variant(vcf: Path, folder: Path) -> None:
    """polars-bio, every field."""
    import polars_bio

    fields = [*INTEGERS, *FLOATS, *LISTS]
    found = polars_bio.scan_vcf(str(vcf), info_fields=fields, format_fields=["GT", "AD", "DP", "GQ", "PL"])
    found.sink_parquet(folder / "rows.parquet")


def vcf2parquet_by_variant(vcf: Path, folder: Path) -> None:
    """vcf2parquet, every field."""
    import pyvcf2parquet

    to = str(folder / "rows.parquet")
    pyvcf2parquet.convert_vcf(str(vcf), to, batch_size=100_000, compression=pyvcf2parquet.Compression.Zstd)


INTEGERS = tuple(f"I{number}" for number in range(8))
FLOATS = tuple(f"F{number}" for number in range(6))
LISTS = tuple(f"A{number}" for number in range(3))
CONTENDERS: dict[str, Contender] = {
    "cyvcf2 and pyarrow": cyvcf2,
    "DuckDB": duckdb,
    "DuckDB, ClinVar": duckdb_clinvar,
    "polars-bio": polars_bio,
    "vcf2parquet": vcf2parquet,
    "cyvcf2, by variant": cyvcf2_by_variant,
    "DuckDB, by variant": duckdb_by_variant,
    "polars-bio, by variant": polars_bio_by_variant,
    "vcf2parquet, by variant": vcf2parquet_by_variant,
}

if __name__ == "__main__":
    main(CONTENDERS)
