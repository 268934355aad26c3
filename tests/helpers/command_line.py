"""The tools of this checkout, run from a folder of their own."""

import os
import socket
import subprocess
import sys
from pathlib import Path

from forked_tool import ROOT, end_of, start_tool

CONFIG = ROOT / 'configs/csnln_x2_demo.py'


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def environment(**changed):
    """Of a shell with this Python first, in which this checkout and tests/helpers are found."""
    default = dict(
        PORT=str(free_port()),
        PYTHONPATH=os.pathsep.join([str(ROOT), str(ROOT / 'tests/helpers')]),
        OMP_NUM_THREADS='1',
        PATH=f'{Path(sys.executable).parent}{os.pathsep}{os.environ["PATH"]}',
    )
    return dict(os.environ) | default | changed


def run(*command, cwd, expect=0):
    """The output of a tool of this checkout, run from a folder that is not the repository's.

    Args:
        command: ``sys.executable`` and a file of tools/, or a shell script; and arguments.
        cwd: the folder.
        expect: exit status.
    """
    if command[0] == sys.executable:
        # Beside the folder, where a test may look for what is left.
        output = Path(cwd).with_name(f'{Path(cwd).name}.output')
        process = start_tool(cwd, Path(command[1]).name, command[2:], output=str(output))
        status, text = end_of(process), output.read_text()
        assert status == expect, text[-20000:]
        return text
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == expect, done.stdout[-20000:]
    return done.stdout


def error_of(*command, cwd):
    """The message of a tool that refuses: one line, no traceback."""
    return error_in(run(sys.executable, *command, cwd=cwd, expect=2))


def error_in(output):
    assert 'Traceback' not in output and 'Logging error' not in output, output
    (line,) = [line for line in output.splitlines() if line.startswith('csnln: error: ')]
    return line


OPTIONS = [
    '--cfg-options',
    'model.generator.mid_channels=4',
    'train_dataloader.batch_size=2',
    'train_cfg.max_iters=4',
    'train_cfg.val_interval=4',
    'default_hooks.checkpoint.interval=2',
    'default_hooks.logger.interval=1',
    'train_dataloader.num_workers=1',
    'val_dataloader.num_workers=0',
    'randomness.seed=1',
]
MODEL = ['--cfg-options', 'model.generator.mid_channels=4']
