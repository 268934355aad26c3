"""Build MMEngine's runner from a config."""

import copy
import inspect
import os
import tempfile
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.dist import barrier, is_main_process, sync_random_seed
from mmengine.logging import print_log
from mmengine.runner import Runner, set_random_seed
from torch import nn

from csnln_mm.compatibility import summary
from csnln_mm.device import set_malloc_thresholds
from csnln_mm.errors import UserError
from csnln_mm.mmagic.atomic_checkpoint import AtomicCheckpointHook
from csnln_mm.mmagic.channels_last import train_channels_last
from csnln_mm.mmagic.check_config import build_parts, optim_wrappers
from csnln_mm.mmagic.loaders import check_images, leave_out_missing_tests, limit_workers, take_share
from csnln_mm.mmagic.processes import join_processes
from csnln_mm.mmagic.resume import (
    Start,
    check_checkpoint,
    checkpoint_folder,
    describe_kept_schedule,
    find_start,
    use_safe_loading,
)
from csnln_mm.mmagic.run_token import RunToken
from csnln_mm.mmagic.terminal import QuietRunner
from csnln_mm.shard import Shard

# File systems allocate whole blocks: less may still fit into the last one of a full disk.
_BLOCK = 4096


def build_train_runner(
    cfg: Config,
    *,
    resume: bool = False,
    amp: bool = False,
    auto_scale_lr: bool = False,
    quiet: bool = False,
) -> Runner:
    """Build a runner whose ``train()`` trains.

    Args:
        cfg: from :func:`~csnln_mm.mmagic.config.load_config`; changed in place.
        resume: from the latest valid checkpoint in the work directory, if any.
        amp: train in mixed precision: float16 with scaled losses on CUDA, else bfloat16.
        auto_scale_lr: scale the learning rate by processes x samples over the config's
            ``auto_scale_lr.base_batch_size``.
        quiet: print only what users need; the log file has everything.

    Raises:
        UserError: if the config is wrong or has no training, data is missing or bad, the work
            directory cannot be written or has checkpoints of another run, or the initial
            checkpoint or an option does not fit the config.
    """
    load_from = cfg.get('load_from')
    from_latest = resume or bool(cfg.get('resume') and not load_from)
    model, start = check_training(cfg, resume=resume, amp=amp, auto_scale_lr=auto_scale_lr)
    token = RunToken.take(Path(cfg.work_dir)) if is_main_process() else None
    if from_latest:
        # A run that had the directory until now may have replaced the checkpoint since.
        barrier()
        cfg.load_from = load_from
        start = find_start(cfg, model, resume=True)
    train_channels_last(model)
    # The config in the work directory and in checkpoints must not resume by itself.
    written = copy.deepcopy(cfg)
    written.merge_from_dict(dict(resume=False, load_from=load_from))
    runner = _make_runner(cfg, model, written, quiet=quiet)
    for hook in runner.hooks:
        if isinstance(hook, AtomicCheckpointHook):
            hook.token = token
    for reason in start.skipped:
        runner.logger.warning(f'skipped: {reason}')
    if start.path:
        runner.logger.info(f'resuming from {start.path}')
        if kept := describe_kept_schedule(cfg, start):
            runner.logger.warning(kept)
    elif resume:
        runner.logger.info(f'no checkpoint in {checkpoint_folder(cfg)} yet: starting from scratch')
    return runner


def check_training(
    cfg: Config, *, resume: bool = False, amp: bool = False, auto_scale_lr: bool = False
) -> tuple[nn.Module, Start]:
    """Check a training run, with the arguments and errors of :func:`build_train_runner`.

    Images are not checked if ``CSNLN_CHECKED`` is set, as a launcher sets it after its own check.

    Returns:
        The model, and where the run starts.
    """
    seeded = (cfg.get('randomness') or {}).get('seed') is not None
    _set_environment(cfg)
    model = build_parts(cfg)
    _set_training(cfg, amp=amp, auto_scale_lr=auto_scale_lr)
    start = find_start(cfg, model, resume=resume)
    if start.seed is not None and not seeded:
        cfg.randomness = dict(cfg.randomness, seed=start.seed)
    if not os.environ.get('CSNLN_CHECKED'):
        check_images(cfg, model, dict(train_dataloader='training', val_dataloader='validation'))
    _check_writable(Path(cfg.work_dir))
    return model, start


def build_test_runner(
    cfg: Config, checkpoint: str | None = None, *, shard: Shard | None = None, quiet: bool = False
) -> Runner:
    """Build a runner whose ``test()`` tests a checkpoint on the test sets that exist.

    Args:
        cfg: from :func:`~csnln_mm.mmagic.config.load_config`; changed in place. Missing test sets
            are skipped with a warning.
        checkpoint: file; None for a network without weights, such as bicubic interpolation.
        shard: test this share of each test set; by default all images.
        quiet: print only what users need; the log file has everything.

    Raises:
        UserError: if the config is wrong or has no tests, no test set exists or images are bad, the
            work directory cannot be written, or the checkpoint does not fit the config.
    """
    _set_environment(cfg)
    model = build_parts(cfg)
    if not cfg.get('test_dataloader') or not cfg.get('test_evaluator'):
        raise UserError(f'config {cfg.filename} has no test_dataloader with a test_evaluator')
    if checkpoint:
        check_checkpoint(cfg, model, checkpoint)
    elif any(p.requires_grad for p in model.parameters()):
        raise UserError('the network has weights: name a checkpoint')
    leave_out_missing_tests(cfg)
    # Hooks that ask for the iteration would build the training loop and its data.
    for name in 'train_dataloader', 'train_cfg', 'optim_wrapper', 'param_scheduler':
        cfg.pop(name, None)
    check_images(cfg, model, dict(test_dataloader='test'))
    if shard and shard.count > 1:
        take_share(cfg, shard)
    cfg.load_from, cfg.resume = checkpoint, False
    _check_writable(Path(cfg.work_dir))
    return _make_runner(cfg, model, cfg, quiet=quiet)


def _set_environment(cfg: Config) -> None:
    """Set up processes, dataloader workers and the seed before anything is built."""
    limit_workers(cfg)
    join_processes(cfg)
    randomness = dict(cfg.get('randomness') or {})
    if randomness.get('seed') is None:
        randomness['seed'] = sync_random_seed()
        cfg.randomness = randomness
    seed = randomness['seed']
    if isinstance(seed, int) and seed >= 0:  # else build_parts reports it
        set_random_seed(
            seed,
            deterministic=randomness.get('deterministic', False),
            diff_rank_seed=randomness.get('diff_rank_seed', False),
        )


def _set_training(cfg: Config, *, amp: bool, auto_scale_lr: bool) -> None:
    """Apply the options of a training run to its config."""
    for key in 'train_dataloader', 'train_cfg', 'optim_wrapper':
        if not cfg.get(key):
            raise UserError(f'config {cfg.filename} has no {key}: it is not for training')
    if auto_scale_lr:
        if 'base_batch_size' not in cfg.get('auto_scale_lr', {}):
            raise UserError('--auto-scale-lr needs auto_scale_lr.base_batch_size in the config')
        cfg.auto_scale_lr.enable = True
    for wrapper in optim_wrappers(cfg).values() if amp else ():
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


def _make_runner(cfg: Config, model: nn.Module, written: Config, *, quiet: bool) -> Runner:
    """Make MMEngine's runner of a built model; ``written`` is the config to save with results."""
    if any(getattr(module, 'with_cp', False) for module in model.modules()):
        set_malloc_thresholds(mmap=4)  # with_cp trades time for memory; so does this
    use_safe_loading(cfg.get('load_from'))
    settings, written = copy.deepcopy(cfg), copy.deepcopy(written)
    known = inspect.signature(Runner.__init__).parameters.keys() - {'model', 'data_preprocessor'}
    known &= settings.keys()
    kind = QuietRunner if quiet else Runner
    runner = kind(model=model, cfg=written, **{key: settings[key] for key in known})
    if summary():
        # By MMEngine's function, so that quiet runs write it to the log file only.
        print_log(summary(), runner.logger)
    return runner


def _check_writable(folder: Path) -> None:
    """Raise UserError if a folder has no space, or no permission to write."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(_BLOCK))
    except OSError as error:
        raise UserError(
            f'cannot write to the work directory {folder}: {error.strerror}; '
            'fix that, or name another folder with --work-dir'
        ) from error
