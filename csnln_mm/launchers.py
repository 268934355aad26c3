"""The environment variables by which launchers number their processes."""

from typing import NamedTuple


class Launcher(NamedTuple):
    """Names of environment variables.

    Attributes:
        rank: number of the process, from 0.
        world_size: number of processes.
        local_rank: number of the process on its machine, from 0.
        local_size: number of processes on the machine; Slurm writes 2(x3),1 for two on each of
            three machines and one on another.
    """

    rank: str
    world_size: str
    local_rank: str
    local_size: str


# torchrun comes first, since Slurm may have started it. Slurm sets SLURM_NTASKS in batch scripts as
# well, where one process stands for all tasks, but the number of a step's tasks only in a step.
LAUNCHERS = {
    'pytorch': Launcher('RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'LOCAL_WORLD_SIZE'),
    'slurm': Launcher(
        'SLURM_PROCID', 'SLURM_STEP_NUM_TASKS', 'SLURM_LOCALID', 'SLURM_STEP_TASKS_PER_NODE'
    ),
    'mpi': Launcher(
        *(f'OMPI_COMM_WORLD_{name}' for name in ('RANK', 'SIZE', 'LOCAL_RANK', 'LOCAL_SIZE'))
    ),
}
