"""From a checkpoint file to the network that it is of, ready to run."""

from typing import Any

import torch
from torch import nn

from csnln_mm.checkpoints.architecture import read_architecture
from csnln_mm.checkpoints.load import load_checkpoint
from csnln_mm.checkpoints.released import convert_released_state_dict
from csnln_mm.errors import UserError
from csnln_mm.networks import build_network

__all__ = ['check_fit', 'load_network']

_PREFIX = 'generator.'


def load_network(path: str) -> nn.Module:
    """The network of a checkpoint, on the CPU, in evaluation mode.

    Args:
        path: checkpoint of a training run, a converted one, or a released state dict.

    Raises:
        UserError: if the file cannot be read, does not say which network it is of, is of one that
            this package does not have, or does not fit it.
    """
    content = load_checkpoint(path)
    if isinstance(content, dict) and isinstance(content.get('meta'), dict):
        architecture = read_architecture(content, path)
        weights = content.get('state_dict', content)
    else:
        architecture, weights = _read_released(content, path)
    # First without its tensors: a checkpoint may claim a network that no memory holds.
    with torch.device('meta'):
        network = _build(architecture, path)
    check_fit(network, weights, path, prefix=_PREFIX)
    network = _build(architecture, path)
    network.load_state_dict({key.removeprefix(_PREFIX): weights[key] for key in weights})
    return network.eval()


def check_fit(network: nn.Module, weights: Any, path: str, *, prefix: str = '') -> None:
    """Raise UserError, naming the first tensor in question, unless weights fill a network.

    Args:
        network: a module.
        weights: state dict of a file, or a dict with one as ``state_dict``.
        path: of the file.
        prefix: what the names in the file begin with.
    """
    given = weights.get('state_dict', weights) if isinstance(weights, dict) else None
    if not isinstance(given, dict):
        raise UserError(f'checkpoint {path} holds no state dict')
    wanted = {f'{prefix}{key}': value for key, value in network.state_dict().items()}
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


def _build(architecture: dict, path: str) -> nn.Module:
    try:
        return build_network(architecture)
    except (AttributeError, RuntimeError, TypeError, ValueError) as error:
        reason = ' '.join(str(error).split())
        raise UserError(f'the config in checkpoint {path} is refused: {reason:.300}') from error


def _read_released(content: Any, path: str) -> tuple[dict, dict]:
    """(architecture, weights under our names) of a released state dict."""
    if not isinstance(content, dict):
        raise UserError(f'checkpoint {path} holds no state dict')
    try:
        released = convert_released_state_dict(content)
    except UserError as error:
        raise UserError(
            f'checkpoint {path} carries no config, and is none that was released '
            f'({error}); give a config'
        ) from error
    architecture = dict(
        upscale_factor=released.upscale_factor,
        num_recurrences=released.num_recurrences,
        mid_channels=released.mid_channels,
    )
    return architecture, {f'{_PREFIX}{key}': value for key, value in released.state_dict.items()}
