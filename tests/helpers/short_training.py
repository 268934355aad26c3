"""tools/train.py on tiny images for a few steps, in processes that a test may kill."""

import os
import signal
import sys
from pathlib import Path

import torch
from command_line import ROOT
from forked_tool import end_of, run_tool, start_tool  # noqa: F401
from tiny_data import make_benchmark

from csnln_mm.checkpoints import load_checkpoint

CONFIG = ROOT / 'configs/csnln_x2_demo.py'


def make_data(folder, tests=1):
    """What the config of the demo trains and validates on."""
    make_benchmark(folder / 'data/demo/train', 5, size=(72, 84))
    make_benchmark(folder / 'data/demo/test', tests)
    return folder


def settings(steps, **changed):
    """--cfg-options for a training of some steps with a checkpoint after each."""
    options = {
        'model.generator.mid_channels': 4,
        'train_dataloader.batch_size': 2,
        'train_dataloader.num_workers': 1,
        'val_dataloader.num_workers': 0,
        'train_cfg.max_iters': steps,
        'train_cfg.val_interval': 1000,
        'param_scheduler.milestones': '[3,6]',
        'default_hooks.checkpoint.interval': 1,
        'default_hooks.logger.interval': 1,
        'randomness.seed': 1,
    }
    options.update(changed)
    return ['--cfg-options', *(f'{key}={value}' for key, value in options.items() if value != '')]


def start(folder, *arguments, fault=None):
    """Start tools/train.py with arguments from a folder; ``fault`` is called there before."""
    return start_tool(folder, 'train.py', arguments, fault=fault)


def train(folder, work_dir, *arguments, expect=0, fault=None):
    """The output of a run that ends with this exit status, negative for a signal."""
    words = CONFIG, '--work-dir', work_dir, *arguments
    return run_tool(folder, 'train.py', *words, expect=expect, fault=fault)


def output_of(folder):
    return (Path(folder) / 'output.txt').read_text()


def checkpoint(folder, step):
    return load_checkpoint(Path(folder) / f'iter_{step}.pth')


def assert_same(one, other, name='checkpoint'):
    """Every number the same to the bit, in nested dictionaries and lists."""
    assert type(one) is type(other), name
    if isinstance(one, dict):
        assert one.keys() == other.keys(), name
        for key in one:
            assert_same(one[key], other[key], f'{name}.{key}')
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other), name
        for i, (a, b) in enumerate(zip(one, other)):
            assert_same(a, b, f'{name}[{i}]')
    elif isinstance(one, torch.Tensor):
        assert torch.equal(one, other), f'{name} differs by {(one - other).abs().max()}'
    else:
        assert one == other, name


def assert_same_training(one, other):
    """Two checkpoints are of trainings that saw and did the same."""
    for part in 'state_dict', 'optimizer', 'param_schedulers':
        assert_same(one[part], other[part], part)
    for key in 'iter', 'data_order':
        assert one['meta'][key] == other['meta'][key], key


class DieAt:
    """A fault: the process is killed before it opens, renames or removes a certain file.

    ``after`` of such events it survives. Another signal may be sent instead.
    """

    def __init__(self, event, name, after=0, number=signal.SIGKILL):
        self.event, self.name, self.after, self.number = event, name, after, number

    def __call__(self):
        sys.addaudithook(self._watch)

    def _watch(self, event, arguments):
        if event == self.event and any(self.name in str(word) for word in arguments):
            if self.after == 0:
                os.kill(os.getpid(), self.number)
            self.after -= 1


class RenameBefore:
    """A file gets another name right before one called ``name`` is moved into place."""

    def __init__(self, name, old, new):
        self.name, self.names = name, (old, new)

    def __call__(self):
        sys.addaudithook(self._watch)

    def _watch(self, event, arguments):
        if event == 'os.rename' and str(arguments[1]).endswith(self.name):
            os.rename(*self.names)


class DieHalfWritten:
    """A fault: the process is killed when it has written a part of a certain file."""

    def __init__(self, name, size):
        self.name, self.size = name, size

    def __call__(self):
        sys.addaudithook(self._watch)

    def _watch(self, event, arguments):
        if event == 'open' and self.name in str(arguments[0]):
            import resource

            # Python ignores the signal of a file that grows beyond the limit; this process dies.
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
            resource.setrlimit(resource.RLIMIT_FSIZE, (self.size, self.size))


class Spoil:
    """A fault: what the network computes, or its gradient, is infinite from the third step on."""

    def __init__(self, gradient):
        self.gradient = gradient

    def __call__(self):
        from csnln_mm.networks import CSNLNNet

        steps = 0

        def spoil(module, inputs, output):
            nonlocal steps
            if not isinstance(module, CSNLNNet) or not module.training:
                return None
            if len(output) == 1:  # no batch: what a step takes is looked at
                return None
            steps += 1
            if steps < 3:
                return None
            if self.gradient:
                output.register_hook(lambda gradient: gradient / 0)
                return None
            return output / 0

        torch.nn.modules.module.register_module_forward_hook(spoil)


class TorchHome:
    """Where the weights of the perceptual loss are looked for."""

    def __init__(self, folder):
        self.folder = str(folder)

    def __call__(self):
        os.environ['TORCH_HOME'] = self.folder
