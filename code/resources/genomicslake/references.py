"""Reference genomes: which one a file's positions refer to, and what its contigs are called in it."""

import importlib.util
import json
import re
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path

from genomicslake.errors import LakeError
from genomicslake.header import Header

GENOMES = ("GRCh37", "GRCh38")
CHROMOSOMES = [str(number) for number in range(1, 23)] + ["X", "Y"]
MITOCHONDRION = ("MT", "M", "chrM", "chrMT")

Lengths = Mapping[str, int]  # of a genome's contigs, in bases


def chromosome(contig: str) -> str:
    """A contig's name as the tables have it: without `chr`, the mitochondrion's as `MT`.

    >>> chromosome("chr22"), chromosome("chrM"), chromosome("GL000191.1")
    ('22', 'MT', 'GL000191.1')
    """
    return "MT" if contig in MITOCHONDRION else contig.removeprefix("chr")


def choose(headers: Iterable[Header], lengths: Mapping[str, Lengths], asked: str | None) -> str:
    """The reference genome of some files: the one asked for, where no header contradicts it, or the one that
    the lengths of the headers' chromosomes tell. Raises LakeError rather than guess.
    """
    chosen = {header.path: _genome_of(header, lengths, asked) for header in headers}
    if len(set(chosen.values())) > 1:
        told = ", ".join(f"{path} is {genome}" for path, genome in chosen.items())
        raise LakeError("the files have different reference genomes", where=told, todo="Load them one by one.")
    return next(iter(chosen.values()))


def _genome_of(header: Header, lengths: Mapping[str, Lengths], asked: str | None) -> str:
    told = {
        genome: {contig: known[name] for contig, name in aliases(known, CHROMOSOMES).items()}
        for genome, known in lengths.items()
    }
    declared = {name: length for name, length in header.contigs.items() if length}
    if asked:
        for contig, length in declared.items():
            expected = told[asked].get(contig, length)
            if length != expected:
                raise LakeError(
                    f"the file is not {asked}: its header gives contig {contig} {length} bases, {asked} has {expected}",
                    where=header.path,
                    todo=f"Pass the right --reference_genome ({' or '.join(GENOMES)}).",
                )
        return asked
    fitting = [
        genome
        for genome, known in told.items()
        if any(contig in known for contig in declared)
        and all(known.get(contig, length) == length for contig, length in declared.items())
    ]
    if len(fitting) != 1:
        raise LakeError(
            "the header does not tell the reference genome: no lengths of chromosomes that are " + " or ".join(GENOMES),
            where=header.path,
            todo=f"Find out which it is and pass --reference_genome {'|'.join(GENOMES)}.",
        )
    return fitting[0]


def guessed(reference: str) -> str | None:
    """The genome that the value of a header's `##reference` line seems to name; nothing to rely on.

    >>> guessed("file:///refs/hg19.fa"), guessed("ftp://…/human_g1k_v37.fasta.gz"), guessed("unknown")
    ('GRCh37', 'GRCh37', None)
    """
    found = re.search(r"(grch|hg|_v|\bb|hs)(37|19|38)", reference, re.IGNORECASE)
    return None if not found else "GRCh38" if found[2] == "38" else "GRCh37"


def hails_jar() -> Path:
    """Where Hail's jar is, if it is in its Python package. Hail is not imported, which takes two seconds."""
    found = importlib.util.find_spec("hail")
    return Path(*(found.submodule_search_locations or []) if found else [], "backend", "hail-all-spark.jar")


@cache
def lengths() -> dict[str, dict[str, int]]:
    """The lengths of the genomes' contigs, as Hail has them: out of its jar, or from the JVM that has it on Glue."""
    jar = hails_jar()
    return {
        genome: {contig["name"]: contig["length"] for contig in json.loads(told)["contigs"]}
        for genome, told in zip(GENOMES, _of_file(jar) or _of_jvm(), strict=True)
    }


def _of_file(jar: Path) -> list[str]:
    if not jar.is_file():
        return []
    with zipfile.ZipFile(jar) as archive:
        return [archive.read(name).decode() for name in _RESOURCES]


def _of_jvm() -> list[str]:
    from genomicslake import session

    jvm = session.spark().sparkContext._jvm
    loader = jvm.java.lang.Thread.currentThread().getContextClassLoader()
    return [jvm.org.apache.commons.io.IOUtils.toString(loader.getResource(name), "UTF-8") for name in _RESOURCES]


_RESOURCES = [f"reference/{genome.lower()}.json" for genome in GENOMES]


def aliases(lengths: Lengths, contigs: Sequence[str] | None = None) -> dict[str, str]:
    """The reference's name for every name that files use for its contigs, with and without `chr`."""
    wanted = set(contigs) if contigs else None
    named: dict[str, str] = {}
    for contig in lengths:
        if wanted and chromosome(contig) not in wanted:
            continue
        for name in (
            MITOCHONDRION if chromosome(contig) == "MT" else (contig, contig.removeprefix("chr"), f"chr{contig}")
        ):
            named.setdefault(name, contig)
    return named


def contigs_of(header: Header, lengths: Lengths) -> dict[str, str]:
    """The reference's name for each contig that this file may use.

    A contig whose length in the header is another than the reference's is another sequence
    (chrM of UCSC's hg19 is one), and left out.
    """
    return {
        name: contig
        for name, contig in aliases(lengths).items()
        if header.contigs.get(name) == lengths[contig]
        or (header.contigs.get(name) is None and not _may_be_ucsc(name, contig))
    }


def _may_be_ucsc(name: str, contig: str) -> bool:
    """Whether `chrM` may be UCSC's for hg19, NC_001807: GRCh37's mitochondrion, NC_012920, is called MT."""
    return contig == "MT" and name.startswith("chr")
