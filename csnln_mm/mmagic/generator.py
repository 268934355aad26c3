"""Load the generator of a config, for commands that run without MMagic's runner."""

from mmengine.registry import init_default_scope
from torch import nn

from csnln_mm.checkpoints import check_fit
from csnln_mm.errors import UserError
from csnln_mm.mmagic.check_config import build_model
from csnln_mm.mmagic.config import load_config
from csnln_mm.mmagic.resume import load_for_model


def load_generator(config: str, checkpoint: str) -> nn.Module:
    """Build the model of a config, load a checkpoint, and return its generator.

    A model that keeps a moving average of the generator's weights, as Real-ESRGAN does, upscales
    with the average; its generator has those weights.

    Args:
        config: file, or the name of a config of the package. MMEngine runs it as Python.
        checkpoint: of a training run with that config, or a state dict.

    Raises:
        UserError: if a file cannot be read, the files do not fit each other, or the model has no
            generator for super-resolution.
    """
    content = load_for_model(checkpoint)
    cfg = load_config(config)
    if not cfg.get('model'):
        raise UserError(f'config {config} has no model')
    init_default_scope(cfg.get('default_scope', 'mmagic'))
    model = build_model(cfg.model, f'config {config}')
    if not hasattr(getattr(model, 'generator', None), 'upscale_factor'):
        raise UserError(
            f'config {config} makes a {type(model).__name__} without a generator that has an '
            'upscale_factor'
        )
    check_fit(model, content, checkpoint)
    model.load_state_dict(content.get('state_dict', content))
    return getattr(model, 'generator_ema', None) or model.generator
