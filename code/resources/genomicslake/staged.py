"""A VCF as Hail can read it: the file itself where that will do, otherwise a copy beside the output.

A copy is made where the file's name contradicts its bytes, where records are left out (they go to the table
`rejects`), and where calls have one allele missing: Hail reads ./1 as no call. In the copy such a call is the
one allele that is known, as the tables have it, and its text stands in a FORMAT field of its own.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from genomicslake.header import TEXT_OF_CALL, Field, Header
from genomicslake.lines import Part
from genomicslake.records import RecordCheck
from genomicslake.rejects import Rejected, Writer
from genomicslake.scan import Scan, numbered
from genomicslake.sources import HADOOP_SAFE, Source, filesystem
from genomicslake.variants import Readable, header_lines

_HADOOP_SAFE = re.compile(HADOOP_SAFE)
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
    folder: str,
) -> Readable:
    """What Hail is to read instead of `source`; copies and the header go to `folder`."""
    every_field, checked = check[1], header
    header = declared(header, found)
    if not every_field:  # all that the layout by_sample looks at
        header = replace(header, info={"END": Field("END", "1", "String")}, format={"GT": header.format["GT"]})
    copied = bool(found.problems or found.half_missing)
    if copied:
        header = replace(header, format=header.format | {TEXT_OF_CALL: Field(TEXT_OF_CALL, "1", "String")})
    header_path = f"{folder}/header.vcf"
    _write(header_path, header_lines(header).encode())
    if copied:
        return Readable(_rewritten(context, checked, found, check, folder), header, header_path)
    endings: dict[str, str | tuple[str, ...]] = {"plain": ".vcf", "gzip": ".vcf.gz", "bgzf": (".vcf.gz", ".vcf.bgz")}
    path = source.path
    if not (path.endswith(endings[source.container]) and _HADOOP_SAFE.fullmatch(path)):
        path = f"{folder}/copy{'.vcf.bgz' if source.container == 'bgzf' else endings[source.container]}"
        _copy(source.path, path)
    is_gzip = source.container == "gzip"
    return Readable([path], header, header_path, force=is_gzip, force_bgz=source.container == "bgzf")


def _rewritten(
    context: Any,
    header: Header,
    found: Scan,
    check: tuple[Mapping[str, int], bool],
    folder: str,
) -> list[str]:
    contigs, every_field = dict(check[0]), check[1]
    tasks = list(enumerate(zip(found.parts, found.first_lines, strict=True)))

    def task(numbered_part: tuple[int, tuple[Part, int]]) -> str | None:
        number, (part, first_line) = numbered_part
        path = f"{folder}/part-{number:05d}.vcf"
        rejects_path = f"{folder}/rejects-{number:05d}.parquet"
        check = RecordCheck(header, contigs, every_field)
        return path if rewrite_part(part, first_line, check, path, rejects_path) else None

    return [path for path in context.parallelize(tasks, len(tasks)).map(task).collect() if path]


def rewrite_part(part: Part, first_line: int, check: RecordCheck, path: str, rejects_path: str) -> int:
    """Write the sound records of a part to `path`, the others to the Parquet file `rejects_path` (if any).

    Returns the number of sound records.
    """
    sound, rejected = 0, Writer(rejects_path, part.path)
    system, inside = filesystem(path)
    with system.open_output_stream(inside, compression=None) as file:
        for number, line in numbered(part):
            if not line or (line.startswith(b"#") and first_line + number <= check.header.lines):
                continue
            if problem := check.problem(line):
                rejected.add(Rejected(first_line + number, problem, line))
            else:
                file.write(_with_known_alleles(line) + b"\n")
                sound += 1
    rejected.close()
    return sound


def _with_known_alleles(line: bytes) -> bytes:
    """The record with each half-missing call as the allele that is known, its text in TEXT_OF_CALL."""
    *head, keys, cells = line.split(b"\t", 9)
    if keys.split(b":")[0] != b"GT" or not any(half in cells for half in (b"./", b".|", b"/.", b"|.")):
        return line
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
