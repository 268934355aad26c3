"""A training, and what is said when something outside stops it."""
import os
import signal
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Iterator, Optional

from mmengine.config import Config
from mmengine.runner import Runner

from csnln_mm.checkpoints import newest_whole_checkpoint
from csnln_mm.errors import UserError

__all__ = ['checkpoint_folder', 'checkpoint_template', 'run_training']


def run_training(runner: Runner) -> None:
    """Train.

    Args:
        runner: from :func:`~csnln_mm.apis.runner.build_train_runner`.

    Raises:
        UserError: if the disk is full, the work directory is gone, a loss is not finite, another
            process has ended, or this one is told to (SIGTERM). Says where the training stopped,
            and what is kept.
    """
    try:
        with _told_to_end_by_exception():
            runner.train()
    except UserError as error:
        raise UserError(f'the training stopped: {error}. {_kept(runner)}') from error
    except OSError as error:
        # Without a number it is no failure of the system, but e.g. that of a loading process.
        if error.errno is None:
            raise
        where = f'{error.filename}: ' if error.filename else ''
        raise UserError(f'the training stopped in step {runner.iter + 1}: {where}{error.strerror}. '
                        f'{_kept(runner)}') from error
    except _ToldToEnd as error:
        raise UserError(f'the training was told to end in step {runner.iter + 1}. '
                        f'{_kept(runner)}') from error
    except RuntimeError as error:
        if 'gloo/transport' not in str(error):
            raise
        raise UserError(f'the training stopped in step {runner.iter + 1}, because another of its '
                        f'processes has ended. {_kept(runner)}') from error


class _ToldToEnd(BaseException):
    """Not an error, so that nobody on the way takes it for one of his."""


@contextmanager
def _told_to_end_by_exception() -> Iterator[None]:
    """Of a dead job, torchrun ends the other processes by SIGTERM, and so does a cluster."""
    process = os.getpid()

    def end(number: int, frame: Optional[FrameType]) -> None:
        if os.getpid() == process:
            raise _ToldToEnd
        # A loading process, which was forked with this handler.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def checkpoint_folder(cfg: Config) -> Path:
    """Where MMEngine's hook writes the checkpoints of a training."""
    out_dir = _checkpoint_hook(cfg).get('out_dir')
    return Path(out_dir, Path(cfg.work_dir).name) if out_dir else Path(cfg.work_dir)


def checkpoint_template(cfg: Config) -> str:
    """How they are named, with {} for the number of steps or epochs."""
    hook = _checkpoint_hook(cfg)
    by_epoch = hook.get('by_epoch', True)
    return hook.get('filename_tmpl') or ('epoch_{}.pth' if by_epoch else 'iter_{}.pth')


def _checkpoint_hook(cfg: Config) -> dict:
    return (cfg.get('default_hooks') or {}).get('checkpoint') or {}


def _kept(runner: Runner) -> str:
    folder = checkpoint_folder(runner.cfg)
    try:
        newest = newest_whole_checkpoint(folder, checkpoint_template(runner.cfg))
    except UserError as error:
        return str(error)
    if newest.path is None:
        return f'There is no checkpoint in {folder} yet'
    return f'The newest checkpoint is {newest.path}; --resume goes on from it'
