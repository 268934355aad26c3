"""Networks from plain data: the dict of a config, a checkpoint or a file's metadata."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn


def build_part(
    config: Mapping[str, Any] | None, default: Callable[..., nn.Module], **arguments: Any
) -> nn.Module:
    """Build a part of a network.

    Args:
        config: the part's arguments, with its ``type``: the name of a class in
            :mod:`csnln_mm.networks`, or anything that can be called with arguments.
        default: what is built where ``config`` names no ``type``.
        arguments: further arguments, which follow from the network around the part.

    Raises:
        ValueError: if :mod:`csnln_mm.networks` has no class of that name.
        TypeError: if the class does not accept an argument.
    """
    config = dict(config or {})
    kind = config.pop('type', default)
    if isinstance(kind, str):
        from csnln_mm import networks

        if kind not in networks.__all__ or kind == 'build_network':
            raise ValueError(
                f'csnln_mm.networks has no {kind!r}; parts that are registered with MMagic can be '
                'named within the networks of csnln_mm.mmagic'
            )
        kind = getattr(networks, kind)
    return kind(**arguments, **config)


def build_network(config: Mapping[str, Any]) -> nn.Module:
    """Build a network from plain data, which can choose nothing but this package's networks.

    Args:
        config: the network's arguments and, but for a :class:`CSNLNNet`, its ``type``.

    Raises:
        ValueError: if the data name a class that :mod:`csnln_mm.networks` lacks, or hold a value
            out of range.
        TypeError: if the class does not accept an argument.
    """
    from csnln_mm.networks.csnln_net import CSNLNNet

    return build_part(config, CSNLNNet)
