"""A tool in several processes that compute together, forked from the server of forked_tool.

By themselves, or by torchrun.
"""

import multiprocessing
import os
import runpy
import signal
import subprocess
import sys

from command_line import ROOT, free_port
from forked_tool import end_of, start_tool


class Rank:
    """Before the tool starts: this process is one of a job, as torchrun would tell it."""

    def __init__(self, rank, processes, port):
        self.environment = dict(
            RANK=rank,
            LOCAL_RANK=rank,
            WORLD_SIZE=processes,
            LOCAL_WORLD_SIZE=processes,
            MASTER_ADDR='127.0.0.1',
            MASTER_PORT=port,
        )

    def __call__(self):
        os.environ.update({key: str(value) for key, value in self.environment.items()})


def start_job(folder, tool, *arguments, processes=2):
    """The processes of a tool; see :func:`end_of_job`."""
    port = free_port()
    arguments = [*arguments, '--launcher', 'pytorch']
    return [
        start_tool(
            folder, tool, arguments, output=f'rank_{rank}.txt', fault=Rank(rank, processes, port)
        )
        for rank in range(processes)
    ]


def end_of_job(folder, job, expect=0):
    """What all processes printed; each must end with this exit status."""
    statuses = [end_of(process) for process in job]
    output = ''.join((folder / f'rank_{rank}.txt').read_text() for rank in range(len(job)))
    assert statuses == [expect] * len(job), output[-20000:]
    return output


def run_job(folder, tool, *arguments, processes=2, expect=0):
    """The same of a job that this starts."""
    job = start_job(folder, tool, *arguments, processes=processes)
    return end_of_job(folder, job, expect)


def run_torchrun(folder, tool, *arguments, options=()):
    """(exit status, output) of two processes of a tool, started by tools/dist_run.py."""
    words = [f'--master_port={free_port()}', '--nproc_per_node=2', *options, ROOT / 'tools' / tool]
    words += [*arguments, '--launcher', 'pytorch']
    job = start_tool(folder, 'dist_run.py', words, fault=_fork_ranks)
    return end_of(job), (folder / 'output.txt').read_text()


def _fork_ranks():
    """What torchrun starts is forked from it, where a new interpreter would import for long."""
    from torch.distributed.elastic.multiprocessing.api import SubprocessHandler

    SubprocessHandler._popen = lambda handler, args, env: _ForkedRank(args, env)


class _ForkedRank:
    """What torchrun uses of ``subprocess.Popen``."""

    def __init__(self, args, env):
        context = multiprocessing.get_context('fork')
        self.process = context.Process(target=_run_rank, args=(args, env))
        self.process.start()
        self.pid = self.process.pid

    def poll(self):
        return self.process.exitcode

    def wait(self, timeout=None):
        self.process.join(timeout)
        if self.process.exitcode is None:
            raise subprocess.TimeoutExpired('a rank', timeout)

    def send_signal(self, number):
        os.kill(self.pid, number)


def _run_rank(args, env):
    os.setsid()
    for number in signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1:
        signal.signal(number, signal.SIG_DFL)
    os.environ.clear()
    os.environ.update(env)
    _, _, tool, *arguments = args  # python -u tool ...
    sys.argv = [tool, *arguments]
    runpy.run_path(tool, run_name='__main__')
