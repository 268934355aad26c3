"""LQ images and their ground truths, none of them damaged."""

import os.path as osp
from typing import Any

from mmagic.datasets import BasicImageDataset
from mmagic.registry import DATASETS

from csnln_mm.errors import UserError
from csnln_mm.images.image_file import read_rgb

__all__ = ['ImagePairDataset']


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
