"""This process's share of the images, where several processes share them."""

import os
import re
import time
from collections.abc import Mapping
from typing import NamedTuple, TypeVar

from csnln_mm.errors import UserError
from csnln_mm.launchers import LAUNCHERS

Item = TypeVar('Item')


class Shard(NamedTuple):
    """A share of a list: every ``count``-th item.

    Attributes:
        index: of the first item, below ``count``.
        count: of shares.
        origin: the option or variable that set it; '' for all images.
    """

    index: int = 0
    count: int = 1
    origin: str = ''

    @classmethod
    def parse(cls, text: str) -> 'Shard':
        """The third of eight shares from ``3/8``.

        Raises:
            UserError: for anything else.
        """
        match = re.fullmatch(r'(\d{1,9})/(\d{1,9})', text)
        if not match or not 1 <= int(match[1]) <= int(match[2]):
            raise UserError(f'a share is named K/N, such as 3/8 for the third of 8, not {text}')
        return cls(int(match[1]) - 1, int(match[2]), '--shard')

    def split(self, index: int, count: int, origin: str) -> 'Shard':
        """A share of this share: every ``count``-th of its items, from the ``index``-th on."""
        if count == 1:
            return self
        both = ' and '.join(filter(None, [self.origin, origin]))
        return Shard(self.index + self.count * index, self.count * count, both)

    def of(self, items: list[Item]) -> list[Item]:
        """The items of this share."""
        return items[self.index :: self.count]

    def __str__(self) -> str:
        return f'{self.index + 1}/{self.count}'


def shard_of_process(images: int, environment: Mapping[str, str] = os.environ) -> Shard:
    """Find the share that a job array, torchrun, Slurm or MPI assigns to this process.

    Several tasks of each job of an array, or torchrun there, share that job's share.

    Args:
        images: how many are to be shared. An array does not share a single one: its jobs may each
            have been given their own.

    Raises:
        UserError: if the environment variables contradict each other.
    """
    shard = Shard()
    if images > 1:
        shard = shard_of_array(environment)
    for launcher in LAUNCHERS.values():
        names = launcher.rank, launcher.world_size
        if all(name in environment for name in names):
            index, count = (_number(environment, name) for name in names)
            if index >= count:
                raise UserError(f'{names[0]}={index} is not below {names[1]}={count}')
            return shard.split(index, count, names[0])
    return shard


def wait_for_others(*, failed: bool) -> None:
    """Under torchrun, let a process that failed end only after all others.

    torchrun ends all processes as soon as one ends with an error.
    """
    if os.environ.get('TORCHELASTIC_USE_AGENT_STORE') != 'True':
        return
    from torch.distributed import TCPStore

    store = TCPStore(os.environ['MASTER_ADDR'], int(os.environ['MASTER_PORT']), is_master=False)
    key = f'csnln_upscale/{os.environ.get("TORCHELASTIC_RESTART_COUNT", 0)}'
    ended = store.add(key, 1)
    while failed and ended < int(os.environ['WORLD_SIZE']):
        time.sleep(0.5)
        ended = store.add(key, 0)


def shard_of_array(environment: Mapping[str, str] = os.environ) -> Shard:
    """Find the share of a job in a Slurm array; everything outside of an array.

    Raises:
        UserError: if the variables do not determine it.
    """
    if 'SLURM_ARRAY_TASK_ID' not in environment:
        return Shard()
    task, first, last, step = (
        _number(environment, f'SLURM_ARRAY_TASK_{name}') for name in ('ID', 'MIN', 'MAX', 'STEP')
    )
    count = (last - first) // max(1, step) + 1
    tasks = environment.get('SLURM_ARRAY_TASK_COUNT', str(count))
    # Of a list such as 1,3,7 Slurm tells the first, the last, and a step of 1.
    if tasks != str(count) or not first <= task <= last:
        raise UserError(
            f'the job array does not tell which share is whose: {tasks} tasks from {first} to '
            f'{last} in steps of {step}; use --array=1-{tasks}, or --shard 1/1 for all images'
        )
    return Shard().split((task - first) // max(1, step), count, 'SLURM_ARRAY_TASK_ID')


def _number(environment: Mapping[str, str], name: str) -> int:
    text = environment.get(name, '')
    if not re.fullmatch(r'\d{1,9}', text):
        raise UserError(f'{name} is not a number: {text!r}; name the share with --shard K/N')
    return int(text)
