"""Report the state of a run to its job script."""

import os
from pathlib import Path

from mmengine.dist import is_main_process

from csnln_mm.files import atomic_write


def tell_job_script(state: str, steps: int) -> None:
    """Write a state and the number of completed steps to the file ``CSNLN_RUN_STATE``.

    The states are ``checked``, after ``--check``; ``training``, from the first step on;
    ``done``, after the last; and the name of a signal, such as ``SIGUSR1``, when all processes have
    agreed to end and have saved.
    Only the main process writes, and only if the variable is set.

    Raises:
        OSError: if the file cannot be written.
    """
    path = os.environ.get('CSNLN_RUN_STATE')
    if path and is_main_process():
        atomic_write(Path(path), f'{state} {steps}\n'.encode())
