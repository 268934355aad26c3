"""Insert a module into any network of MMagic, by config."""

from mmagic.registry import MODELS
from torch import nn


@MODELS.register_module(name='ExtendedNetwork')
def extend_network(*, network: dict, after: str, module: dict) -> nn.Module:
    """Build a network and insert a module after one of its parts.

    Args:
        network: config of the network.
        after: dotted name of the part, such as 'body'.
        module: config of a module whose output has the shape of its input.

    Returns:
        The network itself. The module is appended to a part that is a Sequential, like the bodies
        of EDSR and RRDBNet; weights keep their names. Another part, say 'conv', becomes a
        Sequential with the weights 'conv.0' of the part and 'conv.1' of the module.

    Raises:
        ValueError: if the network has no such part, or the part is a list of modules.
    """
    built = MODELS.build(network)
    owner_name, _, name = after.rpartition('.')
    try:
        owner = built.get_submodule(owner_name)
        part = owner.get_submodule(name) if name else None
    except AttributeError:
        part = None
    if part is None:
        parts = ', '.join(child for child, _ in built.named_children())
        raise ValueError(f'{type(built).__name__} has no part {after!r}, but {parts}')
    if isinstance(part, (nn.ModuleList, nn.ModuleDict)):
        raise ValueError(
            f'{after!r} of {type(built).__name__} is a {type(part).__name__}, which '
            'puts nothing out; name one of its items or another part'
        )
    if isinstance(part, nn.Sequential):
        part.append(MODELS.build(module))
    else:
        setattr(owner, name, nn.Sequential(part, MODELS.build(module)))
    return built
