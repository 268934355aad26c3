"""The cluster of these tests leaves nothing behind."""

import subprocess
import sys
from pathlib import Path

import pytest
from command_line import environment
from slurm_cluster import eventually, why_not

SCRIPT = """
import time
from slurm_cluster import SlurmCluster
with SlurmCluster() as cluster:
    job = cluster.submit('--output=/dev/null', '--wrap=sleep 600', cwd=cluster.folder)
    cluster.wait_for(job, JobState='RUNNING')
    print(cluster.folder, flush=True)
    time.sleep(600)
"""


def processes_of(folder):
    """Those that have the cluster's configuration."""
    found = []
    for process in Path('/proc').glob('[0-9]*'):
        try:
            if f'SLURM_CONF={folder}/'.encode() in (process / 'environ').read_bytes():
                found.append(process.name)
        except OSError:
            pass  # it has ended
    return found


@pytest.mark.slow
def test_nothing_is_left_when_the_tests_are_killed():
    if reason := why_not():
        pytest.skip(reason)
    command = [sys.executable, '-c', SCRIPT]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment()) as process:
        folder = process.stdout.readline().strip()
        assert folder and len(processes_of(folder)) >= 6  # daemons, the job and its steps
        process.kill()
    eventually(lambda: not Path(folder).exists(), 60, 'the folder is left')
    assert not processes_of(folder)
