"""From a config file to MMEngine's runner, on whatever this machine has."""
import os
import os.path as osp
from typing import Iterator, List, Optional

import torch
import torch.distributed
from mmengine.config import Config, ConfigDict
from mmengine.logging import print_log
from mmengine.runner import Runner
from torch import nn

from csnln_mm.checkpoints import load_checkpoint_file, use_safe_loading
from csnln_mm.checkpoints.untraced_settings import check_untraced_settings
from csnln_mm.datasets.image_check import check_images
from csnln_mm.errors import UserError

from .config_check import check_config

__all__ = ['load_config', 'build_train_runner', 'build_test_runner', 'check_fit']


def load_config(path: str,
                *,
                options: Optional[dict] = None,
                work_dir: Optional[str] = None,
                launcher: str = 'none') -> Config:
    """Read a config as the command line wants it.

    Args:
        path: config file.
        options: settings to change, by dotted name.
        work_dir: where results go; by default what the config says, else ``work_dirs/NAME``.
        launcher: 'none', 'pytorch', 'slurm' or 'mpi'.

    Raises:
        UserError: if the file is missing or is not a config.
    """
    if not osp.isfile(path):
        raise UserError(f'config {path} does not exist')
    try:
        cfg = Config.fromfile(path)
        cfg.merge_from_dict(options or {})
    except Exception as error:
        # A config is a program: whatever it raises is about the config.
        raise UserError(f'config {path}: {type(error).__name__}: {error}') from error
    cfg.launcher = launcher
    if work_dir:
        cfg.work_dir = work_dir
    elif not cfg.get('work_dir'):
        cfg.work_dir = osp.join('work_dirs', osp.splitext(osp.basename(path))[0])
    return cfg


def build_train_runner(cfg: Config,
                       *,
                       resume: bool = False,
                       amp: bool = False,
                       auto_scale_lr: bool = False) -> Runner:
    """A runner whose ``train()`` trains.

    Args:
        cfg: from :func:`load_config`; changed in place.
        resume: go on from the newest checkpoint in the work directory, if there is one.
        amp: train in mixed precision.
        auto_scale_lr: scale the learning rate with processes x samples, by the config's
            ``auto_scale_lr.base_batch_size``.

    Raises:
        UserError: if the config has a mistake, training data is missing or bad, a checkpoint to
            begin with does not fit, or an option does not fit config or machine.
    """
    model = check_config(cfg)
    if cfg.get('load_from'):
        _check_checkpoint(cfg, model, cfg.load_from)
    for name, loader in (('training', cfg.get('train_dataloader')), ('validation',
                                                                     cfg.get('val_dataloader'))):
        for folder in _missing_folders(loader):
            raise UserError(f'{name} images: {folder} does not exist; prepare it (README), or '
                            'name another data_root with --cfg-options')
        _check_images(loader, name, model)
    if resume:
        cfg.resume = True
    if auto_scale_lr:
        if 'base_batch_size' not in cfg.get('auto_scale_lr', {}):
            raise UserError('--auto-scale-lr needs auto_scale_lr.base_batch_size in the config')
        cfg.auto_scale_lr.enable = True
    if amp:
        if not torch.cuda.is_available():
            raise UserError('--amp needs a CUDA device')
        if cfg.optim_wrapper.type not in ('OptimWrapper', 'AmpOptimWrapper'):
            raise UserError('--amp replaces an optim_wrapper of type OptimWrapper, the config has '
                            f'{cfg.optim_wrapper.type}')
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
        cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')
    return _build_runner(cfg)


def build_test_runner(cfg: Config, checkpoint: Optional[str] = None) -> Runner:
    """A runner whose ``test()`` tests a checkpoint on the test sets that are there.

    Args:
        cfg: from :func:`load_config`; changed in place. Test sets whose folders are missing are
            left out, with a warning.
        checkpoint: file; None for a network without weights, such as bicubic enlargement.

    Raises:
        UserError: if the config has a mistake, no test set is there or one has bad images, or the
            checkpoint does not fit the config.
    """
    model = check_config(cfg)
    if checkpoint:
        _check_checkpoint(cfg, model, checkpoint)
    elif any(p.requires_grad for p in model.parameters()):
        raise UserError('the config has a network with weights: give a checkpoint')
    _leave_out_missing_tests(cfg)
    # Hooks that ask for the iteration would build the training, and that its data.
    for name in 'train_dataloader', 'train_cfg', 'optim_wrapper', 'param_scheduler':
        cfg.pop(name, None)
    _check_images(cfg.test_dataloader, 'test', model)
    cfg.load_from = checkpoint
    return _build_runner(cfg)


def check_fit(model: nn.Module, checkpoint: dict, path: str) -> None:
    """Raise UserError, naming the first tensor in question, unless a checkpoint fills a model.

    Args:
        model: in a distributed wrapper or not.
        checkpoint: what the file holds.
        path: of the file.
    """
    given = checkpoint.get('state_dict', checkpoint) if isinstance(checkpoint, dict) else None
    if not isinstance(given, dict):
        raise UserError(f'checkpoint {path} holds no state dict')
    wanted = getattr(model, 'module', model).state_dict()
    for key, value in wanted.items():
        if not isinstance(given.get(key), torch.Tensor):
            raise UserError(f'checkpoint {path} does not fit the config: it lacks {key}')
        if given[key].shape != value.shape:
            raise UserError(f'checkpoint {path} does not fit the config: {key} is '
                            f'{tuple(given[key].shape)}, the config makes it {tuple(value.shape)}')
    for key in given:
        if key not in wanted:
            raise UserError(f'checkpoint {path} does not fit the config, which has no {key!r:.100}')


def _check_checkpoint(cfg: Config, model: nn.Module, path: str) -> None:
    """Raise UserError unless a checkpoint is what a config's model was trained to."""
    if '://' in path:
        raise UserError(f'checkpoint {path}: download it first, and name the file')
    checkpoint = load_checkpoint_file(path)
    check_untraced_settings(checkpoint, cfg.model.get('generator', {}), path)
    check_fit(model, checkpoint, path)


def _check_images(loader: Optional[ConfigDict], title: str, model: nn.Module) -> None:
    """Raise UserError if images of dataloaders cannot be used, as far as headers tell."""
    scale = getattr(getattr(model, 'generator', None), 'upscale_factor', None)
    for item in _as_list(loader):
        dataset = _innermost(item.dataset)
        patches = [
            step.gt_patch_size for step in dataset.get('pipeline', ())
            if step.get('type') == 'PairedRandomCrop'
        ]
        check_images(dataset, title=title, scale=scale, gt_patch_size=max(patches, default=1))


def _build_runner(cfg: Config) -> Runner:
    use_safe_loading()
    _limit_workers(cfg)
    if cfg.launcher == 'pytorch' and not torch.cuda.is_available():
        _use_gloo(cfg)
    return Runner.from_cfg(cfg)


def _use_gloo(cfg: Config) -> None:
    """Processes without CUDA: MMEngine's launcher would choose a CUDA device for each."""
    if not torch.distributed.is_initialized():
        torch.distributed.init_process_group('gloo')
    cfg.model_wrapper_cfg = dict(
        type='MMDistributedDataParallel', broadcast_buffers=False, device_ids=None)


def _limit_workers(cfg: Config) -> None:
    """No more loading processes than there are cores for each training process."""
    processes = int(os.environ.get('LOCAL_WORLD_SIZE', 1))
    limit = max(1, len(os.sched_getaffinity(0)) // processes)
    for name in 'train_dataloader', 'val_dataloader', 'test_dataloader':
        for loader in _as_list(cfg.get(name)):
            loader.num_workers = min(loader.get('num_workers', 0), limit)


def _as_list(value: Optional[object]) -> List[ConfigDict]:
    if value is None:
        return []
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _missing_folders(loader: Optional[ConfigDict]) -> Iterator[str]:
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
