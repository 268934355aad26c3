"""A tool in several processes that compute together, forked from the server of forked_tool.

What torchrun itself does is for the tests that start it.
"""

import os

from command_line import free_port
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


def end_of_job(folder, job):
    """(exit status of each process, what all of them printed)"""
    statuses = [end_of(process) for process in job]
    outputs = [(folder / f'rank_{rank}.txt').read_text() for rank in range(len(job))]
    return statuses, ''.join(outputs)


def run_job(folder, tool, *arguments, processes=2):
    """(exit status of each process, what all of them printed)"""
    return end_of_job(folder, start_job(folder, tool, *arguments, processes=processes))
