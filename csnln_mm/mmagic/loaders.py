"""Find the dataloaders of a config, and check the images that they name."""

import copy
import os
import os.path as osp
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mmagic.registry import DATASETS
from mmengine.config import Config, ConfigDict
from mmengine.logging import MMLogger
from torch import nn

from csnln_mm.datasets.pairs import find_misfits
from csnln_mm.device import cores_here
from csnln_mm.errors import UserError
from csnln_mm.shard import Shard

LOADERS = 'train_dataloader', 'val_dataloader', 'test_dataloader'
_SECONDS_BETWEEN_LINES = 5.0


class Loader(NamedTuple):
    """A dataloader in a config.

    Attributes:
        place: dotted name, such as 'test_dataloader[0]'.
        config: of the dataloader.
        dataset: config of the innermost data set.
    """

    place: str
    config: ConfigDict
    dataset: ConfigDict


def loaders(cfg: Config, *names: str) -> list[Loader]:
    """List the dataloaders of a config: those of the given names, by default all."""
    found = []
    for name in names or LOADERS:
        for place, config in parts(cfg.get(name), name):
            dataset = config.get('dataset') or ConfigDict()
            while 'dataset' in dataset:
                dataset = dataset['dataset']
            found.append(Loader(place, config, dataset))
    return found


def parts(value: Any, place: str = '') -> list[tuple[str, ConfigDict]]:
    """List (place, config) of a part that is one config, a list of them, or nothing."""
    if isinstance(value, (list, tuple)):
        return [(f'{place}[{i}]', item) for i, item in enumerate(value)]
    return [(place, value)] if value else []


def limit_workers(cfg: Config) -> None:
    """Reduce the dataloader workers in ``cfg`` to the cores of each training process."""
    processes = int(os.environ.get('LOCAL_WORLD_SIZE', 1))
    limit = max(1, cores_here() // processes)
    for loader in loaders(cfg):
        loader.config.num_workers = min(loader.config.get('num_workers', 0), limit)


def check_images(cfg: Config, model: nn.Module, titles: Mapping[str, str]) -> None:
    """Check the folders and the image headers of a run.

    Args:
        cfg: config of the run.
        model: its ``generator.upscale_factor``, if any, is the scale.
        titles: dataloaders to check, with what messages call their images.

    Raises:
        UserError: names the first image that is missing, damaged, of another scale, or smaller
            than the training patches, or says that network and images have other channels.
    """
    scale = getattr(getattr(model, 'generator', None), 'upscale_factor', None)
    for name, title in titles.items():
        for _, _, dataset in loaders(cfg, name):
            if folder := _missing_folder(dataset):
                raise UserError(
                    f'{title} images: {folder} does not exist; prepare it (docs/data.md), or '
                    'name another data_root with --cfg-options'
                )
            pipeline = dataset.get('pipeline', ())
            _check_channels(pipeline, model, title)
            gt_patch_size = _needed_gt_size(pipeline)
            check_dataset(dataset, title=title, scale=scale, gt_patch_size=gt_patch_size)


def leave_out_missing_tests(cfg: Config) -> None:
    """Remove test sets without a folder from a config, with a warning; UserError if none stays."""
    missing = [_missing_folder(dataset) for *_, dataset in loaders(cfg, 'test_dataloader')]
    for folder in filter(None, missing):
        logger = MMLogger.get_current_instance()
        logger.warning(f'skipped: the test images of {folder}, which does not exist')
    if all(missing):
        raise UserError('there are no test images: ' + ', '.join(missing) + ' do not exist')
    if any(missing):
        for name in 'test_dataloader', 'test_evaluator':
            cfg[name] = [x for (_, x), gone in zip(parts(cfg[name]), missing) if not gone]


def take_share(cfg: Config, shard: Shard) -> None:
    """Leave a share of each test set in a config.

    Raises:
        UserError: if it has no image.
    """
    kept = []
    for number, (_, _, dataset) in enumerate(loaders(cfg, 'test_dataloader')):
        listing = dict(copy.deepcopy(dataset), pipeline=[], serialize_data=False)
        dataset.indices = shard.of(list(range(len(DATASETS.build(listing)))))
        if dataset.indices:
            kept.append(number)
    if not kept:
        raise UserError(f'share {shard} has no image: there are fewer than that')
    for name in 'test_dataloader', 'test_evaluator':
        if isinstance(cfg[name], (list, tuple)):
            cfg[name] = [cfg[name][number] for number in kept]


def check_dataset(
    dataset: dict, *, title: str, scale: int | None = None, gt_patch_size: int = 1
) -> None:
    """Check the image headers of a data set; other data sets than local image pairs pass.

    Args:
        dataset: config of an ``ImagePairDataset`` or of MMagic's ``BasicImageDataset``.
        title: what messages call the images, such as 'training'.
        scale: required ratio of ``gt`` to ``img`` sides; None to accept any.
        gt_patch_size: smallest accepted side of a ``gt``, in pixels.

    Raises:
        UserError: names the first image that does not fit, and counts the others.
    """
    pairs = _list_pairs(dataset)
    if pairs is None:
        return
    if not pairs:
        folder = osp.join(dataset.get('data_root') or '', dataset['data_prefix']['img'])
        raise UserError(f'{title} images: there are none in {folder}')
    problems, reported = [], time.monotonic()
    options: dict[str, Any] = {}
    for step in dataset.get('pipeline', ()):
        if step.get('type') == 'LoadBands':
            options = dict(channels=step.get('channels', 3), bands=step.get('bands'))
    misfits = find_misfits(pairs, scale=scale, gt_patch_size=gt_patch_size, **options)
    for i, problem in enumerate(misfits):
        if time.monotonic() - reported > _SECONDS_BETWEEN_LINES:
            reported = time.monotonic()
            progress = f'checking the {title} images: {i} of {len(pairs)}'
            MMLogger.get_current_instance().info(progress)
        problems += [problem] if problem else []
    if problems:
        more = f' (and {len(problems) - 1} more of {len(pairs)})' if problems[1:] else ''
        raise UserError(f'{title} images: {problems[0]}{more}')


def _check_channels(pipeline: Sequence[dict], model: nn.Module, title: str) -> None:
    """Raise UserError unless images are loaded with the channels that network and model take."""
    takes = getattr(getattr(model, 'generator', None), 'in_channels', None)
    mean = getattr(getattr(model, 'data_preprocessor', None), 'mean', None)
    for step in pipeline:
        loaded = None
        if step.get('type') == 'LoadBands':
            loaded = step.get('channels', 3)
        elif step.get('type') == 'LoadImageFromFile':
            grey = step.get('color_type') == 'grayscale' or step.get('to_y_channel')
            loaded = 1 if grey else 3
        if loaded is None:
            continue
        if takes not in (None, loaded):
            option = '--data' if title == 'test' else '--gt'
            raise UserError(
                f'the network takes images of {takes} channel{"s" * (takes != 1)}, and the {title} '
                f'images are loaded with {loaded}; name them with {option}, or load '
                f'them by LoadBands with channels={takes} in the config'
            )
        if mean is not None and mean.numel() not in (1, loaded):
            raise UserError(
                f'model.data_preprocessor has {mean.numel()} means, and images have {loaded} '
                f'channel{"s" * (loaded != 1)}; give one mean and one std, for all'
            )


def _list_pairs(dataset: dict) -> list[tuple[Path, Path]] | None:
    """List the paths (img, gt), partners missing or not; None for another kind of data set."""
    if (
        set(dataset.get('data_prefix', ())) != {'img', 'gt'}
        or dataset.get('backend_args')
        or '://' in (dataset.get('data_root') or '')
    ):
        return None
    pairs: dict[str, tuple[Path, Path]] = {}
    # MMagic lists one folder and assumes that the other one has the same names.
    for key in ('img',) if dataset.get('ann_file') else ('img', 'gt'):
        listing = dict(copy.deepcopy(dataset), pipeline=[], search_key=key, serialize_data=False)
        built = DATASETS.build(listing)
        for i in range(len(built)):
            sample = built.get_data_info(i)
            pairs[sample['key']] = Path(sample['img_path']), Path(sample['gt_path'])
    return [pairs[key] for key in sorted(pairs)]


def _missing_folder(dataset: ConfigDict) -> str | None:
    """The first missing folder or annotation file of a data set."""
    root = dataset.get('data_root') or ''
    for path in *dataset.get('data_prefix', {}).values(), dataset.get('ann_file'):
        path = osp.join(root, path) if path else root
        if path and '://' not in path and not osp.exists(path):
            return path
    return None


def _needed_gt_size(pipeline: Sequence[dict]) -> int:
    """The smallest side, in pixels, of a ground truth that a pipeline can crop."""
    sizes = [1]
    for step in pipeline:
        if step.get('type') in ('PairedRandomCrop', 'BicubicDegradation'):
            sizes.append(step.get('gt_patch_size') or 1)
        elif step.get('type') == 'Crop' and 'gt' in step['keys']:
            sizes += step['crop_size']
    return max(sizes)
