"""What a computation runs on, and how much memory there is for it."""

from __future__ import annotations

import ctypes
import sys
from typing import TYPE_CHECKING

from csnln_mm.errors import UserError

if TYPE_CHECKING:
    import torch

# Parameters of glibc's mallopt.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_MMAP_MAX = -4
_M_MMAP_MAX_DEFAULT = 65536
_MIB = 2**20


def select_device(name: str | None = None) -> torch.device:
    """The device of that name.

    Args:
        name: as torch writes it, such as ``cuda:1``; ``auto`` or None for the first of CUDA, MPS
            and the CPU that is there.

    Raises:
        UserError: if there is no such device here, or nothing can be computed on it.
    """
    import torch

    if name in (None, 'auto'):
        name = 'cpu'
        if torch.cuda.is_available():
            name = 'cuda'
        elif torch.backends.mps.is_available():
            name = 'mps'
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()  # 'meta' has no numbers
    except Exception as error:  # each backend has its own kind
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f'device {name}: {reason:.200}') from error
    return device


def free_memory(device: torch.device) -> int | None:
    """Bytes that the device has free; None where it does not tell."""
    if device.type == 'cuda':
        import torch

        return torch.cuda.mem_get_info(device)[0]
    if device.type != 'cpu':
        return None
    try:
        with open('/proc/meminfo') as file:
            for line in file:
                if line.startswith('MemAvailable:'):
                    return 1024 * int(line.split()[1])
    except OSError:
        pass  # not Linux
    return None


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error says that the memory of a device did not suffice."""
    import torch

    return isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError)) or any(
        text in str(error) for text in ("can't allocate memory", 'not enough memory')
    )


def set_malloc_thresholds(*, mmap: int | None, trim: int | None = None) -> None:
    """Set which freed blocks glibc returns to the system, and which it keeps; in MiB.

    Feature maps are large and many. ``mmap=None, trim=2047`` saves time: the system clears every
    page that it hands out, which takes a fifth of the time of a network with the local branch
    alone, and of a small image's inference with attention. ``mmap=4`` saves memory: glibc by
    default raises the threshold to 32 MiB once such a block was freed, and puts feature maps below
    it where holes between them are seldom filled, so that the memory of a training step on a CPU
    that recomputes cells grows to twice of what its tensors take.

    Does nothing where there is no glibc.

    Args:
        mmap: blocks of at least this size, up to 32, are returned when they are freed; with None
            no block is for its size.
        trim: how much of what else is free at the top of the heap is kept for the next blocks;
            None leaves glibc's rule.
    """
    if sys.platform != 'linux':
        return
    mallopt = getattr(ctypes.CDLL(None), 'mallopt', None)
    if mallopt is None:  # another C library
        return
    if mmap is None:
        mallopt(_M_MMAP_MAX, 0)
    else:
        mallopt(_M_MMAP_MAX, _M_MMAP_MAX_DEFAULT)
        mallopt(_M_MMAP_THRESHOLD, mmap * _MIB)
    if trim is not None:
        mallopt(_M_TRIM_THRESHOLD, trim * _MIB)
