"""Export networks as safetensors: weights without code, with their architecture."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from csnln_mm.checkpoints.architecture import ARCHITECTURE_KEY, architecture_tensor
from csnln_mm.checkpoints.network import check_paths, read_network
from csnln_mm.errors import UserError
from csnln_mm.files import write_result
from csnln_mm.networks import build_network
from csnln_mm.version import __version__

# Entries of the metadata that follow from weights and architecture.
_OWN = 'format', 'architecture', 'upscale_factor'


def export_safetensors(
    checkpoint: str | Path,
    target: str | Path,
    *,
    architecture: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
    half: bool = False,
    metadata: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Write the network of a checkpoint as a safetensors file.

    Args:
        checkpoint: as for :func:`~csnln_mm.checkpoints.load_network`; its weights keep their
            precision.
        target: file; replaced if it exists.
        architecture, settings: for files without a config, as for ``load_network``.
        half: write float16.
        metadata: further entries of the file's metadata, such as ``license``.

    Returns:
        The metadata of the file: that of :func:`save_safetensors`, and either the metadata of a
        safetensors file, or the checkpoint's name as ``source``, and its ``iteration`` and
        ``epoch`` if it has them.

    Raises:
        UserError: if the checkpoint cannot be read, holds another network, or does not fit its
            config; if a weight is beyond float16; or if ``target`` cannot be written. Nothing is
            written then.
    """
    check_paths(Path(checkpoint), Path(target))
    read = read_network(checkpoint, architecture, settings=settings)
    metadata = {**origin(read.meta, checkpoint), **(metadata or {})}
    return save_safetensors(read.weights, read.architecture, target, half=half, metadata=metadata)


def origin(meta: Mapping[str, Any], checkpoint: str | Path) -> dict[str, str]:
    """Say where a network comes from, as entries of an exported file's metadata.

    Args:
        meta: of the checkpoint, see :func:`~csnln_mm.checkpoints.network.read_network`.
        checkpoint: its file.
    """
    if 'architecture' in meta:
        return {key: value for key, value in meta.items() if key not in _OWN}
    found = dict(source=Path(checkpoint).name)
    for key, name in ('iter', 'iteration'), ('epoch', 'epoch'):
        if isinstance(meta.get(key), int):
            found[name] = str(meta[key])
    return found


def save_safetensors(
    weights: Mapping[str, Tensor],
    architecture: Mapping[str, Any],
    target: str | Path,
    *,
    half: bool = False,
    metadata: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Write a network as a safetensors file, which every command accepts as a checkpoint.

    The metadata holds the architecture. So does a tensor, since many programs drop the metadata: it
    is the JSON as uint8, under the key ``csnln_architecture``.

    Args:
        weights: state dict of the network.
        architecture: arguments of the network, and its ``type`` unless it is a CSNLNNet.
        target: file; replaced if it exists.
        half: write float16.
        metadata: further entries of the file's metadata.

    Returns:
        The metadata of the file: ``architecture``, JSON of type and arguments; ``upscale_factor``;
        ``format``, 'pt'; ``csnln_mm_version``; and the given entries.

    Raises:
        UserError: if a weight is beyond float16, ``metadata`` would contradict the network, or
            ``target`` cannot be written. Nothing is written then.
    """
    architecture = dict(dict(type='CSNLNNet'), **architecture)
    with torch.device('meta'):
        scale = build_network(architecture).upscale_factor
    for key in _OWN:
        if key in (metadata or {}):
            raise UserError(f'the metadata {key!r} follows from the network; leave it out')
    meta = dict(
        format='pt',
        architecture=json.dumps(architecture),
        upscale_factor=str(scale),
        csnln_mm_version=__version__,
    )
    meta.update(metadata or {})
    tensors = {key: to_half(key, value) if half else value for key, value in weights.items()}
    tensors[ARCHITECTURE_KEY] = architecture_tensor(architecture)
    content = safetensors.torch.save(
        {key: value.detach().contiguous().clone() for key, value in tensors.items()}, meta
    )
    write_result(Path(target), _in_order(content))
    return meta


def _in_order(content: bytes) -> bytes:
    """Sort the metadata, which safetensors writes in random order."""
    end = 8 + int.from_bytes(content[:8], 'little')
    header = json.loads(content[8:end])
    header['__metadata__'] = dict(sorted(header['__metadata__'].items()))
    text = json.dumps(header, separators=(',', ':')).encode()
    text += b' ' * (-len(text) % 8)
    return len(text).to_bytes(8, 'little') + text + content[end:]


def to_half(key: str, value: Tensor) -> Tensor:
    """Convert to float16; UserError, naming the key, if a number overflows."""
    half = value.half()
    if value.isfinite().all() and not half.isfinite().all():
        raise UserError(f'{key!r} has values beyond float16; export it without --half')
    return half
