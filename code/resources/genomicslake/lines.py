"""The lines of a text file, plain, gzip or BGZF, in parts that tasks read side by side.

A part is a range of bytes of the file as it stands on disk. A line belongs to the part in which its
first byte stands, but for the line that begins exactly where a part begins: that one belongs to the part
before (the convention of Hadoop's text input), so that every line is read exactly once.
"""

import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from genomicslake.errors import LakeError
from genomicslake.sources import BGZF_EOF, GZIP_MAGIC, Container, Source, filesystem

AGAIN = "Fetch the file again."
CHUNK = 4 << 20  # bytes of text handed on at a time
READ = 1 << 20  # bytes read from the file at a time
PIECE = 1 << 16  # bytes of plain gzip that are inflated at a time
SMALLEST_PART = 1 << 20
MAX_BLOCK = 1 << 16  # a BGZF block, compressed or not (SAMv1, section 4.1)


@dataclass(frozen=True)
class Part:
    """A range [start, end) of a file's bytes; of plain gzip, what is inflated from the pieces that begin in it."""

    path: str
    container: Container
    start: int
    end: int
    size: int
    encoding: str = "utf-8"


def parts(source: Source, wanted: int) -> list[Part]:
    """At most `wanted` parts of a file, in file order, none smaller than SMALLEST_PART bytes; if fewer, as many for
    each core (for one four are wanted). Of plain gzip one for each core: its task has to inflate what stands before its
    part, too.
    """
    cores = -(-wanted // 4)
    wanted = cores if source.container == "gzip" else wanted
    count = max(1, min(wanted, source.size // SMALLEST_PART))
    count -= count % cores if cores < count < wanted else 0
    step = -(-source.size // count)
    edges = [*range(0, source.size, step), source.size]
    return [Part(source.path, source.container, a, b, source.size, source.encoding) for a, b in pairwise(edges)]


def whole(source: Source) -> Part:
    """All of a file as one part."""
    return Part(source.path, source.container, 0, source.size, source.size, source.encoding)


@dataclass(frozen=True)
class Gap:
    """A place where BGZF blocks can't be decompressed, or where a file ends too early.

    `text` is what is left of the line before it and of the line behind it.
    """

    why: str
    text: bytes = b""


Blocks = Iterator[tuple[bytes | Gap, bool]]  # of text, and whether it stands behind the part's end


def chunks(part: Part) -> Iterator[bytes]:
    """The lines of a part as byte strings of whole lines; only a file's very last line may lack its newline.

    Raises LakeError where compressed data are truncated or corrupt.
    """
    for chunk in chunks_and_gaps(part):
        if isinstance(chunk, Gap):
            raise LakeError(chunk.why, where=part.path, todo=AGAIN)
        yield chunk


def chunks_and_gaps(part: Part) -> Iterator[bytes | Gap]:
    """The same, with a Gap in the place of BGZF blocks that are lost. What is Latin-1 becomes UTF-8.

    Plain gzip has one checksum for all: what stands before its damage can't be trusted, so that raises LakeError.
    """
    system, inside = filesystem(part.path)
    with system.open_input_file(inside) as file:
        blocks = _READERS[part.container](file, part)
        for chunk in _whole_lines(_from_next_line(blocks) if part.start else blocks):
            yield chunk if part.encoding == "utf-8" else _in_utf8(chunk, part.encoding)


def _in_utf8(chunk: bytes | Gap, encoding: str) -> bytes | Gap:
    if isinstance(chunk, Gap):
        return Gap(chunk.why, chunk.text.decode(encoding).encode())
    return chunk.decode(encoding).encode()


def _from_next_line(blocks: Blocks) -> Blocks:
    """Without the line that began in the part before, and its gaps; nothing where no line begins in the part."""
    for text, behind in blocks:
        if behind:
            return
        if not isinstance(text, Gap) and (newline := text.find(b"\n")) >= 0:
            yield text[newline + 1 :], False
            yield from blocks
            return


def _whole_lines(blocks: Blocks) -> Iterator[bytes | Gap]:
    """Cut the blocks at the lines that belong to the part."""
    carry = bytearray()
    gap: Gap | None = None  # in the line that carry has the begin of
    for text, behind in blocks:
        if isinstance(text, Gap):
            if whole := carry.rfind(b"\n") + 1:
                yield bytes(carry[:whole])
                del carry[:whole]
            gap = gap or text
            continue
        rest = text
        if gap or behind:  # the line in hand ends at the next newline
            end = text.find(b"\n") + 1
            carry += text[:end] if end else text
            if not end:
                continue
            yield Gap(gap.why, bytes(carry[:-1])) if gap else bytes(carry)
            if behind:
                return
            carry.clear()
            gap, rest = None, text[end:]
        carry += rest
        if len(carry) >= CHUNK and (whole := carry.rfind(b"\n") + 1):
            yield bytes(carry[:whole])
            del carry[:whole]
    if gap:
        yield Gap(gap.why, bytes(carry))
    elif carry:
        yield bytes(carry)


def _plain(file: Any, part: Part) -> Blocks:
    file.seek(part.start)
    at = part.start
    while at < part.size:
        text = file.read(min(READ, part.end - at) if at < part.end else READ)
        yield text, at >= part.end
        at += len(text)


def _gzip(file: Any, part: Part) -> Blocks:
    """Gzip of one or more members, checked to its last byte by who reads to it: as always, the last part."""
    stream = zlib.decompressobj(wbits=31)
    data, at = b"", -PIECE
    try:
        while True:
            if not data:
                data, at = file.read(PIECE), at + PIECE
                if not data:
                    break
            if stream.eof:  # another member, or padding as tapes leave it
                data = data.lstrip(b"\0")
                if not data:
                    continue
                stream = zlib.decompressobj(wbits=31)
            text = stream.decompress(data)
            if at >= part.start:
                yield text, at >= part.end
            data = stream.unused_data
    except zlib.error as error:
        raise LakeError(f"the gzip data are corrupt ({error})", where=part.path, todo=AGAIN) from error
    if not stream.eof:
        raise LakeError("the gzip file is truncated", where=part.path, todo=AGAIN)


def _bgzf(file: Any, part: Part) -> Blocks:
    """The blocks that begin in the part, then those behind it."""
    at = _next_block(file, part.start, part.size) if part.start else 0
    buffer, base, last = b"", at, b""
    file.seek(at)
    while at < part.size:
        while len(buffer) - (at - base) < MAX_BLOCK and (more := file.read(READ)):
            buffer, base = buffer[at - base :] + more, at
        last = buffer[at - base : at - base + MAX_BLOCK]
        length, text = _inflate(last, at)
        yield text, at >= part.end
        if length:
            at += length
        else:
            at = _next_block(file, at + 1, part.size)
            buffer, base = b"", at
            file.seek(at)
    if last != BGZF_EOF:
        yield Gap("the BGZF file is truncated: its end-of-file block is missing"), part.end < part.size


def _next_block(file: Any, start: int, size: int) -> int:
    """Where the first block at or behind a byte begins, a header whose data are those of its CRC-32; else the size."""
    while start < size:
        file.seek(start)
        window: bytes = file.read(2 * MAX_BLOCK)
        at = -1
        while 0 <= (at := window.find(GZIP_MAGIC, at + 1)) < MAX_BLOCK:
            length = _block_length(window[at : at + 64])
            with suppress(zlib.error):
                if length and len(window) >= at + length:
                    zlib.decompress(window[at : at + length], wbits=31)
                    return start + at
        start += MAX_BLOCK
    return size


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


def _inflate(block: bytes, at: int) -> tuple[int, bytes | Gap]:
    """The length of the block at byte `at`, and its text, checked against the block's CRC-32; 0 and a Gap for none."""
    length = _block_length(block[:MAX_BLOCK])
    if not length or length > len(block):
        return 0, Gap(f"the BGZF block at byte {at} is truncated or corrupt")
    try:
        return length, zlib.decompress(block[:length], wbits=31)
    except zlib.error as error:
        return 0, Gap(f"the BGZF block at byte {at} is corrupt ({error})")


_READERS = {"plain": _plain, "gzip": _gzip, "bgzf": _bgzf}
