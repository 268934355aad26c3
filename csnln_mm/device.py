"""Choose a device, and find out how much memory it has."""

from __future__ import annotations

import ctypes
import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from csnln_mm.errors import UserError
from csnln_mm.launchers import LAUNCHERS

if TYPE_CHECKING:
    import torch

# Parameters of glibc's mallopt.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_MMAP_MAX = -4
_M_MMAP_MAX_DEFAULT = 65536
_MIB = 2**20


def select_device(name: str | None = None) -> torch.device:
    """Select a device by name.

    Args:
        name: as in torch, such as ``cuda:1``; with ``auto`` or None the first available one of
            CUDA, MPS and the CPU.

    Raises:
        UserError: if the device does not exist or cannot compute.
    """
    import torch

    if name in (None, 'auto'):
        name = 'cpu'
        if torch.cuda.is_available():
            name = _cuda_of_process(torch.cuda.device_count())
        elif torch.backends.mps.is_available():
            name = 'mps'
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()  # fails on 'meta'
    except Exception as error:  # each backend raises its own kind
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f'device {name}: {reason:.200}') from error
    return device


def _cuda_of_process(count: int) -> str:
    """One of several devices for each process that a launcher has started on this machine."""
    for launcher in LAUNCHERS.values():
        rank = os.environ.get(launcher.local_rank, '')
        if count > 1 and rank.isdecimal():
            return f'cuda:{int(rank) % count}'
    return 'cuda'


def free_memory(device: torch.device) -> int | None:
    """The free bytes of a device; None if it does not say.

    On a CPU, this is what the process may still allocate within the limits of its control groups
    (set by containers and clusters) and of its address space, divided by the number of processes
    that a launcher has started on this machine.
    """
    if device.type == 'cuda':
        import torch

        return torch.cuda.mem_get_info(device)[0]
    free = free_main_memory() if device.type == 'cpu' else None
    return free and free // processes_here()


def processes_here(environment: Mapping[str, str] = os.environ) -> int:
    """How many processes torchrun, Slurm or MPI have started together on this machine."""
    for launcher in LAUNCHERS.values():
        if counts := re.findall(r'(?:^|,)(\d+)', environment.get(launcher.local_size, '')):
            return max(1, *map(int, counts))
    return 1


def cores_here() -> int:
    """How many cores this process may use."""
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def free_main_memory() -> int | None:
    """:func:`free_memory` of the CPU, without torch."""
    free = [_available_memory(), *_left_by_cgroups(Path('/proc/self')), *_left_by_rlimits()]
    return max(0, min((count for count in free if count is not None), default=0)) or None


def _available_memory() -> int | None:
    """The free memory of the machine, regardless of limits."""
    try:
        with open('/proc/meminfo') as file:
            for line in file:
                if line.startswith('MemAvailable:'):
                    return 1024 * int(line.split()[1])
    except OSError:
        pass  # not Linux
    return None


class _Cgroups(NamedTuple):
    """The names of the files, and of the reclaimable memory, in a version of control groups."""

    limits: tuple[str, ...]
    usage: str
    reclaimable: str


_CGROUPS_V1 = _Cgroups(('memory.limit_in_bytes',), 'memory.usage_in_bytes', 'total_inactive_file')
_CGROUPS_V2 = _Cgroups(('memory.max', 'memory.high'), 'memory.current', 'inactive_file')


def _left_by_cgroups(process: Path) -> Iterator[int]:
    """Yield the free bytes within the limits of a process's control groups and their parents.

    Args:
        process: its folder in /proc.
    """
    for folder, top, version in _cgroups(process):
        while True:
            with suppress(OSError, ValueError):
                used = _number(folder / version.usage)
                for line in (folder / 'memory.stat').read_text().splitlines():
                    name, _, count = line.partition(' ')
                    if name == version.reclaimable:
                        used -= int(count)  # cached files give way when memory is needed
                for limit in version.limits:
                    with suppress(OSError, ValueError):  # 'max' is not a number
                        yield _number(folder / limit) - used
            if folder == top:
                break
            folder = folder.parent


def _cgroups(process: Path) -> Iterator[tuple[Path, Path, _Cgroups]]:
    """Yield each control group that counts a process's memory: folder, topmost folder, version."""
    try:
        paths = dict(
            line.split(':', 2)[1:] for line in (process / 'cgroup').read_text().splitlines()
        )
        mounts = (process / 'mountinfo').read_text().splitlines()
    except OSError:
        return
    for mount in mounts:
        place, _, kind = mount.partition(' - ')
        root, top = place.split()[3:5]
        kind, _, options = kind.split(' ', 2)
        if kind == 'cgroup2':
            path, version = paths.get(''), _CGROUPS_V2
        elif kind == 'cgroup' and 'memory' in options.split(','):
            path = next((p for names, p in paths.items() if 'memory' in names.split(',')), None)
            version = _CGROUPS_V1
        else:
            continue
        if path is not None:
            # In a container, the mount shows part of the tree, or the path is outside of it.
            inside = os.path.relpath(path, root)
            folder = Path(top) if inside.startswith('..') else Path(top, inside)
            yield folder if folder.is_dir() else Path(top), Path(top), version


def _number(path: Path) -> int:
    return int(path.read_text())


def _left_by_rlimits() -> Iterator[int]:
    """Yield the free bytes within the limits of this process (``ulimit -v`` and ``-d``)."""
    if sys.platform != 'linux':
        return
    import resource

    pages = [int(count) for count in Path('/proc/self/statm').read_text().split()]
    for kind, used in (resource.RLIMIT_AS, pages[0]), (resource.RLIMIT_DATA, pages[5]):
        limit = resource.getrlimit(kind)[0]
        if limit != resource.RLIM_INFINITY:
            yield limit - used * resource.getpagesize()


def address_space_limit() -> int | None:
    """Bytes of addresses that this process may have (``ulimit -v``); None if all."""
    if sys.platform == 'win32':
        return None
    import resource

    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return None if limit == resource.RLIM_INFINITY else limit


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error says that a device ran out of memory."""
    import torch

    return isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError)) or any(
        text in str(error) for text in ("can't allocate memory", 'not enough memory')
    )


def set_malloc_thresholds(*, mmap: int | None, trim: int | None = None) -> None:
    """Set which freed blocks glibc returns to the system; without glibc, do nothing.

    ``mmap=None, trim=2047`` saves time: the system clears every page that it hands out, which takes
    a fifth of the time of a network with the local branch alone, and of small images with
    attention. ``mmap=4`` saves memory: by default, glibc raises the threshold to 32 MiB once such a
    block is freed, and places smaller feature maps so that holes between them are seldom filled;
    a training step on a CPU that recomputes cells then takes twice the memory of its tensors.

    Args:
        mmap: return freed blocks of at least this size in MiB, up to 32; None: none for their size.
        trim: MiB at the top of the heap to keep for the next blocks; None: glibc's rule.
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
