"""Pairs of LQ and GT images, and what their headers tell before a training or test begins."""

import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image

from csnln_mm.errors import UserError
from csnln_mm.images.image_file import INPUT_FORMATS, read_rgb

__all__ = ['check_pairs']

# Every complete PNG ends with this chunk.
_PNG_END = b'\0\0\0\0IEND\xaeB`\x82'
_SECONDS_BETWEEN_LINES = 5.0


def check_pairs(
    pairs: Sequence[tuple[Path, Path]],
    *,
    title: str,
    scale: int | None = None,
    gt_patch_size: int = 1,
    report: Callable[[str], None] = print,
) -> None:
    """Raise UserError, naming the first in question, unless all pairs of images will do.

    Reads headers, and the last bytes of PNG files: what is damaged in between shows when it is
    read.

    Args:
        pairs: of LQ and GT.
        title: of the data set, for messages.
        scale: how many times as wide and high each GT is as its LQ; None for any.
        gt_patch_size: what an image must have at least along its sides, in pixels of GT.
        report: gets a line on the progress every few seconds.
    """
    problems = []
    reported = time.monotonic()
    for i, (lq, gt) in enumerate(pairs):
        if time.monotonic() - reported > _SECONDS_BETWEEN_LINES:
            reported = time.monotonic()
            report(f'checking the {title} images: {i} of {len(pairs)}')
        try:
            _check_pair(lq, gt, scale, gt_patch_size)
        except UserError as error:
            problems.append(str(error))
    if problems:
        more = f' (and {len(problems) - 1} more of {len(pairs)})' if problems[1:] else ''
        raise UserError(f'{title} images: {problems[0]}{more}')


def _check_pair(lq: Path, gt: Path, scale: int | None, gt_patch_size: int) -> None:
    for path, partner in (lq, gt), (gt, lq):
        if not path.is_file():
            raise UserError(
                f'{path} does not exist'
                + (f', the partner of {partner}' if partner.is_file() else '')
            )
    (lq_width, lq_height), (width, height) = _size(lq), _size(gt)
    # Where LR images are made in the pipeline, both folders are the same.
    if scale and lq != gt and (width, height) != (scale * lq_width, scale * lq_height):
        raise UserError(
            f'{lq} has {lq_width}x{lq_height} pixels and {gt} {width}x{height}, which '
            f'is not {scale} times that'
        )
    if min(width, height) < gt_patch_size:
        raise UserError(
            f'{gt} has {width}x{height} pixels, less than the patches of '
            f'{gt_patch_size} that are trained on'
        )


def _size(path: Path) -> tuple[int, int]:
    """(width, height) of an image of 8 bits that is not visibly cut off."""
    try:
        with open(path, 'rb') as file, warnings.catch_warnings():
            warnings.simplefilter('ignore', Image.DecompressionBombWarning)
            with Image.open(file, formats=INPUT_FORMATS) as image:
                size, mode, kind = image.size, image.mode, image.format
                file.seek(-len(_PNG_END), 2)
                whole = kind != 'PNG' or file.read() == _PNG_END
    except Exception:
        whole, mode = False, ''
    if not whole:
        # Says what is wrong; a complete PNG may have something else behind it.
        height, width = read_rgb(path).shape[:2]
        return width, height
    if mode.startswith(('I', 'F')):
        raise UserError(f'{path} has more than 8 bits a channel; convert it')
    return size
