"""Every line of a file is read exactly once, whatever the container, the parts and the blocks."""

import gzip
import re
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from genomicslake import lines, scan, sources
from genomicslake.errors import LakeError
from genomicslake.lines import Part
from genomicslake.sources import BGZF_EOF, Source

MOST_TEXT = 0xFF00  # bytes of text in a BGZF block, as bgzip has it
FAKE_BLOCK = b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x06\0BC\x02\0\x1b\0"  # looks like a block's begin inside a line

patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def bgzf(text: bytes, block: int | Sequence[int] = MOST_TEXT, level: int = 6, *, end: bytes = BGZF_EOF) -> bytes:
    """Text as BGZF (SAMv1, section 4.1) with blocks of these sizes in bytes of text, again and again."""
    sizes = [block] if isinstance(block, int) else list(block)
    assert any(sizes)
    written, at, number = [], 0, 0
    while at < len(text):
        part = text[at : at + sizes[number % len(sizes)]]
        at, number = at + len(part), number + 1
        deflate = zlib.compressobj(level, zlib.DEFLATED, -15)
        data = deflate.compress(part) + deflate.flush()
        length = (len(data) + 25).to_bytes(2, "little")
        check = zlib.crc32(part).to_bytes(4, "little") + len(part).to_bytes(4, "little")
        written.append(b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x06\0BC\x02\0" + length + data + check)
    return b"".join(written) + end


@contextmanager
def written(data: bytes) -> Iterator[Source]:
    """A file of these bytes, as sources.inspect sees it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "file")
        path.write_bytes(data)
        yield sources.inspect(str(path))


@contextmanager
def small(chunk: int, read: int) -> Iterator[None]:
    """Reading in small pieces, so that a short text is cut as a long one would be."""
    with mock.patch.multiple(lines, CHUNK=chunk, READ=read, SMALLEST_PART=1):
        yield


def parts_at(source: Source, edges: Sequence[int]) -> list[Part]:
    inside = sorted({edge for edge in edges if 0 < edge < source.size})
    return [
        Part(source.path, source.container, start, end, source.size)
        for start, end in pairwise([0, *inside, source.size])
    ]


def assert_read_once(text: bytes, parts: Sequence[Part]) -> None:
    read = [list(lines.chunks(part)) for part in parts]
    every = [chunk for chunks in read for chunk in chunks]
    assert b"".join(every) == text
    assert all(every), "an empty chunk"
    assert all(chunk.endswith(b"\n") for chunk in every[:-1]), "a line was cut"
    numbered = [list(scan.numbered(part)) for part in parts]
    expected = text.split(b"\n")
    if expected[-1] == b"":
        expected.pop()
    assert [line for part in numbered for _, line in part] == [line.rstrip(b"\r") for line in expected]
    assert all([number for number, _ in part] == list(range(1, len(part) + 1)) for part in numbered)


line = st.binary(max_size=12).map(lambda text: text.replace(b"\n", b" ")) | st.sampled_from(
    [b"", b"#CHROM\tPOS", b"22\t100\t.\tA\tC", FAKE_BLOCK, b"\r", b"x" * 500]
)
contents = st.builds(
    lambda lines, newline, final: newline.join(lines) + (newline if final else b""),
    st.lists(line, min_size=1, max_size=40),
    st.sampled_from([b"\n", b"\r\n"]),
    st.booleans(),
).filter(lambda text: not text.startswith(b"\x1f\x8b"))
tiny = st.integers(1, 40)
fractions = st.lists(st.floats(0, 1), max_size=8)


@settings(patient, max_examples=300)
@given(contents, fractions, tiny, tiny)
@example(b"a\nb\nc", [0.4, 0.8], 1, 1)
def test_plain_text(text: bytes, fractions: list[float], chunk: int, read: int) -> None:
    assume(text)
    with written(text) as source, small(chunk, read):
        assert source.container == "plain"
        assert_read_once(text, parts_at(source, [round(fraction * source.size) for fraction in fractions]))


@settings(patient, max_examples=100)
@given(contents, tiny, tiny)
def test_a_part_that_begins_with_a_line(text: bytes, chunk: int, read: int) -> None:
    """Every edge, in turn all, is where a line begins, one byte before or one behind."""
    assume(text)
    begins = [at + 1 for at, byte in enumerate(text) if byte == ord("\n")]
    with written(text) as source, small(chunk, read):
        for shift in (-1, 0, 1):
            assert_read_once(text, parts_at(source, [at + shift for at in begins]))
            for at in begins:
                assert_read_once(text, parts_at(source, [at + shift]))


@settings(patient, max_examples=300)
@given(
    contents,
    st.lists(st.integers(0, 60), min_size=1, max_size=4).filter(any),
    st.sampled_from([0, 6]),
    fractions,
    tiny,
    st.sampled_from([1, 18, 1 << 16, 1 << 20]),
)
def test_bgzf(text: bytes, block: list[int], level: int, fractions: list[float], chunk: int, read: int) -> None:
    assume(text)
    data = bgzf(text, block, level)
    with written(data) as source, small(chunk, read):
        assert source.container == "bgzf"
        assert_read_once(text, parts_at(source, [round(fraction * source.size) for fraction in fractions]))


@settings(patient, max_examples=50)
@given(contents, st.booleans(), tiny)
def test_bgzf_parts_that_begin_with_a_block(text: bytes, by_line: bool, size: int) -> None:
    """Edges are where blocks begin, one byte before or one behind; blocks end with lines, or anywhere."""
    assume(text)
    block = [len(line) for line in text.splitlines(keepends=True)] if by_line else [size]
    data = bgzf(text, block)
    begins, at = [], 0
    while at < len(data):
        begins.append(at)
        at += 1 + int.from_bytes(data[at + 16 : at + 18], "little")
    with written(data) as source, small(16, 1 << 16):
        for shift in (-1, 0, 1):
            assert_read_once(text, parts_at(source, [at + shift for at in begins]))


@settings(patient)
@given(contents, st.integers(1, 5), tiny, st.integers(0, 20), st.integers(1, 30), fractions)
def test_gzip_of_several_members(
    text: bytes, members: int, chunk: int, padding: int, piece: int, fractions: list[float]
) -> None:
    step = -(-len(text) // members) or 1
    data = b"".join(gzip.compress(text[at : at + step]) for at in range(0, max(1, len(text)), step)) + bytes(padding)
    with written(data) as source, small(chunk, 7):
        assert source.container == "gzip"
        with mock.patch.object(lines, "PIECE", piece):
            assert_read_once(text, lines.parts(source, 16))
            assert_read_once(text, parts_at(source, [round(fraction * source.size) for fraction in fractions]))


@pytest.mark.parametrize("container", ["plain", "gzip", "bgzf"])
@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
@pytest.mark.parametrize("final", [True, False])
@pytest.mark.parametrize("count", [1, 2, 7, 64, 1000])
def test_very_long_lines(container: str, newline: bytes, final: bool, count: int) -> None:
    """Lines longer than blocks, parts and pieces read, among short ones."""
    lengths = [5, 300_000, 0, 65_536, 65_280, 1, 1_500_000, 70_000, 3]
    text = newline.join(bytes([97 + n]) * length for n, length in enumerate(lengths)) + (newline if final else b"")
    data = {"plain": text, "gzip": gzip.compress(text), "bgzf": bgzf(text, level=0)}[container]
    with written(data) as source, mock.patch.object(lines, "SMALLEST_PART", 1):
        assert source.container == container
        assert_read_once(text, lines.parts(source, count))


def test_more_text_than_a_chunk_as_it_is_read_in_earnest() -> None:
    text = b"".join(b"22\t%d\t.\tA\tC\t.\tPASS\t%d\n" % (n, n * n) for n in range(250_000))
    assert len(text) > lines.CHUNK
    for data in (text, gzip.compress(text, 1), bgzf(text, level=1)):
        with written(data) as source:
            found = lines.parts(source, 8)
            wanted = 2 if source.container == "gzip" else 8
            assert len(found) == min(wanted, source.size // lines.SMALLEST_PART)
            assert_read_once(text, found)


@given(st.integers(1, 1 << 40), st.integers(1, 5000), st.sampled_from(["plain", "gzip", "bgzf"]))
def test_parts_cover_the_file(size: int, wanted: int, container: sources.Container) -> None:
    found = lines.parts(Source("file", size, container), wanted)
    assert 1 <= len(found) <= wanted
    assert (found[0].start, found[-1].end) == (0, size)
    assert all(one.end == other.start for one, other in pairwise(found))
    assert all(part.start < part.end for part in found)
    assert container != "gzip" or len(found) <= -(-wanted // 4)


TEXT = b"".join(b"22\t%d\t.\tA\tC\n" % (n * n) for n in range(400))
CONTAINERS = {"gzip": gzip.compress(TEXT), "bgzf": bgzf(TEXT, 700)}


def read_again(data: bytes) -> bytes | None:
    """The text that a file of these bytes gives, in several parts; None where it is refused."""
    try:
        with written(data) as source, small(100, 1 << 16):
            if source.container == "plain":
                return None  # no longer compressed, to all appearances: not this module's to refuse
            return b"".join(chunk for part in lines.parts(source, 3) for chunk in lines.chunks(part))
    except LakeError as error:
        told = str(error)
    assert re.search("file: .*Fetch (it|the file) again", told)
    return None


@pytest.mark.parametrize("container", CONTAINERS)
@settings(patient, max_examples=400)
@given(data=st.data())
def test_a_changed_byte_is_told_or_changes_nothing(container: str, data: st.DataObject) -> None:
    whole = bytearray(CONTAINERS[container])
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= data.draw(st.integers(1, 255))
    assert read_again(bytes(whole)) in (None, TEXT)


def test_a_broken_block_behind_the_first_of_a_part_is_told() -> None:
    """No part may leave out the text between its first whole block and the broken one."""
    whole = bgzf(TEXT, 700)
    begins, at = [], 0
    while at < len(whole):
        begins.append(at)
        at += 1 + int.from_bytes(whole[at + 16 : at + 18], "little")
    for first, second in pairwise(begins[1:-1]):
        broken = bytearray(whole)
        broken[second] ^= 1
        with written(bytes(broken)) as source:
            parts = parts_at(source, [first])
            with pytest.raises(LakeError, match="corrupt"):
                [list(lines.chunks(part)) for part in parts]


@pytest.mark.parametrize("container", CONTAINERS)
@settings(patient, max_examples=200)
@given(data=st.data())
def test_a_file_cut_short_is_told(container: str, data: st.DataObject) -> None:
    whole = CONTAINERS[container]
    assert read_again(whole[: data.draw(st.integers(0, len(whole) - 1))]) is None


@settings(patient, max_examples=200)
@given(start=st.integers(0, len(CONTAINERS["bgzf"]) - 29), length=st.integers(1, 3000))
def test_a_hole_in_bgzf_is_told(start: int, length: int) -> None:
    """Bytes missing in the middle, the end-of-file block in its place; a hole of whole blocks can't be seen
    (nor one as long as that: the blocks' first bytes are the same), one in a block's time stamp takes nothing away.
    """
    whole = CONTAINERS["bgzf"]
    end = min(start + length, len(whole) - len(BGZF_EOF))
    begins, at = {0}, 0
    while at < len(whole):
        at += 1 + int.from_bytes(whole[at + 16 : at + 18], "little")
        begins.add(at)
    assume(start < end)
    assume(not any(block <= start < block + 18 and block + end - start in begins for block in begins))
    assert read_again(whole[:start] + whole[end:]) in (None, TEXT)


@pytest.mark.parametrize("container", CONTAINERS)
@settings(patient)
@given(garbage=st.binary(min_size=1, max_size=200).filter(lambda data: data.strip(b"\0") != b""))
def test_garbage_behind_is_told(container: str, garbage: bytes) -> None:
    assert read_again(CONTAINERS[container] + garbage) is None
