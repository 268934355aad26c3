"""Read the network of a checkpoint from the file, without running any of it."""

import ast
import inspect
import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from csnln_mm.checkpoints.from_tensors import infer_architecture, is_csnln
from csnln_mm.checkpoints.released import convert_released_state_dict
from csnln_mm.errors import UserError, one_line
from csnln_mm.limits import CONFIG_BYTES, CONFIG_DEPTH, CONFIG_NUMBER
from csnln_mm.networks.build import PARTS

# Prefix of keys in MMEngine's checkpoints: the network within the model.
PREFIX = 'generator.'

# Where checkpoints have their state dict: MMEngine's, and BasicSR's and its relatives'; the moving
# average of weights before the weights themselves, since a model that has one upscales with it.
_CONTAINERS = 'state_dict', 'params_ema', 'params'
# Prefixes of the network among others, such as a discriminator, in the same order.
_OF_NETWORK = 'generator_ema.', PREFIX, 'net_g_ema.', 'net_g.'
# Prefixes that wrappers for several devices, averaging and compilation add to every key, and their
# own counters.
_OF_WRAPPER = 'module.', '_orig_mod.'
_COUNTERS = {'n_averaged', 'steps'}
_MOST_PREFIXES = 4

# An exported file has its architecture also among the weights, as JSON in uint8, for programs that
# read or hand on nothing but tensors. Names and shapes of the weights do not determine it.
ARCHITECTURE_KEY = 'csnln_architecture'

# Arguments of a CSNLNNet that :func:`differences` compares; with_cp does not change the result.
_COMPARED = (
    'upscale_factor',
    'mid_channels',
    'num_recurrences',
    'image_skip',
    'recurrence_skip',
    'rgb_mean',
    'attention_recurrences',
)


def read_architecture(
    checkpoint: Any, path: str, settings: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Read the arguments of a checkpoint's network, with its ``type``.

    They are read from, in this order: ``meta['architecture']``, JSON, which is the metadata of a
    safetensors file; the same as a tensor among the weights; ``generator`` of the model in
    ``meta['cfg']``, where MMEngine saves the text of a config; the keys and shapes of the weights,
    ours or those of the released code. MMEngine would run the text of a config as Python. Here it
    is data: only ``dict(...)``, lists, tuples and constants are understood.

    Args:
        checkpoint: the content of the file.
        path: of the file, for messages.
        settings: what keys and shapes do not show, for files that carry no config; see
            :func:`~csnln_mm.checkpoints.from_tensors.infer_architecture`.

    Raises:
        UserError: if the file does not say what its network is, or says it beside ``settings``;
            if its config is more than plain data, or the network was trained on images in another
            range than 0..1.
    """
    meta = get_meta(checkpoint)
    try:
        text = _architecture_text(checkpoint)
        if text is not None:
            network = json.loads(_short(text))
        elif isinstance(meta.get('cfg'), str):
            model = _read_model(meta['cfg'])
            _check_normalization(model.get('data_preprocessor'))
            network = model.get('generator')
        else:
            return _read_weights(checkpoint, path, settings)
        if not isinstance(network, dict):
            raise ValueError('it has no model with a generator')
        _check_depth(network)
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError) as error:
        raise UserError(
            f'the config in checkpoint {path} is refused: {one_line(error):.200}; '
            'name one that you trust with --config'
        ) from error
    _refuse_settings(settings, path)
    return network


def read_test_cfg(meta: Mapping[str, Any]) -> dict[str, Any] | None:
    """Read ``test_cfg`` from the config in a checkpoint.

    Args:
        meta: what the checkpoint says of itself; its config is read as data.

    Returns:
        Plain data; None where the checkpoint carries no config, or one that is more than data.
    """
    try:
        test_cfg = _read_model(meta['cfg']).get('test_cfg')
    except (KeyError, SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        return None
    return test_cfg if isinstance(test_cfg, dict) else None


def get_meta(checkpoint: Any) -> dict[str, Any]:
    """The ``meta`` of a checkpoint; empty if it has none."""
    meta = checkpoint.get('meta') if isinstance(checkpoint, dict) else None
    return meta if isinstance(meta, dict) else {}


def get_all_weights(checkpoint: Any, path: str) -> dict[str, Any]:
    """The state dict of a checkpoint, or a bare state dict; UserError if there is none."""
    weights = _find_weights(checkpoint)
    if not isinstance(weights, dict):
        raise UserError(f'checkpoint {path} holds no state dict')
    return weights


def get_state_dict(checkpoint: Any, path: str) -> dict[str, Tensor]:
    """Extract the weights of a checkpoint's network, under the network's own names.

    Args:
        checkpoint: the content of the file: a state dict, or a checkpoint of MMEngine, BasicSR or
            a relative, from which the weights of the generator are taken, or their moving average
            if there is one.
        path: of the file, for messages.

    Raises:
        UserError: if the file holds no state dict.
    """
    weights = {k: v for k, v in get_all_weights(checkpoint, path).items() if k != ARCHITECTURE_KEY}
    for _ in range(_MOST_PREFIXES):
        inner = next(filter(None, (_below(weights, p) for p in _OF_NETWORK + _OF_WRAPPER)), None)
        if inner is None:
            break
        weights = inner
    return weights


def _find_weights(checkpoint: Any) -> Any:
    if not isinstance(checkpoint, dict):
        return None
    for key in _CONTAINERS:
        # A tensor of that name is a weight of a bare state dict.
        if key in checkpoint and not isinstance(checkpoint[key], Tensor):
            return checkpoint[key]
    return checkpoint


def _below(weights: dict[str, Any], prefix: str) -> dict[str, Any]:
    """Strip a prefix from the keys that have it; a wrapper's must be common to all."""
    inner = {
        key[len(prefix) :]: value
        for key, value in weights.items()
        if isinstance(key, str) and key.startswith(prefix)
    }
    others = len(weights) - len(inner)
    if prefix in _OF_WRAPPER and others > len(_COUNTERS & weights.keys()):
        return {}
    return inner


def carries_architecture(checkpoint: Any) -> bool:
    """Whether a file carries its architecture as an exported file does."""
    return _architecture_text(checkpoint) is not None


def architecture_tensor(architecture: Mapping[str, Any]) -> Tensor:
    """The tensor that an exported file has as :data:`ARCHITECTURE_KEY`."""
    return torch.tensor(list(json.dumps(architecture).encode()), dtype=torch.uint8)


def plain_architecture(config: Any) -> Any:
    """Convert a config to types of JSON, without ``init_cfg``, which only MMEngine needs."""
    if isinstance(config, Mapping):
        return {
            key: plain_architecture(value) for key, value in config.items() if key != 'init_cfg'
        }
    if isinstance(config, (list, tuple, set, frozenset)):
        return [plain_architecture(value) for value in config]
    return config


def check_settings(checkpoint: Any, network: Mapping[str, Any], path: str) -> None:
    """Raise UserError if a checkpoint was trained with other settings than those of a config.

    Checkpoints that carry no config, or hold another network than a CSNLNNet, pass.

    Args:
        checkpoint: the content of the file.
        network: the config's ``model.generator``.
        path: of the file.
    """
    if 'cfg' not in get_meta(checkpoint) and not carries_architecture(checkpoint):
        return
    try:
        trained = read_architecture(checkpoint, path)
    except UserError:
        # A config of another kind: there is nothing to compare.
        return
    if {trained.get('type', 'CSNLNNet'), network.get('type', 'CSNLNNet')} != {'CSNLNNet'}:
        return
    try:
        difference = differences(trained, network)
    except (AttributeError, TypeError, ValueError) as error:
        raise UserError(
            f'the config in checkpoint {path} is refused: {one_line(error):.200}'
        ) from error
    if difference:
        raise UserError(f'checkpoint {path} does not fit the config: {difference}')


def differences(trained: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """Find the first setting in which two configs of a CSNLNNet differ; '' without any.

    Compares scale and sizes, since they tell more than the first tensor that does not fit, and
    settings that leave no trace in the weights: with the wrong ones, weights load and images are
    wrong.

    Args:
        trained: the config that the weights were trained with.
        wanted: the config that they will be used with.
    """
    theirs, ours = _settings(trained), _settings(wanted)
    for name in {**theirs, **ours}:
        if theirs.get(name) != ours.get(name):
            return f'it was trained with {name}={theirs.get(name)}, not {ours.get(name)}'
    return ''


def _settings(network: Mapping[str, Any]) -> dict[str, Any]:
    """What :func:`differences` compares, with defaults filled in."""
    network = _with_defaults('CSNLNNet', plain_architecture(network))
    settings = {name: network[name] for name in _COMPARED}
    settings['rgb_mean'] = tuple(settings['rgb_mean'])
    recurrences = settings['attention_recurrences']
    if recurrences is not None:
        recurrences = sorted(set(recurrences))
        all_of_them = len(recurrences) == settings['num_recurrences']
        settings['attention_recurrences'] = None if all_of_them else recurrences
    cell = network['cell'] or {}
    if cell.get('type', 'SEMCell') != 'SEMCell':
        return settings | dict(cell=cell)
    cell = _with_defaults('SEMCell', cell)
    cross_scale = cell['cross_scale_attention'] or dict(patch_size=cell['patch_size'])
    in_scale = cell['in_scale_attention'] or dict(grid=cell['in_scale_grid'])
    kind = 'CrossScaleNonLocalAttention'
    if cross_scale.get('type', kind) == kind:
        cross_scale = _with_defaults(kind, cross_scale)
        for name in 'patch_size', 'softmax_scale', 'divisor':
            settings[name] = cross_scale[name]
    else:
        settings['cross_scale_attention'] = cross_scale
    if in_scale.get('type', 'InScaleNonLocalAttention') == 'InScaleNonLocalAttention':
        settings['in_scale_grid'] = tuple(in_scale.get('grid') or (1, 1))
    else:
        settings['in_scale_attention'] = in_scale
    return settings


def _with_defaults(part: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a part, with the defaults of its class."""
    parameters = inspect.signature(PARTS[part]).parameters.values()
    defaults = {p.name: p.default for p in parameters if p.default is not p.empty}
    return plain_architecture(defaults) | dict(config)


def _architecture_text(checkpoint: Any) -> str | None:
    """The JSON of an exported file's architecture."""
    if not isinstance(checkpoint, dict):
        return None
    text = get_meta(checkpoint).get('architecture')
    if isinstance(text, str):
        return text
    weights = _find_weights(checkpoint)
    tensor = weights.get(ARCHITECTURE_KEY) if isinstance(weights, dict) else None
    if not isinstance(tensor, Tensor) or tensor.dtype != torch.uint8:
        return None
    return bytes(tensor.flatten().tolist()).decode(errors='replace')


def _read_weights(checkpoint: Any, path: str, settings: Mapping[str, Any] | None) -> dict[str, Any]:
    """The architecture that keys and shapes show."""
    weights = get_state_dict(checkpoint, path)
    if is_csnln(weights):
        return infer_architecture(weights, path, settings)
    try:
        released = convert_released_state_dict(weights)
    except UserError as error:
        raise UserError(
            f'checkpoint {path} carries no config, and is none that was released '
            f'({error}); name its config with --config'
        ) from error
    _refuse_settings(settings, path)
    return released.architecture


def _refuse_settings(settings: Mapping[str, Any] | None, path: str) -> None:
    if settings:
        raise UserError(f'checkpoint {path} carries its settings; leave {", ".join(settings)} out')


def _short(text: str) -> str:
    if len(text) > CONFIG_BYTES:
        raise ValueError(f'it has {len(text):,} characters, more than {CONFIG_BYTES:,}')
    return text


def _check_depth(value: Any, depth: int = 0) -> None:
    """Limit the depth and the integers of a config, which others recurse into and print."""
    if depth > CONFIG_DEPTH:
        raise ValueError(f'it is nested more than {CONFIG_DEPTH} levels deep')
    if isinstance(value, int) and abs(value) > CONFIG_NUMBER:
        raise ValueError(f'it has an integer of {value.bit_length()} bits')
    if isinstance(value, (dict, list, tuple, set)):
        for item in value:
            _check_depth(item, depth + 1)
    if isinstance(value, dict):
        for item in value.values():
            _check_depth(item, depth + 1)


def _check_normalization(preprocessor: Any) -> None:
    """Raise ValueError unless the network was trained on images in 0..1."""
    if not preprocessor:
        return
    if not isinstance(preprocessor, dict):
        raise ValueError('its data_preprocessor is no dict')
    for name, value in ('mean', 0), ('std', 255):
        given = preprocessor.get(name)
        for number in given if isinstance(given, (list, tuple)) else [given]:
            if number != value:
                raise ValueError(f'its data_preprocessor has {name}={given}, not {value}')


def _read_model(text: str) -> dict:
    """``model`` of the text of a config."""
    for statement in ast.parse(_short(text)).body:
        if isinstance(statement, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == 'model' for target in statement.targets
        ):
            model = ast.literal_eval(_DictCalls().visit(statement.value))
            if isinstance(model, dict):
                return model
    raise ValueError('it has no model')


class _DictCalls(ast.NodeTransformer):
    """``dict(key=value)`` as ``{'key': value}``, which :func:`ast.literal_eval` knows."""

    def visit_Call(self, node: ast.Call) -> ast.Dict:
        names = [item.arg for item in node.keywords]
        is_dict = isinstance(node.func, ast.Name) and node.func.id == 'dict'
        if not is_dict or node.args or None in names:
            raise ValueError(f'line {node.lineno} calls a function')
        values = [self.visit(item.value) for item in node.keywords]
        return ast.Dict([ast.Constant(name) for name in names], values)
