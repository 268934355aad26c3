"""Processes that do not reach each other."""

import subprocess
import sys

import pytest
from command_line import environment

# Forked, so that the imports are done once.
JOIN = """
import ctypes, os, subprocess, sys
from mmengine.config import Config
from torch.distributed import FileStore
from csnln_mm.cli import exit_status
from csnln_mm.mmagic.processes import join_processes

rank = int(os.fork() == 0)
os.environ['RANK'] = str(rank)
assert ctypes.CDLL(None).unshare(0x40000000) == 0  # CLONE_NEWNET: as on a machine of its own
subprocess.run('ip link set lo up'.split(), check=True)
place = dict(store=FileStore('store', 2), rank=rank, world_size=2, timeout=3)
cfg = Config(dict(launcher='pytorch', env_cfg=dict(dist_cfg=place)))
status = exit_status(lambda: join_processes(cfg))
if rank == 0:
    assert os.waitstatus_to_exitcode(os.wait()[1]) == status
sys.exit(status)
"""


@pytest.mark.slow
def test_the_name_of_each_machine_stands_for_itself(tmp_path):
    """As in many an /etc/hosts; gloo tells the others this address."""
    try:
        words = 'unshare -rn ip link set lo up'.split()
        subprocess.run(words, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f'no network of its own for a process: {error}')
    done = subprocess.run(
        ['unshare', '-r', sys.executable, '-W', 'ignore', '-c', JOIN],
        cwd=tmp_path,
        env=environment(LOCAL_RANK='0', WORLD_SIZE='2', MASTER_ADDR='127.0.0.1'),
        capture_output=True,
        text=True,
        timeout=200,
    )
    lines = [line for line in done.stderr.splitlines() if line.startswith('csnln: error: ')]
    assert len(lines) == 2 and 'Traceback' not in done.stderr, done.stderr
    for line in lines:
        assert 'do not reach each other' in line and 'set GLOO_SOCKET_IFNAME' in line
    assert done.returncode == 2
