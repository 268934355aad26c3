"""The networks as MMagic builds them: by ``type``, with ``init_cfg``."""

import copy
import functools
from collections.abc import Mapping
from typing import Any

from mmagic.registry import MODELS
from mmengine.model import BaseModule
from torch import nn

from csnln_mm import networks as core

__all__ = [
    'AdditionFusion',
    'BicubicUpsampler',
    'CSNLNNet',
    'ConcatenationFusion',
    'CrossScaleEnhancer',
    'CrossScaleNonLocalAttention',
    'InScaleNonLocalAttention',
    'MutualProjectedFusion',
    'SEMCell',
    'SEMEnhancer',
]

# The arguments that are configs of parts, and what is built where they name no type.
_PARTS = dict(
    cell='SEMCell',
    fusion='MutualProjectedFusion',
    attention='CrossScaleNonLocalAttention',
    cross_scale_attention='CrossScaleNonLocalAttention',
    in_scale_attention='InScaleNonLocalAttention',
)


def _from_registry(config: Mapping[str, Any] | None, default: str) -> dict | None:
    """The same config, its type a callable that asks MMagic's registry."""
    if config is None:
        return None
    config = dict(config)
    name = config.pop('type', default)
    return dict(config, type=lambda **arguments: MODELS.build(dict(arguments, type=name)))


def _register(network: type[nn.Module]) -> type[nn.Module]:
    """Derive the class that MMEngine initialises, saves and builds, and register it."""

    @functools.wraps(network.__init__)
    def __init__(self: BaseModule, *args: Any, init_cfg: Any = None, **kwargs: Any) -> None:
        for part in _PARTS.keys() & kwargs.keys():
            kwargs[part] = _from_registry(kwargs[part], _PARTS[part])
        network.__init__(self, *args, **kwargs)  # whose super().__init__() is BaseModule's
        self.init_cfg = copy.deepcopy(init_cfg)

    bound = type(
        network.__name__,
        (network, BaseModule),
        dict(__init__=__init__, __module__=__name__, __doc__=network.__doc__),
    )
    MODELS.register_module(module=bound)
    return bound


# Module-level names, by which pickle finds them.
AdditionFusion = _register(core.AdditionFusion)
BicubicUpsampler = _register(core.BicubicUpsampler)
ConcatenationFusion = _register(core.ConcatenationFusion)
CrossScaleNonLocalAttention = _register(core.CrossScaleNonLocalAttention)
InScaleNonLocalAttention = _register(core.InScaleNonLocalAttention)
MutualProjectedFusion = _register(core.MutualProjectedFusion)
SEMCell = _register(core.SEMCell)
CSNLNNet = _register(core.CSNLNNet)
CrossScaleEnhancer = _register(core.CrossScaleEnhancer)
SEMEnhancer = _register(core.SEMEnhancer)
