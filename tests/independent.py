"""What a conversion of a VCF must write, computed by a second reader that shares nothing with the project.

`expected` gives the rows of a small file as a table; `compare` checks Parquet against a VCF, row for row.

Small files are read from their text. Large ones (`EXACT_ROWS` rows or more) take a second road: genotypes
from htslib (cyvcf2) as matrices, one 64-bit code a row (site, sample, call), and DuckDB to give every Parquet
row its code; the sorted codes must be equal. What stands at a site, INFO included, and what stands in a call
enter the codes through a 64-bit hash, so every row is compared either way; only the FORMAT columns other than
`format_gt` are left to the small files.

Where the contract is silent (ploidy above two, a value count that contradicts the header, an allele index out
of range) this reader raises ValueError with the line's number rather than guess.
"""

import gzip
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

import cyvcf2
import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

EXACT_ROWS = 200_000
REPORTED = 20

_LAYOUTS = ("by_sample", "by_variant")
_ALLELE = ["chromosome", "startposition", "endposition", "referenceallele", "alternateallele"]
_GENOTYPE = ["genotype0", "genotype1"]
_MEASURES = ["gq", "dp", "ad"]
_KEY = ["sampleid", *_ALLELE]
_ANY_ALLELE = ("<NON_REF>", "<*>")
_CHUNK_CALLS = 2_000_000
_STATES = 1 << 20  # room for a call's number in a row's code

_CORE_TYPES = {
    "sampleid": pa.string(),
    "chromosome": pa.string(),
    "startposition": pa.int64(),
    "endposition": pa.int64(),
    "referenceallele": pa.string(),
    "alternateallele": pa.string(),
    "genotype0": pa.int32(),
    "genotype1": pa.int32(),
    "rsid": pa.string(),
    "qual": pa.float64(),
    "filters": pa.list_(pa.string()),
    "gq": pa.int32(),
    "dp": pa.int32(),
    "ad": pa.list_(pa.int32()),
    "phased": pa.bool_(),
}
_KEY_SCHEMA = pa.schema([pa.field(name, _CORE_TYPES[name]) for name in _KEY])
_VALUE_TYPES = {"Integer": pa.int32(), "Float": pa.float64(), "Flag": pa.bool_()}


@dataclass
class Comparison:
    """How Parquet agrees with the VCF that it came from; `differences` is empty when every row does.

    `genotypes_checked` counts pairs of an alternate allele and a sample in the VCF: each was looked for, or
    its absence proven, among the rows found.
    """

    rows_expected: int
    rows_found: int
    differences: list[str] = field(default_factory=list)
    genotypes_checked: int = 0


@dataclass(frozen=True)
class Field:
    """One INFO or FORMAT field and the column that it becomes; Number `raw` marks an undeclared one."""

    name: str
    column: str
    number: str
    type: str

    @property
    def arrow(self) -> pa.DataType:
        value = _VALUE_TYPES.get(self.type, pa.string())
        single = self.type == "Flag" or self.number in ("1", "A", "raw")
        return value if single else pa.list_(value)


class Record(NamedTuple):
    """One line of the body: its text, split as far as the sample columns."""

    line: int
    chrom: str
    pos: int
    id: str
    ref: str
    alts: list[str]
    qual: str
    filter: str
    info: str
    format: list[str]
    samples: str


class Call(NamedTuple):
    """A genotype: allele indices (None for '.'), one or two of them, and whether a '|' stands between."""

    alleles: tuple[int | None, ...]
    phased: bool


_NO_CALL = Call((None,), False)


# --- alleles, calls and values --------------------------------------------------------------------


def _chromosome(contig: str) -> str:
    bare = contig[3:] if contig[:3].lower() == "chr" else contig
    return "MT" if bare in ("M", "MT") else bare


def _minimal(start: int, ref: str, alt: str) -> tuple[int, str, str]:
    """Start and alleles without what both end with, then without what both begin with.

    >>> _minimal(9, "CTT", "CT")
    (9, 'CT', 'C')
    >>> _minimal(9, "ACG", "ATG")
    (10, 'C', 'T')
    """
    while len(ref) > 1 and len(alt) > 1 and ref[-1] == alt[-1]:
        ref, alt = ref[:-1], alt[:-1]
    while len(ref) > 1 and len(alt) > 1 and ref[0] == alt[0]:
        start, ref, alt = start + 1, ref[1:], alt[1:]
    return start, ref, alt


def _interval(record: Record, alt: str, info: dict[str, str | None]) -> list[Any]:
    """The values of the five allele columns."""
    start, ref = record.pos - 1, record.ref.upper()
    if re.fullmatch("[A-Za-z]+", alt):
        start, ref, alt = _minimal(start, ref, alt.upper())
    end = start + len(ref)
    if alt.startswith("<"):
        stop = info.get("END")
        if stop in (None, "", "."):
            end = max(end, _end_without_end(record, alt, info))
        elif int(str(stop)) >= record.pos:
            end = int(str(stop))
    return [_chromosome(record.chrom), start, end, ref, alt]


def _end_without_end(record: Record, alt: str, info: dict[str, str | None]) -> int:
    """The end by SVLEN, of a deletion, duplication, inversion or copy number; by LEN, of any other allele."""
    if alt in _ANY_ALLELE and "LEN" in record.format:
        told = [text.split(":") for text in record.samples.split("\t")]
        at = record.format.index("LEN")
        return max(record.pos + int(values[at]) - 1 for values in told if len(values) > at and values[at] != ".")
    lengths = (info.get("SVLEN") or ".").split(",")
    length = lengths[record.alts.index(alt)] if len(lengths) == len(record.alts) else "."
    kind = alt.strip("<>").split(":")[0]
    known = kind in ("DEL", "DUP", "INV", "CNV") or re.fullmatch(r"CN\d+", kind)
    return record.pos + abs(int(length)) if known and length != "." else 0


@lru_cache(maxsize=100_000)
def _parse_call(text: str) -> Call:
    text = re.sub("^[/|]", "", text)  # VCF 4.4, 1.6.2: the phase of the first allele
    if not re.fullmatch(r"(\.|\d+)([/|](\.|\d+))?", text):
        raise ValueError(f"genotype {text!r} is not a haploid or diploid call")
    alleles = tuple(None if a == "." else int(a) for a in re.split("[/|]", text))
    return Call(alleles, "|" in text)


def _call_columns(call: Call, alternate: int) -> dict[str, Any]:
    """genotype0, genotype1, phased and format_gt of a call, seen from one alternate allele."""
    called = [a for a in call.alleles if a is not None]
    if not called:
        return {"genotype0": None, "genotype1": None, "phased": None, "format_gt": None}
    genotype = [*sorted(int(a == alternate) for a in called), None]
    phased = len(call.alleles) == 2 and call.phased
    shown: list[int | None] = list(call.alleles)
    if len(called) == len(shown) and not phased:
        shown = [*sorted(called)]
    text = ("|" if phased else "/").join("." if a is None else str(a) for a in shown)
    return {"genotype0": genotype[0], "genotype1": genotype[1], "phased": phased, "format_gt": text}


def _convert(kind: str, text: str) -> Any:
    if text in (".", ""):
        return None
    if kind == "Integer":
        value = int(text)
        if abs(value) >= 2**31:
            raise ValueError(f"{text} does not fit a 32-bit integer")
        return value
    return float(text) if kind == "Float" else text


def _value(spec: Field, text: str | None, alternate: int, n_alleles: int) -> Any:
    """A field's value for one alternate allele, as its column holds it; absent text is null."""
    if text in (None, "", "."):
        return None
    assert text is not None
    if spec.number in ("1", "raw"):
        return _convert(spec.type, text)
    parts = text.split(",")
    if spec.number == "A":
        parts = _exactly(spec, parts, {n_alleles - 1: [alternate - 1]})
        return _convert(spec.type, parts[0])
    if spec.number == "R":
        parts = _exactly(spec, parts, {n_alleles: [0, alternate]})
    elif spec.number == "G":
        het = alternate * (alternate + 1) // 2
        diploid = n_alleles * (n_alleles + 1) // 2
        parts = _exactly(spec, parts, {diploid: [0, het, het + alternate], n_alleles: [0, alternate]})
    return [_convert(spec.type, part) for part in parts]


def _exactly(spec: Field, parts: list[str], picks: dict[int, list[int]]) -> list[str]:
    if len(parts) not in picks:
        raise ValueError(f"{spec.name} (Number={spec.number}) has {len(parts)} values, not {[*picks]}")
    return [parts[at] for at in picks[len(parts)]]


def _measures(values: dict[str, str], alternate: int, n_alleles: int) -> dict[str, Any]:
    """gq, dp and ad of one sample."""

    def rounded(name: str) -> int | None:
        text = values.get(name, ".")
        return None if text in (".", "") or math.isnan(float(text)) else math.floor(float(text) + 0.5)

    depths = values.get("AD", ".").split(",")
    ad = None
    if len(depths) == n_alleles > 1:
        ad = [_convert("Integer", depths[0]), _convert("Integer", depths[alternate])]
    return {"gq": rounded("GQ"), "dp": rounded("DP"), "ad": ad}


# --- the file -------------------------------------------------------------------------------------


def _info(text: str) -> dict[str, str | None]:
    """INFO's keys and texts, the first of a repeated key; None for a key without '='."""
    found: dict[str, str | None] = {}
    for item in text.split(";") if text != "." else []:
        key, equals, value = item.partition("=")
        if key:
            found.setdefault(key, value if equals else None)
    return found


def _declaration(line: str) -> dict[str, str]:
    body = re.sub(r'"(?:\\.|[^"\\])*"', "", line[line.index("<") + 1 :])
    return dict(item.split("=", 1) for item in body.rstrip("> ").split(",") if "=" in item)


class _Columns:
    """Fields of one prefix in their order, each with a column name that no earlier one has."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.fields: dict[str, Field] = {}

    def add(self, name: str, number: str, type_: str) -> None:
        if name in self.fields:
            return
        plain = self.prefix + re.sub("[^a-z0-9_]", "_", name.lower())
        column, count = plain, 1
        while column in {spec.column for spec in self.fields.values()}:
            count += 1
            column = f"{plain}_{count}"
        if (self.prefix, name) == ("format_", "GT"):
            number, type_ = "1", "String"
        if (self.prefix, name) == ("info_", "END"):  # reserved, whatever a header says (section 1.6.1)
            number, type_ = "1", "Integer"
        self.fields[name] = Field(name, column, number, type_)


class Vcf:
    """A VCF's header, what its body holds beyond the header, and its records."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.samples: list[str] = []
        self.alternates = 0
        self.format_keys: set[str] = set()
        info, format_ = _Columns("info_"), _Columns("format_")
        for _, line in self._lines():
            if line.startswith(("##INFO=<", "##FORMAT=<")):
                told = _declaration(line)
                (info if line.startswith("##INFO") else format_).add(told["ID"], told["Number"], told["Type"])
            elif line.startswith("#CHROM"):
                self.samples = line.split("\t")[9:]
                break
        self._add_undeclared(info, format_)
        self.info_fields = list(info.fields.values())
        self.format_fields = list(format_.fields.values())

    @property
    def samples_of_rows(self) -> Sequence[str | None]:
        """The samples, or none where the rows are those of sites."""
        return self.samples or [None]

    def _add_undeclared(self, info: _Columns, format_: _Columns) -> None:
        """Count what the body holds and add the fields that the header forgot."""
        has_value: dict[str, bool] = {}
        for record in self.records():
            self.alternates += len(record.alts)
            self.format_keys.update(record.format)
            for item in record.info.split(";") if record.info != "." else ():
                key = item.split("=", 1)[0]
                if key and key not in info.fields:
                    has_value[key] = has_value.get(key, False) or "=" in item
            for key in record.format or ([] if self.samples else ["GT"]):  # sites have no call, and the column for it
                format_.add(key, "raw", "String")
        for key, valued in has_value.items():
            info.add(key, "raw", "String" if valued else "Flag")

    def _lines(self) -> Iterator[tuple[int, str]]:
        with self.path.open("rb") as raw:
            zipped = raw.read(2) == b"\x1f\x8b"
        with gzip.open(self.path, "rb") if zipped else self.path.open("rb") as body:
            for number, line in enumerate(body, 1):
                text = line.decode().rstrip("\r\n")
                if text:
                    yield number, text

    def records(self) -> Iterator[Record]:
        width = len(self.samples)
        for number, line in self._lines():
            if line[0] == "#":
                continue
            part = line.split("\t", 9)
            tail = part[9] if len(part) > 9 else ""
            if width and tail.count("\t") == width and tail.endswith("\t"):
                tail = tail[:-1]  # DeepVariant's files have lines with a tab too many at their end
            if len(part) < 8 or (width and (len(part) < 10 or tail.count("\t") != width - 1)):
                raise ValueError(f"{self.path.name}, line {number}: not as many columns as the header")
            keys = [key for key in part[8].split(":") if key != "."] if width else []
            alts = part[4].split(",") if part[4] != "." else []
            chrom, pos, name, ref, _, qual, filters, info = part[:8]
            yield Record(number, chrom, int(pos), name, ref, alts, qual, filters, info, keys, tail)

    def schema(self, layout: str) -> pa.Schema:
        if layout not in _LAYOUTS:
            raise ValueError(f"layout {layout!r} is not one of {_LAYOUTS}")
        core = [*_KEY, *_GENOTYPE]
        if layout == "by_variant":
            core += ["rsid", "qual", "filters", *_MEASURES, "phased"]
        columns = [pa.field(name, _CORE_TYPES[name]) for name in core]
        if layout == "by_variant":
            columns += [pa.field(spec.column, spec.arrow) for spec in self.info_fields + self.format_fields]
        return pa.schema(columns)

    def site(self, record: Record, alternate: int, layout: str) -> list[Any]:
        """What a row says of its record and allele: the same for every sample."""
        info = _info(record.info)
        row = _interval(record, record.alts[alternate - 1], info)
        if layout == "by_sample":
            return row
        filters = None if record.filter == "." else sorted(record.filter.split(";"))
        row += [
            None if record.id == "." else record.id,
            None if record.qual == "." else float(record.qual),
            filters,
        ]
        for spec in self.info_fields:
            if spec.type == "Flag":
                row.append(spec.name in info)
            else:
                row.append(_value(spec, info.get(spec.name), alternate, len(record.alts) + 1))
        return row

    def site_columns(self, layout: str) -> list[str]:
        if layout == "by_sample":
            return _ALLELE
        return [*_ALLELE, "rsid", "qual", "filters", *(spec.column for spec in self.info_fields)]


def _sample_values(record: Record, text: str) -> dict[str, str]:
    return dict(zip(record.format, text.split(":"), strict=False))


def _call_of(record: Record, values: dict[str, str]) -> Call:
    call = _parse_call(values["GT"]) if "GT" in values else _NO_CALL
    if any(a is not None and a > len(record.alts) for a in call.alleles):
        raise ValueError(f"genotype {values['GT']!r} names an allele that the record lacks")
    return call


def _needs_naming(record: Record, alternate: int, layout: str) -> bool:
    """Whether only the samples whose call names this allele have a row."""
    return layout == "by_sample" or record.alts[alternate - 1] in _ANY_ALLELE


# --- small files: rows from text ------------------------------------------------------------------


def expected(path: Path | str, layout: str) -> pa.Table:
    """The rows that a conversion of this VCF must write: records in order, alternates, then samples.

    `layout` is 'by_sample' (a row where a call names the alternate) or 'by_variant' (a row for every sample).
    """
    return _expected(Vcf(Path(path)), layout)


def _expected(vcf: Vcf, layout: str) -> pa.Table:
    schema = vcf.schema(layout)
    names = ["sampleid", *vcf.site_columns(layout), *_GENOTYPE]
    if layout == "by_variant":
        names += [*_MEASURES, "phased", *(spec.column for spec in vcf.format_fields)]
    rows: list[list[Any]] = []
    for record in vcf.records():
        try:
            rows.extend(_rows(vcf, record, layout))
        except ValueError as error:
            raise ValueError(f"{vcf.path.name}, line {record.line}: {error}") from error
    return _as_table(rows, pa.schema([schema.field(name) for name in names])).select(schema.names)


def _rows(vcf: Vcf, record: Record, layout: str) -> Iterator[list[Any]]:
    texts = record.samples.split("\t") if vcf.samples else []
    samples = [_sample_values(record, text) for text in texts]
    if not vcf.samples:  # the sites, without a sample
        samples = [{}]
    calls = [_call_of(record, values) for values in samples]
    n_alleles = len(record.alts) + 1
    for alternate in range(1, n_alleles):
        site: list[Any] | None = None
        named_only = _needs_naming(record, alternate, layout)
        for sampleid, values, call in zip(vcf.samples_of_rows, samples, calls, strict=True):
            if named_only and alternate not in call.alleles:
                continue
            site = site or vcf.site(record, alternate, layout)
            told = _call_columns(call, alternate)
            row = [sampleid, *site, told["genotype0"], told["genotype1"]]
            if layout == "by_variant":
                row += [*_measures(values, alternate, n_alleles).values(), told["phased"]]
                for spec in vcf.format_fields:
                    text = values.get(spec.name)
                    gt = spec.name == "GT"
                    row.append(told["format_gt"] if gt else _value(spec, text, alternate, n_alleles))
            yield row


# --- large files: one code a row ------------------------------------------------------------------

_Codes = npt.NDArray[np.int64]


class _Expectation:
    """Every expected row of a large VCF as the number (site x samples + sample) x _STATES + call."""

    def __init__(self, vcf: Vcf, layout: str, columns: set[str], con: Any) -> None:
        self.vcf, self.layout, self.con = vcf, layout, con
        schema = vcf.schema(layout)
        every_site = vcf.site_columns(layout)
        self.site_columns = [name for name in every_site if name in columns]
        self.site_schema = pa.schema([schema.field(name) for name in every_site])
        calls = [*_GENOTYPE, "phased", *_MEASURES, "format_gt"]
        self.call_columns = [name for name in calls if name in columns and name in schema.names]
        self.call_schema = pa.schema([schema.field(name) for name in self.call_columns])
        self.measured = bool(set(_MEASURES) & columns) and bool({"GQ", "DP", "AD"} & vcf.format_keys)
        self.site_of_hash: dict[int, int] = {}
        self.site_tables: list[pa.Table] = []
        self.states: dict[tuple[Any, ...], int] = {}
        self.by_alleles: dict[tuple[int, bool, int, int, int], int] = {}
        self.by_text: dict[tuple[Any, ...], int] = {}
        self.codes = self._read()

    def _read(self) -> _Codes:
        if not self.vcf.samples:
            return np.zeros(0, np.int64)
        parts: list[_Codes] = []
        size = max(1, min(20_000, _CHUNK_CALLS // len(self.vcf.samples)))
        pairs = zip(self.vcf.records(), cyvcf2.VCF(str(self.vcf.path)), strict=True)
        while chunk := list(self._decoded(islice(pairs, size))):
            parts.extend(self._chunk([r for r, _ in chunk], [m for _, m in chunk]))
        return np.concatenate(parts) if parts else np.zeros(0, np.int64)

    def _decoded(self, pairs: Iterator[tuple[Record, Any]]) -> Iterator[tuple[Record, Any]]:
        """A record and its samples x 3 matrix (two alleles, phase), None where its text is needed."""
        for record, variant in pairs:
            if (record.chrom, record.pos, record.ref) != (variant.CHROM, variant.POS, variant.REF):
                raise ValueError(f"{self.vcf.path.name}, line {record.line}: htslib reads another record")
            if record.format[:1] != ["GT"] or (self.measured and {"GQ", "DP", "AD"} & set(record.format)):
                yield record, None
                continue
            matrix = variant.genotype.array()
            if matrix.shape[1] == 2:  # every call is haploid
                matrix = np.insert(matrix, 1, -2, axis=1)
            if (matrix[:, 2:-1] != -2).any() or matrix[:, :-1].max(initial=0) > len(record.alts):
                raise ValueError(f"{self.vcf.path.name}, line {record.line}: ploidy or allele out of range")
            yield record, matrix[:, [0, 1, -1]]

    def _chunk(self, records: list[Record], matrices: list[Any]) -> Iterator[_Codes]:
        sites = [(at, i) for at, record in enumerate(records) for i in range(1, len(record.alts) + 1)]
        ids = self._site_ids(records, sites)
        texts = [at for at, matrix in enumerate(matrices) if matrix is None]
        read = [at for at, matrix in enumerate(matrices) if matrix is not None]
        base = max(len(record.alts) for record in records) + 3
        keys = np.zeros((len(records), len(self.vcf.samples)), np.int32)
        if read:
            stack = np.stack([matrices[at] for at in read]).astype(np.int32)
            keys[read] = ((stack[:, :, 0] + 2) * base + stack[:, :, 1] + 2) * 2 + (stack[:, :, 2] == 1)
        groups: dict[tuple[int, bool], list[int]] = {}
        for row, (at, i) in enumerate(sites):
            if matrices[at] is not None:
                groups.setdefault((i, _needs_naming(records[at], i, self.layout)), []).append(row)
        for (i, named_only), rows in groups.items():
            part = keys[[sites[row][0] for row in rows]]
            yield self._coded(ids[rows], self._lookup(part, base, i, named_only)[part])
        for at in texts:
            rows = [row for row, site in enumerate(sites) if site[0] == at]
            if rows:
                yield self._coded(ids[rows], self._from_text(records[at]))

    def _coded(self, ids: _Codes, states: _Codes) -> _Codes:
        width = len(self.vcf.samples)
        codes = (ids[:, None] * width + np.arange(width)) * _STATES + states
        kept: _Codes = codes[states >= 0]
        return kept

    def _site_ids(self, records: list[Record], sites: list[tuple[int, int]]) -> _Codes:
        """A number for what each record and allele says; what says the same has the same number."""
        values = []
        for at, i in sites:
            try:
                values.append(self.vcf.site(records[at], i, self.layout))
            except ValueError as error:
                raise ValueError(f"{self.vcf.path.name}, line {records[at].line}: {error}") from error
        table = _as_table(values, self.site_schema)
        hashes = _hashes(self.con, table, self.site_columns)
        known = len(self.site_of_hash)
        ids = np.array([self.site_of_hash.setdefault(h, len(self.site_of_hash)) for h in hashes], np.int64)
        _, first = np.unique(ids, return_index=True)
        self.site_tables.append(table.take(pa.array(first[ids[first] >= known])))
        return ids

    def _state(self, told: dict[str, Any]) -> int:
        key = tuple(tuple(v) if isinstance(v, list) else v for v in (told[c] for c in self.call_columns))
        number = self.states.setdefault(key, len(self.states))
        if number >= _STATES:
            raise ValueError(f"{self.vcf.path.name}: more than {_STATES} different calls")
        return number

    def _lookup(self, keys: npt.NDArray[np.int32], base: int, alternate: int, named_only: bool) -> _Codes:
        """The call's number for every key that occurs; -1 where the call has no row."""
        table = np.full(base * base * 2, -1, np.int64)
        for key in np.flatnonzero(np.bincount(keys.ravel(), minlength=1)):
            pair, phased = divmod(int(key), 2)
            a0, a1 = pair // base - 2, pair % base - 2
            known = (alternate, named_only, a0, a1, phased)
            if known not in self.by_alleles:
                indices = [a0] if a1 == -2 else [a0, a1]
                call = Call(tuple(None if a < 0 else a for a in indices), bool(phased))
                absent = named_only and alternate not in call.alleles
                told = {**_call_columns(call, alternate), **dict.fromkeys(_MEASURES)}
                self.by_alleles[known] = -1 if absent else self._state(told)
            table[key] = self.by_alleles[known]
        return table

    def _from_text(self, record: Record) -> _Codes:
        """The calls' numbers, alternates x samples, from the text of a record."""
        wanted = [(at, key) for at, key in enumerate(record.format) if key in ("GT", "GQ", "DP", "AD")]
        cells = []
        for text in record.samples.split("\t"):
            part = text.split(":")
            cells.append(tuple((key, part[at]) for at, key in wanted if at < len(part)))
        n_alleles = len(record.alts) + 1
        states = np.empty((n_alleles - 1, len(cells)), np.int64)
        for i in range(1, n_alleles):
            named_only = _needs_naming(record, i, self.layout)
            for column, cell in enumerate(cells):
                known = (i, n_alleles, named_only, cell)
                state = self.by_text.get(known)
                if state is None:
                    values = dict(cell)
                    call = _call_of(record, values)
                    told = {**_call_columns(call, i), **_measures(values, i, n_alleles)}
                    state = -1 if named_only and i not in call.alleles else self._state(told)
                    if len(self.by_text) < 500_000:
                        self.by_text[known] = state
                states[i - 1, column] = state
        return states

    def tables(self) -> tuple[pa.Table, pa.Table]:
        """Sites and calls in the order of their numbers."""
        sites = pa.concat_tables([self.site_schema.empty_table(), *self.site_tables])
        return sites, _as_table([list(key) for key in self.states], self.call_schema)

    def rows(self, codes: _Codes, sites: pa.Table, calls: pa.Table) -> list[dict[str, Any]]:
        """What the codes stand for."""
        places, states = np.divmod(codes, _STATES)
        site, sample = np.divmod(places, len(self.vcf.samples))
        told = sites.select(self.site_columns).take(pa.array(site)).to_pylist()
        call = calls.take(pa.array(states)).to_pylist()
        names = [self.vcf.samples[int(at)] for at in sample]
        return [{"sampleid": n, **t, **c} for n, t, c in zip(names, told, call, strict=True)]


def _as_table(rows: list[list[Any]], schema: pa.Schema) -> pa.Table:
    columns: Sequence[Any] = list(zip(*rows, strict=True)) if rows else [()] * len(schema)
    arrays = [pa.array(values, column.type) for values, column in zip(columns, schema, strict=True)]
    return pa.table(arrays, schema=schema)


def _hash_of(columns: Sequence[str]) -> str:
    return f"hash({', '.join(map(_quoted, columns))})"


def _hashes(con: Any, table: pa.Table, columns: Sequence[str]) -> list[int]:
    con.register("hashed", table)
    values = con.execute(f"SELECT {_hash_of(columns)} AS h FROM hashed").fetchnumpy()["h"]
    con.unregister("hashed")
    return [int(value) for value in values]


def _coded_found(con: Any, expectation: _Expectation, sites: pa.Table, calls: pa.Table) -> _Codes:
    """The code of every row found, unsorted; -1 where its site, its sample or its call is not expected."""
    for name, table, columns in (
        ("site_codes", sites, expectation.site_columns),
        ("call_codes", calls, expectation.call_columns),
    ):
        hashes = pa.array(_hashes(con, table, columns), pa.uint64())
        if len(set(hashes.to_pylist())) != len(hashes):
            raise ValueError(f"two hashes of {name} are equal: change the column order and try again")
        con.register(name, pa.table({"h": hashes, "id": pa.array(range(len(hashes)), pa.int64())}))
    samples = expectation.vcf.samples
    ids = pa.array(range(len(samples)), pa.int64())
    con.register("sample_codes", pa.table({"sampleid": pa.array(samples, pa.string()), "id": ids}))
    query = f"""
        SELECT coalesce((s.id * {len(samples)} + n.id) * {_STATES} + c.id, -1) AS code
        FROM (SELECT sampleid, {_hash_of(expectation.site_columns)} AS sh,
                     {_hash_of(expectation.call_columns)} AS ch FROM found) f
        LEFT JOIN site_codes s ON s.h = f.sh
        LEFT JOIN call_codes c ON c.h = f.ch
        LEFT JOIN sample_codes n ON n.sampleid = f.sampleid"""
    codes: _Codes = con.execute(query).fetchnumpy()["code"].astype(np.int64, copy=False)
    return codes


# --- comparison -----------------------------------------------------------------------------------


def compare(path: Path | str, layout: str, parquet_folder: Path | str) -> Comparison:
    """Whether the Parquet below a folder holds exactly the rows that this VCF must become.

    Every row and every column is compared, whatever the order of rows and columns; of files with `EXACT_ROWS`
    rows or more, all but the FORMAT columns beside `format_gt`. Column types are compared as well. A folder
    named `sampleid=...` gives its rows their sampleid.
    """
    vcf = Vcf(Path(path))
    con = duckdb.connect(config={"memory_limit": "1GB", "preserve_insertion_order": True})
    try:
        schema = vcf.schema(layout)
        found, notes = _open(con, vcf, schema, Path(parquet_folder))
        compared = [name for name in schema.names if name in found]
        checked = vcf.alternates * len(vcf.samples)
        rows_found = con.execute("SELECT count(*) FROM found").fetchone()[0]
        if set(_KEY) - set(compared):
            return Comparison(0, rows_found, notes[:REPORTED], 0)
        if checked < EXACT_ROWS or not vcf.samples:
            rows_expected, differing = _exact(con, _expected(vcf, layout), compared)
        else:
            rows_expected, differing = _by_code(con, vcf, layout, set(compared))
    finally:
        con.close()
    return Comparison(rows_expected, rows_found, [*notes, *_described(differing)][:REPORTED], checked)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _open(con: Any, vcf: Vcf, schema: pa.Schema, folder: Path) -> tuple[set[str], list[str]]:
    """Make the view `found`, in the expected types; its columns, and what is wrong with them."""
    con.register("empty", schema.empty_table())
    types = {row[0]: row[1] for row in con.execute("DESCRIBE SELECT * FROM empty").fetchall()}
    files = {}
    for file in sorted(folder.rglob("*.parquet")):
        inner = file.relative_to(folder).parts
        if not any(part[0] in "._" for part in inner):
            named = [unquote(part[9:]) for part in inner[:-1] if part.startswith("sampleid=")]
            files[str(file)] = named[0] if named else None
    if not files:
        con.execute("CREATE VIEW found AS SELECT * FROM empty")
        return set(schema.names), []
    partitioned = None not in files.values()
    sampleids = pa.array(files.values(), pa.string())
    con.register("files", pa.table({"filename": list(files), "sampleid": sampleids}))
    listed = ", ".join("'" + name.replace("'", "''") + "'" for name in files)
    source = f"read_parquet([{listed}], filename=true, hive_partitioning=false, union_by_name=true)"
    told = {row[0]: row[1] for row in con.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()}
    del told["filename"]
    if partitioned:
        told["sampleid"] = "VARCHAR"
    notes = []
    for name in schema.names:
        absent_measure = name in _MEASURES and name.upper() not in vcf.format_keys
        if name not in told and not absent_measure:
            notes.append(f"column {name}: not written")
        elif name in told and told[name] != types[name]:
            notes.append(f"column {name}: its type is {told[name]}, expected {types[name]}")
    notes += [f"column {name}: not expected" for name in told if name not in types]
    columns = []
    for name in schema.names:
        origin = "files.sampleid" if partitioned and name == "sampleid" else f"p.{_quoted(name)}"
        if name in told:
            columns.append(f"TRY_CAST({origin} AS {types[name]}) AS {_quoted(name)}")
    joined = "JOIN files ON files.filename = p.filename" if partitioned else ""
    con.execute(f"CREATE VIEW found AS SELECT {', '.join(columns)} FROM {source} p {joined}")
    return set(told), notes


class _Differing(NamedTuple):
    """A row that was found another number of times than expected."""

    row: dict[str, Any]
    times_expected: int
    times_found: int


def _exact(con: Any, table: pa.Table, compared: list[str]) -> tuple[int, list[_Differing]]:
    con.register("expected", table)
    names = ", ".join(map(_quoted, compared))
    query = f"""
        SELECT {names}, sum(e)::INT AS "times expected", sum(f)::INT AS "times found" FROM (
            SELECT {names}, 1 AS e, 0 AS f FROM expected UNION ALL SELECT {names}, 0, 1 FROM found)
        GROUP BY ALL HAVING sum(e) <> sum(f)
        ORDER BY startposition, alternateallele, sampleid LIMIT {4 * REPORTED}"""
    rows = _fetched(con, query)
    return table.num_rows, [_Differing(r, r.pop("times expected"), r.pop("times found")) for r in rows]


def _fetched(con: Any, query: str) -> list[dict[str, Any]]:
    result = con.execute(query)
    names = [column[0] for column in result.description]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def _by_code(con: Any, vcf: Vcf, layout: str, columns: set[str]) -> tuple[int, list[_Differing]]:
    expectation = _Expectation(vcf, layout, columns, con)
    sites, calls = expectation.tables()
    wanted, found = expectation.codes, _coded_found(con, expectation, sites, calls)
    wanted.sort()
    found.sort()
    if np.array_equal(wanted, found):
        return len(wanted), []
    differing: list[_Differing] = []
    for many, few in ((wanted, found), (found, wanted)):
        codes = _surplus(many, few)
        for row, code in zip(expectation.rows(codes, sites, calls), codes, strict=True):
            differing.append(_Differing(row, _times(wanted, code), _times(found, code)))
    con.register("keys", _as_table([[d.row[name] for name in _KEY] for d in differing], _KEY_SCHEMA))
    shown = ", ".join(map(_quoted, ["sampleid", *expectation.site_columns, *expectation.call_columns]))
    key = ", ".join(_KEY)
    query = f"""
        SELECT * FROM (
            SELECT {shown}, count(*) AS "times found" FROM found
            WHERE {_hash_of(expectation.site_columns)} NOT IN (SELECT h FROM site_codes)
            OR {_hash_of(expectation.call_columns)} NOT IN (SELECT h FROM call_codes)
            OR sampleid IS NULL OR sampleid NOT IN (SELECT sampleid FROM sample_codes)
            GROUP BY ALL)
        ORDER BY ({key}) IN (SELECT ({key}) FROM keys) DESC, startposition, alternateallele, sampleid
        LIMIT {4 * REPORTED}"""
    differing += [_Differing(row, 0, row.pop("times found")) for row in _fetched(con, query)]
    return len(wanted), differing


def _surplus(many: _Codes, few: _Codes) -> _Codes:
    """The first codes that the one sorted array has more often than the other."""
    values, counts = np.unique(many, return_counts=True)
    there = np.searchsorted(few, values, "right") - np.searchsorted(few, values, "left")
    more: _Codes = values[(counts > there) & (values >= 0)][: 2 * REPORTED]
    return more


def _times(codes: _Codes, code: int) -> int:
    return int(np.searchsorted(codes, code, "right") - np.searchsorted(codes, code, "left"))


def _described(differing: list[_Differing]) -> list[str]:
    """One line a difference; what is expected and what is found of one sample and allele share a line."""
    told = []
    extra: dict[tuple[Any, ...], list[_Differing]] = {}
    for difference in differing:
        if difference.times_found > difference.times_expected:
            extra.setdefault(tuple(difference.row[name] for name in _KEY), []).append(difference)
    for row, times_expected, times_found in differing:
        key = tuple(row[name] for name in _KEY)
        place = "{} {}:{}-{} {}>{}".format(*key)
        if times_found > times_expected:
            continue
        if extra.get(key) and not times_found:
            rivals = [(sum(o.row[c] != row[c] for c in row), at) for at, o in enumerate(extra[key])]
            other = extra[key].pop(min(rivals)[1]).row
            unlike = [f"{c} is {other[c]!r}, expected {row[c]!r}" for c in row if other[c] != row[c]]
            told.append(f"{place}: {'; '.join(unlike)}")
        elif times_found:
            told.append(f"{place}: row found {times_found} times, expected {times_expected}")
        else:
            told.append(f"{place}: row missing")
    for place_rows in extra.values():
        for row, times_expected, times_found in place_rows:
            place = "{} {}:{}-{} {}>{}".format(*(row[name] for name in _KEY))
            often = f"row found {times_found} times, expected {times_expected}"
            told.append(f"{place}: {often if times_expected else 'row not expected'}")
    return told
