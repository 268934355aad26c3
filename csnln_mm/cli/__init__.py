"""The command line: ``csnln COMMAND``, with a module for each command.

A module's docstring begins ``csnln COMMAND --help``. Its ``add_arguments(parser)`` adds options,
and its ``run(args)`` returns an exit status or None. Only the module of the given command is
imported, and ``run`` imports heavy packages (torch takes two seconds), so that help and wrong
arguments are quick.
"""

import argparse
import importlib
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress

from csnln_mm.device import address_space_limit, set_malloc_thresholds
from csnln_mm.errors import RunInterrupted, UserError, wants_traceback
from csnln_mm.version import __version__

__all__ = ['COMMANDS', 'exit_status', 'main']

COMMANDS = {
    'upscale': 'upscale images',
    'train': 'train a model from a config',
    'grow': 'initialise a larger network from the weights of a smaller one',
    'test': 'measure PSNR and SSIM on the test sets of a config',
    'export': 'write safetensors, ONNX or a folder for the Hugging Face hub',
    'measure': 'measure models on folders of images, beside published ones',
    'models': 'list the models that come with the package',
    'convert': "convert the authors' released checkpoints, and back",
    'visualize': 'draw attention and attribution maps; compare methods',
    'explore': 'upscale and look at the attention in the browser',
    'report': "print results beside the paper's tables",
    'ablation': "train the variants of the paper's Tables 3 to 5",
    'prepare': 'prepare training and test images; check pairs',
    'info': 'print versions, devices and paths, for bug reports',
}

# What training, testing and --config need beside the package's own requirements.
_OPENMMLAB = 'mmagic', 'mmcv', 'mmengine'


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        argv: command and arguments; by default those of this process.

    Returns:
        The exit status: that of the command; 2 for an error that the user can fix, printed in one
        line (``CSNLN_TRACEBACK=1`` shows where it was raised); 128 plus the number of a signal.

    Raises:
        SystemExit: by argparse, with 0 after help and 2 for wrong arguments.
    """
    argv = sys.argv[1:] if argv is None else list(argv)
    return exit_status(lambda: _run(argv))


def _run(argv: list[str]) -> int | None:
    parser = argparse.ArgumentParser(
        'csnln',
        description='Cross-scale non-local super-resolution (CSNLN).',
        epilog='Start with: csnln upscale photo.jpg. For options: csnln COMMAND --help.',
    )
    parser.add_argument('--version', action='version', version=f'csnln {__version__}')
    commands = parser.add_subparsers(dest='command', metavar='COMMAND', required=True)
    module = None
    for name, text in COMMANDS.items():
        command = commands.add_parser(
            name, help=text, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        if argv[:1] == [name]:
            module = importlib.import_module(f'{__name__}.{name}')
            command.description = module.__doc__
            module.add_arguments(command)
    args = parser.parse_args(argv or ['--help'])
    set_malloc_thresholds(mmap=None, trim=2047)
    # On a full disk, the error that ends the command is enough: not one for every line of the log.
    logging.raiseExceptions = False
    return module.run(args)


def exit_status(command: Callable[[], int | None]) -> int:
    """Run a command, and turn errors that the user can fix into one line and a status."""
    try:
        status = command() or 0
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        # The reader is gone; Python's flush at exit should not raise this again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 128 + signal.SIGPIPE
    except ImportError as error:
        if error.name and error.name.partition('.')[0] in _OPENMMLAB and not wants_traceback():
            _tell(
                f'csnln: error: this command needs MMagic, and there is no {error.name} here: make '
                'an environment with `make env`, and activate it (docs/installation.md)'
            )
            return 2
        # The libraries of torch take gigabytes of addresses before they take any memory.
        limit = address_space_limit()
        if limit is None or 'segment' not in str(error) or wants_traceback():
            raise
        _tell(
            f'csnln: error: PyTorch cannot be loaded: {error}; the address space is limited to '
            f'{limit / 1e9:.1f} GB: raise the limit (ulimit -v)'
        )
        return 2
    except (UserError, OSError) as error:
        message, is_bug = str(error), False
        if isinstance(error, OSError):
            message = f'{error.filename}: {error.strerror}' if error.filename else error.strerror
            is_bug = error.errno is None  # not a failure of the system
        if is_bug or wants_traceback():
            raise
        if message:
            _tell(f'csnln: error: {message}')
        return 2
    except RunInterrupted as error:
        if str(error):
            _tell(f'csnln: {error}')
        return error.status
    except KeyboardInterrupt:
        # A second one, while Python cleans up, should not cause a traceback.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        print('interrupted', file=sys.stderr)
        return 130


def _tell(line: str) -> None:
    """Print a line, and save it for the launcher of several processes to repeat at the end."""
    print(line, file=sys.stderr)
    if folder := os.environ.get('CSNLN_ERRORS'):
        attempt = os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')
        with suppress(OSError), open(os.path.join(folder, attempt), 'a') as file:
            file.write(f'{line}\n')
