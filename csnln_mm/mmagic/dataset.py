"""Data sets of LQ and GT images that name a damaged file."""

import os.path as osp
from pathlib import Path
from typing import Any

from mmagic.datasets import BasicImageDataset
from mmagic.registry import DATASETS

from csnln_mm.datasets.pairs import find_pairs, split_pairs
from csnln_mm.errors import UserError, one_line
from csnln_mm.images.image_file import read_rgb


@DATASETS.register_module()
class ImagePairDataset(BasicImageDataset):
    """MMagic's :class:`BasicImageDataset`, with errors that name the image.

    It takes MMagic's arguments; ``data_prefix`` maps keys such as ``img`` and ``gt`` to folders.

    Raises:
        UserError: when images are listed (at once, or on first use with ``lazy_init``), if the
            annotation file is not a list of names, or a name leads out of the folders; for a
            sample, if an image is missing, damaged, or not what the pipeline needs.
    """

    def load_data_list(self) -> list[dict]:
        """List a dict for each pair, with ``KEY_path`` for each key of ``data_prefix``."""
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
        """Load a sample and pass it through the pipeline."""
        try:
            return super().prepare_data(idx)
        except Exception as error:
            sample = self.get_data_info(idx)
            paths = [sample[f'{key}_path'] for key in self.data_prefix]
            for path in paths:
                read_rgb(path)  # names the one that cannot be read
            raise UserError(f'{" and ".join(paths)}: {one_line(error)}') from error


@DATASETS.register_module()
class FolderPairDataset(ImagePairDataset):
    """Pairs two folders of images by name, see :func:`~csnln_mm.datasets.pairs.find_pairs`.

    Args:
        data_prefix: folders ``img`` (LQ) and ``gt`` (GT); the same one where the pipeline makes
            LQ images from ground truths.
        data_root: folder that contains them.
        part: 'train' or 'val', see :func:`~csnln_mm.datasets.pairs.split_pairs`; all by default.
        validation: number, or below 1 the fraction, of the pairs in 'val'.
        **options: of :class:`ImagePairDataset`.

    Raises:
        UserError: when images are listed, if one has no partner (the first is named), or there are
            too few for ``validation``.
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
        """List a dict for each pair: ``img_path``, ``gt_path``, and the stem of GT as ``key``."""
        lq, gt = (Path(self.data_prefix[key]) for key in ('img', 'gt'))
        pairs, unpaired = find_pairs(lq, gt)
        if unpaired:
            more = f' (and {len(unpaired) - 1} more)' if unpaired[1:] else ''
            raise UserError(f'{unpaired[0]} has no partner{more} among the images of {lq} and {gt}')
        if self.part:
            train, val = split_pairs(pairs, self.validation)
            pairs = dict(train=train, val=val)[self.part]
        return [dict(key=gt.stem, img_path=str(lq), gt_path=str(gt)) for lq, gt in pairs]
