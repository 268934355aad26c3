"""Convert checkpoint files between the released code and MMEngine."""

import io
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from csnln_mm.checkpoints.architecture import (
    PREFIX,
    carries_architecture,
    differences,
    get_all_weights,
    get_state_dict,
    read_architecture,
)
from csnln_mm.checkpoints.load import load_checkpoint
from csnln_mm.checkpoints.network import check_finite, check_paths
from csnln_mm.checkpoints.released import (
    ReleasedCheckpoint,
    convert_released_state_dict,
    convert_to_released_state_dict,
)
from csnln_mm.errors import UserError
from csnln_mm.files import write_result


def convert_released_file(
    source: Path, target: Path, *, scale: int | None = None
) -> ReleasedCheckpoint:
    """Convert a checkpoint of the released code to one that MMEngine's runner loads.

    Its ``meta`` describes the network: ``meta['cfg']`` has the config as ``model['generator']``, as
    in MMEngine's own checkpoints, and ``meta['csnln']`` has scale, recurrences and channels.

    Args:
        source: state dict saved by the released code, or the same as safetensors.
        target: .pth file; replaced if it exists.
        scale: the expected scale; any by default.

    Returns:
        The content of the new file.

    Raises:
        UserError: if ``source`` is another file, is for another scale, is unreadable, or would run
            code; nothing is written.
    """
    check_paths(source, target)
    checkpoint = load_checkpoint(source)
    weights = get_all_weights(checkpoint, str(source))
    exported = carries_architecture(checkpoint)
    if exported or any(str(key).startswith(PREFIX) for key in weights):
        kind = 'an exported file' if exported else 'a checkpoint of MMEngine'
        raise UserError(
            f'{source} is {kind}, not of the released code; the other direction is --to-released'
        )
    weights = get_state_dict(checkpoint, str(source))
    converted = _naming_file(source, convert_released_state_dict, weights)
    if scale is not None and converted.upscale_factor != scale:
        raise UserError(f'{source} is a model for x{converted.upscale_factor}, not x{scale}')
    state_dict = {f'{PREFIX}{key}': value for key, value in _copied(converted).items()}
    meta = dict(
        cfg=f'model = dict(generator={converted.architecture!r})\n',
        csnln=dict(
            upscale_factor=converted.upscale_factor,
            num_recurrences=converted.num_recurrences,
            mid_channels=converted.mid_channels,
            converted_from=source.name,
        ),
    )
    _save(dict(meta=meta, state_dict=state_dict), target)
    return converted


def convert_to_released_file(source: Path, target: Path) -> ReleasedCheckpoint:
    """Convert a checkpoint that was trained or converted here for the released code.

    Args:
        source: MMEngine checkpoint or exported file of a model of the released recipe, with its
            config.
        target: .pt file; replaced if it exists.

    Returns:
        The content of the new file.

    Raises:
        UserError: if ``source`` is another file, is unreadable or would run code, or the released
            code cannot build its network; nothing is written.
    """
    check_paths(source, target)
    checkpoint = load_checkpoint(source)
    if not isinstance(checkpoint, dict) or not isinstance(checkpoint.get('state_dict'), dict):
        raise UserError(f'{source} is not a checkpoint of MMEngine')
    if not carries_architecture(checkpoint):
        for key in checkpoint['state_dict']:
            if not str(key).startswith(PREFIX):
                raise UserError(f'{source} is not a checkpoint of CSNLN: it has a key {key!r}')
    converted = _naming_file(
        source, convert_to_released_state_dict, get_state_dict(checkpoint, str(source))
    )
    difference = differences(read_architecture(checkpoint, str(source)), converted.architecture)
    if difference:
        raise UserError(f'{source} does not fit the released code: {difference}')
    _save(_copied(converted), target)
    return converted


def _naming_file(path: Path, convert: Any, state_dict: Any) -> ReleasedCheckpoint:
    try:
        converted = convert(state_dict)
    except UserError as error:
        raise UserError(f'{path}: {error}') from error
    check_finite(converted.state_dict, path)
    return converted


def _copied(converted: ReleasedCheckpoint) -> dict[str, Tensor]:
    # torch saves the whole storage of a tensor, which may be larger.
    return {key: value.detach().clone() for key, value in converted.state_dict.items()}


def _save(content: dict, target: Path) -> None:
    file = io.BytesIO()
    torch.save(content, file)
    write_result(target, file.getvalue())
