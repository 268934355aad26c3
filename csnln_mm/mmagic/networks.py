"""Register the core's networks with MMagic, which builds them by ``type`` and with ``init_cfg``.

Each keeps the name, arguments and state dict of its class in :mod:`csnln_mm.networks`, and finds
its parts in MMagic's registry.
"""

import copy
import functools
from collections.abc import Callable
from typing import Any

from mmagic.registry import MODELS
from mmengine.model import BaseModule
from torch import nn

from csnln_mm.networks.build import PARTS, find_parts_with


def _from_registry(name: str) -> Callable[..., nn.Module]:
    if name in PARTS and name not in MODELS:  # registered with the core after this module ran
        _bind(name)
    return lambda **arguments: MODELS.build(dict(arguments, type=name))


def _bind(name: str) -> None:
    """Derive a class that MMEngine can initialise, and register it."""
    network = PARTS[name]

    @functools.wraps(network.__init__)
    def __init__(self: BaseModule, *args: Any, init_cfg: Any = None, **kwargs: Any) -> None:
        with find_parts_with(_from_registry):
            network.__init__(self, *args, **kwargs)  # whose super().__init__() is BaseModule's
        self.init_cfg = copy.deepcopy(init_cfg)

    bound = type(
        name,
        (network, BaseModule),
        dict(__init__=__init__, __module__=__name__, __doc__=network.__doc__),
    )
    MODELS.register_module(module=bound)
    globals()[name] = bound  # where pickle finds it


__all__ = list(PARTS)

for _name in __all__:
    _bind(_name)
