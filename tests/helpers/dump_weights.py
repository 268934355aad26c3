"""A hook for distributed tests: what each process ends with."""

from pathlib import Path

import torch
from mmagic.registry import HOOKS
from mmengine.dist import get_rank
from mmengine.hooks import Hook


@HOOKS.register_module()
class DumpWeightsHook(Hook):
    def __init__(self, folder):
        self.folder = Path(folder)
        self.seen = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.seen.append(data_batch['inputs'][0].sum().item())

    def after_train(self, runner):
        self.folder.mkdir(exist_ok=True)
        weights = runner.model.module.state_dict()
        torch.save(dict(weights=weights, seen=self.seen), self.folder / f'{get_rank()}.pth')
