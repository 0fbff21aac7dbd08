"""VCF files for benchmarks, made from a seed."""

from pathlib import Path

import numpy as np

from setup.demo.bgzf import compress

HEAD = (
    "##fileformat=VCFv4.2\n##contig=<ID=22,length=51304566>\n"
    '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n'
)
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
    """A phased cohort: genotypes only, as many rare variants as there are in people (frequencies as 1/x)."""
    random = np.random.default_rng(seed)
    names = "\t".join(f"S{number:05d}" for number in range(samples))
    calls = np.array([b"0|0", b"0|1", b"1|0", b"1|1"])
    lines = [f"{HEAD}{COLUMNS}\t{names}\n".encode()]
    for number in range(variants):
        frequency = 0.5 ** (1 + 10 * random.random())
        alleles = random.random((2, samples)) < frequency
        text = b"\t".join(calls[2 * alleles[0] + alleles[1]])
        lines.append(f"22\t{20_000_000 + 7 * number}\trs{number}\tA\tG\t.\tPASS\t.\tGT\t".encode() + text + b"\n")
    path.write_bytes(compress(b"".join(lines)))


def individual(path: Path, variants: int, seed: int = 22) -> None:
    """An individual's variants with 17 INFO fields and GT:AD:DP:GQ:PL."""
    random = np.random.default_rng(seed)
    lines = [HEAD + "\n".join(FIELDS) + f"\n{COLUMNS}\tS1\n"]
    for number, values in enumerate(random.integers(0, 99, (variants, 20))):
        whole = ";".join(f"I{n}={values[n]}" for n in range(8))
        floats = ";".join(f"F{n}=0.{values[n]}" for n in range(6))
        alleles = ";".join(f"A{n}=0.{values[n + 8]}" for n in range(3))
        call = ("0/1", "1/1", "1|0")[values[0] % 3]
        cell = f"{call}:{values[12]},{values[13]}:{values[14]}:{values[15]}:{values[16]},0,{values[17]}"
        lines.append(
            f"22\t{16_000_000 + 7 * number}\t.\tC\tT\t50\tPASS\t{whole};{floats};{alleles}\tGT:AD:DP:GQ:PL\t{cell}\n"
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
