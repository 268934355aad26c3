"""What all command lines share."""
import argparse
import logging
import os
import sys
from typing import Callable, Optional

from mmengine.config import DictAction

from csnln_mm.errors import UserError

from .memory import reuse_freed_memory

__all__ = ['run', 'add_config_options', 'add_launcher_options', 'is_restarted', 'launcher']


def run(main: Callable[[], Optional[int]]) -> None:
    """Run a tool's ``main`` and exit with its status; a user's mistake is one line, status 2."""
    reuse_freed_memory()
    # What cannot be logged, on a full disk, is told once by whoever stops, not for every line.
    logging.raiseExceptions = False
    try:
        status = main()
    except UserError as error:
        status = 2
        print(f'error: {error}', file=sys.stderr)
    except KeyboardInterrupt:
        status = 130
        print('interrupted', file=sys.stderr)
    sys.exit(status)


def add_config_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--work-dir`` and ``--cfg-options``."""
    parser.add_argument(
        '--work-dir',
        help='folder for logs, checkpoints and pictures; by default '
        'work_dirs/ and the name of the config')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='change settings of the config, e.g. train_dataloader.batch_size=4 or '
        'model.generator.with_cp=True; lists as key="[a,b]" or key=a,b')


def add_launcher_options(parser: argparse.ArgumentParser) -> None:
    """Add what distributed launchers set."""
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='how this process was started; the .sh tools set it')
    # torchrun tells by the environment, older launchers by this argument.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)


def launcher(args: argparse.Namespace) -> str:
    """The launcher named on the command line, with its local rank told to MMEngine."""
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args.launcher


def is_restarted() -> bool:
    """Whether torchrun started this process again because one of the job failed."""
    return int(os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)) > 0
