"""A VCF's header: its fields and their types, contigs, samples (VCF specification, section 1.4)."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from genomicslake import lines
from genomicslake.errors import LakeError
from genomicslake.sources import Source

COLUMNS = ["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO"]
TYPES = {"Integer", "Float", "Flag", "Character", "String"}

VERSIONS = tuple(f"VCFv4.{minor}" for minor in range(6))

MEND = "Fetch the file again, or mend its header (bcftools reheader)."
# Fields that only copies for Hail have (see staged):
TEXT_OF_CALL = "GENOMICSLAKE_TEXT_OF_GT"  # FORMAT: the text of a half-missing call
ENDS = "GENOMICSLAKE_ENDS"  # INFO: where alternates end for which END does not tell it

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
    """What the header of one file says; `contigs` maps names to lengths in bases, None where not given, `reference` is
    the value of its `##reference` line.
    """

    path: str
    version: str
    reference: str
    info: dict[str, Field]
    format: dict[str, Field]
    contigs: dict[str, int | None]
    samples: tuple[str, ...]
    lines: int

    @property
    def samples_of_rows(self) -> tuple[str | None, ...]:
        """The samples whose rows a record makes: of a file without samples, the sites' own, which have none."""
        return self.samples or (None,)

    def completed(self, undeclared_info: Mapping[str, bool], undeclared_format: Iterable[str] = ()) -> "Header":
        """The header with what records use and it does not declare: as text, or, in INFO, as a flag where it never has
        a value. GT is declared in any case, and END always has its reserved type.
        """
        info = dict(self.info)
        for name, is_flag in sorted(undeclared_info.items()):
            info[name] = Field(name, "0", "Flag") if is_flag else Field(name, "1", "String")
        if "END" in info:
            info["END"] = Field("END", "1", "Integer")
        formats = {name: Field(name, "1", "String") for name in sorted(undeclared_format)}
        return replace(self, info=info, format=self.format | formats | {"GT": Field("GT", "1", "String")})


def read(source: Source) -> Header:
    """The header of a VCF file. Raises LakeError, with the line, for one that can't be trusted."""
    return parse(source.path, text(source))


def text(source: Source) -> list[str]:
    """The lines of a VCF file's header, and the first that is none if it has no `#CHROM` line."""
    found: list[str] = []
    for chunk in lines.chunks(lines.whole(source)):
        for line in chunk.removesuffix(b"\n").split(b"\n"):
            found.append(line.decode("utf-8", "replace").rstrip("\r"))
            if not line.startswith(b"##"):
                return found
    return found


def parse(path: str, found: Iterable[str]) -> Header:
    """The header in lines of text, the last of which is the `#CHROM` line. Raises LakeError."""
    header, problems = examined(path, found)
    if problems:
        raise problems[0]
    return header


def examined(path: str, found: Iterable[str]) -> tuple[Header, list[LakeError]]:
    """The header in lines of text, as far as it goes, and everything that is wrong with it."""
    header = Header(path, "", "", {}, {}, {}, (), 0)
    problems: list[LakeError] = []
    number = 0
    for number, line in enumerate(found, 1):
        where = f"{path}, line {number}"
        try:
            if number == 1 and not line.startswith("##fileformat=VCF"):
                raise LakeError("this is no VCF: it does not begin with ##fileformat=VCF", where=where, todo=MEND)
            if not line.startswith("##"):
                samples = line.split("\t")[9:]
                header = replace(header, samples=tuple(samples), lines=number)
                problems += _problems_of(line, where)
                return header, problems
            header = _with(header, line, where)
        except LakeError as error:
            problems.append(error)
    problems.append(LakeError("the header has no #CHROM line", where=path, todo=MEND))
    return replace(header, lines=number), problems


def _with(header: Header, line: str, where: str) -> Header:
    """The header with what one of its lines says."""
    if line.startswith("##fileformat="):
        version = line.partition("=")[2].strip()
        if version not in VERSIONS:
            raise LakeError(
                f"{version} is none of the versions whose rules this program knows: {VERSIONS[0]} to {VERSIONS[-1]}",
                where=where,
                todo="Convert the file: bcftools view -O z writes VCFv4.2.",
            )
        return replace(header, version=version)
    if line.startswith("##reference="):
        return replace(header, reference=line.partition("=")[2].strip())
    if match := _STRUCTURED.match(line):
        attributes = {key.strip(): value.strip('"') for key, value in _ATTRIBUTE.findall(match[2])}
        if match[1] == "contig":
            length = attributes.get("length", "")
            header.contigs.setdefault(_identity(attributes, where), int(length) if length.isdigit() else None)
            return header
        field = _field(attributes, where)
        if match[1] == "FORMAT" and field.type == "Flag":
            raise LakeError(f"FORMAT {field.id} is a Flag, which only INFO fields can be", where=where, todo=MEND)
        (header.info if match[1] == "INFO" else header.format).setdefault(field.id, field)
    return header


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


def _problems_of(line: str, where: str) -> list[LakeError]:
    """What is wrong with the `#CHROM` line."""
    names = line.split("\t")
    if names[:8] != COLUMNS or (len(names) > 8 and names[8] != "FORMAT"):
        what = "the column line is not the tab-separated #CHROM … INFO [FORMAT samples]"
        return [LakeError(what, where=where, todo=MEND)]
    samples = names[9:]
    problems = []
    doubled = sorted(name for name, count in Counter(samples).items() if count > 1)
    if doubled:
        what = f"samples stand twice in the header: {', '.join(doubled[:5])}"
        problems.append(LakeError(what, where=where, todo=MEND))
    if "" in samples:
        problems.append(LakeError("a sample has no name", where=where, todo=MEND))
    for name in samples:
        if name.lower() in _NO_NAMES:
            what = f"{name!r} can't name a sample: it means a missing value in a partition"
            problems.append(LakeError(what, where=where, todo=MEND))
    return problems


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
