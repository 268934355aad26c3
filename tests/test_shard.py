"""Which share of a job's images is whose, by what launchers tell."""

import pytest

from csnln_mm.device import processes_here
from csnln_mm.errors import UserError
from csnln_mm.shard import Shard, shard_of_process

STEP = dict(SLURM_PROCID='1', SLURM_NTASKS='4', SLURM_STEP_NUM_TASKS='4')


def array(task, first, last, step=1, **more):
    told = dict(ID=task, MIN=first, MAX=last, STEP=step, **more)
    return {f'SLURM_ARRAY_TASK_{name}': str(value) for name, value in told.items()}


@pytest.mark.parametrize(
    'told, share',
    [
        ({}, '1/1'),
        (dict(RANK='2', WORLD_SIZE='4'), '3/4'),
        (STEP, '2/4'),
        # In a batch script Slurm tells these as well, and there is one process.
        (dict(SLURM_PROCID='0', SLURM_NTASKS='4'), '1/1'),
        # A torchrun for each task.
        (dict(STEP, RANK='6', WORLD_SIZE='8'), '7/8'),
        (dict(OMPI_COMM_WORLD_RANK='0', OMPI_COMM_WORLD_SIZE='2'), '1/2'),
        (array(3, 1, 5, 2, COUNT=3), '2/3'),
        (array(9, 0, 9), '10/10'),
        (array(4, 4, 4, COUNT=1), '1/1'),
        (array(1, 0, 2) | STEP, '5/12'),
    ],
)
def test_what_launchers_tell(told, share):
    assert str(shard_of_process(60, told)) == share


def test_an_array_does_not_share_a_single_image():
    """Its script may have given each job an image of its own."""
    assert shard_of_process(1, array(1, 0, 2)) == Shard()
    assert str(shard_of_process(1, STEP)) == '2/4'


@pytest.mark.parametrize(
    'told, message',
    [
        (array(3, 1, 7, COUNT=3), 'use --array=1-3, or --shard 1/1'),
        (array(3, 1, 'x'), "SLURM_ARRAY_TASK_MAX is not a number: 'x'"),
        (dict(RANK='4', WORLD_SIZE='4'), 'RANK=4 is not below WORLD_SIZE=4'),
        (dict(RANK='-1', WORLD_SIZE='4'), 'RANK is not a number'),
    ],
)
def test_what_makes_no_sense(told, message):
    with pytest.raises(UserError, match=message):
        shard_of_process(60, told)


@pytest.mark.parametrize('count', [1, 2, 3, 7, 12])
def test_shares_are_disjoint_and_make_up_the_whole(count):
    items = list(range(10))
    shares = [Shard.parse(f'{k}/{count}').of(items) for k in range(1, count + 1)]
    assert sorted(sum(shares, [])) == items
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    halves = [Shard.parse('2/3').split(k, 2, 'half').of(items) for k in range(2)]
    assert sorted(sum(halves, [])) == Shard.parse('2/3').of(items)


@pytest.mark.parametrize('text', ['0/3', '4/3', '3', '1/0', '-1/3', '1/3/5', ''])
def test_shares_are_named_from_one(text):
    with pytest.raises(UserError, match='a share is named K/N'):
        Shard.parse(text)


@pytest.mark.parametrize(
    'told, count',
    [
        ({}, 1),
        (dict(LOCAL_WORLD_SIZE='4', SLURM_STEP_TASKS_PER_NODE='1'), 4),
        (dict(SLURM_STEP_TASKS_PER_NODE='2(x3),12'), 12),
    ],
)
def test_processes_on_this_machine(told, count):
    assert processes_here(told) == count
