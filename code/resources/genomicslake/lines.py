"""The lines of a text file, plain, gzip or BGZF, in parts that tasks read side by side.

A part is a range of bytes of the file as it stands on disk. A line belongs to the part in which its
first byte stands, but for the line that begins exactly where a part begins: that one belongs to the part
before (the convention of Hadoop's text input), so that every line is read exactly once.
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from genomicslake.errors import LakeError
from genomicslake.sources import GZIP_MAGIC, Container, Source, filesystem

AGAIN = "Fetch the file again."
CHUNK = 4 << 20  # bytes of text handed on at a time
READ = 1 << 20  # bytes read from the file at a time
SMALLEST_PART = 256 << 10
MAX_BLOCK = 1 << 16  # a BGZF block, compressed or not (SAMv1, section 4.1)


@dataclass(frozen=True)
class Part:
    """A range [start, end) of a file's bytes; plain gzip can't be split and is one part."""

    path: str
    container: Container
    start: int
    end: int
    size: int


def parts(source: Source, wanted: int) -> list[Part]:
    """About `wanted` parts of a file, in file order, none smaller than SMALLEST_PART bytes."""
    count = 1 if source.container == "gzip" else max(1, min(wanted, source.size // SMALLEST_PART))
    step = -(-source.size // count)
    edges = [*range(0, source.size, step), source.size]
    return [Part(source.path, source.container, a, b, source.size) for a, b in pairwise(edges)]


def chunks(part: Part) -> Iterator[bytes]:
    """The lines of a part as byte strings of whole lines; only a file's very last line may lack its newline.

    Raises LakeError where compressed data are truncated or corrupt.
    """
    system, inside = filesystem(part.path)
    with system.open_input_file(inside) as file:
        yield from _whole_lines(_READERS[part.container](file, part), skip_first=part.start > 0)


def _whole_lines(blocks: Iterator[tuple[bytes, bool]], skip_first: bool) -> Iterator[bytes]:
    """Cut (text, behind the part's end?) blocks at the lines that belong to the part."""
    carry = bytearray()
    for text, behind in blocks:
        if skip_first:
            newline = text.find(b"\n")
            if behind:
                return  # no line begins in this part
            if newline < 0:
                continue
            skip_first, text = False, text[newline + 1 :]
        if behind:
            newline = text.find(b"\n")
            carry += text if newline < 0 else text[: newline + 1]
            if newline >= 0:
                break
            continue
        carry += text
        if len(carry) >= CHUNK and (newline := carry.rfind(b"\n")) >= 0:
            yield bytes(carry[: newline + 1])
            del carry[: newline + 1]
    if carry:
        yield bytes(carry)


def _plain(file: Any, part: Part) -> Iterator[tuple[bytes, bool]]:
    file.seek(part.start)
    at = part.start
    while at < part.size:
        text = file.read(min(READ, part.end - at) if at < part.end else READ)
        yield text, at >= part.end
        at += len(text)


def _gzip(file: Any, part: Part) -> Iterator[tuple[bytes, bool]]:
    """Gzip of one or more members, checked to its last byte."""
    stream = zlib.decompressobj(wbits=31)
    data = b""
    try:
        while data or (data := file.read(MAX_BLOCK)):
            if stream.eof:  # another member, or padding as tapes leave it
                data = data.lstrip(b"\0")
                if not data:
                    continue
                stream = zlib.decompressobj(wbits=31)
            yield stream.decompress(data), False
            data = stream.unused_data
    except zlib.error as error:
        raise LakeError(f"the gzip data are corrupt ({error})", where=part.path, todo=AGAIN) from error
    if not stream.eof:
        raise LakeError("the gzip file is truncated", where=part.path, todo=AGAIN)


def _bgzf(file: Any, part: Part) -> Iterator[tuple[bytes, bool]]:
    """The blocks that begin in the part, then those behind it."""
    at = _first_block(file, part)
    buffer, base = b"", at
    file.seek(at)
    while at < part.size:
        while len(buffer) - (at - base) < MAX_BLOCK and (more := file.read(READ)):
            buffer, base = buffer[at - base :] + more, at
        length, text = _inflate(buffer[at - base : at - base + MAX_BLOCK], part.path, at)
        yield text, at >= part.end
        at += length


def _first_block(file: Any, part: Part) -> int:
    """Where the first block at or behind the part's start begins: a header whose data are those of its CRC-32."""
    if part.start == 0:
        return 0
    file.seek(part.start)
    window: bytes = file.read(2 * MAX_BLOCK + 64)
    at = -1
    while (at := window.find(GZIP_MAGIC, at + 1)) >= 0:
        length = _block_length(window[at : at + 64])
        if not length or at > MAX_BLOCK:
            continue
        try:
            zlib.decompress(window[at : at + length], wbits=31)
        except zlib.error:
            continue
        return part.start + at
    if len(window) > MAX_BLOCK:
        raise LakeError(
            f"no BGZF block begins within {MAX_BLOCK} bytes of byte {part.start}", where=part.path, todo=AGAIN
        )
    return part.size


def _block_length(head: bytes) -> int:
    """The length in bytes of the BGZF block that begins with these bytes; 0 where none does."""
    if len(head) < 18 or head[:4] != b"\x1f\x8b\x08\x04":
        return 0
    extra = head[12 : 12 + int.from_bytes(head[10:12], "little")]
    while len(extra) >= 4:
        length = int.from_bytes(extra[2:4], "little")
        if extra[:2] == b"BC" and length == 2:
            return 1 + int.from_bytes(extra[4:6], "little")
        extra = extra[4 + length :]
    return 0


def _inflate(block: bytes, path: str, at: int) -> tuple[int, bytes]:
    """The length of the block at byte `at`, and its text, checked against the block's CRC-32."""
    length = _block_length(block[:MAX_BLOCK])
    if not length or length > len(block):
        raise LakeError(f"the BGZF block at byte {at} is truncated or corrupt", where=path, todo=AGAIN)
    try:
        text = zlib.decompress(block[:length], wbits=31)
    except zlib.error as error:
        raise LakeError(f"the BGZF block at byte {at} is corrupt ({error})", where=path, todo=AGAIN) from error
    return length, text


_READERS = {"plain": _plain, "gzip": _gzip, "bgzf": _bgzf}
