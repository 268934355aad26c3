"""Images one after the other through a pipe, as ffmpeg writes and reads them."""

import re
import shutil
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image

from csnln_mm.errors import UserError
from csnln_mm.images.image_data import ImageData
from csnln_mm.images.image_file import read_frames

_PNG = b'\x89PNG\r\n\x1a\n'
# Where the length is of what is stored with it at its beginning, and what it leaves out.
_LENGTHS = {b'BM': (2, 0), b'RIFF': (4, 8)}
_GAP = rb'\s+(?:#[^\n]*\n\s*)*'
_PNM = re.compile(rb'P([56])' + 3 * (_GAP + rb'(\d{1,9})') + rb'\s', re.S)
_JPEGS = b'\xff\xd9\xff\xd8\xff'


class ImageStream:
    """The images of a stream; each becomes a file while it is read.

    Args:
        source: such as stdin, with ``peek``.
        target: such as stdout; the results go there.
        folder: for the files; the first one is called stdin.

    Attributes:
        first: the file of the first image.
        has_more: whether others follow.

    Raises:
        UserError: if there are several images of a kind that cannot be told apart.
    """

    def __init__(self, source: Any, target: BinaryIO, folder: Path) -> None:
        self.source, self.target, self.folder = source, target, folder
        self.first = self._next('stdin')
        # What else is behind an image, such as a line break, readers of files ignore as well.
        following = source.peek(2)[:2]
        with self.first.open('rb') as file:
            self.has_more = bool(following) and file.read(2).startswith(following)

    def frames(self) -> Iterator[ImageData]:
        """All images, and all frames of those that are animations."""
        path, number = self.first, 1
        while True:
            yield from read_frames(path)
            path.unlink()
            if not self.source.peek(1):
                return
            number += 1
            path = self._next(f'image {number} of stdin')

    def write(self, data: bytes) -> None:
        """Write a result."""
        try:
            self.target.write(data)
            self.target.flush()
        except OSError as error:
            raise UserError(f'cannot write to stdout: {error.strerror or error}') from error

    def _next(self, name: str) -> Path:
        path = self.folder / name
        with path.open('w+b') as file:
            copy_image(self.source, file)
        return path


def copy_image(source: BinaryIO, file: BinaryIO) -> None:
    """Copy an image of a stream: PNG, BMP, WebP, PGM and PPM; of others, all that follows.

    An image that is cut off is copied as far as there is some of it.

    Raises:
        UserError: if several JPEG images follow each other.
    """

    def take(count: int) -> bytes:
        data = source.read(count)
        file.write(data)
        return data

    def copy(count: int) -> None:
        while count > 0 and (data := take(min(count, 2**20))):
            count -= len(data)

    head = take(8)
    if head == _PNG:
        while len(chunk := take(8)) == 8:
            copy(int.from_bytes(chunk[:4], 'big') + 4)
            if chunk[4:] == b'IEND':
                return
        return
    for magic, (place, left_out) in _LENGTHS.items():
        if head.startswith(magic):
            length = int.from_bytes((head + take(4))[place : place + 4], 'little') + left_out
            return copy(length - 12)
    if re.match(rb'P[56]\s', head):
        while len(head) < 2**16 and not _PNM.match(head) and (byte := take(1)):
            head += byte
        match = _PNM.match(head)
        if match:
            width, height, white = (int(number) for number in match.groups()[1:])
            return copy(width * height * (3 if match[1] == b'6' else 1) * (1 + (white > 255)))
    shutil.copyfileobj(source, file)
    if head.startswith(_JPEGS[2:]):
        _check_alone(file)


def _check_alone(file: BinaryIO) -> None:
    """Refuse several JPEG images of one size; a smaller one belongs to a photograph."""
    file.seek(0)
    content = file.read()
    second = content.find(_JPEGS) + 2
    if second < 2:
        return
    sizes = []
    for start in 0, second:
        try:
            with Image.open(BytesIO(content[start:]), formats=['JPEG']) as image:
                sizes.append((image.size, image.format))
        except (OSError, ValueError):
            return
    if sizes[0] == sizes[1] == (sizes[0][0], 'JPEG'):
        raise UserError(
            'several JPEG images on stdin are not told apart: use PNG (ffmpeg: -c:v png), which '
            'keeps the colours as well'
        )
