"""From a config to MMEngine's runner, on whatever this machine has."""

import os
import os.path as osp
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.distributed
from mmengine.config import Config, ConfigDict
from mmengine.logging import print_log
from mmengine.runner import Runner
from torch import nn

from csnln_mm.checkpoints import check_fit, load_checkpoint
from csnln_mm.checkpoints.architecture import check_settings
from csnln_mm.device import set_malloc_thresholds
from csnln_mm.errors import UserError
from csnln_mm.mmagic.check_config import check_config
from csnln_mm.mmagic.dataset import check_images
from csnln_mm.mmagic.resume import (
    Newest,
    latest_valid_checkpoint,
    list_checkpoints,
    use_safe_loading,
)
from csnln_mm.mmagic.training import checkpoint_folder, checkpoint_template

__all__ = ['build_test_runner', 'build_train_runner']

# What a file system gives out at a time: less may fit into a full disk's last one.
_BLOCK = 4096


def build_train_runner(
    cfg: Config, *, resume: bool = False, amp: bool = False, auto_scale_lr: bool = False
) -> Runner:
    """A runner whose ``train()`` trains.

    Args:
        cfg: from :func:`load_config`; changed in place.
        resume: go on from the newest whole checkpoint in the work directory, if there is one.
        amp: train in mixed precision: float16 with scaled losses on CUDA, else bfloat16.
        auto_scale_lr: scale the learning rate with processes x samples, by the config's
            ``auto_scale_lr.base_batch_size``.

    Raises:
        UserError: if the config has a mistake or no training, data is missing or bad, the work
            directory cannot be written or has the checkpoints of another training, the checkpoint
            to begin with or go on from does not fit the config, or an option does not.
    """
    model = check_config(cfg)
    for key in 'train_dataloader', 'train_cfg', 'optim_wrapper':
        if not cfg.get(key):
            raise UserError(f'config {cfg.filename} has no {key}: it is not for training')
    if cfg.get('load_from'):
        _check_checkpoint(cfg, model, cfg.load_from)
    for name, loader in (
        ('training', cfg.get('train_dataloader')),
        ('validation', cfg.get('val_dataloader')),
    ):
        for folder in _missing_folders(loader):
            raise UserError(
                f'{name} images: {folder} does not exist; prepare it (docs/data.md), or '
                'name another data_root with --cfg-options'
            )
        _check_images(loader, name, model)
    if auto_scale_lr:
        if 'base_batch_size' not in cfg.get('auto_scale_lr', {}):
            raise UserError('--auto-scale-lr needs auto_scale_lr.base_batch_size in the config')
        cfg.auto_scale_lr.enable = True
    if amp:
        for wrapper in _optim_wrappers(cfg):
            if wrapper.type not in ('OptimWrapper', 'AmpOptimWrapper'):
                raise UserError(
                    '--amp replaces an optim_wrapper of type OptimWrapper, the config '
                    f'has {wrapper.type}'
                )
            if torch.cuda.is_available():
                wrapper.type = 'AmpOptimWrapper'
                wrapper.setdefault('loss_scale', 'dynamic')
            else:
                wrapper.type = 'BFloat16OptimWrapper'
                for key in 'loss_scale', 'dtype', 'use_fsdp':
                    wrapper.pop(key, None)
    _check_writable(Path(cfg.work_dir))
    newest = _choose_beginning(cfg, resume)
    if any(getattr(module, 'with_cp', False) for module in model.modules()):
        set_malloc_thresholds(mmap=4)  # who trades time for memory wants this trade as well
    runner = _build_runner(cfg)
    for reason in newest.skipped:
        runner.logger.warning(f'left out: {reason}')
    if newest.path:
        check_settings(newest.content, cfg.model.get('generator', {}), str(newest.path))
        check_fit(getattr(runner.model, 'module', runner.model), newest.content, str(newest.path))
        runner.logger.info(f'the training goes on from {newest.path}')
    elif resume:
        runner.logger.info(f'no checkpoint in {checkpoint_folder(cfg)} yet: the training begins')
    return runner


def build_test_runner(cfg: Config, checkpoint: str | None = None) -> Runner:
    """A runner whose ``test()`` tests a checkpoint on the test sets that are there.

    Args:
        cfg: from :func:`load_config`; changed in place. Test sets whose folders are missing are
            left out, with a warning.
        checkpoint: file; None for a network without weights, such as bicubic interpolation.

    Raises:
        UserError: if the config has a mistake or no tests, no test set is there or one has bad
            images, the work directory cannot be written, or the checkpoint does not fit the config.
    """
    model = check_config(cfg)
    if not cfg.get('test_dataloader') or not cfg.get('test_evaluator'):
        raise UserError(f'config {cfg.filename} has no test_dataloader with a test_evaluator')
    if checkpoint:
        _check_checkpoint(cfg, model, checkpoint)
    elif any(p.requires_grad for p in model.parameters()):
        raise UserError('the config has a network with weights: give a checkpoint')
    _leave_out_missing_tests(cfg)
    # Hooks that ask for the iteration would build the training, and that its data.
    for name in 'train_dataloader', 'train_cfg', 'optim_wrapper', 'param_scheduler':
        cfg.pop(name, None)
    _check_images(cfg.test_dataloader, 'test', model)
    _check_writable(Path(cfg.work_dir))
    cfg.load_from = checkpoint
    return _build_runner(cfg)


def _check_checkpoint(cfg: Config, model: nn.Module, path: str) -> None:
    """Raise UserError unless a checkpoint is what a config's model was trained to."""
    if '://' in path:
        raise UserError(f'checkpoint {path}: download it first, and name the file')
    checkpoint = load_checkpoint(path)
    check_settings(checkpoint, cfg.model.get('generator', {}), path)
    check_fit(model, checkpoint, path)


def _check_images(loader: ConfigDict | None, title: str, model: nn.Module) -> None:
    """Raise UserError if images of dataloaders cannot be used, as far as headers tell."""
    scale = getattr(getattr(model, 'generator', None), 'upscale_factor', None)
    for item in _as_list(loader):
        dataset = _innermost(item.dataset)
        patches = [
            step.gt_patch_size
            for step in dataset.get('pipeline', ())
            if step.get('type') == 'PairedRandomCrop'
        ]
        check_images(dataset, title=title, scale=scale, gt_patch_size=max(patches, default=1))


def _check_writable(folder: Path) -> None:
    """Raise UserError, before any work is done, if there is no room or no right to write."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(_BLOCK))
    except OSError as error:
        raise UserError(
            f'cannot write to the work directory {folder}: {error.strerror}; '
            'mend that, or name another folder with --work-dir'
        ) from error


def _choose_beginning(cfg: Config, resume: bool) -> Newest:
    """Have MMEngine go on from the newest whole checkpoint, or begin where there is none."""
    folder, template = checkpoint_folder(cfg), checkpoint_template(cfg)
    if resume or (cfg.get('resume') and not cfg.get('load_from')):
        newest = latest_valid_checkpoint(folder, template)
        cfg.resume = newest.path is not None
        if newest.path:
            cfg.load_from = str(newest.path)
        return newest
    there = list_checkpoints(folder, template)
    if there and not cfg.get('resume'):
        raise UserError(
            f'{folder} has the checkpoints of a training (the newest is '
            f'{there[0].name}): go on from it with --resume, or name another folder '
            'with --work-dir'
        )
    return Newest(None, None, [])


def _build_runner(cfg: Config) -> Runner:
    use_safe_loading()
    _limit_workers(cfg)
    if cfg.launcher == 'pytorch' and not torch.cuda.is_available():
        _use_gloo(cfg)
    return Runner.from_cfg(cfg)


def _optim_wrappers(cfg: Config) -> list[ConfigDict]:
    """The one of the config, or those of a generator and its discriminator."""
    if 'type' in cfg.optim_wrapper:
        return [cfg.optim_wrapper]
    return [value for value in cfg.optim_wrapper.values() if isinstance(value, dict)]


def _use_gloo(cfg: Config) -> None:
    """Processes without CUDA: MMEngine's launcher would choose a CUDA device for each."""
    if not torch.distributed.is_initialized():
        torch.distributed.init_process_group('gloo')
    # A model that optimises several networks asks for a wrapper that it can do so in.
    wrapper = cfg.get('model_wrapper_cfg') or dict(type='MMDistributedDataParallel')
    cfg.model_wrapper_cfg = dict(wrapper, broadcast_buffers=False, device_ids=None)


def _limit_workers(cfg: Config) -> None:
    """No more dataloader workers than there are cores for each training process."""
    processes = int(os.environ.get('LOCAL_WORLD_SIZE', 1))
    limit = max(1, len(os.sched_getaffinity(0)) // processes)
    for name in 'train_dataloader', 'val_dataloader', 'test_dataloader':
        for loader in _as_list(cfg.get(name)):
            loader.num_workers = min(loader.get('num_workers', 0), limit)


def _as_list(value: object | None) -> list[ConfigDict]:
    if value is None:
        return []
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _missing_folders(loader: ConfigDict | None) -> Iterator[str]:
    """Folders and annotation files of a dataloader that do not exist."""
    for item in _as_list(loader):
        dataset = _innermost(item.dataset)
        root = dataset.get('data_root') or ''
        paths = [*dataset.get('data_prefix', {}).values(), dataset.get('ann_file')]
        for path in paths:
            path = osp.join(root, path) if path else root
            if path and '://' not in path and not osp.exists(path):
                yield path


def _innermost(dataset: ConfigDict) -> ConfigDict:
    """The data set within those that only wrap another."""
    while 'dataset' in dataset:
        dataset = dataset.dataset
    return dataset


def _leave_out_missing_tests(cfg: Config) -> None:
    loaders, evaluators = _as_list(cfg.test_dataloader), _as_list(cfg.test_evaluator)
    missing = [next(_missing_folders(loader), None) for loader in loaders]
    for folder in filter(None, missing):
        print_log(f'left out: the test images of {folder}, which does not exist', 'current', 30)
    if all(missing):
        raise UserError('there are no test images: ' + ', '.join(missing) + ' do not exist')
    if any(missing):
        cfg.test_dataloader = [x for x, gone in zip(loaders, missing) if not gone]
        cfg.test_evaluator = [x for x, gone in zip(evaluators, missing) if not gone]
