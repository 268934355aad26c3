"""Mistakes in a config, told by the name of the key before anything is built for good."""

import copy
import inspect
from collections.abc import Callable, Iterator, Sequence
from difflib import get_close_matches
from typing import Any

import torch
from mmagic import registry
from mmengine.config import Config
from mmengine.registry import Registry, init_default_scope
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import DataLoader

from csnln_mm.errors import UserError

__all__ = ['build_model', 'check_config', 'suggest']

# The registry of a component by the key that leads to it in a config, and what it consists of.
_REGISTRIES: dict[str, Registry] = dict(
    cell=registry.MODELS,
    custom_hooks=registry.HOOKS,
    data_preprocessor=registry.MODELS,
    dataset=registry.DATASETS,
    fusion=registry.MODELS,
    generator=registry.MODELS,
    metrics=registry.METRICS,
    model=registry.MODELS,
    optim_wrapper=registry.OPTIM_WRAPPERS,
    optimizer=registry.OPTIMIZERS,
    param_scheduler=registry.PARAM_SCHEDULERS,
    pipeline=registry.TRANSFORMS,
    pixel_loss=registry.MODELS,
    sampler=registry.DATA_SAMPLERS,
    test_cfg=registry.LOOPS,
    test_evaluator=registry.EVALUATORS,
    train_cfg=registry.LOOPS,
    val_cfg=registry.LOOPS,
    val_evaluator=registry.EVALUATORS,
)
_PARTS = dict(
    cell=('fusion',),
    dataset=('dataset', 'pipeline'),
    generator=('cell',),
    model=('generator', 'pixel_loss', 'data_preprocessor'),
    optim_wrapper=('optimizer',),
    test_dataloader=('dataset', 'sampler'),
    test_evaluator=('metrics',),
    train_dataloader=('dataset', 'sampler'),
    val_dataloader=('dataset', 'sampler'),
    val_evaluator=('metrics',),
)
_LOADERS = 'train_dataloader', 'val_dataloader', 'test_dataloader'
_CHECKED = (
    'model',
    'train_cfg',
    'val_cfg',
    'test_cfg',
    'optim_wrapper',
    'param_scheduler',
    'default_hooks',
    'custom_hooks',
    'val_evaluator',
    'test_evaluator',
    *_LOADERS,
)

# Components that are what they are where a config does not say so.
_DEFAULT_TYPES = dict(cell='SEMCell', fusion='MutualProjectedFusion')
# What MMagic takes out of a component's settings before it builds it.
_TAKEN_OUT = {
    'custom_hooks': {'priority'},
    'optim_wrapper': {'constructor', 'paramwise_cfg'},
    'param_scheduler': {'convert_to_iter_based'},
    **dict.fromkeys(_LOADERS, {'num_batch_per_epoch'}),
}

# Whole numbers, and the least that each may be.
_LEAST = {
    'default_hooks.logger.interval': 1,
    'randomness.seed': 0,
    'train_cfg.max_epochs': 1,
    'train_cfg.max_iters': 1,
    'train_cfg.val_interval': 1,
    **{f'{loader}.batch_size': 1 for loader in _LOADERS},
    **{f'{loader}.num_workers': 0 for loader in _LOADERS},
}


def check_config(cfg: Config) -> nn.Module:
    """Raise UserError, naming the key and what is accepted, if a config cannot be run.

    Types that no registry has, settings that a type does not have, and values that the model, the
    optimizer, its schedules, the loops or the loaders refuse. Reads no data.

    Args:
        cfg: of a training or a test; not changed.

    Returns:
        The model, to compare checkpoints with.
    """
    source = f'config {cfg.filename}'
    init_default_scope(cfg.get('default_scope', 'mmagic'))
    if 'model' not in cfg:
        raise UserError(f'{source} has no model')
    for key in _CHECKED:
        if cfg.get(key):
            _check(key, key, cfg[key], source)
    _check_settings(
        'randomness', 'randomness', Runner.set_randomness, cfg.get('randomness') or {}, source
    )
    for name, least in _LEAST.items():
        for where, value in _values(cfg, name.split('.')):
            if not _is_whole(value, least):
                raise UserError(
                    f'{source}: {where} must be an integer of at least {least}, got {value!r}'
                )
    model = build_model(cfg.model, source)
    _check_scale(cfg, model, source)
    return model


def build_model(model: dict, source: str) -> nn.Module:
    """Build a model or a part of it.

    Args:
        model: its config; not changed.
        source: names where the config is from, for messages.

    Raises:
        UserError: if a key or a value in it is wrong.
    """
    try:
        return registry.MODELS.build(copy.deepcopy(model))
    except (AttributeError, KeyError, OSError, RuntimeError, TypeError, ValueError) as error:
        # An OSError: weights that a part of it would read or download.
        raise UserError(f'{source}: model: {_one_line(error)}') from error


def _check(where: str, key: str, value: Any, source: str) -> None:
    """Check what stands in a config at ``where``, by the last ``key`` on the way there."""
    if isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            _check(f'{where}[{i}]', key, item, source)
    elif isinstance(value, dict):
        if key == 'default_hooks':
            for name, hook in value.items():
                _check(f'{where}.{name}', 'custom_hooks', hook, source)
        elif key in _LOADERS:
            _check_settings(where, key, DataLoader, value, source)
        elif 'type' in value or key in _DEFAULT_TYPES:
            kind = _find(
                where, _REGISTRIES[key], value.get('type', _DEFAULT_TYPES.get(key)), source
            )
            _check_settings(where, key, kind, value, source)
            if key in ('optimizer', 'param_scheduler'):
                _try_to_build(where, key, value, source)
        for part in _PARTS.get(key, ()):
            if value.get(part):
                _check(f'{where}.{part}', part, value[part], source)


def _find(where: str, found_in: Registry, name: Any, source: str) -> Callable:
    if not isinstance(name, str):
        return name
    try:
        found = found_in.get(name)
    except RuntimeError:  # a dotted name that leads nowhere
        found = None
    if found is not None:
        return found
    known, ancestor = set(), found_in
    while ancestor is not None:
        known.update(ancestor.module_dict)
        ancestor = ancestor.parent
    raise UserError(
        f'{source}: {where}.type: there is no {found_in.name} {name!r}'
        + suggest(name, sorted(known))
    )


def _check_settings(where: str, key: str, kind: Callable, value: dict, source: str) -> None:
    """Raise UserError if a component has settings that its type does not know."""
    accepted = _accepted(kind)
    if accepted is None:
        return
    known = {'type', '_scope_', *_TAKEN_OUT.get(key, ()), *accepted}
    for name in value:
        if name not in known:
            raise UserError(
                f'{source}: {where}.{name}: {kind.__name__} has no such setting'
                + suggest(name, accepted, everything=True)
            )


def _accepted(kind: Callable) -> list[str] | None:
    """Names of the arguments, those that go on to base classes included; None if unknown."""
    names: list[str] = []
    for function in (
        (base.__init__ for base in inspect.getmro(kind)) if inspect.isclass(kind) else (kind,)
    ):
        try:
            parameters = inspect.signature(function).parameters.values()
        except (TypeError, ValueError):
            return None
        names += [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
        if not any(p.kind == p.VAR_KEYWORD for p in parameters):
            return [name for name in dict.fromkeys(names) if name != 'self']
    return None


def _try_to_build(where: str, key: str, value: dict, source: str) -> None:
    """Raise UserError if an optimizer, or a schedule of one, refuses its settings."""
    parameters = [nn.Parameter(torch.zeros(1))]
    settings = {name: x for name, x in value.items() if name not in _TAKEN_OUT.get(key, ())}
    milestones = settings.get('milestones', ())
    try:
        if key == 'optimizer':
            registry.OPTIMIZERS.build(dict(settings, params=parameters))
            return
        if not all(_is_whole(step, 0) for step in milestones):
            raise ValueError(f'milestones must be integers, got {milestones!r}')
        optimizer = torch.optim.SGD(parameters, lr=1.0, momentum=0.9)
        registry.PARAM_SCHEDULERS.build(dict(settings, optimizer=optimizer))
    except (TypeError, ValueError) as error:
        raise UserError(f'{source}: {where}: {_one_line(error)}') from error


def _values(value: Any, path: Sequence[str], where: str = '') -> Iterator[tuple[str, Any]]:
    """(place, value) of each setting at a path, which may lead through lists."""
    if isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            yield from _values(item, path, f'{where}[{i}]')
    elif not path:
        yield where, value
    elif isinstance(value, dict) or not where:
        if value.get(path[0]) is not None:
            name = f'{where}.{path[0]}' if where else path[0]
            yield from _values(value[path[0]], path[1:], name)


def _is_whole(value: Any, least: int) -> bool:
    return isinstance(value, (int, float)) and value == value // 1 and value >= least


def _check_scale(cfg: Config, model: nn.Module, source: str) -> None:
    """Raise UserError if the patches that are trained on are not of the model's scale."""
    scale = getattr(getattr(model, 'generator', None), 'upscale_factor', None)
    loader = cfg.get('train_dataloader')
    if not scale or not loader:
        return
    for i, step in enumerate(loader.dataset.get('pipeline', ())):
        where = f'{source}: train_dataloader.dataset.pipeline[{i}]'
        if step.get('type') == 'SetValues' and step.dictionary.get('scale', scale) != scale:
            raise UserError(
                f'{where}.dictionary.scale is {step.dictionary.scale}, but '
                f'model.generator.upscale_factor {scale}'
            )
        if step.get('type') == 'PairedRandomCrop' and step.gt_patch_size % scale:
            raise UserError(
                f'{where}.gt_patch_size must be a multiple of '
                f'model.generator.upscale_factor ({scale}), got {step.gt_patch_size}'
            )


def suggest(name: str, known: Sequence[str], everything: bool = False) -> str:
    """The end of a message about a name that is not known: the one that may be meant.

    Args:
        name: what was given.
        known: what there is.
        everything: say all of that, too.
    """
    close = get_close_matches(name, known, n=1)
    hint = f'; did you mean {close[0]!r}?' if close else ''
    if not everything:
        return hint
    return f'{hint or "."} It has {", ".join(known)}'


def _one_line(error: Exception, length: int | None = 300) -> str:
    text = ' '.join(str(error).split()) or type(error).__name__
    return text if len(text) <= length else f'{text[:length]} ...'
