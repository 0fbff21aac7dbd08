"""The rows of the layout by_variant, made by the tasks that check a VCF's lines: plain records many at once, as arrays
(see plain), all others one by one, from what records.RecordCheck read in them.

Each task writes a file for its part, whose name depends on the part alone: a task that runs again writes the same once
more. What a value means, and which part of it a row has, is as in docs/tables.md.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from genomicslake import typed
from genomicslake.alleles import UNSPECIFIED, Placed
from genomicslake.header import Field, Header
from genomicslake.plain import Group, Plain
from genomicslake.records import Record, RecordCheck
from genomicslake.shuffle import PARQUET, ROW_GROUP, SITE
from genomicslake.sources import filesystem
from genomicslake.typed import Values

INT32 = pa.int32()
OF_CALL = (("genotype0", INT32), ("genotype1", INT32), ("sampleid", pa.string()))
OF_RECORD = (("rsid", pa.string()), ("qual", pa.float64()), ("filters", pa.list_(pa.string())))
OF_VALUES = (("gq", INT32), ("dp", INT32), ("ad", pa.list_(INT32)), ("phased", pa.bool_()))
_GT = "GT"
AT_A_TIME = 256 << 20  # bytes of text in rows; Arrow's arrays of text end at 2 GiB


@dataclass(frozen=True)
class Columns:
    """The columns of a table: INFO and FORMAT fields by their ids, and the names of their columns."""

    info: Mapping[str, Field]
    format: Mapping[str, Field]
    info_names: Mapping[str, str]
    format_names: Mapping[str, str]
    samples: tuple[str | None, ...]
    keeps_blocks: bool

    @classmethod
    def of(cls, header: Header, info: Mapping[str, str], formats: Mapping[str, str], keeps_blocks: bool) -> "Columns":
        """Those of a file's header, by the names that fields have in the table."""
        own = {name: declared for name, declared in header.info.items() if name in info}
        own_formats = {name: declared for name, declared in header.format.items() if name in formats}
        return cls(own, own_formats, info, formats, header.samples_of_rows, keeps_blocks)

    @property
    def schema(self) -> pa.Schema:
        """All of them, in their order."""
        fields = [(self.info_names[name], typed.kind(declared)) for name, declared in self.info.items()]
        fields += [(self.format_names[name], typed.kind(declared)) for name, declared in self.format.items()]
        return pa.schema([*SITE, *OF_CALL, *OF_RECORD, *OF_VALUES, *fields])

    def can_be_read(self) -> bool:
        """Whether each field whose value the columns gq, dp and ad have, too, is of its usual type."""
        scalar = [self.format.get(name) for name in ("GQ", "DP")]
        depths = self.format.get("AD")
        usual = all(one is None or (one.is_scalar and one.type in ("Integer", "Float")) for one in scalar)
        return usual and (depths is None or (depths.type == "Integer" and not depths.is_scalar))


def together(columns: Sequence[Columns]) -> pa.Schema:
    """The schema of a table with the columns of several files."""
    return pa.unify_schemas([one.schema for one in columns])


@dataclass
class Rows:
    """Takes the records of a part as they are checked, and writes its file; call `end` at the end."""

    columns: Columns
    schema: pa.Schema  # of the table, which may have fields that only other files declare
    check: RecordCheck
    chromosomes: Mapping[str, str]  # by the contigs' names in the file
    path: str
    _held: list[pa.Table] = field(default_factory=list)
    _others: list[tuple[int, dict[str, Any]]] = field(default_factory=list)  # of a chunk: lines and their rows
    _writer: Any = None

    def take_record(self, number: int, line: bytes, record: Record) -> None:
        """Take a record by the number of its line in the chunk."""
        whole = self.check.without(line, record.problems) if record.problems else line
        self._others += [(number, row) for row in self._rows(self.check.columns(whole), record)]

    def take_chunk(self, found: Plain) -> None:
        """Take the plain records of a chunk, behind its others."""
        for start, end in self._ranges(found):
            self._take_lines(found, start, end)
        self._others = []

    def _ranges(self, found: Plain) -> Iterator[tuple[int, int]]:
        """Ranges of a chunk's lines whose rows, each of which has its record's text, have no more than AT_A_TIME bytes,
        or a record and a half.
        """
        lines = np.arange(len(found.lines.starts))
        sizes = (found.lines.infos_end(lines) - found.lines.starts) * len(self.columns.samples)
        return pairwise([0, *(np.flatnonzero(np.diff(np.cumsum(sizes) // AT_A_TIME)) + 1).tolist(), len(lines)])

    def _take_lines(self, found: Plain, start: int, end: int) -> None:
        schema = self.columns.schema
        groups = [group.between(start, end) for group in found.groups if group.alternates]
        parts = [self._of_group(found, group) for group in groups if len(group.lines)]
        others = [(number, row) for number, row in self._others if start <= number < end]
        if others:
            numbers = np.array([number for number, _ in others])
            parts.append((numbers, pa.Table.from_pylist([row for _, row in others], schema)))
        parts = [part for part in parts if len(part[0])]
        if not parts:
            return
        numbers = np.concatenate([part[0] for part in parts])
        rows = pa.concat_tables([part[1] for part in parts])
        if len(parts) > 1:
            rows = rows.take(np.argsort(numbers, kind="stable"))
        self._held.append(rows)
        if sum(map(len, self._held)) >= ROW_GROUP or sum(rows.nbytes for rows in self._held) >= AT_A_TIME:
            self._write()

    def end(self) -> None:
        """Write what is left."""
        self._write()
        if self._writer:
            self._writer.close()
            return
        system, inside = filesystem(self.path)  # a pass before this one, which left nothing out, may have written it
        if system.get_file_info(inside).is_file:
            system.delete_file(inside)

    def _write(self) -> None:
        if not self._held:
            return
        rows, self._held = pa.concat_tables(self._held), []
        for name in set(self.schema.names) - set(rows.schema.names):
            rows = rows.append_column(name, pa.nulls(len(rows), self.schema.field(name).type))
        rows = rows.select(self.schema.names)
        if not self._writer:
            system, inside = filesystem(self.path)
            self._writer = pq.ParquetWriter(inside, rows.schema, filesystem=system, **_parquet(rows.schema))
        self._writer.write_table(rows, ROW_GROUP)

    # records one by one

    def _rows(self, columns: Sequence[bytes], record: Record) -> Iterator[dict[str, Any]]:
        _, _, rsid, _, _, qual, filters, info, keys, cells = columns
        own, count = self.columns, len(record.alternates)
        of_record = {
            "chromosome": self.chromosomes[record.contig],
            "rsid": None if rsid == b"." else rsid.decode(),
            "qual": None if qual == b"." else float(qual),
            "filters": typed.filters(filters.decode()),
        }
        infos = _entries(info)
        fields = keys.split(b":")
        calls = record.calls if isinstance(record.calls, list) else list(zip(*record.calls, strict=True))
        cell_texts = cells.split(b"\t")
        is_block = all(allele.alternate in UNSPECIFIED for allele in record.alternates)
        for sample, (first, second), cell in zip(own.samples, calls, cell_texts, strict=True):
            values = dict(zip(fields, cell.split(b":"), strict=False))
            for number, allele in enumerate(record.alternates, 1):
                is_called = number in (first, second)
                if allele.alternate in UNSPECIFIED and not (is_called or (is_block and own.keeps_blocks)):
                    continue
                yield {
                    **of_record,
                    **_place(allele),
                    "sampleid": sample,
                    **_call(int(first), int(second), number, values.get(b"GT", b".")),
                    **self._of_infos(infos, number, count),
                    **self._of_values(values, number, count, int(first), int(second)),
                }

    def _of_infos(self, infos: Mapping[bytes, bytes | None], number: int, count: int) -> dict[str, Any]:
        found = {}
        for name, declared in self.columns.info.items():
            key = name.encode()
            value = infos.get(key) or None  # one of no character is none
            if declared.type == "Flag":
                value = b"1" if key in infos and infos[key] != b"0" else None
            found[self.columns.info_names[name]] = typed.of_allele(declared, value, number, count)
        return found

    def _of_values(
        self, values: Mapping[bytes, bytes], number: int, count: int, first: int, second: int
    ) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, declared in self.columns.format.items():
            column = self.columns.format_names[name]
            if name == _GT:
                found[column] = _text(first, second, values.get(b"GT", b"."))
            else:
                found[column] = typed.of_allele(declared, values.get(name.encode()), number, count)
        for name in ("GQ", "DP"):
            known = self.columns.format.get(name)
            value = typed.of_allele(known, values.get(name.encode()), number, count) if known else None
            found[name.lower()] = typed.rounded(value)
        depths = self.columns.format.get("AD")
        every = typed.whole(depths, values.get(b"AD")) if depths else None
        found["ad"] = [every[0], every[number]] if every is not None and len(every) == count + 1 else None
        return found

    # plain records

    def _of_group(self, found: Plain, group: Group) -> tuple[Any, pa.Table]:
        """The numbers of the lines of rows, and the rows."""
        own, lines = self.columns, found.lines
        records, samples, alternates = len(group.lines), len(own.samples), len(group.alternates)
        rec, sample, alt = np.unravel_index(np.arange(records * samples * alternates), (records, samples, alternates))
        calls = (part.reshape(records, samples)[rec, sample] for part in (group.first, group.second))
        first, second = (part.astype(np.int32) for part in calls)
        if group.kind.has_unspecified and not (group.kind.is_reference_only and own.keeps_blocks):
            is_kept = (alt < alternates - 1) | (first == alternates) | (second == alternates)
            rec, sample, alt, first, second = (part[is_kept] for part in (rec, sample, alt, first, second))
        rows = _Cells(rec, sample, alt, alternates)
        columns: dict[str, Any] = {
            "chromosome": _repeated([self.chromosomes[name] for name in group.contigs], rec),
            **_places(group, rec, alt),
            **_calls(first, second, alt + 1),
            "sampleid": _repeated(list(own.samples), sample),
            "rsid": typed.taken(typed.converted(lines, *_column(lines, group, 3), pa.string()), rec),
            "qual": typed.taken(typed.converted(lines, *_column(lines, group, 6), pa.float64()), rec),
            "filters": typed.taken(typed.all_filters(lines, *_column(lines, group, 7)), rec),
        }
        infos = typed.infos(lines, lines.column_ends(group.lines, 7) + 1, lines.infos_end(group.lines), own.info)
        for name, declared in own.info.items():
            columns[own.info_names[name]] = _typed(declared, infos[name], rec, rows)
        self._add_formats(columns, found, group, rows, first, second)
        table = pa.table({name: columns[name] for name in own.schema.names}, own.schema)
        return group.lines[rec], table

    def _add_formats(
        self, columns: dict[str, Any], found: Plain, group: Group, rows: "_Cells", first: Any, second: Any
    ) -> None:
        own, samples = self.columns, len(self.columns.samples)
        cells = rows.rec * samples + rows.sample
        values = typed.formats(found.lines, group.lines, self.check.header.samples, own.format)
        of_call = values.pop(_GT)
        separators = found.lines.text[of_call.starts[cells] + 1] if self.check.header.samples else np.zeros(len(cells))
        is_phased = (separators == ord("|")) & (second >= 0)
        columns["phased"] = pa.array(is_phased, mask=first < 0)
        for name, declared in own.format.items():
            column = own.format_names[name]
            columns[column] = (
                _texts_of_calls(first, second, is_phased)
                if name == _GT
                else _typed(declared, values[name], cells, rows)
            )
        for name in ("GQ", "DP"):
            number = columns[own.format_names[name]] if name in own.format else pa.nulls(len(cells), INT32)
            if number.type != INT32:
                limit = 2**31 - 1
                number = pc.if_else(pc.less_equal(pc.abs(number), limit), pc.floor(pc.add(number, 0.5)), None).cast(
                    INT32
                )
            columns[name.lower()] = number
        if "AD" in own.format:
            columns["ad"] = values["AD"].pairs(cells, rows.alt, rows.alternates + 1)
        else:
            columns["ad"] = pa.nulls(len(cells), pa.list_(INT32))


def _parquet(schema: pa.Schema) -> dict[str, Any]:
    """How a table is written: its positions as in the layout by_sample, dictionaries for all else that may have one."""
    leaves = (f"{one.name}.list.element" if pa.types.is_list(one.type) else one.name for one in schema)
    return PARQUET | {"use_dictionary": [leaf for leaf in leaves if leaf not in PARQUET["column_encoding"]]}


@dataclass(frozen=True)
class _Cells:
    """The record, sample and alternate (from 0) of each row, of so many alternates a record."""

    rec: Any
    sample: Any
    alt: Any
    alternates: int


def _typed(declared: Field, values: Values, of_rows: Any, rows: _Cells) -> pa.Array:
    """The column of a field: `of_rows` has the number of each row's value."""
    if declared.number == "A" and declared.type != "Flag":
        return values.own(of_rows, rows.alt, rows.alternates)
    if declared.number == "R" and declared.type != "Flag":
        return values.pairs(of_rows, rows.alt, rows.alternates + 1)
    if declared.number == "G" and declared.type != "Flag":
        return values.of_genotypes(of_rows, rows.alt, rows.alternates + 1)
    return typed.taken(values.array(), of_rows)


def _column(lines: Any, group: Group, number: int) -> tuple[Any, Any]:
    """Where a column of the group's lines begins and ends."""
    return lines.column_ends(group.lines, number - 1) + 1, lines.column_ends(group.lines, number)


def _repeated(texts: Sequence[str | None], numbers: Any) -> pa.Array:
    return typed.taken(pa.array(texts, pa.string()), numbers)


def _places(group: Group, rec: Any, alt: Any) -> dict[str, Any]:
    records, alternates = len(group.lines), group.alternates
    at = alt * records + rec
    return {
        "startposition": np.concatenate([one.starts for one in alternates])[at],
        "endposition": np.concatenate([one.ends for one in alternates])[at],
        "referenceallele": _repeated([text for one in alternates for text in one.references], at),
        "alternateallele": _repeated([text for one in alternates for text in one.alternates], at),
    }


def _calls(first: Any, second: Any, number: Any) -> dict[str, Any]:
    one, other = (first == number).astype(np.int32), (second == number).astype(np.int32)
    is_pair = second >= 0
    return {
        "genotype0": pa.array(np.where(is_pair, np.minimum(one, other), one), mask=first < 0),
        "genotype1": pa.array(np.maximum(one, other), mask=~is_pair | (first < 0)),
    }


def _texts_of_calls(first: Any, second: Any, is_phased: Any) -> pa.Array:
    """Calls of alleles 0 to 9 as text, unphased alleles in ascending order; null for none."""
    low = np.where(is_phased, first, np.minimum(first, second))
    high = np.where(is_phased, second, np.maximum(first, second))
    codes = np.where(second >= 0, (low + 10 * high) * 2 + is_phased, 200 + first).astype(np.int32)
    texts = [f"{low}{'/|'[phased]}{high}" for high in range(10) for low in range(10) for phased in (0, 1)]
    texts += [str(allele) for allele in range(10)]
    return pa.array(texts).take(pa.array(codes, mask=first < 0))


def _entries(info: bytes) -> dict[bytes, bytes | None]:
    """INFO's fields and their values; None for a name alone."""
    parts = (entry.partition(b"=") for entry in info.split(b";") if entry)
    return {} if info == b"." else {name: value if equals else None for name, equals, value in parts}


def _place(allele: Placed) -> dict[str, Any]:
    return dict(zip(SITE.names[1:], allele, strict=True))


def _call(first: int, second: int, number: int, text: bytes) -> dict[str, Any]:
    """The genotype of a call (see genotypes), whose text tells the phase."""
    known = [allele for allele in (first, second) if allele >= 0]
    if not known:
        return {"genotype0": None, "genotype1": None, "phased": None}
    own = sorted(int(allele == number) for allele in known)
    is_phased = b"|" in text[1:]  # a phase before the first allele (VCF 4.4) says nothing of the two
    return {"genotype0": own[0], "genotype1": own[1] if len(own) > 1 else None, "phased": is_phased}


def _text(first: int, second: int, text: bytes) -> str | None:
    """A call's text as the tables have it."""
    known = [allele for allele in (first, second) if allele >= 0]
    if not known:
        return None
    plain = text.lstrip(b"/|").decode()
    if b"." in text:  # one of two is missing
        return plain
    return "|".join(map(str, known)) if "|" in plain else "/".join(map(str, sorted(known)))
