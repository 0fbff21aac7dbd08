"""The order-independent checksum of a table's genotypes: what was read against what was written.

Each row has a 64-bit code, made of its sample, locus, alleles and genotype; the checksum is the sum of the codes
modulo 2**64. So it does not depend on the order of rows or on how they are spread over files, and it adds up:
that of two tables together is the sum of theirs. `mixed` is the finaliser of SplitMix64 (Steele et al. 2014,
doi:10.1145/2714064.2660195): without it, exchanged genotypes of two samples would leave the sum as it is.
"""

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.uint64]

COLUMNS = (
    *("chromosome", "startposition", "endposition", "referenceallele", "alternateallele"),
    *("genotype0", "genotype1"),
)
MODULUS = 1 << 64
NO_CALL = 5  # a call's state: see `states`


def mixed(values: Any) -> Any:
    """64-bit codes, each bit of which depends on all of those given."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


@lru_cache(maxsize=65_536)
def _text(text: str | None) -> int:
    """The code of a text; one of no sample at all is that of null."""
    return int.from_bytes(hashlib.blake2b((text or "\0").encode(), digest_size=8).digest(), "little")


def texts(values: Sequence[str | None]) -> Codes:
    """The code of each text."""
    return np.fromiter(map(_text, values), np.uint64, len(values))


def sites(chromosomes: Codes, starts: Any, ends: Any, references: Codes, alternates: Codes) -> Codes:
    """The code of each allele at its locus; positions as the tables have them, 0-based and half-open."""
    code = chromosomes
    for part in (starts, ends, references, alternates):
        code = mixed(code + np.asarray(part).astype(np.uint64))
    return code


def rows(site: Codes, sample: Codes, state: Any) -> int:
    """The sum of the codes of rows: their alleles', their samples', and the states of their calls."""
    return int(mixed(mixed(site + sample) + np.asarray(state).astype(np.uint64)).sum(dtype=np.uint64))


def states(genotype0: Any, genotype1: Any) -> Any:
    """What a row says of the call, as a number: 0, 1, 2 copies of the alternate; 3, 4 where one allele alone is known;
    NO_CALL where none is. Nulls are -1.
    """
    one = np.where(genotype0 >= 0, 3 + genotype0, NO_CALL)
    return np.where(genotype1 >= 0, genotype0 + genotype1, one)


def of_table(table: Any, sample: str | None = None) -> int:
    """The checksum of the rows of an Arrow table that has COLUMNS and `sampleid`, or one sample's without that."""
    if not len(table):
        return 0
    chromosome, start, end, reference, alternate, genotype0, genotype1 = (_whole(table[name]) for name in COLUMNS)
    site = sites(_column(chromosome), start.to_numpy(), end.to_numpy(), _column(reference), _column(alternate))
    code = _column(_whole(table["sampleid"])) if sample is None else texts([sample])
    return rows(site, code, states(_with(genotype0, -1), _with(genotype1, -1)))


def _whole(column: Any) -> Any:
    """A column in one piece."""
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _with(values: Any, instead: int) -> Any:
    """Numbers, with another instead of null."""
    return (values.fill_null(instead) if values.null_count else values).to_numpy()


def _column(values: Any) -> Codes:
    encoded = values if hasattr(values, "dictionary") else values.dictionary_encode()
    codes = texts([*encoded.dictionary.to_pylist(), None])
    found: Codes = codes[_with(encoded.indices, len(codes) - 1)]
    return found


def add(*checksums: int) -> int:
    """The checksum of tables together."""
    return sum(checksums) % MODULUS


def shown(checksum: int | None) -> str | None:
    """A checksum as the table `loads` has it: 16 hexadecimal digits; None for none."""
    return None if checksum is None else f"{checksum % MODULUS:016x}"
