"""Makes broken VCF files: small sound ones, mutated field by field, byte by byte, block by block.

`broken(random, number, …)` is one file; whoever gives the `random` decides what becomes of it. Files of one run have
the same samples, each on a contig of its own, so that Hail reads them together: its start costs a second each time.
"""

import gzip
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

EOF_BLOCK = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
CONTIGS = [*map(str, range(1, 23)), "X", "Y"]
COLUMNS = b"#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT"
FIELDS = (
    ("INFO", "AC", "A", "Integer"),
    ("INFO", "AF", "A", "Float"),
    ("INFO", "DP", "1", "Integer"),
    ("INFO", "DB", "0", "Flag"),
    ("INFO", "TXT", "1", "String"),
    ("INFO", "LST", ".", "String"),
    ("INFO", "RC", "R", "Integer"),
    ("INFO", "END", "1", "Integer"),
    ("FORMAT", "GT", "1", "String"),
    ("FORMAT", "AD", "R", "Integer"),
    ("FORMAT", "DP", "1", "Integer"),
    ("FORMAT", "GQ", "1", "Integer"),
    ("FORMAT", "PL", "G", "Integer"),
)


@dataclass
class Broken:
    """A file, and what was done to it: `header` and `sound` are its header and records as they were before that."""

    name: str
    data: bytes = b""
    header: list[bytes] = field(default_factory=list)
    sound: set[bytes] = field(default_factory=set)
    mutations: list[str] = field(default_factory=list)
    has_sound_header: bool = True


# --- sound files ----------------------------------------------------------------------------------


def header(samples: list[str]) -> list[bytes]:
    lines = ["##fileformat=VCFv4.3", *(f"##contig=<ID={name}>" for name in CONTIGS)]
    lines += [f'##{kind}=<ID={id_},Number={number},Type={type_},Description="">' for kind, id_, number, type_ in FIELDS]
    return [*(line.encode() for line in lines), COLUMNS + b"\t" + "\t".join(samples).encode()]


def records(random: Random, samples: int, contigs: list[str]) -> list[bytes]:
    """Sound records, in order."""
    made = []
    for contig in contigs:
        position = random.randint(1, 1_000_000)
        for _ in range(random.randint(1, 12)):
            made.append(record(random, contig, position, samples))
            position += random.choice([1, 1, 2, 50, 1000])
    return made


def record(random: Random, contig: str, position: int, samples: int) -> bytes:
    reference = random.choice(["A", "C", "g", "AC", "CTT", "N"])
    pool = ["T", "TT", "AGA", "CT", "<DEL>", "<NON_REF>", "*", "t", "G[21:100[", "<CN0>"]
    alternates = random.sample(pool, random.choice([0, 1, 1, 1, 1, 2, 3]))
    if {"T", "t"} <= set(alternates):
        alternates.remove("t")
    keys = random.choice([["GT"], ["GT"], ["GT", "AD", "DP", "GQ"], ["GT", "PL"], ["DP"]])
    cells = [cell(random, keys, len(alternates)) for _ in range(samples)]
    columns = [contig, str(position), random.choice([".", f"rs{position}"]), reference, ",".join(alternates) or "."]
    columns += [random.choice([".", "50", "1e3", "99.5"]), random.choice([".", "PASS", "q10;s50"])]
    columns += [info(random, position, len(alternates)), ":".join(keys), *cells]
    return "\t".join(columns).encode()


def info(random: Random, position: int, alternates: int) -> str:
    whole, text = [str(random.randint(0, 99)) for _ in range(alternates + 1)], random.choice(["a", "b%3Bc", "ä ö"])
    possible = [f"DP={whole[0]}", "DB", f"TXT={text}", f"LST={text},b", f"END={position + 10}", "NEW=1", "NEWFLAG"]
    if alternates:
        possible += [f"AC={','.join(whole[1:])}", f"AF={','.join(['0.5'] * alternates)}", f"RC={','.join(whole)}"]
    return ";".join(random.sample(possible, random.randint(0, 4))) or "."


def cell(random: Random, keys: list[str], alternates: int) -> str:
    alleles = [*map(str, range(alternates + 1)), "."]
    pair = random.choice("/|").join(random.choices(alleles, k=2))
    whole = [str(random.randint(0, 99)) for _ in range((alternates + 1) * (alternates + 2) // 2)]
    values = {
        "GT": random.choice([pair, pair, pair, pair, random.choice(alleles), "./."]),
        "AD": ",".join(whole[: alternates + 1]),
        "PL": ",".join(whole),
    }
    every = [values.get(key, whole[0]) for key in keys]
    return ":".join(every[: random.choice([len(every), len(every), 1])])


# --- mutations of the text ------------------------------------------------------------------------

NASTY = {
    0: ["", ".", "99", "Chr22", "22 ", "chrM", "22;", "\u0662\u0662"],
    1: ["", ".", "0", "-1", "1.5", "249250622", "99999999999999999999", "1e6", " 5", "+7", "\u0661"],
    2: ["", ".", "a b", ";", "\x00"],
    3: ["", ".", "*", "<DEL>", "AX", "a", "A,C", "AC GT", "R"],
    4: ["", "A,", ",", "A", "C,C", "c,C", "<DEL", "C!", "<>", "[", "A]22:1[", ".,C", "<NON_REF>,<NON_REF>", "N"],
    5: ["", "high", "-", "1,5", "nan", "1e999", "--1", "Inf"],
    6: ["", ";", "PASS;", "q10;;s50", "a b"],
    7: [
        *("", ";", ";;", "=", "=1", "DP", "DP=", "DP=x", "DP=1;DP=2", "AC=1,2,3,4,5,6", "AF=0..5", "DB=1", "END=0"),
        *(
            "END=99999999999",
            "END=x",
            "END=249250622",
            "AC=2147483648",
            "A B=1",
            "a\u00e4=1",
            "LST=a,.,b",
            "TXT=;",
            "SVLEN=-5",
            "SVLEN=x",
            "SVLEN=7,.",
            "RC=.",
        ),
    ],
    8: ["", ".", "GT:GT", "DP:GT", "gt", "GT:", ":GT", "G T", "GT:XX", "GT:DP:DP", "XX"],
}
CELLS = [
    *("", ".", "0", "1", "9", "0/9", "0/1/1", "1|", "|1", "/", "0\\1", "-1/0", "a/b", "0/1:", "./.:.:.:.", "0/1:x"),
    *("0/1:1:2:3:4:5:6", "00/1", "0/01", " 0/1", "0 /1", "1/1:1,2,3:x:y", "0/1:.,.:-5:2147483648", "\u0661/0"),
]
BYTES = [
    b"\x00",
    b"\t",
    b"\r",
    b" ",
    b"\xe4",
    b"\xff\xfe",
    b"\n",
    b"\xe2\x80\xa8",
    b",",
    b":",
    b";",
    b"=",
    b"#",
    b"\x0b",
]


def mutate_record(random: Random, lines: list[bytes]) -> str:
    """Mutate a record, or the order of records; the mutation's name."""
    at = random.randrange(len(lines))
    columns = lines[at].split(b"\t")
    kind = random.choice([*sorted(OF_RECORDS), *["replace a field", "replace a cell"] * 4])
    OF_RECORDS[kind](random, lines, at, columns)
    return kind


def _replace_field(random: Random, lines: list[bytes], at: int, columns: list[bytes]) -> None:
    number = random.choice([0, 1, 1, 2, 3, 4, 4, 5, 6, 7, 7, 7, 8])
    if number >= len(columns):
        return
    columns[number] = random.choice(NASTY[number]).encode()
    lines[at] = b"\t".join(columns)


def _replace_cell(random: Random, lines: list[bytes], at: int, columns: list[bytes]) -> None:
    columns[random.randrange(min(9, len(columns) - 1), len(columns))] = random.choice(CELLS).encode()
    lines[at] = b"\t".join(columns)


def _field(
    change: Callable[[Random, list[bytes], int], object],
) -> Callable[[Random, list[bytes], int, list[bytes]], None]:
    def mutate(random: Random, lines: list[bytes], at: int, columns: list[bytes]) -> None:
        change(random, columns, random.randrange(len(columns)))
        lines[at] = b"\t".join(columns)

    return mutate


def _swap(random: Random, values: list[bytes], at: int) -> None:
    other = random.randrange(len(values))
    values[at], values[other] = values[other], values[at]


def _lines(
    change: Callable[[Random, list[bytes], int], object],
) -> Callable[[Random, list[bytes], int, list[bytes]], None]:
    def mutate(random: Random, lines: list[bytes], at: int, _: list[bytes]) -> None:
        change(random, lines, at)

    return mutate


def _cut(random: Random, lines: list[bytes], at: int) -> None:
    to = random.randint(0, len(lines[at]))
    lines[at : at + 1] = [lines[at][:to], lines[at][to:]]


def _join(_: Random, lines: list[bytes], at: int) -> None:
    lines[at : at + 2] = [b"".join(lines[at : at + 2])]


def _flip(random: Random, lines: list[bytes], at: int) -> None:
    text = bytearray(lines[at])
    if text:
        text[random.randrange(len(text))] ^= 1 << random.randrange(8)
    lines[at] = bytes(text)


def _byte(random: Random, lines: list[bytes], at: int) -> None:
    to = random.randint(0, len(lines[at]))
    lines[at] = lines[at][:to] + random.choice(BYTES) + lines[at][to:]


def _without_byte(random: Random, lines: list[bytes], at: int) -> None:
    to = random.randint(0, len(lines[at]))
    lines[at] = lines[at][:to] + lines[at][to + 1 :]


def _header_again(_: Random, lines: list[bytes], at: int) -> None:
    lines.insert(at, b"##contig=<ID=22>")


OF_RECORDS: dict[str, Callable[[Random, list[bytes], int, list[bytes]], None]] = {
    "replace a field": _replace_field,
    "replace a cell": _replace_cell,
    "drop a field": _field(lambda _, values, at: values.pop(at)),
    "repeat a field": _field(lambda _, values, at: values.insert(at, values[at])),
    "swap fields": _field(_swap),
    "cut a line": _lines(_cut),
    "join lines": _lines(_join),
    "repeat a record": _lines(lambda _, lines, at: lines.insert(at, lines[at])),
    "move a record": _lines(_swap),
    "drop a record": _lines(lambda _, lines, at: lines.pop(at) if len(lines) > 1 else None),
    "blank line": _lines(lambda _, lines, at: lines.insert(at, b"")),
    "flip a bit of a record": _lines(_flip),
    "insert a byte into a record": _lines(_byte),
    "delete a byte of a record": _lines(_without_byte),
    "a header line among records": _lines(_header_again),
}


def mutate_header(random: Random, lines: list[bytes]) -> str:
    """Mutate the header; the mutation's name."""
    at = random.randrange(len(lines))
    kind = random.choice(sorted(OF_HEADERS))
    OF_HEADERS[kind](random, lines, at)
    return kind


def _replace(*pairs: tuple[bytes, bytes]) -> Callable[[Random, list[bytes], int], None]:
    def mutate(random: Random, lines: list[bytes], _: int) -> None:
        before, after = random.choice(pairs)
        at = [number for number, line in enumerate(lines) if before in line]
        if at:
            number = random.choice(at)
            lines[number] = lines[number].replace(before, after, 1)

    return mutate


def _sample_twice(_: Random, lines: list[bytes], __: int) -> None:
    lines[-1] += b"\t" + lines[-1].rsplit(b"\t", 1)[-1]


def _without_sample(_: Random, lines: list[bytes], __: int) -> None:
    lines[-1] = lines[-1].rsplit(b"\t", 1)[0]


def _mark(_: Random, lines: list[bytes], __: int) -> None:
    lines[0] = b"\xef\xbb\xbf" + lines[0]


OF_HEADERS: dict[str, Callable[[Random, list[bytes], int], object]] = {
    "drop a header line": lambda _, lines, at: lines.pop(at),
    "repeat a header line": lambda _, lines, at: lines.insert(at, lines[at]),
    "swap header lines": _swap,
    "another type": _replace(
        (b"Type=Integer", b"Type=Float"), (b"Type=Integer", b"Type=String"), (b"Type=Integer", b"Type=Int")
    ),
    "another number": _replace((b"Number=A", b"Number=1"), (b"Number=1", b"Number=2"), (b"Number=R", b"Number=x")),
    "another contig": _replace((b"=2", b"=99"), (b"=1>", b"=1,length=9>"), (b"=X>", b">")),
    "another version": _replace((b"VCFv4.3", b"VCFv3.3"), (b"VCFv4.3", b"VCFv4.1"), (b"VCFv4.3", b"BCFv2")),
    "a sample twice": _sample_twice,
    "a sample too few": _without_sample,
    "byte order mark": _mark,
    "flip a bit of the header": _flip,
    "insert a byte into the header": _byte,
}

# --- containers, and damage to them ---------------------------------------------------------------


def block(text: bytes) -> bytes:
    deflate = zlib.compressobj(6, zlib.DEFLATED, -15)
    data = deflate.compress(text) + deflate.flush()
    length = (len(data) + 25).to_bytes(2, "little")
    check = zlib.crc32(text).to_bytes(4, "little") + len(text).to_bytes(4, "little")
    return b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x06\0BC\x02\0" + length + data + check


def pieces(random: Random, text: bytes, least: int, most: int) -> list[bytes]:
    made = []
    while text:
        length = random.randint(least, most)
        made.append(text[:length])
        text = text[length:]
    return made


def packed(random: Random, text: bytes) -> tuple[str, list[bytes]]:
    """A text in some container: the file name's ending, and the blocks or members that the container has."""
    kind = random.choice(["plain", "plain", "gzip", "members", "bgzf", "bgzf", "bgzf"])
    if kind == "plain":
        return ".vcf", [text]
    if kind == "bgzf":
        return random.choice([".vcf.gz", ".vcf.bgz"]), [*map(block, pieces(random, text, 60, 700)), EOF_BLOCK]
    parts = [text] if kind == "gzip" else pieces(random, text, 200, 2000)
    return ".vcf.gz", [gzip.compress(part, mtime=0) for part in parts]


def _damaged_block(random: Random, blocks: list[bytes], at: int) -> None:
    data = bytearray(blocks[at])
    data[random.randrange(len(data))] ^= 0xFF
    blocks[at] = bytes(data)


def _truncate(random: Random, blocks: list[bytes], at: int) -> None:
    blocks[at:] = [blocks[at][: random.randrange(len(blocks[at]))]]


OF_BLOCKS: dict[str, Callable[[Random, list[bytes], int], object]] = {
    "damage a block": _damaged_block,
    "flip a bit of the file": _flip,
    "insert a byte into the file": _byte,
    "delete a byte of the file": _without_byte,
    "truncate the file": _truncate,
    "drop a block": lambda _, blocks, at: blocks.pop(at),
    "repeat a block": lambda _, blocks, at: blocks.insert(at, blocks[at]),
    "swap blocks": _swap,
    "no end-of-file block": lambda _, blocks, __: blocks.pop(),
}
OF_BYTES = {kind for kind in OF_BLOCKS if kind.endswith("the file")}
MUTATIONS = {*OF_RECORDS, *OF_HEADERS, *OF_BLOCKS}


def broken(random: Random, number: int, samples: int, *, headers: bool = True) -> Broken:
    """A file with one to three mutations, mostly of its records, or of its header where that is wanted. So many files
    as there are CONTIGS, numbered one after the other, have no contig in common before that.
    """
    head = header([f"S{sample}" for sample in range(samples)])
    body = records(random, samples, [CONTIGS[number % len(CONTIGS)]])
    made = Broken(f"broken-{number}", header=[*head], sound=set(body))
    for _ in range(random.choice([1, 1, 2, 3])):
        place = random.choice(["record"] * 6 + ["header", "header", "block", "block", "end"])
        if place == "record":
            made.mutations.append(mutate_record(random, body))
        elif place == "header" and headers and made.has_sound_header:
            made.has_sound_header = False
            made.mutations.append(mutate_header(random, head))
        elif place == "block":
            made.mutations.append("block")
    end = random.choice([b"\n", b"\n", b"\n", b"\r\n"])
    text = end.join([*head, *body]) + random.choice([end, end, b""])
    ending, blocks = packed(random, text)
    if "block" in made.mutations:
        kind = random.choice(sorted(OF_BLOCKS if len(blocks) > 1 else OF_BYTES))
        OF_BLOCKS[kind](random, blocks, random.randrange(len(blocks)))
        made.mutations = [kind if name == "block" else name for name in made.mutations]
    is_likely_refused = not made.has_sound_header or not set(made.mutations) <= set(OF_RECORDS)
    made.name = f"{'a' if is_likely_refused else 'b'}-{made.name}{ending}"  # the first by name are read first
    made.data = b"".join(blocks)
    return made
