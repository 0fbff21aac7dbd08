"""A VCF as Hail can read it: the file itself where that will do, otherwise a copy beside the output.

A copy is made where the file's name contradicts its bytes, where its text is not UTF-8, where records or fields are
left out (they go to the table `rejects`), where SVLEN or LEN tells the end of an allele (which the copy has in an INFO
field of its own), and where calls are such as Hail doesn't read. It takes ./1 for no call: in the copy such a call is
the one allele that is known, as the tables have it, and its text stands in a FORMAT field of its own. It doesn't know
the phase before the first allele (/0/1, VCF 4.4): in the copy it is left out.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from genomicslake.header import ENDS, TEXT_OF_CALL, Field
from genomicslake.records import RecordCheck
from genomicslake.scan import Input, Scan
from genomicslake.sifting import Sound, sift
from genomicslake.sources import HADOOP_SAFE, filesystem
from genomicslake.variants import Readable, header_lines

_HADOOP_SAFE = re.compile(HADOOP_SAFE)
_LEADING_PHASE = re.compile(rb"(?:^|(?<=\t))[/|]")
_HALF = re.compile(rb"(?:\.([/|])([0-9]+)|([0-9]+)([/|])\.)$")


def readable(context: Any, one: Input, found: Scan, every_field: bool, folder: str) -> Readable:
    """What Hail is to read instead of a file; copies and the header go to `folder`."""
    source = one.source
    header = one.header.completed(found.undeclared_info, found.undeclared_format)
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
        return Readable(_rewritten(context, one, found, every_field, folder), header, header_path, one.contigs)
    endings: dict[str, str | tuple[str, ...]] = {"plain": ".vcf", "gzip": ".vcf.gz", "bgzf": (".vcf.gz", ".vcf.bgz")}
    path = source.path
    if not (path.endswith(endings[source.container]) and _HADOOP_SAFE.fullmatch(path)):
        path = f"{folder}/copy{'.vcf.bgz' if source.container == 'bgzf' else endings[source.container]}"
        _copy(source.path, path)
    is_gzip = source.container == "gzip"
    return Readable([path], header, header_path, one.contigs, force=is_gzip, force_bgz=source.container == "bgzf")


def _rewritten(context: Any, one: Input, found: Scan, every_field: bool, folder: str) -> list[str]:
    """The copies of a file's parts that have sound records."""

    def path(number: int) -> str:
        return f"{folder}/part-{number:05d}.vcf"

    def copy(number: int, check: RecordCheck, sound: Sound) -> int:
        count = 0
        system, inside = filesystem(path(number))
        with system.open_output_stream(inside, compression=None) as file:
            for line, record in sound:
                whole = check.without(line, record.problems) if record.problems else line
                if record.ends:
                    whole = _with_ends(whole, record.ends)
                file.write(_with_calls_for_hail(whole) + b"\n")
                count += 1
        return count

    counts = sift(context, one, found, every_field, folder, copy)
    return [path(number) for number, count in enumerate(counts) if count]


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
