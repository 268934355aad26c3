"""Adapt a config to a user's images, checkpoint and number of steps."""

import contextlib
import copy
import math
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.hub import get_config

from csnln_mm.checkpoints import load_checkpoint
from csnln_mm.checkpoints.architecture import read_architecture, read_test_cfg
from csnln_mm.checkpoints.network import read_network
from csnln_mm.datasets.benchmarks import GT_FOLDER, lr_folder
from csnln_mm.errors import UserError
from csnln_mm.images.ground_truth import count_bands
from csnln_mm.images.image_file import list_images, read_header
from csnln_mm.images.value_range import RangeOption
from csnln_mm.mmagic.config import apply_cfg_options, load_config
from csnln_mm.mmagic.loaders import loaders, parts
from csnln_mm.networks.csnln_net import RGB_MEAN

_REAL_ESRGAN = 'mmagic::real_esrgan/realesrnet_c64b23g32_4xb12-lr2e-4-1000k_df2k-ost.py'


def set_images(
    cfg: Config,
    gt: Path,
    lq: Path | None = None,
    *,
    degradation: str = 'bicubic',
    patch_size: int | None = None,
    validation: float = 0.05,
    val_gt: Path | None = None,
    val_lq: Path | None = None,
    value_range: RangeOption = None,
    bands: str | None = None,
) -> None:
    """Train and validate on a user's images; everything else stays as in the config.

    If the first ground truth is not 8-bit grey or RGB, all images are loaded by
    :class:`~csnln_mm.mmagic.transforms.LoadBands`, and a network without weights gets as many
    channels as they have bands.

    Args:
        cfg: config of a training run, changed in place.
        gt: folder of ground truths.
        lq: folder of their LQ images, paired by :func:`~csnln_mm.datasets.pairs.find_pairs`; by
            default LQ images are made while training loads.
        degradation: how to make LQ images for training: 'bicubic' (MATLAB's), or 'realesrgan', the
            random degradations of MMagic's config of Real-ESRNet. Validation uses bicubic.
        patch_size: side of the LQ patches, in pixels; by default the config's.
        validation: number, or below 1 the fraction, of the pairs to set aside for validation.
        val_gt: folder of ground truths to validate on instead.
        val_lq: folder of their LQ images; bicubic by default.
        value_range: values that are black and white, see
            :func:`~csnln_mm.images.value_range.find_range`.
        bands: those to train on, such as '4,3,2,8'.

    Raises:
        UserError: if the config has no random crops of pairs, no validation, or no scale, or its
            network takes another number of bands.
    """
    scale = find_scale(cfg)
    train, val = ((*loaders(cfg, f'{name}_dataloader'), None)[0] for name in ('train', 'val'))
    pipeline = train.dataset.get('pipeline', ()) if train else ()
    crop = next((step for step in pipeline if step.get('type') == 'PairedRandomCrop'), None)
    if not scale or not val or crop is None:
        raise UserError(
            f'config {cfg.filename} cannot train on --gt: it needs an upscale_factor of '
            'model.generator, a val_dataloader, and a train_dataloader with a PairedRandomCrop; '
            'take another config, e.g. csnln_x2_div2k.py, or write one with a train_dataloader '
            'of your own'
        )
    patch = crop.gt_patch_size if patch_size is None else scale * patch_size
    if lq:
        steps = [dict(crop, gt_patch_size=patch)]
    else:
        bicubic = dict(type='BicubicDegradation', scale=scale, gt_patch_size=patch)
        steps = _real_esrgan(scale, patch) if degradation == 'realesrgan' else [bicubic]
    at = pipeline.index(crop)
    steps = [*pipeline[:at], *steps, *pipeline[at + 1 :]]
    loading = _loading(cfg, gt, value_range, bands, is_free=not cfg.get('load_from'))
    if loading and degradation == 'realesrgan' and not lq:
        raise UserError('--degradation realesrgan is for grey or RGB of 8 bits')
    train_part, val_part = (None, None) if val_gt else ('train', 'val')
    train.config.dataset = _dataset(gt, lq, steps, loading, part=train_part, validation=validation)
    cfg.train_dataloader = train.config

    val_gt, val_lq = (val_gt, val_lq) if val_gt else (gt, lq)
    cfg.val_dataloader = copy.deepcopy(val.config)  # it may be one of the test sets as well
    cfg.val_dataloader.dataset = _test_dataset(
        val.dataset.pipeline, scale, val_gt, val_lq, loading, part=val_part, validation=validation
    )
    cfg.val_evaluator = parts(cfg.val_evaluator)[0][1]


def set_test_images(
    cfg: Config, folder: Path, value_range: RangeOption = None, bands: str | None = None
) -> None:
    """Test on a user's images instead of a config's test sets.

    Args:
        cfg: config of a test, changed in place.
        folder: a test set of ``csnln prepare benchmarks``, a folder of such sets, or a folder of
            ground truths, which are then reduced by bicubic.
        value_range, bands: as of :func:`set_images`.

    Raises:
        UserError: if the folder is none of these, the config has no tests or no scale, or its
            network takes another number of bands.
    """
    scale, tests = find_scale(cfg), loaders(cfg, 'test_dataloader')
    evaluators = parts(cfg.get('test_evaluator'))
    if not scale or not tests or not evaluators:
        raise UserError(
            f'config {cfg.filename} cannot test on --data: it needs an upscale_factor of '
            'model.generator, a test_dataloader and a test_evaluator'
        )
    sets = [
        (there.name, there / GT_FOLDER, there / lr_folder(scale))
        for there in [folder, *sorted(path for path in folder.iterdir() if path.is_dir())]
        if (there / GT_FOLDER).is_dir() and (there / lr_folder(scale)).is_dir()
    ]
    if not sets and list_images(folder):
        sets = [(folder.resolve().name, folder, None)]
    if not sets:
        raise UserError(
            f'--data: {folder} has neither images nor test sets with {GT_FOLDER} and '
            f'{lr_folder(scale)}; make them with csnln prepare benchmarks'
        )
    cfg.test_dataloader, cfg.test_evaluator = [], []
    loading = _loading(cfg, sets[0][1], value_range, bands, is_free=False)
    for name, gt, lq in sets:
        loader = ConfigDict(copy.deepcopy(tests[0].config))
        loader.dataset = _test_dataset(tests[0].dataset.pipeline, scale, gt, lq, loading)
        evaluator = ConfigDict(copy.deepcopy(evaluators[0][1]))
        for _, metric in parts(evaluator.metrics):
            metric.prefix = name
        cfg.test_dataloader.append(loader)
        cfg.test_evaluator.append(evaluator)
    cfg.test_cfg = dict(type='MultiTestLoop')


def config_of_checkpoint(path: str, **options: Any) -> Config:
    """Make the config of a test from a checkpoint alone, without running anything in the file.

    The checkpoint's config gives the network and ``test_cfg``, the package's config for the scale
    everything else.

    Args:
        path: checkpoint, or the name of a model of the package.
        **options: see :func:`~csnln_mm.mmagic.config.load_config`.

    Raises:
        UserError: if the checkpoint cannot be read, or holds a network of another package.
    """
    loaded = read_network(path)
    network = loaded.architecture
    scale = network.get('upscale_factor', 2)
    settings, options = options.pop('options', None) or {}, dict(options)
    cfg = load_config(f'csnln_x{scale}_div2k.py', **options)
    cfg.model.generator = ConfigDict(dict(type='CSNLNNet', upscale_factor=2) | network)
    set_channels(cfg, network.get('in_channels', 3))
    # The paper's network was measured on parts of images, the models of this package on whole ones.
    test_cfg = dict(mode='whole') if network.get('image_skip') else cfg.model.test_cfg
    cfg.model.test_cfg = read_test_cfg(loaded.meta) or test_cfg
    if not options.get('work_dir'):
        cfg.work_dir = str(Path('work_dirs', f'test_{Path(path).stem}'))
    apply_cfg_options(cfg, settings)
    return cfg


def find_scale(cfg: Config) -> int | None:
    """The upscale factor of a config's generator, or of the network that it extends."""
    generator = cfg.get('model', {}).get('generator') or {}
    return generator.get('upscale_factor') or generator.get('network', {}).get('upscale_factor')


def set_channels(cfg: Config, channels: int) -> None:
    """Adapt everything but the generator of a config to images of this number of bands.

    Unless there are three, one mean and deviation serve all bands, and metrics use all bands
    instead of Y.
    """
    if channels == 3:
        return
    if preprocessor := cfg.model.get('data_preprocessor'):
        preprocessor.update(mean=[0.0], std=[255.0])
    for name in 'val_evaluator', 'test_evaluator':
        for _, evaluator in parts(cfg.get(name)):
            for _, metric in parts(evaluator.metrics):
                if 'convert_to' in metric:
                    metric.convert_to = None
    # It draws three channels.
    hooks = [hook for _, hook in parts(cfg.get('custom_hooks'))]
    cfg.custom_hooks = [hook for hook in hooks if hook.get('type') != 'BasicVisualizationHook']


def _loading(
    cfg: Config, folder: Path, value_range: RangeOption, bands: str | None, *, is_free: bool
) -> dict[str, Any] | None:
    """The step that loads images like the first of a folder; None: as the config does.

    Fits the config to their number of bands, and also the network if it ``is_free``.
    """
    generator = cfg.model.generator
    network = generator.get('network') or generator
    channels, paths = network.get('in_channels', 3), list_images(folder)
    header = count = None
    if paths:
        with contextlib.suppress(UserError):  # which is said later, of all that are damaged
            header = read_header(paths[0])
    if header is not None:
        count = count_bands(paths[0], header, bands)
    if count not in (None, channels):
        is_free &= network.get('type') == 'CSNLNNet' and 'in_channels' not in network
        if is_free:
            channels, grey = count, sum(RGB_MEAN) / len(RGB_MEAN)
            network.update(in_channels=count, out_channels=count, rgb_mean=[grey] * count)
        elif count != 1:  # grey goes through any network
            raise UserError(
                f'{paths[0]} has {count} bands, and the network takes {channels}; choose them with '
                f'--bands, or make a network of {count} with csnln grow --channels {count}'
            )
    set_channels(cfg, channels)
    if count is None and channels == 3 and value_range is None and bands is None:
        return None
    given = list(value_range) if isinstance(value_range, tuple) else value_range
    return dict(type='LoadBands', channels=channels, value_range=given, bands=bands)


def _test_dataset(
    pipeline: list[dict],
    scale: int,
    gt: Path,
    lq: Path | None,
    loading: dict[str, Any] | None,
    **options: Any,
) -> ConfigDict:
    """Make the config of a data set to validate or test on; LQ is bicubic if ``lq`` is None."""
    if not lq:
        pipeline = [*pipeline[:-1], dict(type='BicubicDegradation', scale=scale), pipeline[-1]]
    return _dataset(gt, lq, pipeline, loading, **options)


def set_weights(cfg: Config, path: str) -> None:
    """Set ``load_from`` to a checkpoint, and ``model.generator`` to its network.

    Raises:
        UserError: if the checkpoint cannot be read, names no network, or has another scale.
    """
    network = read_architecture(load_checkpoint(path), path)
    scale = cfg.model.generator.get('upscale_factor', 2)
    if network.get('upscale_factor', 2) != scale:
        raise UserError(
            f'checkpoint {path} is for x{network.get("upscale_factor", 2)}, config '
            f'{cfg.filename} for x{scale}; use a config of the same scale'
        )
    cfg.model.generator = ConfigDict(dict(type='CSNLNNet', upscale_factor=2) | network)
    cfg.load_from = path


def set_steps(cfg: Config, steps: int) -> None:
    """Set the number of steps of an iteration-based run, and scale its schedules to it.

    Validations and checkpoints are at most a tenth of the run apart, or 50 steps if that is more,
    or half of a run of fewer than 100 steps.
    """
    fraction = steps / cfg.train_cfg.max_iters
    cfg.train_cfg.max_iters = steps
    for _, schedule in parts(cfg.get('param_scheduler')):
        if 'milestones' in schedule:
            schedule.milestones = [math.ceil(fraction * step) for step in schedule.milestones]
        # At least two steps, since one step would leave the learning rate at its start.
        if schedule.get('begin'):
            schedule.begin = max(math.ceil(fraction * schedule.begin), 2)
        for key, first in ('end', schedule.get('begin', 0)), ('T_max', 0):
            if key in schedule:
                schedule[key] = max(math.ceil(fraction * schedule[key]), first + 2)
    least = max(math.ceil(steps / 10), min(50, math.ceil(steps / 2)))
    for part, name in (cfg.train_cfg, 'val_interval'), (cfg.default_hooks.checkpoint, 'interval'):
        part[name] = min(part.get(name, least), least)


def _dataset(
    gt: Path, lq: Path | None, pipeline: list[dict], loading: dict[str, Any] | None, **options: Any
) -> ConfigDict:
    """Make the config of a data set, whose pipeline loads LQ images only if ``lq`` names them.

    Images are loaded by ``loading``, if it is not None.
    """
    keys = ['img', 'gt'] if lq else ['gt']
    steps = []
    for step in pipeline:
        if step.get('type') not in ('LoadImageFromFile', 'LoadBands'):
            steps.append(step)
        elif step.type == 'LoadBands' or loading:
            if not steps or steps[-1].get('type') != 'LoadBands':
                steps.append(dict(loading or step, keys=keys))
        elif step.get('key') in keys:
            steps.append(step)
    if any(step.get('type') == 'LoadBands' for step in steps):
        packing = next(step for step in steps if step.get('type') == 'PackInputs')
        steps[steps.index(packing)] = dict(packing, meta_keys=['gt_values'])  # to write results by
    return ConfigDict(
        type='FolderPairDataset',
        data_prefix=dict(img=str(lq or gt), gt=str(gt)),
        pipeline=copy.deepcopy(steps),
        **options,
    )


def _real_esrgan(scale: int, patch: int) -> list[dict]:
    """The degradations of MMagic's config, on crops 1.5 times as large as the patches."""
    pipeline = get_config(_REAL_ESRGAN).train_pipeline
    types = [step.type for step in pipeline]
    degradations = copy.deepcopy(pipeline[types.index('CopyValues') + 1 : types.index('Flip')])
    lq_side = math.ceil(1.5 * patch / scale)
    last = degradations[-1].degradations[-1]
    for step in last:
        if 'target_size' in step.params:
            step.params.target_size = (lq_side, lq_side)
    side = scale * lq_side
    return [
        dict(type='Crop', keys=['gt'], crop_size=(side, side), random_crop=True),
        dict(type='CopyValues', src_keys=['gt'], dst_keys=['img']),
        *degradations,
        dict(type='PairedRandomCrop', gt_patch_size=patch),
        dict(type='Clip', keys=['img']),
    ]
