"""Describe what a run will do, and after its first steps how long it will take."""

import resource
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import Runner
from torch import Tensor, nn

from csnln_mm.device import free_memory
from csnln_mm.networks import CSNLNNet

_MEASURED_STEPS = 10
# The share of the memory that a process may take from which on it is told that little is left.
_NEARLY_ALL = 0.9


def describe_training(runner: Runner) -> str:
    """Describe what ``runner.train()`` will do; its loops must have been built."""
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    network = getattr(model, 'generator', model)
    parameters = [p for p in network.parameters() if p.requires_grad]
    loop, processes = runner.train_loop, runner.world_size
    batch = loop.dataloader.batch_size
    images = len(loop.dataloader.dataset)
    left = loop.max_iters - loop.iter
    times = float(f'{left * batch * processes / max(images, 1):.3g}')
    device = next(model.parameters()).device
    free = free_memory(device)
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
        + f', each image {times:,g} times',
        'rate': _rate(runner, batch * processes),
        'device': _device(device),
        'memory': f'{_size(_state_bytes(runner, model))} for weights, gradients and optimizer; '
        f'activations in addition, measured in the first {_MEASURED_STEPS} steps'
        + (f'; {_size(free)} free' if free else ''),
        'results': runner.work_dir,
    }
    return '\n'.join(f'  {name:8} {text}' for name, text in lines.items() if text)


class TrainingSummaryHook(Hook):
    """Log :func:`describe_training` before the first step, and time and memory after ten.

    Warns before the first step if it needs more memory than is free, since Linux kills a process
    that takes more than its limit without a word, and after ten if little is left.
    """

    def __init__(self) -> None:
        self._steps = 0
        self._began = self._paused = 0.0

    def before_train(self, runner: Runner) -> None:
        runner.logger.info(f'training:\n{describe_training(runner)}')

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        if self._steps == 0 and (warning := describe_lack(runner, data_batch)):
            runner.logger.warning(warning)

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
        if warning := describe_rest():
            runner.logger.warning(warning)


def _validated(runner: Runner) -> int:
    loop = runner.val_loop
    loaders = getattr(loop, 'dataloaders', None) or [loop.dataloader]
    return sum(len(loader.dataset) for loader in loaders)


def _rate(runner: Runner, samples: int) -> str:
    """The learning rate; also the scaled one if it is meant for another batch size."""
    groups = [group for wrapper in _wrappers(runner) for group in wrapper.param_groups]
    rates = {group.get('initial_lr', group['lr']) for group in groups}
    scaling = runner.cfg.get('auto_scale_lr') or {}
    meant = scaling.get('base_batch_size')
    text = ', '.join(f'{rate:.3g}' for rate in sorted(rates))
    if not meant or meant == samples or scaling.get('enable'):
        return text
    scaled = ', '.join(f'{rate * samples / meant:.3g}' for rate in sorted(rates))
    return f'{text}, meant for {meant} samples per step; --auto-scale-lr makes it {scaled}'


def _device(device: torch.device) -> str:
    if device.type == 'cuda':
        return f'{device}, {torch.cuda.get_device_name(device)}'
    threads = torch.get_num_threads()
    return f'{device.type}, {threads} thread{"s" * (threads != 1)}'


def describe_lack(runner: Runner, data_batch: Any) -> str:
    """Say that a step needs more memory than is free; '' if it does not, or cannot be known."""
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    network = getattr(model, 'generator', None)
    if not isinstance(network, CSNLNNet):
        return ''
    device = next(network.parameters()).device
    images = data_batch['inputs']
    sample = images[0][None].to(device, torch.float32)
    wrapper = runner.optim_wrapper
    wrapper = wrapper['generator'] if isinstance(wrapper, OptimWrapperDict) else wrapper
    with wrapper.optim_context(model):
        needed = len(images) * _activation_bytes(network, sample)
    free = free_memory(device)
    if not free or needed <= free:
        return ''
    return (
        f'a step takes at least {_size(needed)} for activations, and {_size(free)} are free: '
        'reduce train_dataloader.batch_size, set model.generator.with_cp=True, or raise the limit'
    )


def _activation_bytes(network: nn.Module, images: Tensor) -> int:
    """What the forward pass keeps for the backward pass, apart from the weights."""
    weights = {weight.untyped_storage().data_ptr() for weight in network.parameters()}
    kept = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        output = network(images)
    del output
    return sum(count for address, count in kept.items() if address not in weights)


def describe_rest() -> str:
    """Say that the process takes nearly all memory that it may; '' if it does not."""
    free, statm = free_memory(torch.device('cpu')), Path('/proc/self/statm')
    if free is None or not statm.exists():
        return ''
    limit = free + int(statm.read_text().split()[1]) * resource.getpagesize()
    if _main_memory_peak() <= _NEARLY_ALL * limit:
        return ''
    return (
        f'that is nearly all of the {_size(limit)} that this process may take: a validation may '
        'need more; reduce train_dataloader.batch_size, or raise the memory limit'
    )


def _wrappers(runner: Runner) -> list[OptimWrapper]:
    """One, or those of generator and discriminator."""
    wrappers = runner.optim_wrapper
    return list(wrappers.values()) if isinstance(wrappers, OptimWrapperDict) else [wrappers]


def _state_bytes(runner: Runner, model: torch.nn.Module) -> int:
    weights = sum(p.numel() * p.element_size() for p in model.parameters())
    trained = sum(p.numel() * p.element_size() for p in model.parameters() if p.requires_grad)
    # Adam and its relatives keep two averages of each gradient.
    averages = 2 * all('betas' in wrapper.optimizer.defaults for wrapper in _wrappers(runner))
    return weights + trained * (1 + averages)


def _peak_memory() -> str:
    if torch.cuda.is_available():
        return f'at most {_size(torch.cuda.max_memory_allocated())} of the GPU at a time'
    return f'at most {_size(_main_memory_peak())} of memory at a time in this process'


def _main_memory_peak() -> int:
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _size(count: int) -> str:
    return f'{count / 1e9:.1f} GB' if count >= 1e9 else f'{count / 1e6:.1f} MB'
