"""LQ images and their ground truths, none of them damaged."""

import os.path as osp
from pathlib import Path
from typing import Any

from mmagic.datasets import BasicImageDataset
from mmagic.registry import DATASETS

from csnln_mm.datasets.pairs import find_pairs, split_pairs
from csnln_mm.errors import UserError
from csnln_mm.images.image_file import read_rgb


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


@DATASETS.register_module()
class FolderPairDataset(ImagePairDataset):
    """Two folders of images that are paired by their names.

    See :func:`~csnln_mm.datasets.pairs.find_pairs`.

    Args:
        data_prefix: folders ``img`` of LQ and ``gt`` of GT; the same where the pipeline makes LQ
            images of their ground truths.
        data_root: folder that they are in.
        part: 'train' or 'val' of the pairs as
            :func:`~csnln_mm.datasets.pairs.split_pairs` divides them; by default all.
        validation: how many pairs, or which fraction of them, are 'val'.
        **options: others of :class:`ImagePairDataset`.

    Raises:
        UserError: when the images are listed, naming the first in question, if one has no partner
            or there are fewer than ``validation``.
    """

    def __init__(
        self,
        data_prefix: dict[str, str],
        data_root: str = '',
        part: str | None = None,
        validation: float = 0.05,
        **options: Any,
    ) -> None:
        self.part = part
        self.validation = validation
        super().__init__(data_prefix=data_prefix, data_root=data_root, **options)

    def load_data_list(self) -> list[dict]:
        """One dict a pair, with ``img_path``, ``gt_path``, and the stem of GT as ``key``."""
        lq, gt = (Path(self.data_prefix[key]) for key in ('img', 'gt'))
        pairs, unpaired = find_pairs(lq, gt)
        if unpaired:
            more = f' (and {len(unpaired) - 1} more)' if unpaired[1:] else ''
            raise UserError(f'{unpaired[0]} has no partner{more} among the images of {lq} and {gt}')
        if self.part:
            train, val = split_pairs(pairs, self.validation)
            pairs = dict(train=train, val=val)[self.part]
        return [dict(key=gt.stem, img_path=str(lq), gt_path=str(gt)) for lq, gt in pairs]
