"""Command lines of this checkout, in new processes or in this one."""

import os
import socket
import subprocess
import sys
from pathlib import Path

from csnln_mm.cli import main

ROOT = Path(__file__).parents[2]


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


def run(*command, cwd=None, expect=0, **changed):
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


def run_code(code, *arguments, **options):
    """The same of a new interpreter that runs this code."""
    return run(sys.executable, '-W', 'ignore', '-c', code, *arguments, **options)


def refusal(capsys, *words):
    """The one line with which a command of csnln, run in this process, refuses to work."""
    assert main([str(word) for word in words]) == 2
    return error_in(capsys.readouterr().err, alone=True)


def error_in(output, *, alone=False):
    """The one line of an error in what a command printed, without a traceback."""
    assert 'Traceback' not in output and 'Logging error' not in output, output
    (line,) = [x for x in output.splitlines() if alone or x.startswith('csnln: error: ')]
    assert line.startswith('csnln: error: ')
    return line
