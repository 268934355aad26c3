"""Let only the run that was started last write to a work directory."""

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
    """A fencing token: a file in the work directory that names the run that owns it.

    A node that Slurm calls failed, or a stopped process, may continue long after its job was
    restarted elsewhere. On some network file systems ``flock`` is local to a mount, so locks do not
    help. A run takes over the directory when it starts, and checks before each write that no other
    run has done so.

    Attributes:
        path: of the file.
        content: unique to the run.
    """

    path: str
    content: str

    @classmethod
    def take(cls, folder: Path) -> 'RunToken':
        """Take over a work directory; OSError if the file cannot be written."""
        job = os.environ.get('SLURM_JOB_ID')
        content = (
            f'{uuid.uuid4()} process {os.getpid()} on {socket.gethostname()}'
            f'{f", Slurm job {job}" if job else ""}, started {time.strftime("%Y-%m-%d %H:%M:%S")}\n'
        )
        atomic_write(folder / _NAME, content.encode(), durable=True)
        return cls(str(folder / _NAME), content)

    def check(self) -> None:
        """Check that this run still owns the directory.

        Raises:
            TakenOver: if another run has taken it over; names that run.
            OSError: if the file cannot be read.
        """
        content = self._read()
        if content is None:
            # Somebody has tidied up: runs never remove it.
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
