"""Animations as Pillow writes them."""

from collections.abc import Iterable, Sequence
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, ImageSequence

# Of the durations of frames, in milliseconds, where Pillow rounds each by itself.
_STEPS = {'AVIF': 1, 'GIF': 10}


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
        file: empty, open for writing.
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


def to_palette(image: Image.Image) -> Image.Image:
    """256 colours, or 255 and one that is transparent where less than half is visible."""
    if not image.has_transparency_data:
        return image if image.mode == 'L' else image.quantize(256)
    hidden = image.getchannel('A').point([255] * 128 + [0] * 128)
    image = image.convert('RGB').quantize(255)
    image.paste(255, mask=hidden)
    image.info['transparency'] = 255
    return image
