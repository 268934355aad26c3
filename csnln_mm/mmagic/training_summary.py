"""Describe what a run will do, and after its first steps how long it will take."""

import resource
import time
from datetime import datetime, timedelta
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapperDict
from mmengine.runner import Runner

_MEASURED_STEPS = 10


def describe_training(runner: Runner) -> str:
    """Describe what ``runner.train()`` will do; its loops must have been built."""
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    network = getattr(model, 'generator', model)
    parameters = [p for p in network.parameters() if p.requires_grad]
    loop, processes = runner.train_loop, runner.world_size
    batch = loop.dataloader.batch_size
    images = len(loop.dataloader.dataset)
    left = loop.max_iters - loop.iter
    lines = {
        'model': f'{type(network).__name__}'
        + (f' x{network.upscale_factor}' if hasattr(network, 'upscale_factor') else '')
        + f', {sum(p.numel() for p in parameters):,} parameters',
        'images': f'{images:,} to train on'
        + (f', {_validated(runner):,} to validate on' if runner.val_loop else ''),
        'batch': f'{batch * processes} samples per step'
        + (f', {batch} in each of {processes} processes' if processes > 1 else ''),
        'steps': f'{left:,}'
        + (f', from step {loop.iter + 1:,} to {loop.max_iters:,}' if loop.iter else '')
        + f', each image {left * batch * processes / max(images, 1):.3g} times',
        'rate': _rate(runner, batch * processes),
        'device': _device(model),
        'memory': f'{_size(_state_bytes(runner, model))} for weights, gradients and optimizer; '
        f'activations in addition, measured in the first {_MEASURED_STEPS} steps',
        'results': runner.work_dir,
    }
    return '\n'.join(f'  {name:8} {text}' for name, text in lines.items() if text)


class TrainingSummaryHook(Hook):
    """Log :func:`describe_training` before the first step, and time and memory after ten."""

    def __init__(self) -> None:
        self._steps = 0
        self._began = self._paused = 0.0

    def before_train(self, runner: Runner) -> None:
        runner.logger.info(f'training:\n{describe_training(runner)}')

    def before_val(self, runner: Runner) -> None:
        """Stop the clock during validation."""
        self._paused = time.monotonic()

    def after_val(self, runner: Runner) -> None:
        self._began += time.monotonic() - self._paused

    def after_train_iter(self, runner: Runner, *args: Any, **kwargs: Any) -> None:
        """Measure the steps after the first, which also sets things up."""
        self._steps += 1
        if self._steps == 1:
            self._began = time.monotonic()
        if self._steps != _MEASURED_STEPS:
            return
        seconds = (time.monotonic() - self._began) / (_MEASURED_STEPS - 1)
        left = runner.train_loop.max_iters - runner.iter - 1
        end = datetime.now() + timedelta(seconds=seconds * left)
        runner.logger.info(
            f'{seconds:.3g} s per step; {left:,} steps left: done on '
            f'{end:%Y-%m-%d at %H:%M}, not counting validations; {_peak_memory()}'
        )


def _validated(runner: Runner) -> int:
    loop = runner.val_loop
    loaders = getattr(loop, 'dataloaders', None) or [loop.dataloader]
    return sum(len(loader.dataset) for loader in loaders)


def _rate(runner: Runner, samples: int) -> str:
    """The learning rate; also the scaled one if it is meant for another batch size."""
    wrappers = runner.optim_wrapper
    wrappers = wrappers.values() if isinstance(wrappers, OptimWrapperDict) else [wrappers]
    rates = {
        group.get('initial_lr', group['lr'])
        for wrapper in wrappers
        for group in wrapper.param_groups
    }
    scaling = runner.cfg.get('auto_scale_lr') or {}
    meant = scaling.get('base_batch_size')
    text = ', '.join(f'{rate:.3g}' for rate in sorted(rates))
    if not meant or meant == samples or scaling.get('enable'):
        return text
    scaled = ', '.join(f'{rate * samples / meant:.3g}' for rate in sorted(rates))
    return f'{text}, meant for {meant} samples per step; --auto-scale-lr makes it {scaled}'


def _device(model: torch.nn.Module) -> str:
    device = next(model.parameters()).device
    if device.type == 'cuda':
        return f'{device}, {torch.cuda.get_device_name(device)}'
    return f'{device.type}, {torch.get_num_threads()} threads'


def _state_bytes(runner: Runner, model: torch.nn.Module) -> int:
    weights = sum(p.numel() * p.element_size() for p in model.parameters())
    trained = sum(p.numel() * p.element_size() for p in model.parameters() if p.requires_grad)
    wrappers = runner.optim_wrapper
    wrappers = wrappers.values() if isinstance(wrappers, OptimWrapperDict) else [wrappers]
    # Adam and its relatives keep two averages of each gradient.
    averages = 2 if all('betas' in wrapper.optimizer.defaults for wrapper in wrappers) else 0
    return weights + trained * (1 + averages)


def _peak_memory() -> str:
    if torch.cuda.is_available():
        return f'at most {_size(torch.cuda.max_memory_allocated())} of the GPU at a time'
    peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return f'at most {_size(peak)} of memory at a time in this process'


def _size(count: int) -> str:
    return f'{count / 1e9:.1f} GB' if count >= 1e9 else f'{count / 1e6:.1f} MB'
