#!/usr/bin/env python
"""torchrun, but it ends with the error line and exit status of the process that failed first.

torchrun itself ends with a report of all processes, a traceback and status 1. This also forwards
SIGUSR1 like SIGTERM, since Slurm can announce the end of a job with it.
"""

import os
import signal
import sys
import tempfile
from pathlib import Path
from types import FrameType

from torch.distributed import run
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError


def main(arguments: list[str]) -> int:
    """Run with torchrun's arguments.

    Returns:
        The exit status of the process that failed first; 128 and the signal's number for a signal.
    """
    signal.signal(signal.SIGUSR1, _end_processes)
    with tempfile.TemporaryDirectory() as folder:
        os.environ['CSNLN_ERRORS'] = folder
        try:
            run.main(arguments)
            return 0
        except ChildFailedError as error:
            status = error.get_first_failure()[1].exitcode
            print(error, file=sys.stderr)
        except SignalException as error:
            status = -error.sigval
        print(_first_line(Path(folder)), end='', file=sys.stderr)
    return status if status >= 0 else 128 - status


def _end_processes(number: int, frame: FrameType | None) -> None:
    raise SignalException(f'received {signal.Signals(number).name}', signal.Signals(number))


def _first_line(folder: Path) -> str:
    """What the first process that said it of the last attempt said."""
    attempts = sorted(folder.iterdir(), key=lambda path: int(path.name))
    return attempts[-1].read_text().splitlines(keepends=True)[0] if attempts else ''


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
