"""The models that come with the package: a list, and the choice of one for a scale.

Each is a safetensors file in ``weights/``; its metadata describe it.
"""

import json
from difflib import get_close_matches
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

from csnln_mm.checkpoints.architecture import ARCHITECTURE_KEY
from csnln_mm.errors import UserError

WEIGHTS = Path(__file__).parent / 'weights'


class PretrainedModel(NamedTuple):
    """A model that comes with the package.

    Attributes:
        name: ``load_network``, ``csnln upscale -n`` and ``load_from`` take it.
        path: of the safetensors file.
        scale: upscaling factor.
        parameters: their number.
        with_attention: whether it has attention beside convolutions.
        for_lossy: whether it was trained on photographs after lossy compression.
        scores: (PSNR in dB, SSIM) on Y by test set, as measured with this package.
        licence: of the weights.
        training_data: names of the data sets.
        training: how it was trained, in a few words.
    """

    name: str
    path: Path
    scale: int
    parameters: int
    with_attention: bool
    for_lossy: bool
    scores: dict[str, tuple[float, float]]
    licence: str
    training_data: str
    training: str


def list_pretrained() -> list[PretrainedModel]:
    """List the models that come with the package, by scale and number of parameters."""
    models = [_read(path) for path in WEIGHTS.glob('*.safetensors')]
    return sorted(models, key=lambda m: (m.scale, m.parameters, m.for_lossy))


def choose_pretrained(
    scale: float | None = None, *, with_attention: bool = False, lossy: bool = False
) -> PretrainedModel:
    """Choose the model for a scale: the smallest that upscales by this factor.

    Args:
        scale: wanted factor. If no model has it, the next larger factor of a model is used, or else
            the largest. By default the smallest.
        with_attention: choose among the models with attention only.
        lossy: prefer a model for images that lossy compression has changed, of that or the next
            larger factor.

    Raises:
        UserError: if no model is left to choose from.
    """
    models = [model for model in list_pretrained() if model.with_attention or not with_attention]
    if not models:
        kind = 'model with attention' if with_attention else 'model'
        raise UserError(f'no {kind} comes with the package; give a checkpoint')
    scales = [model.scale for model in models]
    best = min((s for s in scales if s >= (scale or 0)), default=max(scales))
    # The list is in order: the first is the smallest of the smallest factor.
    suitable = [model for model in models if model.scale >= best]
    return next((m for m in suitable if m.for_lossy == lossy), suitable[0])


def checkpoint_path(name: str | Path) -> Path:
    """Find a file, or a model that comes with the package.

    A file or folder of that name takes precedence over a model.

    Raises:
        UserError: for a bare word that is neither.
    """
    path = Path(name).expanduser()
    if path.exists() or path.suffix or path.name != str(name):
        return path
    weights = WEIGHTS / f'{name}.safetensors'
    if weights.is_file():
        return weights
    names = [model.name for model in list_pretrained()]
    close = get_close_matches(str(name), names, n=1)
    hint = f'did you mean {close[0]}?' if close else f'models: {", ".join(names)}'
    raise UserError(f'{name} is neither a checkpoint file nor a model of the package; {hint}')


def _read(path: Path) -> PretrainedModel:
    from safetensors import safe_open

    with safe_open(path, 'pt') as file:
        meta = file.metadata()
        weights = set(file.keys()) - {ARCHITECTURE_KEY}
        shapes = [file.get_slice(key).get_shape() for key in weights]
    network: dict[str, Any] = json.loads(meta['architecture'])
    scores = json.loads(meta.get('scores', '{}'))
    return PretrainedModel(
        name=path.stem,
        path=path,
        scale=network['upscale_factor'],
        parameters=sum(map(prod, shapes)),
        with_attention=any('attention' in key for key in weights),
        for_lossy=meta.get('made_for') == 'lossy files',
        scores={name: (psnr, ssim) for name, (psnr, ssim) in scores.items()},
        licence=meta['license'],
        training_data=meta['training_data'],
        training=meta['training'],
    )
