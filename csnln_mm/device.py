"""What a computation runs on."""

import torch

from csnln_mm.errors import UserError

__all__ = ['choose_device']


def choose_device(name: str | None = None) -> torch.device:
    """The device of that name, by default CUDA if there is some.

    Raises:
        UserError: if there is no such device here.
    """
    try:
        device = torch.device(name or ('cuda' if torch.cuda.is_available() else 'cpu'))
        torch.zeros(1, device=device).item()  # 'meta' has no numbers
    except Exception as error:  # each backend has its own kind
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f'device {name}: {reason:.200}') from error
    return device
