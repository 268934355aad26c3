"""Find mistakes in a config by building all parts that need no data; report each in one line."""

import copy
import importlib.util
import inspect
import logging
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmagic import registry
from mmengine.config import Config, ConfigDict
from mmengine.dataset import BaseDataset
from mmengine.registry import Registry, init_default_scope
from mmengine.runner import Runner
from torch import nn

from csnln_mm.compatibility import why_missing
from csnln_mm.errors import UserError, one_line, wants_traceback
from csnln_mm.mmagic.config import suggest
from csnln_mm.mmagic.loaders import Loader, loaders, parts

# How Python and MMEngine report an unknown argument and an unknown type.
_UNKNOWN_ARGUMENT = re.compile(
    r"(\w+)(?:\.__init__)?\(\) got an unexpected keyword argument '(\w+)'"
)
_UNKNOWN_TYPE = re.compile(r"'?(.+?) is not in the \w+::([\w ]+) registry")
# Lower bounds of settings that MMEngine does not check before a run needs them.
_WHOLE_NUMBERS = {
    'train_cfg.max_epochs': 1,
    'train_cfg.max_iters': 1,
    'train_cfg.val_interval': 1,
    'randomness.seed': 0,
}


def build_parts(cfg: Config) -> nn.Module:
    """Build every part of a run that needs no data, and return the model.

    Hooks, dataloaders, data sets without their images, metrics, optimizers and schedules are built
    only to find mistakes. Nothing is written.

    Raises:
        UserError: if a part cannot be built; names its place in the config, and what is accepted.
    """
    init_default_scope(cfg.get('default_scope', 'mmagic'))
    if 'model' not in cfg:
        raise UserError(f'config {cfg.filename} has no model')
    config = dict(cfg.model)
    if cfg.get('data_preprocessor'):
        config.setdefault('data_preprocessor', cfg.data_preprocessor)
    model = build_model(config, f'config {cfg.filename}')
    with _quietly():
        _try_to_build(cfg)
    _check_numbers(cfg)
    _check_scale(cfg, model)
    return model


def build_model(model: dict, source: str) -> nn.Module:
    """Build a model or a part of one; errors are UserErrors that begin with ``source``."""
    with _config_errors(source, 'model', model, registry.MODELS):
        return registry.MODELS.build(copy.deepcopy(model))


def optim_wrappers(cfg: Config) -> dict[str, ConfigDict]:
    """Map places to optimizer wrappers: one, or those of generator and discriminator."""
    wrapper = cfg.get('optim_wrapper') or {}
    if 'optimizer' in wrapper:
        return {'optim_wrapper': wrapper}
    return {
        f'optim_wrapper.{name}': part
        for name, part in wrapper.items()
        if isinstance(part, dict) and 'optimizer' in part
    }


@contextmanager
def _config_errors(
    source: Config | str, place: str, part: Any, known: Registry | Callable
) -> Iterator[None]:
    """Turn any exception into a UserError that names the place in the config.

    ``CSNLN_TRACEBACK=1`` lets the original exception through, to debug a custom component.
    Misspelt arguments of ``part`` are looked up in the registry or function that builds it.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if wants_traceback():
            raise
        source = source if isinstance(source, str) else f'config {source.filename}'
        raise UserError(f'{source}: {_explain(error, place, part, known)}') from error


def _explain(error: Exception, place: str, part: Any, known: Registry | Callable) -> str:
    text = one_line(error)
    if found := _UNKNOWN_ARGUMENT.search(text):
        owner, name = found.groups()
        function = known.get(owner) if isinstance(known, Registry) else known
        hint = suggest(name, list(inspect.signature(function).parameters)) if function else ''
        at = next((at for at, key, _ in _walk(part, place) if key == name), f'{place}.{name}')
        return f'{at}: {owner} has no such argument{hint}'
    if found := _UNKNOWN_TYPE.match(text):
        name, kind = found.groups()
        names = _names_in(getattr(registry, f'{kind.replace(" ", "_").upper()}S', None))
        places = (at for at, key, x in _walk(part, place) if key == 'type' and x == name)
        at = next(places, f'{place}.type')
        package, dot, _ = name.partition('.')
        if dot and importlib.util.find_spec(package) is None:
            return f'{at}: {name} needs the package {package}, which is not installed'
        if reason := why_missing(name):
            return f'{at}: {name} is not available: {reason:.200}'
        return f'{at}: there is no {kind} {name!r}{suggest(name, names)}'
    return f'{place}: {text:.300}'


def _names_in(kind: Registry | None) -> list[str]:
    names: set[str] = set()
    while kind is not None:
        names.update(kind.module_dict)
        kind = kind.parent
    return sorted(names)


def _walk(value: Any, place: str) -> Iterator[tuple[str, str, Any]]:
    """Yield (place, key, value) for everything in a nested config."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield f'{place}.{key}', key, item
            yield from _walk(item, f'{place}.{key}')
    elif isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            yield from _walk(item, f'{place}[{i}]')


@contextmanager
def _quietly() -> Iterator[None]:
    """Suppress messages, which the parts repeat when they are built for the run."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            yield
    finally:
        logging.disable(before)


def _try_to_build(cfg: Config) -> None:
    hooks = [(f'default_hooks.{key}', x) for key, x in (cfg.get('default_hooks') or {}).items()]
    for place, hook in hooks + parts(cfg.get('custom_hooks'), 'custom_hooks'):
        if isinstance(hook, dict):
            without_priority = {key: x for key, x in hook.items() if key != 'priority'}
            _try(cfg, place, without_priority, registry.HOOKS)
    for loader in loaders(cfg):
        _try_to_build_loader(cfg, loader)
    for name in 'val_evaluator', 'test_evaluator':
        for place, evaluator in parts(cfg.get(name), name):
            for at, metric in parts(evaluator.get('metrics'), f'{place}.metrics'):
                _try(cfg, at, metric, registry.METRICS)
    schedules = cfg.get('param_scheduler')
    if isinstance(schedules, dict) and 'type' not in schedules:
        schedules = None  # one list for each of several optimizers
    for place, wrapper in optim_wrappers(cfg).items():
        _try_to_build_optimizer(cfg, place, wrapper, parts(schedules, 'param_scheduler'))
    for name in 'train_cfg', 'val_cfg', 'test_cfg':
        loop = cfg.get(name)
        if loop and 'type' in loop:
            with _config_errors(cfg, name, loop, registry.LOOPS):
                if registry.LOOPS.get(loop.type) is None:
                    raise KeyError(f'{loop.type} is not in the mmagic::loop registry')
                _check_arguments(registry.LOOPS.get(loop.type), loop)
    randomness = cfg.get('randomness') or {}
    with _config_errors(cfg, 'randomness', randomness, Runner.set_randomness):
        _check_arguments(Runner.set_randomness, randomness)


def _try(cfg: Config, place: str, part: dict, kind: Registry, **others: Any) -> Any:
    """Build a part with further arguments."""
    with _config_errors(cfg, place, part, kind):
        return kind.build(dict(copy.deepcopy(part), **others))


def _try_to_build_loader(cfg: Config, loader: Loader) -> None:
    """Build the loader over a made-up sample, and the data set without its images."""
    place, config, dataset = loader
    rest = {key: x for key, x in config.items() if key != 'dataset'}
    with _config_errors(cfg, place, rest, torch.utils.data.DataLoader):
        Runner.build_dataloader(dict(copy.deepcopy(rest), dataset=[0]))
    place = f'{place}.dataset'
    with _config_errors(cfg, place, dataset, registry.DATASETS):
        kind = registry.DATASETS.get(dataset.type)
    if kind is None or (inspect.isclass(kind) and issubclass(kind, BaseDataset)):
        _try(cfg, place, dataset, registry.DATASETS, lazy_init=True)


def _try_to_build_optimizer(
    cfg: Config, place: str, wrapper: dict, schedules: list[tuple[str, ConfigDict]]
) -> None:
    """Build an optimizer of one parameter, its wrapper, and the learning rate schedules."""
    parameters = [nn.Parameter(torch.zeros(1))]
    at = f'{place}.optimizer'
    optimizer = _try(cfg, at, wrapper.optimizer, registry.OPTIMIZERS, params=parameters)
    taken_out = 'optimizer', 'constructor', 'paramwise_cfg'
    rest = dict(
        dict(type='OptimWrapper'), **{k: x for k, x in wrapper.items() if k not in taken_out}
    )
    _try(cfg, place, rest, registry.OPTIM_WRAPPERS, optimizer=optimizer)
    for at, schedule in schedules:
        milestones = schedule.get('milestones', ())
        rest = {key: x for key, x in schedule.items() if key != 'convert_to_iter_based'}
        with _config_errors(cfg, at, rest, registry.PARAM_SCHEDULERS):
            if not all(_is_whole(step, 0) for step in milestones):
                raise ValueError(f'milestones must be integers, got {milestones!r}')
        _try(cfg, at, rest, registry.PARAM_SCHEDULERS, optimizer=optimizer)


def _check_arguments(function: Callable, given: dict) -> None:
    """Raise TypeError, as a call would, for an unknown argument."""
    given = {key: x for key, x in given.items() if key not in ('type', '_scope_')}
    try:
        inspect.signature(function).bind_partial(**given)
    except TypeError as error:
        raise TypeError(f'{function.__name__}() {error}') from error


def _check_numbers(cfg: Config) -> None:
    for place, least in _WHOLE_NUMBERS.items():
        part, _, key = place.partition('.')
        value = (cfg.get(part) or {}).get(key)
        if value is not None and not _is_whole(value, least):
            raise UserError(
                f'config {cfg.filename}: {place} must be an integer of at least {least}, '
                f'got {value!r}'
            )


def _is_whole(value: Any, least: int) -> bool:
    return isinstance(value, (int, float)) and value == value // 1 and value >= least


def _check_scale(cfg: Config, model: nn.Module) -> None:
    """Raise UserError if training patches and model differ in scale."""
    scale = getattr(getattr(model, 'generator', None), 'upscale_factor', None)
    loader = cfg.get('train_dataloader')
    if not scale or not loader:
        return
    wanted = f'model.generator.upscale_factor ({scale})'
    for i, step in enumerate(loader.dataset.get('pipeline', ())):
        where = f'config {cfg.filename}: train_dataloader.dataset.pipeline[{i}]'
        if step.get('type') in ('SetValues', 'BicubicDegradation'):
            prefix, values = (
                ('dictionary.', step.dictionary) if 'dictionary' in step else ('', step)
            )
            if values.get('scale', scale) != scale:
                raise UserError(f'{where}.{prefix}scale must be {wanted}, got {values.scale}')
        if step.get('type') == 'PairedRandomCrop' and step.gt_patch_size % scale:
            raise UserError(
                f'{where}.gt_patch_size must be a multiple of {wanted}, got {step.gt_patch_size}'
            )
