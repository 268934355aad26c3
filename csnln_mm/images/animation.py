"""Animations as Pillow writes them."""

import io
import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, ImageSequence

# Of the durations of frames, in milliseconds, where Pillow rounds each by itself.
_STEPS = {'AVIF': 1, 'GIF': 10}
# Boxes of an AVIF, made like MP4, and where the duration is in their version 0, of 32 bits,
# and 1, of 64: that of all rounds, in the last one that of a round, behind a flag that it repeats.
_DURATIONS = {b'mvhd': (16, 24), b'tkhd': (20, 28), b'elst': (8, 8)}
_FLAG = -5


def save_animation(
    pages: BinaryIO,
    file: BinaryIO,
    kind: str,
    *,
    durations: Sequence[float],
    plays: int,
    has_alpha: Iterable[bool],
    **options: Any,
) -> None:
    """Write an animation.

    Args:
        pages: a TIFF of its frames, 8 bits.
        file: empty, open for reading and writing.
        kind: Pillow's format, one of :data:`csnln_mm.images.formats.ANIMATED`.
        durations: of the frames, in milliseconds.
        plays: how often it is played; 0 for without end.
        has_alpha: of each frame, or of all that differ.
        options: of Pillow's ``save``, such as metadata.
    """
    if kind in _STEPS:
        step = _STEPS[kind]
        ends = np.rint(np.cumsum([0.0, *durations]) / step).astype(int) * step
        durations = np.diff(ends).tolist()
    options['duration'] = list(durations)
    if kind != 'GIF':
        options['loop'] = plays
    elif plays != 1:  # a GIF without the number is played once, and with it once more than it says
        options['loop'] = max(0, plays - 1)
    is_mixed = len(set(has_alpha)) == 2
    with Image.open(pages, formats=['TIFF']) as animation:
        first: Image.Image = animation
        frames = ImageSequence.Iterator(animation)
        alike = (frame.convert('RGBA') if is_mixed else frame.copy() for frame in frames)
        if kind == 'GIF':
            others = (to_palette(frame) for frame in alike)
            first = next(others)
            options['append_images'] = others
            if any(has_alpha):
                options['disposal'] = 2  # or the frames before show through
        elif kind == 'WEBP' and any(has_alpha):
            # Each frame whole. Else libwebp cuts them to what is visible, and where that has no
            # transparency it says that nothing has.
            options |= dict(kmin=0, kmax=1)
        elif kind == 'AVIF' and is_mixed:
            # Where the first frame has no transparency the others lose theirs, and they must not
            # be without if it has some.
            first, options['append_images'] = next(alike), alike
        first.save(file, kind, save_all=True, **options)
    if kind == 'AVIF' and plays:
        _limit_plays(file, plays)


def avif_plays(file: BinaryIO) -> int:
    """Count how often an animated AVIF is played; 0: endlessly, or unknown."""
    _, movie = _movie(file)
    fields: dict[bytes, tuple[str, int]] = {}
    for box, kind, at in _durations(movie, 0, len(movie)):
        fields.setdefault(box, (kind, at))  # of the first track: those of others are alike
    if not {b'tkhd', b'elst'} <= fields.keys():
        return 0
    track, edits = fields[b'tkhd'], fields[b'elst']
    total, once = (struct.unpack_from(kind, movie, at)[0] for kind, at in (track, edits))
    if not movie[edits[1] + _FLAG] & 1:
        return 1
    return 0 if not once or total in (2**32 - 1, 2**64 - 1) else -(-total // once)


def _limit_plays(file: BinaryIO, plays: int) -> None:
    """Write into an AVIF how often it is played, since Pillow has no option for it."""
    start, movie = _movie(file)
    fields = list(_durations(movie, 0, len(movie)))
    once = next(
        struct.unpack_from(kind, movie, at)[0] for box, kind, at in fields if box == b'elst'
    )
    for box, kind, at in fields:
        if box == b'elst':
            movie[at + _FLAG] = plays > 1
        else:
            struct.pack_into(kind, movie, at, plays * once)
    file.seek(start)
    file.write(movie)
    file.seek(0, io.SEEK_END)


def _movie(file: BinaryIO) -> tuple[int, bytearray]:
    """Find the movie box of an AVIF: its offset and content, empty for a still image."""
    place = 0
    while True:
        file.seek(place)
        size, kind = struct.unpack('>I4s', file.read(8).ljust(8, b'\0'))
        if kind == b'moov':
            return place + 8, bytearray(file.read(size - 8))
        if size < 8:  # the last, or one of more than 4 GB
            return place, bytearray()
        place += size


def _durations(movie: bytearray, start: int, end: int) -> Iterator[tuple[bytes, str, int]]:
    """Yield the boxes that hold a duration, with the type and the offset of the number."""
    while start + 8 <= end:
        size, box = struct.unpack_from('>I4s', movie, start)
        if box in (b'trak', b'edts'):
            yield from _durations(movie, start + 8, min(end, start + size))
        if box in _DURATIONS:
            version = movie[start + 8]
            yield box, '>Q' if version else '>I', start + 8 + _DURATIONS[box][version > 0]
        start += max(8, size)


def to_palette(image: Image.Image) -> Image.Image:
    """Reduce to 256 colours; one of them is transparent if the image has transparency."""
    if not image.has_transparency_data:
        return image if image.mode == 'L' else image.quantize(256)
    hidden = image.getchannel('A').point([255] * 128 + [0] * 128)
    image = image.convert('RGB').quantize(255)
    image.paste(255, mask=hidden)
    image.info['transparency'] = 255
    return image
