"""BGZF, the blocked gzip of bioinformatics: every block inflates alone, so a reader can start in the middle.

Each block is a gzip member whose extra field `BC` holds its own size less one (SAM specification, 4.1).
"""

import struct
import zlib

BLOCK_BYTES = 0xFF00  # of plain data in a block: what htslib takes, so that a packed block stays under 64 KiB
EOF_BLOCK = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")


def compress(data: bytes) -> bytes:
    """`data` as BGZF blocks, then the empty block that marks the end; no time stamp in it."""
    blocks = [_block(data[start : start + BLOCK_BYTES]) for start in range(0, len(data), BLOCK_BYTES)]
    return b"".join(blocks) + EOF_BLOCK


def _block(plain: bytes) -> bytes:
    """One gzip member with its size in the header."""
    deflate = zlib.compressobj(level=6, wbits=-15)
    packed = deflate.compress(plain) + deflate.flush()
    header = struct.pack("<4BI2BH2BHH", 31, 139, 8, 4, 0, 0, 255, 6, 66, 67, 2, len(packed) + 25)
    return header + packed + struct.pack("<2I", zlib.crc32(plain), len(plain))
