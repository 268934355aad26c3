"""Build networks from checkpoint files."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from csnln_mm import networks
from csnln_mm.checkpoints.architecture import (
    check_settings,
    get_all_weights,
    get_meta,
    get_state_dict,
    plain_architecture,
    read_architecture,
)
from csnln_mm.checkpoints.load import load_checkpoint
from csnln_mm.checkpoints.released import convert_released_state_dict, is_released
from csnln_mm.errors import UserError, one_line
from csnln_mm.limits import NETWORK_SIZE
from csnln_mm.networks.build import PARTS

# Modules whose tensors all come from the checkpoint, but for the mean of the network.
_OURS = ('csnln_mm.', 'torch.')


class LoadedNetwork(NamedTuple):
    """A network, and the metadata of its checkpoint.

    Attributes:
        network: in evaluation mode, on the CPU.
        weights: its state dict as the file has it, in the file's precision.
        architecture: its type and arguments, plain data.
        meta: the file's metadata: ``meta`` of MMEngine, the metadata of safetensors, or nothing.
    """

    network: nn.Module
    weights: dict[str, Tensor]
    architecture: dict[str, Any]
    meta: dict[str, Any]


def load_network(
    path: str | Path,
    architecture: Mapping[str, Any] | None = None,
    *,
    settings: Mapping[str, Any] | None = None,
) -> nn.Module:
    """Build the network of a checkpoint, with its weights.

    Args:
        path: checkpoint of a training run, with MMEngine or BasicSR, converted one, safetensors
            file, or state dict, also of the released code; or the name of a model that comes with
            the package. A moving average of the weights is preferred to the weights.
        architecture: the network's config, for files that carry none; see
            :func:`csnln_mm.networks.build_network`.
        settings: instead, only what the weights of such a file do not show, such as
            ``dict(image_skip=True, recurrence_skip=False)``; the error of a file that needs them
            names them.

    Returns:
        The network, in evaluation mode, on the CPU.

    Raises:
        UserError: if the file cannot be read, holds another network than a
            :class:`~csnln_mm.networks.CSNLNNet`, or does not fit.

    Examples:
        >>> import torch
        >>> from csnln_mm.checkpoints import load_network
        >>> network = load_network('csnln-x2-fast')
        >>> with torch.inference_mode():
        ...     network(torch.rand(1, 3, 16, 20)).shape
        torch.Size([1, 3, 32, 40])
    """
    return read_network(path, architecture, settings=settings).network


def read_network(
    path: str | Path,
    architecture: Mapping[str, Any] | None = None,
    *,
    settings: Mapping[str, Any] | None = None,
) -> LoadedNetwork:
    """Like :func:`load_network`, with weights, architecture and metadata of the file."""
    return build_from_checkpoint(load_checkpoint(path), str(path), architecture, settings=settings)


def build_from_checkpoint(
    checkpoint: Any,
    path: str,
    architecture: Mapping[str, Any] | None = None,
    *,
    settings: Mapping[str, Any] | None = None,
) -> LoadedNetwork:
    """Like :func:`read_network`, from the content of a file.

    Args:
        checkpoint: what :func:`~csnln_mm.checkpoints.load_checkpoint` returns, or a state dict.
        path: of the file, for messages.
        architecture, settings: as for :func:`load_network`.
    """
    network_config: dict[str, Any]
    if architecture is None:
        network_config = _restrict(read_architecture(checkpoint, path, settings), path)
        source = f'the config in checkpoint {path}'
    else:
        if settings:
            raise UserError('settings are for a checkpoint without a config; give one or the other')
        network_config = plain_architecture(architecture)
        check_settings(checkpoint, network_config, path)
        source = f'the config for checkpoint {path}'
    weights = get_state_dict(checkpoint, path)
    if is_released(weights):
        weights = convert_released_state_dict(weights).state_dict
    # First without its tensors: a checkpoint may claim a network that no memory holds.
    with torch.device('meta'):
        network = _build(network_config, source)
    if not isinstance(network, networks.CSNLNNet):
        raise UserError(f'checkpoint {path} is of a {type(network).__name__}, not of a CSNLNNet')
    check_fit(network, weights, path)
    if all(type(module).__module__.startswith(_OURS) for module in network.modules()):
        # What to_empty does, but that imports sympy, which takes longer than all the rest.
        empty = {k: torch.empty(t.shape, dtype=t.dtype) for k, t in network.state_dict().items()}
        network.load_state_dict(empty, assign=True)
        network.reset_mean()
    else:
        # A part of somebody's own may hold tensors that no checkpoint has.
        network = _build(network_config, source)
    network.load_state_dict(weights)
    return LoadedNetwork(network.eval(), weights, network_config, dict(get_meta(checkpoint)))


def check_paths(source: Path, target: Path) -> None:
    """Raise UserError if the target is a folder, or the same file as the source."""
    if target.is_dir():
        raise UserError(f'{target} is a folder')
    if target.exists() and source.exists() and os.path.samefile(source, target):
        raise UserError(f'{source} would overwrite itself')


def check_fit(model: nn.Module, checkpoint: Any, path: str) -> None:
    """Raise UserError, naming the first tensor that does not fit, unless a checkpoint fits a model.

    Weights that are not finite do not fit either.

    Args:
        model: in a distributed wrapper or not.
        checkpoint: the content of the file: a state dict, or a dict that has one as ``state_dict``.
        path: of the file, for messages.
    """
    given = get_all_weights(checkpoint, path)
    wanted = getattr(model, 'module', model).state_dict()
    for key, value in wanted.items():
        if not isinstance(given.get(key), torch.Tensor):
            raise UserError(f'checkpoint {path} does not fit the config: it lacks {key}')
        if given[key].shape != value.shape:
            raise UserError(
                f'checkpoint {path} does not fit the config: {key} is '
                f'{tuple(given[key].shape)}, the config makes it {tuple(value.shape)}'
            )
    for key in given:
        if key not in wanted:
            raise UserError(f'checkpoint {path} does not fit the config, which has no {key!r:.100}')
    check_finite(given, path)


def check_finite(weights: Mapping[str, Any], path: str | Path) -> None:
    """Raise UserError, naming the first, if a weight is NaN or infinite.

    Args:
        weights: a state dict.
        path: of the file, for messages.
    """
    for key, value in weights.items():
        if not isinstance(value, Tensor) or not (value.is_floating_point() or value.is_complex()):
            continue
        # Of less than 16 bits torch does not say it.
        numbers = value.float() if value.element_size() < 2 else value
        if not numbers.isfinite().all():
            raise UserError(
                f'checkpoint {path} is spoiled: {key!r:.100} has values that are not finite; take '
                'one that was saved earlier'
            )


def _restrict(architecture: dict[str, Any], path: str) -> dict[str, Any]:
    """Restrict the config in a file to our networks, and to reasonable sizes."""
    kind = architecture.get('type', 'CSNLNNet')
    if not isinstance(kind, str) or kind not in PARTS:
        raise UserError(
            f'the config in checkpoint {path} is of a {kind!r:.100}, which csnln_mm.networks does '
            "not have; for a network of MMagic's or of your own name its config with --config"
        )
    architecture = plain_architecture(architecture)
    _check_sizes(architecture, path)
    return architecture


def _check_sizes(value: Any, path: str) -> None:
    # Layers are made one by one, then compared.
    if isinstance(value, int) and value > NETWORK_SIZE:
        raise UserError(
            f'the config in checkpoint {path} is refused: {value} is a size beyond '
            f'{NETWORK_SIZE}; name one that you trust with --config'
        )
    if isinstance(value, (dict, list)):
        for item in value.values() if isinstance(value, dict) else value:
            _check_sizes(item, path)


def _build(architecture: Mapping[str, Any], source: str) -> nn.Module:
    try:
        return networks.build_network(architecture)
    except Exception as error:  # plain data can be wrong in many ways
        raise UserError(f'{source} is refused: {one_line(error):.200}') from error
