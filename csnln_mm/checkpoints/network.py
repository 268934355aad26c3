"""From a checkpoint file to MMagic's editor, ready to enlarge pictures."""

from typing import Any

import torch
from mmengine.registry import init_default_scope
from torch import nn

from csnln_mm.checkpoints import convert_released_state_dict, load_checkpoint_file
from csnln_mm.checkpoints.architecture import read_embedded_model_config
from csnln_mm.device import select_device
from csnln_mm.errors import UserError
from csnln_mm.mmagic.check_config import build_model
from csnln_mm.mmagic.runner import check_fit, load_config

__all__ = ['load_model']

_LOSS = dict(type='L1Loss', loss_weight=1.0, reduction='mean')
_PREPROCESSOR = dict(
    type='DataPreprocessor', mean=[0.0, 0.0, 0.0], std=[255.0, 255.0, 255.0], data_keys=None
)

# A registry also builds whatever Python object a dotted name leads to, and MMagic has models
# that fetch weights: a checkpoint chooses among these types alone.
_ALLOWED_TYPES = {
    'AdditionFusion',
    'CSNLNEditor',
    'CSNLNNet',
    'ConcatenationFusion',
    'CrossScaleNonLocalAttention',
    'DataPreprocessor',
    'InScaleNonLocalAttention',
    'MutualProjectedFusion',
    'SEMCell',
}
# What no size in such a config exceeds: layers are made one by one before they are compared.
_LARGEST = 4096


def load_model(checkpoint: str, config: str | None = None, device: str | None = None) -> nn.Module:
    """The editor of a checkpoint, in evaluation mode.

    Args:
        checkpoint: a training's checkpoint, a converted one, or a released state dict.
        config: config file; needed only where the checkpoint does not carry its config.
        device: such as 'cpu' or 'cuda:1'; by default CUDA if there is some.

    Raises:
        UserError: if a file cannot be read, they do not fit together, or there is no such device.
    """
    torch_device = select_device(device)
    content = load_checkpoint_file(checkpoint)
    if config:
        model_config = load_config(config).get('model')
        if not model_config:
            raise UserError(f'config {config} has no model')
    elif isinstance(content, dict) and isinstance(content.get('meta'), dict):
        model_config = _restrict(read_embedded_model_config(content, checkpoint), checkpoint)
    else:
        content, model_config = _released(content, checkpoint)
    preprocessor = model_config.get('data_preprocessor') or {}
    if preprocessor.get('type') == 'DataPreprocessor':
        # It would look for a ground truth with every picture, and warn.
        preprocessor['data_keys'] = None
    init_default_scope('mmagic')
    source = f'config {config}' if config else f'the config in checkpoint {checkpoint}'
    # First without its tensors: a checkpoint may claim a network that no memory holds.
    with torch.device('meta'):
        model = build_model(model_config, source)
    if not hasattr(model, 'set_test_cfg'):
        raise UserError(f'config {config} makes a {type(model).__name__}, not a CSNLNEditor')
    check_fit(model, content, checkpoint)
    model = build_model(model_config, source)
    model.load_state_dict(content.get('state_dict', content))
    return model.to(torch_device).eval()


def _restrict(model: dict, path: str) -> dict:
    """What enlarging needs of an embedded config, of types that are known."""
    generator = model.get('generator')
    if model.get('type') != 'CSNLNEditor' or not isinstance(generator, dict):
        raise UserError(
            f'the config in checkpoint {path} is not of a CSNLNEditor with a '
            'generator; give one that you trust'
        )
    parts = dict(
        generator=generator, data_preprocessor=model.get('data_preprocessor') or _PREPROCESSOR
    )
    for name, part in parts.items():
        if not isinstance(part, dict):
            raise UserError(f'the config in checkpoint {path} is refused: its {name} is no dict')
        _check_types(part, path)
    return dict(type='CSNLNEditor', pixel_loss=_LOSS, **parts)


def _check_types(value: Any, path: str) -> None:
    if isinstance(value, dict):
        # Initialisation may read further files.
        value.pop('init_cfg', None)
        if 'type' in value and str(value['type']) not in _ALLOWED_TYPES:
            raise UserError(
                f'the config in checkpoint {path} is refused: it builds a '
                f'{value["type"]!r:.100}; give one that you trust'
            )
    if isinstance(value, int) and value > _LARGEST:
        raise UserError(
            f'the config in checkpoint {path} is refused: {value} is a size beyond '
            f'{_LARGEST}; give one that you trust'
        )
    if isinstance(value, (dict, list, tuple)):
        for item in value.values() if isinstance(value, dict) else value:
            _check_types(item, path)


def _released(content: Any, path: str) -> tuple:
    """(translated state dict, model config) of a released state dict."""
    if not isinstance(content, dict):
        raise UserError(f'checkpoint {path} holds no state dict')
    try:
        released = convert_released_state_dict(content)
    except UserError as error:
        raise UserError(
            f'checkpoint {path} carries no config, and is none that was released '
            f'({error}); give a config'
        ) from error
    generator = dict(
        type='CSNLNNet',
        upscale_factor=released.upscale_factor,
        num_recurrences=released.num_recurrences,
        mid_channels=released.mid_channels,
    )
    state_dict = {f'generator.{key}': value for key, value in released.state_dict.items()}
    model = dict(
        type='CSNLNEditor', generator=generator, pixel_loss=_LOSS, data_preprocessor=_PREPROCESSOR
    )
    return state_dict, model
