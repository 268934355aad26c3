"""LQ images and their ground truths, none of them damaged."""

import copy
import os.path as osp
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from mmagic.datasets import BasicImageDataset
from mmagic.registry import DATASETS
from mmengine.config import Config, ConfigDict
from mmengine.logging import print_log
from torch import nn

from csnln_mm.datasets.pairs import check_pairs, find_pairs, split_pairs
from csnln_mm.errors import UserError
from csnln_mm.images.image_file import read_rgb
from csnln_mm.mmagic.check_config import innermost
from csnln_mm.mmagic.config import as_list


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


def needed_gt_size(pipeline: Sequence[dict]) -> int:
    """The least side of a ground truth for the patches that a pipeline cuts out, in pixels."""
    sizes = [1]
    for step in pipeline:
        if step.get('type') in ('PairedRandomCrop', 'BicubicDegradation'):
            sizes.append(step.get('gt_patch_size') or 1)
        elif step.get('type') == 'Crop' and 'gt' in step['keys']:
            sizes += step['crop_size']
    return max(sizes)


def check_images(cfg: Config, model: nn.Module, loaders: Mapping[str, str]) -> None:
    """Raise UserError, naming the first in question, unless the images of a run will do.

    As far as folders and headers tell: images that are missing, damaged, not the model's scale
    apart, or smaller than the patches that are trained on.

    Args:
        cfg: of the run.
        model: whose ``generator.upscale_factor``, if it has one, is the scale.
        loaders: names of dataloaders in the config, and what their images are called in messages.
    """
    scale = getattr(getattr(model, 'generator', None), 'upscale_factor', None)
    for name, title in loaders.items():
        for loader in as_list(cfg.get(name)):
            if folder := _missing_folder(loader):
                raise UserError(
                    f'{title} images: {folder} does not exist; prepare it (docs/data.md), or '
                    'name another data_root with --cfg-options'
                )
            dataset = innermost(loader.dataset)
            check_dataset(
                dataset,
                title=title,
                scale=scale,
                gt_patch_size=needed_gt_size(dataset.get('pipeline', ())),
            )


def leave_out_missing_tests(cfg: Config) -> None:
    """Take the test sets whose folders do not exist out of a config, with a warning.

    Raises:
        UserError: if there is no other.
    """
    loaders, evaluators = as_list(cfg.test_dataloader), as_list(cfg.test_evaluator)
    missing = [_missing_folder(loader) for loader in loaders]
    for folder in filter(None, missing):
        print_log(f'skipped: the test images of {folder}, which does not exist', 'current', 30)
    if all(missing):
        raise UserError('there are no test images: ' + ', '.join(missing) + ' do not exist')
    if any(missing):
        cfg.test_dataloader = [x for x, gone in zip(loaders, missing) if not gone]
        cfg.test_evaluator = [x for x, gone in zip(evaluators, missing) if not gone]


def _missing_folder(loader: ConfigDict) -> str | None:
    """The first folder or annotation file of a dataloader that does not exist."""
    dataset = innermost(loader.dataset)
    root = dataset.get('data_root') or ''
    for path in *dataset.get('data_prefix', {}).values(), dataset.get('ann_file'):
        path = osp.join(root, path) if path else root
        if path and '://' not in path and not osp.exists(path):
            return path
    return None


def check_dataset(
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
    pairs = _list_pairs(dataset)
    if pairs is None:
        return
    if not pairs:
        folder = osp.join(dataset.get('data_root') or '', dataset['data_prefix']['img'])
        raise UserError(f'{title} images: there are none in {folder}')
    report = partial(print_log, logger='current')
    check_pairs(pairs, title=title, scale=scale, gt_patch_size=gt_patch_size, report=report)


def _list_pairs(dataset: dict) -> list[tuple[Path, Path]] | None:
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
        built = DATASETS.build(listing)
        for i in range(len(built)):
            sample = built.get_data_info(i)
            pairs[sample['key']] = Path(sample['img_path']), Path(sample['gt_path'])
    return [pairs[key] for key in sorted(pairs)]
