"""A VCF as Hail can read it: the file itself where that will do, otherwise a copy beside the output.

A copy is made where the file's name contradicts its bytes, where its text is not UTF-8, where records or fields are
left out (they go to the table `rejects`), where SVLEN or LEN tells the end of an allele (which the copy has in an INFO
field of its own), and where calls are such as Hail doesn't read. It takes ./1 for no call: in the copy such a call is
the one allele that is known, as the tables have it, and its text stands in a FORMAT field of its own. It doesn't know
the phase before the first allele (/0/1, VCF 4.4): in the copy it is left out.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from genomicslake import tasks
from genomicslake.header import ENDS, TEXT_OF_CALL, Field, Header
from genomicslake.lines import Gap, Part
from genomicslake.reasons import Problem, Reason
from genomicslake.records import RecordCheck
from genomicslake.rejects import Rejected, Writer
from genomicslake.scan import DUPLICATE, Scan, numbered
from genomicslake.sources import HADOOP_SAFE, Source, filesystem
from genomicslake.variants import Readable, header_lines

_HADOOP_SAFE = re.compile(HADOOP_SAFE)
_LEADING_PHASE = re.compile(rb"(?:^|(?<=\t))[/|]")
_HALF = re.compile(rb"(?:\.([/|])([0-9]+)|([0-9]+)([/|])\.)$")


def declared(header: Header, scan: Scan) -> Header:
    """The header with what records use and it does not declare: as text, or as a flag where it never has a value.
    END always has its reserved type.
    """
    info = dict(header.info)
    for name, is_flag in sorted(scan.undeclared_info.items()):
        info[name] = Field(name, "0", "Flag") if is_flag else Field(name, "1", "String")
    if "END" in info:
        info["END"] = Field("END", "1", "Integer")
    formats = {name: Field(name, "1", "String") for name in sorted(scan.undeclared_format)}
    return replace(header, info=info, format=header.format | formats | {"GT": Field("GT", "1", "String")})


def readable(
    context: Any,
    source: Source,
    header: Header,
    found: Scan,
    check: tuple[Mapping[str, int], bool],
    contigs: Mapping[str, str],
    folder: str,
) -> Readable:
    """What Hail is to read instead of `source`; copies and the header go to `folder`. `contigs` has the reference's
    name for each contig.
    """
    every_field, checked = check[1], header
    header = declared(header, found)
    if not every_field:  # all that the layout by_sample looks at
        header = replace(header, info={"END": Field("END", "1", "String")}, format={"GT": header.format["GT"]})
    is_utf8 = source.encoding == "utf-8"
    copied = bool(found.rejected_records or found.rejected_fields or found.rewritten or not is_utf8)
    if copied:
        text, ends = Field(TEXT_OF_CALL, "1", "String"), Field(ENDS, "A", "Integer")
        header = replace(header, info=header.info | {ENDS: ends}, format=header.format | {TEXT_OF_CALL: text})
    header_path = f"{folder}/header.vcf"
    _write(header_path, header_lines(header).encode())
    if copied:
        return Readable(_rewritten(context, checked, found, check, folder), header, header_path, contigs)
    endings: dict[str, str | tuple[str, ...]] = {"plain": ".vcf", "gzip": ".vcf.gz", "bgzf": (".vcf.gz", ".vcf.bgz")}
    path = source.path
    if not (path.endswith(endings[source.container]) and _HADOOP_SAFE.fullmatch(path)):
        path = f"{folder}/copy{'.vcf.bgz' if source.container == 'bgzf' else endings[source.container]}"
        _copy(source.path, path)
    is_gzip = source.container == "gzip"
    return Readable([path], header, header_path, contigs, force=is_gzip, force_bgz=source.container == "bgzf")


def _rewritten(
    context: Any,
    header: Header,
    found: Scan,
    check: tuple[Mapping[str, int], bool],
    folder: str,
) -> list[str]:
    contigs, every_field = dict(check[0]), check[1]
    duplicates = found.duplicates
    numbered_parts = list(enumerate(zip(found.parts, found.first_lines, strict=True)))

    def task(numbered_part: tuple[int, tuple[Part, int]]) -> str | None:
        number, (part, first_line) = numbered_part
        path = f"{folder}/part-{number:05d}.vcf"
        rejected = Writer(f"{folder}/rejects-{number:05d}.parquet", part.path)
        check = RecordCheck(header, contigs, every_field)
        sound = rewrite_part(part, first_line, check, duplicates.get(number, ()), path, rejected)
        rejected.close()
        return path if sound else None

    return [path for path in tasks.each(context, numbered_parts, task) if path]


def rewrite_part(
    part: Part, first_line: int, check: RecordCheck, duplicates: Collection[int], path: str, rejected: Writer
) -> int:
    """Write the sound records of a part to `path`, what can't be loaded to `rejected`. `first_line` is the number of
    lines before the part.

    Returns the number of sound records.
    """
    sound = 0
    system, inside = filesystem(path)
    with system.open_output_stream(inside, compression=None) as file:
        for number, line in numbered(part):
            if isinstance(line, Gap):
                rejected.add(Rejected(first_line + number, Problem(Reason.BLOCK, line.why), line.text))
                continue
            if not line or (line.startswith(b"#") and first_line + number <= check.header.lines):
                continue
            record = check.read(line)
            if number in duplicates and not isinstance(record, Problem):
                record = DUPLICATE
            if isinstance(record, Problem):
                rejected.add(Rejected(first_line + number, record, line))
                continue
            for problem in record.problems:
                rejected.add(Rejected(first_line + number, problem, line))
            whole = check.without(line, record.problems) if record.problems else line
            if record.ends:
                whole = _with_ends(whole, record.ends)
            file.write(_with_calls_for_hail(whole) + b"\n")
            sound += 1
    return sound


def _with_ends(line: bytes, ends: Sequence[int | None]) -> bytes:
    """The record with the ends of its alternates in ENDS."""
    columns = line.split(b"\t", 8)
    told = ",".join("." if end is None else str(end) for end in ends)
    info = b"" if columns[7] == b"." else columns[7] + b";"
    columns[7] = info + f"{ENDS}={told}".encode()
    return b"\t".join(columns)


def _with_calls_for_hail(line: bytes) -> bytes:
    """The record with each half-missing call as the allele that is known, its text in TEXT_OF_CALL, and without the
    phase before a first allele.
    """
    if line.count(b"\t") < 9:
        return line
    *head, keys, cells = line.split(b"\t", 9)
    if keys.split(b":")[0] != b"GT":
        return line
    cells = _LEADING_PHASE.sub(b"", cells)
    if not any(half in cells for half in (b"./", b".|", b"/.", b"|.")):
        return b"\t".join([*head, keys, cells])
    width = keys.count(b":") + 1
    changed = []
    for cell in cells.split(b"\t"):
        call, *values = cell.split(b":")
        half = _HALF.match(call)
        if half:
            values += [b"."] * (width - 1 - len(values))
            cell = b":".join([half[2] or half[3], *values, call])
        changed.append(cell)
    return b"\t".join([*head, keys + b":" + TEXT_OF_CALL.encode(), *changed])


def _write(path: str, data: bytes) -> None:
    system, inside = filesystem(path)
    with system.open_output_stream(inside, compression=None) as file:
        file.write(data)


def _copy(path: str, to: str) -> None:
    source, inside = filesystem(path)
    target, to_inside = filesystem(to)
    with (
        source.open_input_stream(inside, compression=None) as file,
        target.open_output_stream(to_inside, compression=None) as copy,
    ):
        while block := file.read(1 << 20):
            copy.write(block)
