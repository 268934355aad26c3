"""Pairs of LQ and GT images, and what their headers tell before a training or test begins."""

import re
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from csnln_mm.errors import UserError
from csnln_mm.images.image_file import INPUT_FORMATS, list_images, read_rgb

# Every complete PNG ends with this chunk.
_PNG_END = b'\0\0\0\0IEND\xaeB`\x82'
_SECONDS_BETWEEN_LINES = 5.0
# What names of partners end in: img_001x2, img_001_LR4, img_001_HR, img_001_x2_SR.
_ENDING = re.compile(r'[-_. ]?(x[2-9]|lr|lr[2-9]|lq|hr|gt|sr)$', re.IGNORECASE)

Pair = tuple[Path, Path]


class Pairing(NamedTuple):
    """Images of two folders that belong together by their names.

    Attributes:
        pairs: of LQ and GT, sorted by the name of GT.
        unpaired: images that have no partner in the other folder, sorted.
    """

    pairs: list[Pair]
    unpaired: list[Path]


def find_pairs(lq_folder: Path, gt_folder: Path) -> Pairing:
    """Pair the images of two folders by their names.

    Partners have the same stem, whatever their suffixes, or stems that differ by what they end in:
    a scale such as 'x2', 'LR', 'LR2', 'LQ', 'HR', 'GT' or 'SR', in either case, with or without one
    of ``-_.`` and a space before it; names of LQ images may end in two of these, as 'a_x2_SR' does.
    The same stem comes first: ``ax2.jpg`` is the partner of ``ax2.png`` where there is one, else of
    ``a.png``.

    Args:
        lq_folder: of images, not of its subfolders.
        gt_folder: the same; it may be ``lq_folder``, whose images then are their own partners.

    Raises:
        UserError: if one is no folder of images, or has two images of the same stem.
    """
    folders = []
    for folder in lq_folder, gt_folder:
        folders.append(list_images(folder))
        if not folders[-1]:
            raise UserError(f'{folder} holds no images')
    return pair_images(*folders)


def pair_images(lq_paths: Sequence[Path], gt_paths: Sequence[Path]) -> Pairing:
    """Pair images by their names as :func:`find_pairs` does.

    Args:
        lq_paths: images of different stems; LQ images, or results.
        gt_paths: ground truths, of different stems.
    """
    lq, gt = ({path.stem: path for path in paths} for paths in (lq_paths, gt_paths))
    pairs = []

    def pair_by(lq_name: Callable[[str], str], gt_name: Callable[[str], str]) -> None:
        partners = {gt_name(stem): stem for stem in reversed(gt)}
        for stem in list(lq):
            partner = partners.pop(lq_name(stem), None)
            if partner is not None:
                pairs.append((lq.pop(stem), gt.pop(partner)))

    pair_by(str, str)
    pair_by(_without_ending, str)
    pair_by(str, _without_ending)
    pair_by(_without_ending, _without_ending)
    pair_by(_without_two_endings, _without_ending)
    return Pairing(sorted(pairs, key=lambda pair: pair[1]), sorted({*lq.values(), *gt.values()}))


def split_pairs(pairs: Sequence[Pair], validation: float) -> tuple[list[Pair], list[Pair]]:
    """Set some pairs aside for validation.

    Which ones depends on the names of the GT images alone: the choice is the same for every run,
    process and folder, and hardly changes when images are added.

    Args:
        pairs: of LQ and GT, two at least.
        validation: how many pairs, or, below 1, which fraction of them, rounded.

    Returns:
        Pairs to train on and pairs to validate on, each in the order of ``pairs``, neither empty.

    Raises:
        UserError: if there are not as many.
    """
    count = round(validation * len(pairs)) if validation < 1 else int(validation)
    count = max(count, 1)
    if count >= len(pairs):
        raise UserError(
            f'{count} of {len(pairs)} pairs of images for validation leave none to train on'
        )
    order = sorted(pairs, key=lambda pair: sha256(pair[1].stem.encode()).digest())
    chosen = set(order[:count])
    return [p for p in pairs if p not in chosen], [p for p in pairs if p in chosen]


def find_misfits(
    pairs: Sequence[Pair], *, scale: int | None = None, gt_patch_size: int = 1, decode: bool = False
) -> Iterator[str | None]:
    """For each pair: why it will not do, in one line; None if it will.

    Reads headers, and the last bytes of PNG files: other damage shows when images are decoded.

    Args:
        pairs: of LQ and GT.
        scale: how many times as wide and high each GT is as its LQ; None for any.
        gt_patch_size: what an image must have at least along its sides, in pixels of GT.
        decode: decode all images as well.
    """
    for lq, gt in pairs:
        try:
            _check_pair(lq, gt, scale, gt_patch_size)
            for path in (lq, gt) if decode else ():
                read_rgb(path)
        except UserError as error:
            yield str(error)
        else:
            yield None


def _without_ending(stem: str) -> str:
    return _ENDING.sub('', stem)


def _without_two_endings(stem: str) -> str:
    return _without_ending(_without_ending(stem))


def check_pairs(
    pairs: Sequence[Pair],
    *,
    title: str,
    scale: int | None = None,
    gt_patch_size: int = 1,
    report: Callable[[str], None] = print,
) -> None:
    """Raise UserError, naming the first in question, unless all pairs of images will do.

    Args:
        pairs: see :func:`find_misfits`, as ``scale`` and ``gt_patch_size``.
        title: of the data set, for messages.
        scale: of the GT images.
        gt_patch_size: that is trained on.
        report: gets a line on the progress every few seconds.
    """
    problems = []
    reported = time.monotonic()
    misfits = find_misfits(pairs, scale=scale, gt_patch_size=gt_patch_size)
    for i, problem in enumerate(misfits):
        if time.monotonic() - reported > _SECONDS_BETWEEN_LINES:
            reported = time.monotonic()
            report(f'checking the {title} images: {i} of {len(pairs)}')
        if problem:
            problems.append(problem)
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
            f'{gt} has {width}x{height} pixels, smaller than the training patch of {gt_patch_size}'
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
