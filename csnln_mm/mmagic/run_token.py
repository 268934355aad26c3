"""One run writes to a work directory: the one that was started last."""

import os
import socket
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from csnln_mm.errors import UserError
from csnln_mm.files import atomic_write

_NAME = 'run_token'


class TakenOver(UserError):
    """Another run has been started in the work directory since."""


class RunToken(NamedTuple):
    """A fencing token: a file in the work directory that says whose it is.

    A machine that Slurm calls failed, or a process that was stopped, may go on long after its job
    was started again elsewhere. Locks would not tell: those of ``flock`` are local to a mount on
    some network file systems. A run takes the directory over when it starts, and looks before each
    write whether that has happened to itself.

    Attributes:
        path: of the file.
        content: of it, as long as no other run has been started; no two runs have the same.
    """

    path: str
    content: str

    @classmethod
    def take(cls, folder: Path) -> 'RunToken':
        """Take a work directory over, from whatever run is still going on in it.

        Raises:
            OSError: if the file cannot be written.
        """
        job = os.environ.get('SLURM_JOB_ID')
        content = (
            f'{uuid.uuid4()} process {os.getpid()} on {socket.gethostname()}'
            f'{f", Slurm job {job}" if job else ""}, started {time.strftime("%Y-%m-%d %H:%M:%S")}\n'
        )
        atomic_write(folder / _NAME, content.encode(), durable=True)
        return cls(str(folder / _NAME), content)

    def check(self) -> None:
        """Make sure that the directory is still this run's.

        Raises:
            TakenOver: if another run has been started in it; names that.
            OSError: if it cannot be read.
        """
        content = self._read()
        if content is None:
            # Somebody has tidied up: no run begins by removing it.
            with suppress(FileExistsError), open(self.path, 'x') as file:
                file.write(self.content)
            content = self._read()
        if content != self.content:
            owner = (content or '').partition(' ')[2].strip()
            raise TakenOver(
                f'{os.path.dirname(self.path)} was taken over by another run ({owner}); this one '
                'ends and writes nothing more there'
            )

    def _read(self) -> str | None:
        try:
            with open(self.path, errors='replace') as file:
                return file.read()
        except FileNotFoundError:
            return None
