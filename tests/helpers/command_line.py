"""Command lines of this checkout, run from a folder of their own."""

import os
import socket
import subprocess
import sys
from pathlib import Path

from forked_tool import ROOT, run_tool

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


def run(*command, cwd, expect=0, **changed):
    """The output of a program that ends with this exit status, in the environment above."""
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=environment(**changed),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == expect, f'{command}\n{done.stdout[-20000:]}'
    return done.stdout


def error_of(tool, *arguments, cwd):
    """The message of a tool that refuses: one line, no traceback."""
    return error_in(run_tool(cwd, tool, *arguments, expect=2))


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
