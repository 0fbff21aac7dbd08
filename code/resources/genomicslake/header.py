"""A VCF's header: its fields and their types, contigs, samples (VCF specification, section 1.4)."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from genomicslake import lines
from genomicslake.errors import LakeError
from genomicslake.sources import Source

COLUMNS = ["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO"]
TYPES = {"Integer", "Float", "Flag", "Character", "String"}

MEND = "Fetch the file again, or mend its header (bcftools reheader)."
TEXT_OF_CALL = "GENOMICSLAKE_TEXT_OF_GT"  # the FORMAT field that keeps the text of a half-missing call (see staged.py)

_NO_NAMES = ("null", "__hive_default_partition__")
_STRUCTURED = re.compile(r"##(INFO|FORMAT|contig)=<(.*?)>?\s*$")
_ATTRIBUTE = re.compile(r'([^=,]+)=("(?:[^"\\]|\\.)*"?|[^,]*),?')


@dataclass(frozen=True)
class Field:
    """An INFO or FORMAT field. `number` is as in the header: a count, or A, R, G, or `.` for anything else."""

    id: str
    number: str
    type: str

    @property
    def is_scalar(self) -> bool:
        """Whether a record has one value of it (or, for a flag, none)."""
        return self.number in ("0", "1") or self.type == "Flag"


@dataclass(frozen=True)
class Header:
    """What the header of one file says; `contigs` maps names to lengths in bases, None where not given."""

    path: str
    info: dict[str, Field]
    format: dict[str, Field]
    contigs: dict[str, int | None]
    samples: tuple[str, ...]
    lines: int


def read(source: Source) -> Header:
    """The header of a VCF file. Raises LakeError, with the line, for one that can't be trusted."""
    text: list[str] = []
    for chunk in lines.chunks(lines.Part(source.path, source.container, 0, source.size, source.size)):
        for line in chunk.split(b"\n"):
            text.append(line.decode("utf-8", "replace").rstrip("\r"))
            if not line.startswith(b"##"):
                return parse(source.path, text)
    return parse(source.path, text)


def parse(path: str, text: Iterable[str]) -> Header:
    """The header in lines of text, the last of which is the `#CHROM` line."""
    info: dict[str, Field] = {}
    formats: dict[str, Field] = {}
    contigs: dict[str, int | None] = {}
    for number, line in enumerate(text, 1):
        where = f"{path}, line {number}"
        if number == 1 and not line.startswith("##fileformat=VCF"):
            raise LakeError("this is no VCF: it does not begin with ##fileformat=VCF", where=where, todo=MEND)
        if not line.startswith("##"):
            return Header(path, info, formats, contigs, _samples(line, where), number)
        if match := _STRUCTURED.match(line):
            attributes = {key.strip(): value.strip('"') for key, value in _ATTRIBUTE.findall(match[2])}
            if match[1] == "contig":
                length = attributes.get("length", "")
                contigs.setdefault(_identity(attributes, where), int(length) if length.isdigit() else None)
            else:
                field = _field(attributes, where)
                if match[1] == "FORMAT" and field.type == "Flag":
                    raise LakeError(
                        f"FORMAT {field.id} is a Flag, which only INFO fields can be", where=where, todo=MEND
                    )
                (info if match[1] == "INFO" else formats).setdefault(field.id, field)
    raise LakeError("the header has no #CHROM line", where=path, todo=MEND)


def _identity(attributes: dict[str, str], where: str) -> str:
    identity = attributes.get("ID", "")
    if not identity:
        raise LakeError("this header line has no ID", where=where, todo=MEND)
    return identity


def _field(attributes: dict[str, str], where: str) -> Field:
    kind = attributes.get("Type", "")
    if kind not in TYPES:
        raise LakeError(f"the type {kind!r} is none of {', '.join(sorted(TYPES))}", where=where, todo=MEND)
    number = attributes.get("Number", ".")
    known = number in ("A", "R", "G") or number.isdigit()
    return Field(_identity(attributes, where), number if known else ".", kind)


def _samples(line: str, where: str) -> tuple[str, ...]:
    names = line.split("\t")
    if names[:8] != COLUMNS or (len(names) > 8 and names[8] != "FORMAT"):
        raise LakeError(
            "the column line is not the tab-separated #CHROM … INFO [FORMAT samples]", where=where, todo=MEND
        )
    samples = tuple(names[9:])
    if not samples:
        raise LakeError("the file has no samples", where=where, todo="A VCF with genotypes is needed.")
    doubled = sorted(name for name, count in Counter(samples).items() if count > 1)
    if doubled:
        raise LakeError(f"samples stand twice in the header: {', '.join(doubled[:5])}", where=where, todo=MEND)
    if "" in samples:
        raise LakeError("a sample has no name", where=where, todo=MEND)
    for name in samples:
        if name.lower() in _NO_NAMES:
            raise LakeError(
                f"{name!r} can't name a sample: it means a missing value in a partition", where=where, todo=MEND
            )
    return samples


def merged(kind: str, headers: Sequence[Mapping[str, Field]], paths: Sequence[str]) -> dict[str, Field]:
    """The fields of several headers. Raises LakeError where two declare one differently."""
    fields: dict[str, Field] = {}
    first: dict[str, str] = {}
    for path, header in zip(paths, headers, strict=True):
        for name, field in header.items():
            known = fields.setdefault(name, field)
            first.setdefault(name, path)
            if known != field:
                raise LakeError(
                    f"the headers disagree about {kind} {name}: Number={known.number}, Type={known.type} in "
                    f"{first[name]}, Number={field.number}, Type={field.type} here",
                    where=path,
                    todo="Load the files into tables of their own.",
                )
    return fields
