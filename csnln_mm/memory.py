"""What the C library does with memory that torch has freed: feature maps are large and many."""

import ctypes
import sys

__all__ = ['return_freed_memory', 'reuse_freed_memory']

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_MIB = 2**20


def return_freed_memory() -> None:
    """For little memory: have glibc give blocks of 4 MiB and more back to the system when freed.

    By default it raises that limit to 32 MiB once such a block was freed, and puts feature maps
    below it where holes between them are seldom filled: the memory of a training step on a CPU
    that recomputes cells grows to twice of what its tensors take. Does nothing where there is no
    glibc.
    """
    _mallopt(_M_MMAP_THRESHOLD, 4 * _MIB)


def reuse_freed_memory() -> None:
    """For little time: have glibc keep freed blocks below 32 MiB, 256 MiB of them, for the next.

    The system clears every page that it hands out, which takes a fifth of the time of a small
    image's inference and a tenth of a training step's. Does nothing where there is no glibc.
    """
    _mallopt(_M_MMAP_THRESHOLD, 32 * _MIB)
    _mallopt(_M_TRIM_THRESHOLD, 256 * _MIB)


def _mallopt(parameter: int, value: int) -> None:
    if not sys.platform.startswith('linux'):
        return
    try:
        ctypes.CDLL(None).mallopt(parameter, value)
    except (AttributeError, OSError):
        pass  # another C library
