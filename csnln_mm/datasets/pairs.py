"""What the headers of a data set's images tell before a training or test begins."""

import copy
import os
import time
import warnings
from collections.abc import Iterable
from pathlib import Path

from mmengine.logging import print_log
from PIL import Image

from csnln_mm.errors import UserError
from csnln_mm.images.image_file import INPUT_FORMATS, read_rgb

__all__ = ['check_images']

# Every whole PNG ends with this chunk.
_PNG_END = b'\0\0\0\0IEND\xaeB`\x82'
_SECONDS_BETWEEN_LINES = 5.0


def check_images(
    dataset: dict, *, title: str, scale: int | None = None, gt_patch_size: int = 1
) -> None:
    """Raise UserError, naming the first in question, unless all images of a data set will do.

    Reads headers, and the last bytes of PNG files: what is damaged in between shows when it is
    read. Data sets of another kind than pairs ``img`` and ``gt`` in local folders pass.

    Args:
        dataset: config of a :class:`~.image_pair_dataset.ImagePairDataset` or of MMagic's
            ``BasicImageDataset``.
        title: of the data set, for messages.
        scale: how many times as wide and high each ``gt`` is as its ``img``; None for any.
        gt_patch_size: what an image must have at least along its sides, in pixels of ``gt``.
    """
    pairs = _list_pairs(dataset, title)
    if pairs is None:
        return
    if not pairs:
        folder = os.path.join(dataset.get('data_root') or '', dataset['data_prefix']['img'])
        raise UserError(f'{title} images: there are none in {folder}')
    problems = []
    for lq, gt in _with_progress(pairs, f'looking at the {title} images'):
        try:
            _check_pair(lq, gt, scale, gt_patch_size)
        except UserError as error:
            problems.append(str(error))
    if problems:
        more = f' (and {len(problems) - 1} more of {len(pairs)})' if problems[1:] else ''
        raise UserError(f'{title} images: {problems[0]}{more}')


def _list_pairs(dataset: dict, title: str) -> list[tuple[Path, Path]] | None:
    """Paths of (img, gt), also of those that have no partner."""
    from mmagic.registry import DATASETS

    if (
        set(dataset.get('data_prefix', ())) != {'img', 'gt'}
        or dataset.get('backend_args')
        or '://' in (dataset.get('data_root') or '')
    ):
        return None
    pairs: dict[str, tuple[Path, Path]] = {}
    # MMagic lists one folder and takes the other for granted.
    for key in ('img',) if dataset.get('ann_file') else ('img', 'gt'):
        listing = dict(copy.deepcopy(dataset), pipeline=[], search_key=key, serialize_data=False)
        try:
            built = DATASETS.build(listing)
        except TypeError as error:  # a setting that it does not have
            raise UserError(f'{title} data set: {error}') from error
        for i in range(len(built)):
            sample = built.get_data_info(i)
            pairs[sample['key']] = Path(sample['img_path']), Path(sample['gt_path'])
    return [pairs[key] for key in sorted(pairs)]


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
        # Says what is wrong; a whole PNG may have something else behind it.
        height, width = read_rgb(path).shape[:2]
        return width, height
    if mode.startswith(('I', 'F')):
        raise UserError(f'{path} has more than 8 bits a channel; convert it')
    return size


def _with_progress(pairs: list[tuple[Path, Path]], text: str) -> Iterable[tuple[Path, Path]]:
    told = time.monotonic()
    for i, pair in enumerate(pairs):
        if time.monotonic() - told > _SECONDS_BETWEEN_LINES:
            told = time.monotonic()
            print_log(f'{text}: {i} of {len(pairs)}', 'current')
        yield pair
