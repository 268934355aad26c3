"""What a computation runs on, and how much memory there is for it."""

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
            name = _cuda_of_process(torch.cuda.device_count())
        elif torch.backends.mps.is_available():
            name = 'mps'
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()  # 'meta' has no numbers
    except Exception as error:  # each backend has its own kind
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f'device {name}: {reason:.200}') from error
    return device


def _cuda_of_process(count: int) -> str:
    """One of several devices for each process that a launcher has started on this machine."""
    for name in 'LOCAL_RANK', 'SLURM_LOCALID', 'OMPI_COMM_WORLD_LOCAL_RANK':
        if count > 1 and os.environ.get(name, '').isdecimal():
            return f'cuda:{int(os.environ[name]) % count}'
    return 'cuda'


def free_memory(device: torch.device) -> int | None:
    """Bytes that the device has free; None where it does not tell.

    Of the memory of a CPU, what this process may still take: no more than the limits of its control
    groups, which containers and clusters set, and of its address space leave; and its part of that
    where a launcher has started several processes on this machine.
    """
    if device.type == 'cuda':
        import torch

        return torch.cuda.mem_get_info(device)[0]
    free = free_main_memory() if device.type == 'cpu' else None
    return free and free // processes_here()


def processes_here(environment: Mapping[str, str] = os.environ) -> int:
    """How many processes torchrun, Slurm or MPI have started together on this machine."""
    for name in 'LOCAL_WORLD_SIZE', 'SLURM_STEP_TASKS_PER_NODE', 'OMPI_COMM_WORLD_LOCAL_SIZE':
        # Slurm writes 2(x3),1 for two on each of three machines and one on another.
        if counts := re.findall(r'(?:^|,)(\d+)', environment.get(name, '')):
            return max(1, *map(int, counts))
    return 1


def free_main_memory() -> int | None:
    """:func:`free_memory` of the CPU, without torch."""
    free = [_available_memory(), *_left_by_cgroups(Path('/proc/self')), *_left_by_rlimits()]
    return max(0, min((count for count in free if count is not None), default=0)) or None


def _available_memory() -> int | None:
    """What the machine has free, whatever this process may take of it."""
    try:
        with open('/proc/meminfo') as file:
            for line in file:
                if line.startswith('MemAvailable:'):
                    return 1024 * int(line.split()[1])
    except OSError:
        pass  # not Linux
    return None


class _Cgroups(NamedTuple):
    """A version of control groups: the names of its files, and what they count beside memory."""

    limits: tuple[str, ...]
    usage: str
    reclaimable: str


_CGROUPS_V1 = _Cgroups(('memory.limit_in_bytes',), 'memory.usage_in_bytes', 'total_inactive_file')
_CGROUPS_V2 = _Cgroups(('memory.max', 'memory.high'), 'memory.current', 'inactive_file')


def _left_by_cgroups(process: Path) -> Iterator[int]:
    """What the limits of a process's control groups, and of all above them, leave.

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
                        used -= int(count)  # cached files make room when memory is needed
                for limit in version.limits:
                    with suppress(OSError, ValueError):  # 'max' is no number
                        yield _number(folder / limit) - used
            if folder == top:
                break
            folder = folder.parent


def _cgroups(process: Path) -> Iterator[tuple[Path, Path, _Cgroups]]:
    """The folder of each control group that counts a process's memory, and the topmost one."""
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
            # In a container, the mount shows a part of the tree, or the path is outside of it.
            inside = os.path.relpath(path, root)
            folder = Path(top) if inside.startswith('..') else Path(top, inside)
            yield folder if folder.is_dir() else Path(top), Path(top), version


def _number(path: Path) -> int:
    return int(path.read_text())


def _left_by_rlimits() -> Iterator[int]:
    """What the limits of this process (``ulimit -v`` and ``-d``) leave."""
    if sys.platform != 'linux':
        return
    import resource

    pages = [int(count) for count in Path('/proc/self/statm').read_text().split()]
    for kind, used in (resource.RLIMIT_AS, pages[0]), (resource.RLIMIT_DATA, pages[5]):
        limit = resource.getrlimit(kind)[0]
        if limit != resource.RLIM_INFINITY:
            yield limit - used * resource.getpagesize()


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
