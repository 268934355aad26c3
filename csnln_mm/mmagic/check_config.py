"""Mistakes in a config: found by building what needs no data, told in one line with the place."""

import copy
import importlib.util
import inspect
import logging
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmagic import registry
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.registry import Registry, init_default_scope
from mmengine.runner import Runner
from torch import nn

from csnln_mm.errors import UserError
from csnln_mm.mmagic.config import optim_wrappers, suggest

# How Python and MMEngine tell of an argument and of a type that there is not.
_UNKNOWN_ARGUMENT = re.compile(
    r"(\w+)(?:\.__init__)?\(\) got an unexpected keyword argument '(\w+)'"
)
_UNKNOWN_TYPE = re.compile(r"'?(.+?) is not in the \w+::([\w ]+) registry")
# What MMEngine would accept, and stumble over in the midst of a run; the least of each.
_WHOLE_NUMBERS = {
    'train_cfg.max_epochs': 1,
    'train_cfg.max_iters': 1,
    'train_cfg.val_interval': 1,
    'randomness.seed': 0,
}


def build_parts(cfg: Config) -> nn.Module:
    """Build all of a run that needs no data, and return the model.

    Hooks, loaders, data sets without their images, metrics, optimizers and schedules are built to
    see that they can be. Nothing is written.

    Raises:
        UserError: names the place in the config, and what would be accepted there.
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


def _try_to_build(cfg: Config) -> None:
    for place, hook in _hooks(cfg):
        with config_errors(cfg, place, hook):
            registry.HOOKS.build({key: x for key, x in hook.items() if key != 'priority'})
    for name in 'train_dataloader', 'val_dataloader', 'test_dataloader':
        for place, loader in _items(cfg.get(name), name):
            _build_loader(cfg, place, loader)
    for name in 'val_evaluator', 'test_evaluator':
        for place, evaluator in _items(cfg.get(name), name):
            for at, metric in _items(evaluator.get('metrics'), f'{place}.metrics'):
                with config_errors(cfg, at, metric):
                    registry.METRICS.build(copy.deepcopy(metric))
    for place, wrapper in optim_wrappers(cfg).items():
        _build_optimizer(cfg, place, wrapper)
    for name in 'train_cfg', 'val_cfg', 'test_cfg':
        if cfg.get(name) and 'type' in cfg[name]:
            _check_loop(cfg, name)
    randomness = cfg.get('randomness') or {}
    with config_errors(cfg, 'randomness', randomness):
        _check_arguments(Runner.set_randomness, randomness)


@contextmanager
def _quietly() -> Iterator[None]:
    """What parts have to say, they say again when they are built for good."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def build_model(model: dict, source: str) -> nn.Module:
    """Build a model or a part of it; a mistake is a UserError that begins with ``source``."""
    with config_errors(source, 'model', model):
        return registry.MODELS.build(copy.deepcopy(model))


@contextmanager
def config_errors(source: Config | str, place: str, part: Any) -> Iterator[None]:
    """Turn whatever is raised within into a UserError that names the place in the config.

    ``CSNLN_TRACEBACK=1`` lets the original through, for whoever's own component fails.

    Args:
        source: the config, or what names it in messages.
        place: dotted name of the part that is built.
        part: its config.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if os.environ.get('CSNLN_TRACEBACK', '0') not in ('', '0'):
            raise
        source = source if isinstance(source, str) else f'config {source.filename}'
        raise UserError(f'{source}: {_explain(error, place, part)}') from error


def innermost(dataset: dict) -> dict:
    """The config of the data set within those that only wrap another."""
    while 'dataset' in dataset:
        dataset = dataset['dataset']
    return dataset


def _explain(error: Exception, place: str, part: Any) -> str:
    text = ' '.join(str(error).split()) or type(error).__name__
    if found := _UNKNOWN_ARGUMENT.search(text):
        owner, name = found.groups()
        accepted = _arguments_of(owner)
        hint = suggest(name, accepted) or '.'
        known = f' It has {", ".join(accepted)}' if accepted else ''
        at = next((at for at, key, _ in _walk(part, place) if key == name), f'{place}.{name}')
        return f'{at}: {owner} has no such argument{hint}{known}'
    if found := _UNKNOWN_TYPE.match(text):
        name, kind = found.groups()
        names = _names_in(getattr(registry, f'{kind.replace(" ", "_").upper()}S', None))
        places = (at for at, key, x in _walk(part, place) if key == 'type' and x == name)
        at = next(places, f'{place}.type')
        package, dot, _ = name.partition('.')
        if dot and importlib.util.find_spec(package) is None:
            return f'{at}: {name} needs the package {package}, which is not installed'
        return f'{at}: there is no {kind} {name!r}{suggest(name, names)}'
    return f'{place}: {text:.300}'


def _arguments_of(name: str) -> list[str]:
    """Names of the arguments of what some registry, or MMEngine, calls so; none if none does."""
    kinds = (x for x in vars(registry).values() if isinstance(x, Registry))
    others = dict(DataLoader=torch.utils.data.DataLoader, set_randomness=Runner.set_randomness)
    found = others.get(name) or next((x for x in (kind.get(name) for kind in kinds) if x), None)
    if found is None:
        return []
    names: list[str] = []
    functions = [base.__init__ for base in found.__mro__] if inspect.isclass(found) else [found]
    for function in functions:
        parameters = inspect.signature(function).parameters.values()
        names += [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
        if not any(p.kind == p.VAR_KEYWORD for p in parameters):
            break
    return [name for name in dict.fromkeys(names) if name != 'self']


def _names_in(kind: Registry | None) -> list[str]:
    names: set[str] = set()
    while kind is not None:
        names.update(kind.module_dict)
        kind = kind.parent
    return sorted(names)


def _walk(value: Any, place: str) -> Iterator[tuple[str, str, Any]]:
    """(place, key, value) of all that a nested config holds."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield f'{place}.{key}', key, item
            yield from _walk(item, f'{place}.{key}')
    elif isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            yield from _walk(item, f'{place}[{i}]')


def _hooks(cfg: Config) -> Iterator[tuple[str, dict]]:
    for name, hook in (cfg.get('default_hooks') or {}).items():
        if isinstance(hook, dict):
            yield f'default_hooks.{name}', hook
    yield from _items(cfg.get('custom_hooks'), 'custom_hooks')


def _items(value: Any, place: str) -> Iterator[tuple[str, dict]]:
    """(place, config) of each in a list, or of the only one."""
    if isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            yield f'{place}[{i}]', item
    elif value:
        yield place, value


def _build_loader(cfg: Config, place: str, loader: dict) -> None:
    """The loader over one made-up sample, and the data set with its pipeline but no images."""
    with config_errors(cfg, place, {key: x for key, x in loader.items() if key != 'dataset'}):
        Runner.build_dataloader(dict(copy.deepcopy(loader), dataset=[0]))
    dataset = innermost(loader.dataset)
    with config_errors(cfg, f'{place}.dataset', dataset):
        kind = registry.DATASETS.get(dataset.type)
        if kind is None or (inspect.isclass(kind) and issubclass(kind, BaseDataset)):
            registry.DATASETS.build(dict(copy.deepcopy(dataset), lazy_init=True))


def _build_optimizer(cfg: Config, place: str, wrapper: dict) -> None:
    """The optimizer of one parameter, its wrapper, and the schedules of its learning rate."""
    parameters = [nn.Parameter(torch.zeros(1))]
    with config_errors(cfg, f'{place}.optimizer', wrapper.optimizer):
        optimizer = registry.OPTIMIZERS.build(dict(wrapper.optimizer, params=parameters))
    taken_out = 'optimizer', 'constructor', 'paramwise_cfg'
    with config_errors(cfg, place, wrapper):
        rest = {key: x for key, x in wrapper.items() if key not in taken_out}
        registry.OPTIM_WRAPPERS.build(dict(dict(type='OptimWrapper'), **rest, optimizer=optimizer))
    schedules = cfg.get('param_scheduler')
    if isinstance(schedules, dict) and 'type' not in schedules:
        return  # one list for each of several optimizers, which this is one of
    for at, schedule in _items(schedules, 'param_scheduler'):
        with config_errors(cfg, at, schedule):
            milestones = schedule.get('milestones', ())
            if not all(_is_whole(step, 0) for step in milestones):
                raise ValueError(f'milestones must be integers, got {milestones!r}')
            rest = {key: x for key, x in schedule.items() if key != 'convert_to_iter_based'}
            registry.PARAM_SCHEDULERS.build(dict(rest, optimizer=optimizer))


def _check_loop(cfg: Config, place: str) -> None:
    with config_errors(cfg, place, cfg[place]):
        kind = registry.LOOPS.get(cfg[place].type)
        if kind is None:
            raise KeyError(f'{cfg[place].type} is not in the mmagic::loop registry')
        _check_arguments(kind, cfg[place])


def _check_arguments(function: Callable, given: dict) -> None:
    """Raise what a call would raise for an argument that there is not."""
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
    """Raise UserError if the patches that are trained on are not of the model's scale."""
    scale = getattr(getattr(model, 'generator', None), 'upscale_factor', None)
    loader = cfg.get('train_dataloader')
    if not scale or not loader:
        return
    for i, step in enumerate(loader.dataset.get('pipeline', ())):
        where = f'config {cfg.filename}: train_dataloader.dataset.pipeline[{i}]'
        if step.get('type') == 'SetValues' and step.dictionary.get('scale', scale) != scale:
            raise UserError(
                f'{where}.dictionary.scale is {step.dictionary.scale}, but '
                f'model.generator.upscale_factor {scale}'
            )
        if step.get('type') == 'BicubicDegradation' and step.scale != scale:
            raise UserError(
                f'{where}.scale is {step.scale}, but model.generator.upscale_factor {scale}'
            )
        if step.get('type') == 'PairedRandomCrop' and step.gt_patch_size % scale:
            raise UserError(
                f'{where}.gt_patch_size must be a multiple of '
                f'model.generator.upscale_factor ({scale}), got {step.gt_patch_size}'
            )
