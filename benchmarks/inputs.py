"""VCF and ClinVar files for benchmarks, made from a seed."""

import gzip
from pathlib import Path

import numpy as np

from setup.demo.bgzf import BLOCK_BYTES, EOF_BLOCK, compress
from setup.demo.clinvar import COLUMNS as CLINVAR

HEAD = (
    "##fileformat=VCFv4.2\n##contig=<ID=22,length=51304566>\n"
    '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n'
)
AT_A_TIME = 64 << 20  # bytes of text that are packed together
COLUMNS = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT"
FIELDS = (
    *(f'##INFO=<ID=I{number},Number=1,Type=Integer,Description="">' for number in range(8)),
    *(f'##INFO=<ID=F{number},Number=1,Type=Float,Description="">' for number in range(6)),
    *(f'##INFO=<ID=A{number},Number=A,Type=Float,Description="">' for number in range(3)),
    '##FORMAT=<ID=AD,Number=R,Type=Integer,Description="">',
    *(f'##FORMAT=<ID={name},Number=1,Type=Integer,Description="">' for name in ("DP", "GQ")),
    '##FORMAT=<ID=PL,Number=G,Type=Integer,Description="">',
)


def cohort(path: Path, variants: int, samples: int, seed: int = 22) -> None:
    """A phased cohort: genotypes only, with the frequencies of 1000 Genomes phase 3, of whose 84 million variants 64
    are below 0.5 % and 8 above 5 % (doi:10.1038/nature15393); one in twenty is an insertion or deletion.
    """
    random = np.random.default_rng(seed)
    names = "\t".join(f"S{number:05d}" for number in range(samples))
    calls = np.array([b"0|0", b"0|1", b"1|0", b"1|1"])
    lowest = min(max(1 / (2 * samples), 1e-4), 0.0049)
    edges = np.log([[lowest, 0.005], [0.005, 0.05], [0.05, 1.0]])
    frequencies = np.exp(random.uniform(*edges[random.choice(3, variants, p=[64 / 84, 12 / 84, 8 / 84])].T))
    step = min(60, 62_000_000 // variants)  # for the last to stand before the contig's end
    positions = 20_000_000 + np.cumsum(random.integers(1, step, variants))
    held = bytearray(f"{HEAD}{COLUMNS}\t{names}\n".encode())
    with path.open("wb") as packed:
        for number, (position, frequency) in enumerate(zip(positions, frequencies, strict=True)):
            alleles = random.random((2, samples), np.float32) < frequency
            text = b"\t".join(calls[2 * alleles[0] + alleles[1]])
            reference, alternate = _alleles(random)
            held += f"22\t{position}\trs{number}\t{reference}\t{alternate}\t.\tPASS\t.\tGT\t".encode() + text + b"\n"
            whole = len(held) // BLOCK_BYTES * BLOCK_BYTES
            if whole > AT_A_TIME:
                packed.write(compress(bytes(held[:whole])).removesuffix(EOF_BLOCK))
                del held[:whole]
        packed.write(compress(bytes(held)))


def _alleles(random: np.random.Generator) -> tuple[str, str]:
    """Two different bases, or one and it with others behind it."""
    reference, alternate = random.choice(list("ACGT"), 2, replace=False)
    if random.random() < 0.05:
        longer = reference + "".join(random.choice(list("ACGT"), random.integers(1, 9)))
        return (reference, longer) if random.random() < 0.5 else (longer, reference)
    return reference, alternate


def individual(path: Path, variants: int, seed: int = 22) -> None:
    """An individual's variants with GT:AD:DP:GQ:PL and 17 INFO fields, two of which only heterozygous calls have, as
    callers' rank sums.
    """
    random = np.random.default_rng(seed)
    lines = [HEAD + "\n".join(FIELDS) + f"\n{COLUMNS}\tS1\n"]
    for number, values in enumerate(random.integers(0, 99, (variants, 20))):
        whole = ";".join(f"I{n}={values[n]}" for n in range(8))
        call = ("0/1", "1/1", "1|0")[values[0] % 3]
        floats = ";".join(f"F{n}=0.{values[n]}" for n in range(4 if call == "1/1" else 6))
        alleles = ";".join(f"A{n}=0.{values[n + 8]}" for n in range(3))
        cell = f"{call}:{values[12]},{values[13]}:{values[14]}:{values[15]}:{values[16]},0,{values[17]}"
        lines.append(
            f"22\t{16_000_000 + 7 * number}\t.\tC\tT\t50\tPASS\t{whole};{alleles};{floats}\tGT:AD:DP:GQ:PL\t{cell}\n"
        )
    path.write_bytes(compress("".join(lines).encode()))


def gvcf(path: Path, records: int, seed: int = 22) -> None:
    """An individual's gVCF: one record in ten is a variant, the others are blocks of reference."""
    random = np.random.default_rng(seed)
    end = '##INFO=<ID=END,Number=1,Type=Integer,Description="">'
    least = '##FORMAT=<ID=MIN_DP,Number=1,Type=Integer,Description="">'
    lines = [HEAD + "\n".join([end, least, *FIELDS]) + f"\n{COLUMNS}\tS1\n"]
    for number, values in enumerate(random.integers(1, 99, (records, 5))):
        at = 16_000_000 + 100 * number
        if number % 10:
            cell = f"GT:DP:GQ:MIN_DP:PL\t0/0:{values[0]}:{values[1]}:{values[2]}:0,{values[3]},{values[4]}"
            lines.append(f"22\t{at}\t.\tC\t<NON_REF>\t.\t.\tEND={at + 99}\t{cell}\n")
        else:
            likelihoods = f"{values[0]},0,{values[1]},{values[2]},{values[3]},{values[4]}"
            cell = f"GT:AD:DP:GQ:PL\t0/1:{values[0]},{values[1]},0:{values[2]}:{values[3]}:{likelihoods}"
            lines.append(f"22\t{at}\t.\tC\tT,<NON_REF>\t50\t.\tI0={values[4]};F0=0.5\t{cell}\n")
    path.write_bytes(compress("".join(lines).encode()))


def clinvar(path: Path, rows: int, seed: int = 22) -> None:
    """A variant_summary.txt.gz of NCBI's 43 columns; two rows a variant, one in ten an insertion or deletion."""
    random = np.random.default_rng(seed)
    bases = np.array(list("ACGT"))
    lines = ["\t".join(CLINVAR)]
    significances = ("Uncertain significance", "Likely benign", "Benign", "Pathogenic", "drug response")
    for number in range(rows // 2):
        whole = [int(value) for value in random.integers(1, 10_000_000, 8)]
        reference, alternate = bases[random.choice(4, 2, replace=False)]
        if whole[0] % 10 == 0:
            alternate = reference + "".join(bases[random.integers(0, 4, whole[1] % 7 + 1)])
        gene, phenotypes = f"GENE{whole[2] % 20_000}", whole[3] % 3 + 1
        row = {
            "#AlleleID": number + 15_000,
            "Type": "single nucleotide variant" if len(alternate) == 1 else "Insertion",
            "Name": f"NM_{whole[4]:09d}.3({gene}):c.{whole[5] % 5_000}{reference}>{alternate} (p.Arg99Leu)",
            "GeneID": whole[2] % 20_000,
            "GeneSymbol": gene,
            "HGNC_ID": f"HGNC:{whole[2] % 40_000}",
            "ClinicalSignificance": significances[whole[6] % 5],
            "ClinSigSimple": whole[6] % 2,
            "LastEvaluated": f"Dec {whole[7] % 28 + 1}, 2024",
            "RS# (dbSNP)": whole[6] if whole[6] % 4 else -1,
            "RCVaccession": "|".join(f"RCV{value:09d}" for value in whole[:phenotypes]),
            "PhenotypeIDS": "|".join(
                f"MONDO:MONDO:{value:07d},MedGen:C{value},OMIM:{value}" for value in whole[:phenotypes]
            ),
            "PhenotypeList": "|".join(f"Hereditary disorder of type {value % 900}" for value in whole[:phenotypes]),
            "Origin": "germline",
            "OriginSimple": "germline",
            "ReferenceAllele": "na",
            "AlternateAllele": "na",
            "Cytogenetic": f"{whole[7] % 22 + 1}p22.1",
            "ReviewStatus": "criteria provided, single submitter",
            "NumberSubmitters": phenotypes,
            "OtherIDs": f"ClinGen:CA{whole[1]}",
            "VariationID": number,
            "ReferenceAlleleVCF": reference,
            "AlternateAlleleVCF": alternate,
            "SCVsForAggregateGermlineClassification": "|".join(f"SCV{value:09d}" for value in whole[:phenotypes]),
        }
        for assembly, shift in (("GRCh37", 0), ("GRCh38", 40_000)):
            start = 1_000_000 + whole[0] * 5 + shift
            place = {
                "Assembly": assembly,
                "Chromosome": whole[7] % 22 + 1,
                "PositionVCF": start,
                "Start": start,
                "Stop": start,
            }
            lines.append("\t".join(map(str, {**CLINVAR, **row, **place}.values())))
    path.write_bytes(gzip.compress(("\n".join(lines) + "\n").encode(), 6, mtime=0))
