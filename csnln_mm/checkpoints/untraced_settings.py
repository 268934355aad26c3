"""Settings of a network that its weights do not show: they fit, and the images are wrong."""

from typing import Any

from csnln_mm.checkpoints.architecture import read_embedded_model_config
from csnln_mm.checkpoints.released import RGB_MEAN
from csnln_mm.errors import UserError

__all__ = ['check_untraced_settings', 'untraced_difference']


def check_untraced_settings(checkpoint: Any, generator: dict, path: str) -> None:
    """Raise UserError if a checkpoint was trained with other settings than a config has.

    Of the network's scale and size, which say more than the tensor that does not fit, and of
    settings that leave no trace in the weights. Checkpoints that carry no config, or not of a
    CSNLNNet, pass.

    Args:
        checkpoint: what the file holds.
        generator: the config's ``model.generator``.
        path: of the file.
    """
    meta = checkpoint.get('meta') if isinstance(checkpoint, dict) else None
    if not isinstance(meta, dict) or 'cfg' not in meta:
        return
    try:
        trained = read_embedded_model_config(checkpoint, path).get('generator', {})
    except UserError:
        # A config of another kind: there is nothing to compare.
        return
    if {trained.get('type'), generator.get('type')} != {'CSNLNNet'}:
        return
    difference = _difference(_sizes(trained), _sizes(generator)) or untraced_difference(
        trained, generator
    )
    if difference:
        raise UserError(f'checkpoint {path} does not fit the config: {difference}')


def untraced_difference(trained: dict, wanted: dict) -> str:
    """The first setting in which two configs of a CSNLNNet differ unseen; '' if in none.

    Args:
        trained: the one that the weights were trained with.
        wanted: the one that they shall be used with.
    """
    return _difference(_settings(trained), _settings(wanted))


def _difference(trained: dict, wanted: dict) -> str:
    for name, value in trained.items():
        if value != wanted[name]:
            return f'it was trained with {name}={value}, not {wanted[name]}'
    return ''


def _sizes(generator: dict) -> dict[str, Any]:
    defaults = dict(upscale_factor=2, mid_channels=128, num_recurrences=12)
    return {name: generator.get(name, default) for name, default in defaults.items()}


def _settings(generator: dict) -> dict[str, Any]:
    cell = generator.get('cell') or {}
    return dict(
        image_skip=bool(generator.get('image_skip', False)),
        rgb_mean=tuple(generator.get('rgb_mean', RGB_MEAN)),
        patch_size=cell.get('patch_size', 3),
        in_scale_grid=tuple(cell.get('in_scale_grid') or (1, 1)),
    )
