"""Pair LQ and GT images by name, and check pairs by their headers."""

import re
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from csnln_mm.errors import UserError
from csnln_mm.images.ground_truth import count_bands
from csnln_mm.images.image_file import list_images, read_header, read_rgb

_PNG_START = b'\x89PNG\r\n\x1a\n'
# Every complete PNG ends with this chunk.
_PNG_END = b'\0\0\0\0IEND\xaeB`\x82'
# The endings of partners' names: img_001x2, img_001_LR4, img_001_HR, img_001_x2_SR.
_ENDING = re.compile(r'[-_. ]?(x[2-9]|lr|lr[2-9]|lq|hr|gt|sr)$', re.IGNORECASE)

Pair = tuple[Path, Path]
# What the image backends of MMCV read as this package does.
_SUFFIXES = '.bmp .jfif .jpeg .jpg .png .ppm .tif .tiff .webp'.split()


class Pairing(NamedTuple):
    """The images of two folders, paired.

    Attributes:
        pairs: (LQ, GT), sorted by the name of GT.
        unpaired: images without a partner, sorted.
    """

    pairs: list[Pair]
    unpaired: list[Path]


def find_pairs(lq_folder: Path, gt_folder: Path) -> Pairing:
    """Pair the images of two folders by their names.

    Partners have the same stem, or stems that differ only in their ending: a scale such as 'x2',
    'LR', 'LR2', 'LQ', 'HR', 'GT' or 'SR', in either case, after one of ``-_.``, a space or nothing.
    LQ names may have two endings, as in 'a_x2_SR'. Equal stems take precedence: ``ax2.jpg`` is the
    partner of ``ax2.png`` if there is one, else of ``a.png``.

    Args:
        lq_folder: of images; subfolders do not count.
        gt_folder: likewise; if it is ``lq_folder``, each image is its own partner.

    Raises:
        UserError: if a folder has no images, or two images of the same stem.
    """
    folders = []
    for folder in lq_folder, gt_folder:
        folders.append(list_images(folder, _SUFFIXES))
        if not folders[-1]:
            raise UserError(f'{folder} holds no images')
    return pair_images(*folders)


def pair_images(lq_paths: Sequence[Path], gt_paths: Sequence[Path]) -> Pairing:
    """Pair images by their names as :func:`find_pairs` does.

    Args:
        lq_paths: LQ images or results, with different stems.
        gt_paths: ground truths, with different stems.
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
    pair_by(lambda stem: _without_ending(_without_ending(stem)), _without_ending)
    return Pairing(sorted(pairs, key=lambda pair: pair[1]), sorted({*lq.values(), *gt.values()}))


def split_pairs(pairs: Sequence[Pair], validation: float) -> tuple[list[Pair], list[Pair]]:
    """Set some pairs aside for validation.

    The choice depends only on the names of the GT images: it is the same in every run, process and
    folder, and hardly changes when images are added.

    Args:
        pairs: at least two.
        validation: number, or below 1 the fraction, of the pairs.

    Returns:
        Pairs to train on and pairs to validate on, each in the order of ``pairs``, neither empty.

    Raises:
        UserError: if no pair would be left to train on.
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
    pairs: Sequence[Pair],
    *,
    scale: int | None = None,
    gt_patch_size: int = 1,
    channels: int | None = None,
    bands: str | None = None,
    decode: bool = False,
) -> Iterator[str | None]:
    """Yield for each pair, in one line, why it does not fit; None if it does.

    Reads headers, and the last bytes of PNG files; other damage shows only when images are decoded.

    Args:
        pairs: (LQ, GT).
        scale: required ratio of the sides of GT to those of LQ; None for any.
        gt_patch_size: smallest accepted side of a GT, in pixels.
        channels: that images must have, unless they have one; None: 8-bit grey or RGB.
        bands: the bands to use of each image.
        decode: whether to decode all images as well.
    """

    def size(path: Path) -> tuple[int, int]:
        return _size(path, channels, bands)

    for lq, gt in pairs:
        try:
            _check_pair(lq, gt, scale, gt_patch_size, size)
            for path in (lq, gt) if decode else ():
                read_rgb(path)
        except UserError as error:
            yield str(error)
        else:
            yield None


def _without_ending(stem: str) -> str:
    return _ENDING.sub('', stem)


def _check_pair(
    lq: Path,
    gt: Path,
    scale: int | None,
    gt_patch_size: int,
    size: Callable[[Path], tuple[int, int]],
) -> None:
    for path, partner in (lq, gt), (gt, lq):
        if not path.is_file():
            raise UserError(
                f'{path} does not exist'
                + (f', the partner of {partner}' if partner.is_file() else '')
            )
    (lq_width, lq_height), (width, height) = size(lq), size(gt)
    # Both folders are the same where the pipeline makes the LR images.
    if scale and lq != gt and (width, height) != (scale * lq_width, scale * lq_height):
        raise UserError(
            f'{lq} has {lq_width}x{lq_height} pixels and {gt} {width}x{height}, which '
            f'is not {scale} times that'
        )
    if min(width, height) < gt_patch_size:
        raise UserError(
            f'{gt} has {width}x{height} pixels, smaller than the training patch of {gt_patch_size}'
        )


def _size(path: Path, channels: int | None, bands: str | None) -> tuple[int, int]:
    """(width, height) of an image of these bands, from its header if the file looks complete."""
    header = read_header(path)
    count = count_bands(path, header, bands)
    try:
        with open(path, 'rb') as file:
            is_png = file.read(len(_PNG_START)) == _PNG_START
            file.seek(-len(_PNG_END), 2)
            whole = not is_png or file.read() == _PNG_END
    except OSError as error:
        raise UserError(f'{path} cannot be read: {error.strerror or error}') from error
    if not whole:
        read_rgb(path)  # says what is wrong, or reads a complete PNG that something else follows
    if channels is None and count is not None:
        raise UserError(
            f'{path} is not an image of 8 bits, grey or RGB, as others are; to read all of them by '
            'their range of values, give --range'
        )
    if channels is not None and count not in (None, 1, channels):
        raise UserError(
            f'{path} has {count} bands, and the network takes {channels}; choose them with --bands'
        )
    return header.size
