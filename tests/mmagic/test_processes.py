"""Processes that do not reach each other."""

import subprocess
import sys

import pytest
from command_line import environment, error_in

JOIN = """
import sys
import time
from pathlib import Path
from mmengine.config import Config
from torch.distributed import FileStore
from csnln_mm.cli import exit_status
from csnln_mm.mmagic.processes import join_processes

Path('imported' + sys.argv[1]).touch()
while len(list(Path().glob('imported?'))) < 2:
    time.sleep(0.05)
place = dict(store=FileStore('store', 2), rank=int(sys.argv[1]), world_size=2, timeout=3)
cfg = Config(dict(launcher='pytorch', env_cfg=dict(dist_cfg=place)))
sys.exit(exit_status(lambda: join_processes(cfg)))
"""
ANOTHER_MACHINE = 'unshare', '-rn', 'sh', '-c', 'ip link set lo up && exec "$@"', 'sh'


@pytest.mark.slow
def test_the_name_of_each_machine_stands_for_itself(tmp_path):
    """As in many an /etc/hosts; gloo tells the others this address."""
    try:
        subprocess.run([*ANOTHER_MACHINE, 'true'], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f'no network of its own for a process: {error}')
    job = []
    for rank in '0', '1':
        told = dict(RANK=rank, LOCAL_RANK='0', WORLD_SIZE='2', MASTER_ADDR='127.0.0.1')
        job.append(
            subprocess.Popen(
                [*ANOTHER_MACHINE, sys.executable, '-W', 'ignore', '-c', JOIN, rank],
                cwd=tmp_path,
                env=environment(**told),
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    for process in job:
        line = error_in(process.communicate(timeout=200)[1])
        assert 'do not reach each other' in line and 'set GLOO_SOCKET_IFNAME' in line
        assert process.returncode == 2
