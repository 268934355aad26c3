"""A hook for distributed tests: one process is killed, once."""
import os
import signal
from pathlib import Path

from mmagic.registry import HOOKS
from mmengine.dist import get_rank
from mmengine.hooks import Hook


@HOOKS.register_module()
class DieOnceHook(Hook):

    def __init__(self, rank, step, mark):
        self.rank, self.step, self.mark = rank, step, Path(mark)

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if get_rank() == self.rank and runner.iter + 1 == self.step and not self.mark.exists():
            self.mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
