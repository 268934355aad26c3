"""Connect the processes of a run."""

import datetime
import os
import re
import subprocess
from typing import Any

import torch
import torch.distributed
from mmengine.config import Config
from mmengine.dist import init_dist, is_distributed

from csnln_mm.errors import UserError
from csnln_mm.launchers import LAUNCHERS


def join_processes(cfg: Config) -> None:
    """Connect this process with the others that its launcher started.

    They communicate through the backend of ``env_cfg.dist_cfg`` (NCCL by default), or through gloo
    where there is no CUDA.

    Args:
        cfg: of the run; without a ``launcher`` nothing happens. On CPUs ``model_wrapper_cfg`` is
            set.

    Raises:
        UserError: if the launcher does not say where the others are, or they cannot be reached.
    """
    launcher = cfg.get('launcher', 'none')
    if launcher == 'none':
        return
    settings = dict((cfg.get('env_cfg') or {}).get('dist_cfg') or {})
    if not is_distributed():
        _set_variables(launcher)
        settings.update(_meeting_place(launcher))
        if torch.cuda.is_available():
            init_dist(launcher, **settings)
        else:
            _init_gloo(settings)
    if not torch.cuda.is_available():
        # A model with several optimizers names a wrapper of its own.
        wrapper = cfg.get('model_wrapper_cfg') or dict(type='MMDistributedDataParallel')
        cfg.model_wrapper_cfg = dict(wrapper, broadcast_buffers=False, device_ids=None)


def other_process_ended(error: RuntimeError) -> bool:
    """Whether torch says so: another process of the run has ended, or cannot be reached."""
    return 'gloo/transport' in str(error)


def _init_gloo(settings: dict[str, Any]) -> None:
    """Connect without MMEngine's launchers, which choose a CUDA device for each process."""
    places = {key: settings[key] for key in ('store', 'rank', 'world_size') if key in settings}
    if 'timeout' in settings:
        places['timeout'] = datetime.timedelta(seconds=settings['timeout'])
    try:
        torch.distributed.init_process_group('gloo', **places)
    except RuntimeError as error:
        if 'connectFullMesh' not in str(error):
            raise
        raise UserError(
            'the processes do not reach each other: gloo takes the address that the name of a '
            'machine stands for; set GLOO_SOCKET_IFNAME to the network interface, such as eth0'
        ) from error


def _set_variables(launcher: str) -> None:
    """Set torch's environment variables from those of Slurm or MPI."""
    for name, source in zip(LAUNCHERS['pytorch'][:3], LAUNCHERS[launcher]):
        if source not in os.environ:
            tool = dict(slurm='srun', mpi='mpirun').get(launcher, 'torchrun')
            raise UserError(
                f'--launcher {launcher}: {source} is not set; start the processes with {tool}'
            )
        os.environ[name] = os.environ[source]
    # Several jobs may share a machine.
    job = int(os.environ.get('SLURM_JOB_ID', 0)) if launcher == 'slurm' else 0
    os.environ.setdefault('MASTER_PORT', str(12000 + job % 17000) if job else '29500')
    if 'MASTER_ADDR' not in os.environ:
        if launcher != 'slurm':
            raise UserError(
                f'--launcher {launcher}: MASTER_ADDR is not set; it is the address of the machine '
                'that the process of rank 0 runs on'
            )
        os.environ['MASTER_ADDR'] = _first_node()


def _first_node() -> str:
    """The address of the first process of a Slurm step."""
    if os.environ.get('SLURM_STEP_NUM_NODES', os.environ.get('SLURM_NNODES')) == '1':
        return '127.0.0.1'
    nodes = os.environ.get('SLURM_STEP_NODELIST') or os.environ['SLURM_NODELIST']
    name = _scontrol('show', 'hostnames', nodes).split('\n')[0]
    # The name of a node may not resolve; Slurm itself uses the address.
    address = re.search(r' NodeAddr=(\S+)', _scontrol('--oneliner', 'show', 'node', name))
    return address[1] if address else name


def _scontrol(*words: str) -> str:
    return subprocess.run(['scontrol', *words], stdout=subprocess.PIPE, text=True).stdout


def _meeting_place(launcher: str) -> dict[str, Any]:
    """A store of its own for each restart of a torchrun job.

    In a shared one, torch 2.14 finds the addresses of the processes before the restart.
    """
    attempt = os.environ.get('TORCHELASTIC_RESTART_COUNT')
    if launcher != 'pytorch' or attempt is None:
        return {}
    rank, world_size = int(os.environ['RANK']), int(os.environ['WORLD_SIZE'])
    has_server = os.environ.get('TORCHELASTIC_USE_AGENT_STORE') == 'True'
    store = torch.distributed.TCPStore(
        os.environ['MASTER_ADDR'],
        int(os.environ['MASTER_PORT']),
        world_size,
        is_master=rank == 0 and not has_server,
    )
    store = torch.distributed.PrefixStore(f'attempt_{attempt}', store)
    return dict(store=store, rank=rank, world_size=world_size)
