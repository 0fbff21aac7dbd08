"""What the accounting costs: the whole job, by Hail, against its conversion alone, on clean input, in one session.

The conversion alone is what Hail and Spark do of the job: no pass over the lines, no checksums, nothing read back,
nothing published. A run of each goes first and is not counted.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import inputs
from genomicslake import header, names, references, session, sources, staged, variants, writing
from genomicslake.scan import Input, Scan
from vcf_to_parquet import vcf_to_parquet

TIMES = 3
VARIANTS, SAMPLES, RECORDS = 16_000, 2_504, 200_000


def conversion_alone(path: Path, folder: Path, layout: str) -> None:
    """What Hail and Spark do of the job."""
    source = sources.inspect(str(path))
    head = header.read(source)
    lengths = references.lengths()["GRCh37"]
    contigs = references.contigs_of(head, lengths)
    folder.mkdir(parents=True)
    by_variant = layout == "by_variant"
    context = session.start().sparkContext
    vcf = staged.readable(context, Input(source, head, contigs, {}), Scan(), by_variant, str(folder))
    if by_variant:
        writing.by_variant(variants.by_variant(vcf, "GRCh37", *names.of_headers([vcf.header])), str(folder / "data"))
    else:
        writing.by_sample(variants.by_sample(vcf, "GRCh37"), str(folder / "data"))


def job(path: Path, folder: Path, layout: str) -> None:
    """The whole job."""
    vcf_to_parquet(
        ["--input_path", str(path), "--output_path", str(folder / "variants"), "--layout", layout, "--reader", "hail"]
    )


def seconds(contender: Callable[[Path, Path, str], None], path: Path, folder: Path, layout: str) -> float:
    """How long a contender takes."""
    start = time.perf_counter()
    contender(path, folder, layout)
    return time.perf_counter() - start


def main() -> None:
    """Run it and print medians and ratios."""
    session.start()
    results = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        inputs.cohort(folder / "cohort.vcf.gz", VARIANTS, SAMPLES)
        inputs.individual(folder / "individual.vcf.gz", RECORDS)
        inputs.gvcf(folder / "gvcf.vcf.gz", RECORDS)
        for file, layout in (("cohort", "by_sample"), ("individual", "by_variant"), ("gvcf", "by_variant")):
            took: dict[str, list[float]] = {"job": [], "conversion alone": []}
            for turn in range(TIMES + 1):
                for contender in (job, conversion_alone):
                    label = contender.__name__.replace("_", " ")
                    found = seconds(contender, folder / f"{file}.vcf.gz", folder / f"{file}-{label}-{turn}", layout)
                    if turn:
                        took[label].append(found)
            medians = {label: statistics.median(times) for label, times in took.items()}
            ratio = medians["job"] / medians["conversion alone"]
            results.append(
                f"{file}, {layout}: job {medians['job']:.1f} s, conversion alone "
                f"{medians['conversion alone']:.1f} s, ratio {ratio:.3f}"
            )
    print("\n".join(results))
