"""Networks from plain data: the dict of a config, a checkpoint or a file's metadata."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from torch import nn

Part = TypeVar('Part', bound=type[nn.Module])

# Every network and part that plain data may name, by the name of its class.
PARTS: dict[str, type[nn.Module]] = {}


def register_part(part: Part) -> Part:
    """Decorate a class so that configs, and the configs in checkpoints, can name it.

    Raises:
        ValueError: if another class has the name.
    """
    name = part.__name__
    other = PARTS.setdefault(name, part)
    if (other.__module__, other.__qualname__) != (part.__module__, part.__qualname__):
        raise ValueError(f'{other.__module__} has registered a part {name} already')
    PARTS[name] = part
    return part


def _find_part(name: str) -> type[nn.Module]:
    if name not in PARTS:
        raise ValueError(
            f'csnln_mm.networks has no {name!r}; if it is a part of your own, name the config of '
            'its training, which imports it: --config FILE, or csnln test FILE CHECKPOINT'
        )
    return PARTS[name]


_find: ContextVar[Callable[[str], Callable[..., nn.Module]]] = ContextVar(
    'find', default=_find_part
)


@contextmanager
def find_parts_with(find: Callable[[str], Callable[..., nn.Module]]) -> Iterator[None]:
    """Within it, :func:`build_part` looks names up in another way, such as in a registry."""
    token = _find.set(find)
    try:
        yield
    finally:
        _find.reset(token)


def build_part(config: Mapping[str, Any] | None, default: str, **arguments: Any) -> nn.Module:
    """Build a part of a network.

    Args:
        config: the part's arguments, with its ``type``: the name of a registered class, or
            anything that can be called with arguments.
        default: the ``type`` of a config that names none.
        arguments: further arguments, which follow from the network around the part.

    Raises:
        ValueError: if no class of that name is registered.
        TypeError: if the class does not accept an argument.
    """
    config = dict(config or {})
    kind = config.pop('type', default)
    if isinstance(kind, str):
        kind = _find.get()(kind)
    return kind(**arguments, **config)


def build_network(config: Mapping[str, Any]) -> nn.Module:
    """Build a network from plain data, which can name registered classes and nothing else.

    Args:
        config: the network's arguments and, unless it is a :class:`CSNLNNet`, its ``type``.

    Raises:
        ValueError: if no class of a name in the data is registered, or a value is out of range.
        TypeError: if the class does not accept an argument.
    """
    return build_part(config, 'CSNLNNet')
