"""Hooks for distributed tests: something happens to one of the processes, or all write it down."""

import atexit
import os
import signal
import time
from math import inf
from pathlib import Path

import torch
from mmagic.registry import HOOKS
from mmengine.dist import get_rank
from mmengine.hooks import Hook

from csnln_mm.mmagic import training


@HOOKS.register_module()
class DumpWeightsHook(Hook):
    """What each process saw, and ended with."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.seen = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.seen.append(data_batch['inputs'][0].sum().item())

    def after_train(self, runner):
        self.folder.mkdir(exist_ok=True)
        weights = runner.model.module.state_dict()
        torch.save(dict(weights=weights, seen=self.seen), self.folder / f'{get_rank()}.pth')


@HOOKS.register_module()
class DieOnceHook(Hook):
    """It is killed after a step, unless the file ``mark`` says that it has been."""

    def __init__(self, rank, step, mark):
        self.rank, self.step, self.mark = rank, step, Path(mark)

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if get_rank() == self.rank and runner.iter + 1 == self.step and not self.mark.exists():
            self.mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)


@HOOKS.register_module()
class DieAtExitHook(Hook):
    """It is signalled while it ends, after the training."""

    def after_train(self, runner):
        atexit.register(os.kill, os.getpid(), signal.SIGUSR1)


@HOOKS.register_module()
class InfiniteLossHook(Hook):
    """Its loss, and no other's, is infinite in a step."""

    def __init__(self, rank, step):
        self.rank, self.step = rank, step

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if get_rank() == self.rank and runner.iter + 1 == self.step:
            runner.model.module.generator.mean.fill_(inf)


@HOOKS.register_module()
class PauseHook(Hook):
    """The first run of a Slurm job rests after each step, so that it can be interrupted."""

    def __init__(self, seconds):
        self.seconds = seconds

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if 'SLURM_JOB_ID' in os.environ and 'SLURM_RESTART_COUNT' not in os.environ:
            time.sleep(self.seconds)


@HOOKS.register_module()
class SlowDiskHook(Hook):
    """One process takes a second to find the newest checkpoint, which it names when it ends."""

    def __init__(self, rank):
        self.rank = rank

    def before_train(self, runner):
        find = training.latest_valid_checkpoint

        def find_slowly(*arguments):
            time.sleep(1)
            return find(*arguments)

        if get_rank() == self.rank:
            training.latest_valid_checkpoint = find_slowly
