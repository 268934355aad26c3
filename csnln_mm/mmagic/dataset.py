"""LQ images and their ground truths, none of them damaged."""

import copy
import os.path as osp
from functools import partial
from pathlib import Path
from typing import Any

from mmagic.datasets import BasicImageDataset
from mmagic.registry import DATASETS
from mmengine.logging import print_log

from csnln_mm.datasets.pairs import check_pairs
from csnln_mm.errors import UserError
from csnln_mm.images.image_file import read_rgb

__all__ = ['ImagePairDataset', 'check_images']


@DATASETS.register_module()
class ImagePairDataset(BasicImageDataset):
    """MMagic's :class:`BasicImageDataset` that names the image that it cannot read.

    Its arguments are MMagic's; ``data_prefix`` has the folder of each key, such as ``img`` and
    ``gt``.

    Raises:
        UserError: when the images are listed (at once, or on the first use with ``lazy_init``), if
            the annotation file is no list of names or a name in it leads out of the folders; for
            a sample, if one of its images is missing, damaged, or not what the pipeline needs.
    """

    def load_data_list(self) -> list[dict]:
        """One dict a pair, with ``KEY_path`` for each key of ``data_prefix``."""
        try:
            samples = super().load_data_list()
        except (OSError, ValueError) as error:
            source = self.ann_file or self.data_prefix[self.search_key]
            raise UserError(f'{source} cannot be read: {error}') from error
        for sample in samples:
            for key, folder in self.data_prefix.items():
                path = sample[f'{key}_path']
                if '\0' in path or osp.relpath(path, folder).split(osp.sep)[0] == osp.pardir:
                    raise UserError(f'{self.ann_file}: {path!r:.200} is not in {folder}')
        return samples

    def prepare_data(self, idx: int) -> Any:
        """The sample of this index through the pipeline."""
        try:
            return super().prepare_data(idx)
        except Exception as error:
            sample = self.get_data_info(idx)
            paths = [sample[f'{key}_path'] for key in self.data_prefix]
            for path in paths:
                read_rgb(path)  # names the one that cannot be read
            reason = ' '.join(str(error).split()) or type(error).__name__
            raise UserError(f'{" and ".join(paths)}: {reason}') from error


def check_images(
    dataset: dict, *, title: str, scale: int | None = None, gt_patch_size: int = 1
) -> None:
    """Raise UserError, naming the first in question, unless all images of a data set will do.

    Data sets of another kind than pairs ``img`` and ``gt`` in local folders pass.

    Args:
        dataset: config of an :class:`ImagePairDataset` or of MMagic's ``BasicImageDataset``.
        title: see :func:`~csnln_mm.datasets.pairs.check_pairs`, as the others.
        scale: how many times as wide and high each ``gt`` is as its ``img``.
        gt_patch_size: in pixels of ``gt``.
    """
    pairs = _list_pairs(dataset, title)
    if pairs is None:
        return
    if not pairs:
        folder = osp.join(dataset.get('data_root') or '', dataset['data_prefix']['img'])
        raise UserError(f'{title} images: there are none in {folder}')
    report = partial(print_log, logger='current')
    check_pairs(pairs, title=title, scale=scale, gt_patch_size=gt_patch_size, report=report)


def _list_pairs(dataset: dict, title: str) -> list[tuple[Path, Path]] | None:
    """Paths of (img, gt), also of those that have no partner."""
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
