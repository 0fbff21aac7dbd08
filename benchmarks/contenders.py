"""What converts ClinVar, and a cohort's VCF to one row per sample and non-reference allele: this project's ways,
Hail's, and numpy in one process as the limit (see turns for how they run).
"""

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.turns import Contender, main
from vcf_to_parquet import vcf_to_parquet


def direct(vcf: Path, folder: Path) -> None:
    """The job as it is."""
    _job(vcf, folder, "direct")


def with_variants(vcf: Path, folder: Path) -> None:
    """The same, and the clustered table."""
    _job(vcf, folder, "direct", "--clustered", "clustered")


def hail(vcf: Path, folder: Path) -> None:
    """The job with its other reader: entries as an array a variant, exploded by Spark, one file a sample."""
    _job(vcf, folder, "hail")


def naive_hail(vcf: Path, folder: Path) -> None:
    """The job's accounting around what one would write first: entries, filter, partitionBy."""
    from genomicslake import variants, writing

    with mock.patch.object(variants, "by_sample", _entries), mock.patch.object(writing, "by_sample", _partitioned):
        _job(vcf, folder, "hail")


def repartitioned_hail(vcf: Path, folder: Path) -> None:
    """The same, but for a repartition before it is written."""
    from genomicslake import variants

    with mock.patch.object(variants, "by_sample", _entries):
        _job(vcf, folder, "hail")


def numpy_limit(vcf: Path, folder: Path) -> None:
    """One process, no accounting, one file; only what this input has: GT of three characters, one base an allele."""
    data, at, text = vcf.read_bytes(), 0, []
    while at < len(data):
        block = data[at : at + int.from_bytes(data[at + 16 : at + 18], "little") + 1]  # of BGZF
        text.append(zlib.decompress(block, wbits=31))
        at += len(block)
    lines = b"".join(text).split(b"\n")
    head = next(number for number, line in enumerate(lines) if line.startswith(b"#CHROM"))
    samples = [name.decode() for name in lines[head].split(b"\t")[9:]]
    sites: list[list[bytes]] = []
    found: list[tuple[Any, Any, Any]] = []
    for at, line in enumerate(lines[head + 1 : -1]):
        *columns, cells = line.split(b"\t", 9)
        calls = np.frombuffer(cells + b"\t", np.uint8).reshape(-1, 4)
        copies = calls[:, 0] + calls[:, 2] - np.uint8(2 * ord("0"))
        carriers = np.flatnonzero(copies)
        found.append((np.full(len(carriers), at), carriers, copies[carriers]))
        sites.append(columns)
    number, sample, copies = (np.concatenate(column) for column in zip(*found, strict=True))
    contigs, positions, _, references, alternates, *_ = zip(*sites, strict=True)
    start = np.array(positions, np.int64)[number] - 1
    ends = start + np.array([len(reference) for reference in references])[number]
    rows = {
        "sampleid": pa.DictionaryArray.from_arrays(sample.astype(np.int32), samples),
        "chromosome": pa.array(contigs, pa.string()).take(number),
        "startposition": start,
        "endposition": ends,
        "referenceallele": pa.array(references, pa.string()).take(number),
        "alternateallele": pa.array(alternates, pa.string()).take(number),
        "genotype0": (copies == 2).astype(np.int32),
        "genotype1": np.ones(len(copies), np.int32),
    }
    pq.write_table(pa.table(rows), folder / "rows.parquet", compression="zstd")


def by_variant(vcf: Path, folder: Path) -> None:
    """The job as it is."""
    _job(vcf, folder, "auto", "--layout", "by_variant")


def by_variant_by_hail(vcf: Path, folder: Path) -> None:
    """The job with its other reader."""
    _job(vcf, folder, "hail", "--layout", "by_variant")


def hails_entries(vcf: Path, folder: Path) -> None:
    """Hail's entries as Spark's rows, with every INFO and FORMAT field, without accounting."""
    _by_hail(vcf, folder, lambda mt: mt.entries())


def hails_sites(vcf: Path, folder: Path) -> None:
    """Hail's rows as Spark's, without calls and accounting."""
    _by_hail(vcf, folder, lambda mt: mt.rows())


def _by_hail(vcf: Path, folder: Path, table: Callable[[Any], Any]) -> None:
    import hail as hl

    from genomicslake import session

    session.start()
    mt = hl.import_vcf(str(vcf), force_bgz=True, reference_genome="GRCh37", array_elements_required=False)
    frame = table(mt).key_by().flatten().to_spark()
    named = [name.replace(".", "_") for name in frame.columns]
    frame.toDF(*named).write.parquet(str(folder / "sites"))


def clinvar(path: Path, folder: Path) -> None:
    """The job as it is."""
    from clinvar_to_parquet import clinvar_to_parquet

    clinvar_to_parquet(["--input_path", str(path), "--output_path", str(folder / "clinvar")])


def _job(vcf: Path, folder: Path, reader: str, *options: str) -> None:
    places = ["--input_path", str(vcf), "--output_path", str(folder / "variants")]
    vcf_to_parquet([*places, "--reader", reader, *options])


def _entries(vcf: Any, genome: str) -> Any:
    """Hail's entries as Spark rows."""
    import hail as hl

    from genomicslake import variants

    mt = variants.matrix(vcf, genome)
    entries = mt.filter_entries(mt.GT.is_non_ref()).entries().key_by()
    start = hl.int64(entries.locus.position) - 1
    rows = entries.select(
        chromosome=entries.locus.contig,
        startposition=start,
        endposition=start + hl.len(entries.alleles[0]),
        referenceallele=entries.alleles[0],
        alternateallele=entries.alleles[1],
        genotype0=hl.min(entries.GT[0], entries.GT[1]),
        genotype1=hl.max(entries.GT[0], entries.GT[1]),
        sampleid=entries.s,
    )
    return rows.to_spark()


def _partitioned(frame: Any, path: str) -> None:
    frame.write.partitionBy("sampleid").parquet(path)


CONTENDERS: dict[str, Contender] = {
    "direct": direct,
    "direct, and variants": with_variants,
    "hail": hail,
    "naive Hail": naive_hail,
    "Hail, repartitioned": repartitioned_hail,
    "numpy, one process": numpy_limit,
    "ClinVar job": clinvar,
    "direct, by variant": by_variant,
    "hail, by variant": by_variant_by_hail,
    "naive Hail, by variant": hails_entries,
    "naive Hail, sites": hails_sites,
}


if __name__ == "__main__":
    main(CONTENDERS)
