"""Damaged image files, by what is wrong with them."""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from csnln_mm.images.image_file import write_image


def png_chunk(kind: bytes, content: bytes) -> bytes:
    check = zlib.crc32(kind + content)
    return struct.pack('>I', len(content)) + kind + content + struct.pack('>I', check)


def png(header: tuple[int, int, int, int], content: bytes) -> bytes:
    """``header``: width, height, bits, and PNG's number of a colour type."""
    chunks = (
        (b'IHDR', struct.pack('>IIBBBBB', *header, 0, 0, 0)),
        (b'IDAT', content),
        (b'IEND', b''),
    )
    return b'\x89PNG\r\n\x1a\n' + b''.join(png_chunk(*chunk) for chunk in chunks)


def write_bomb(path: Path) -> None:
    """A PNG of a kilobyte that claims to have 30000 x 30000 grey pixels."""
    path.write_bytes(png((30000, 30000, 8, 0), zlib.compress(bytes(2**20), 9)))


def spoil_middle(path: Path) -> None:
    """Change bytes in the middle of the pixels, which no header shows."""
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 8] = bytes(255 - x for x in content[middle : middle + 8])
    path.write_bytes(content)


def cut_off(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


# What a header, the end of the file or the list of files shows.
VISIBLE: dict[str, Callable[[Path], None]] = {
    'cut off': cut_off,
    'text': lambda path: path.write_text('not an image'),
    'empty': lambda path: path.write_bytes(b''),
    'missing': Path.unlink,
    'bomb': write_bomb,
    'other size': lambda path: write_image(path, np.zeros((20, 22, 3), np.uint8)),
    '16 bits': lambda path: write_image(path, np.zeros((48, 60), np.uint16)),
}
