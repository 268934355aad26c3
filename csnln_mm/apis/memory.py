"""Keeping the C library from holding on to memory that torch has freed."""
import ctypes
import sys

__all__ = ['return_freed_memory']

_M_MMAP_THRESHOLD = -3
_LARGE = 4 * 2**20


def return_freed_memory() -> None:
    """Have glibc give blocks of 4 MiB and more back to the system as soon as they are freed.

    By default it raises that limit to 32 MiB once such a block was freed, and puts feature maps
    below it where holes between them are seldom filled: the memory of a training step on a CPU
    grows to several times of what its tensors take. Costs some per cent of time, for the system
    has to clear the pages. Does nothing where there is no glibc.
    """
    if not sys.platform.startswith('linux'):
        return
    try:
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE)
    except (AttributeError, OSError):
        pass  # another C library
