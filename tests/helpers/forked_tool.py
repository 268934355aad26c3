"""Tools of this checkout in processes of their own, forked from a server that has the imports done.

A new process would spend some seconds on them.
"""

import functools
import gc
import multiprocessing
import os
import runpy
import signal
import sys
from pathlib import Path

import mmengine.config.config
import mmengine.config.utils
import torch
from command_line import ROOT, error_in

PROCESSES = multiprocessing.get_context('forkserver')
PROCESSES.set_forkserver_preload(
    [
        'csnln_mm.mmagic.runner',
        'csnln_mm.mmagic.editor',
        'mmagic.datasets',
        'mmagic.engine',
        'mmagic.evaluation',
        'mmagic.visualization',
        # What a runner imports when it is made.
        'csnln_mm.cli.train',
        'csnln_mm.mmagic.training',
        'matplotlib.backends.backend_agg',
        'matplotlib.figure',
        'torch.utils.cpp_extension',
    ]
)


def start_tool(folder, tool, arguments, *, output='output.txt', fault=None):
    """Start a file of tools/ from a folder; ``fault`` is called there before.

    What it prints goes to the file ``output`` in the folder.
    """
    words = [str(word) for word in arguments]
    process = PROCESSES.Process(target=_run, args=(str(folder), tool, words, output, fault))
    process.start()
    return process


def end_of(process, seconds=150):
    """Its exit status, negative for a signal.

    One that does not end is killed, lest the tests wait for it forever.
    """
    process.join(seconds)
    if process.exitcode is None:
        process.kill()
        process.join()
        raise AssertionError(f'a tool did not end within {seconds} s')
    return process.exitcode


def run_tool(folder, tool, *arguments, expect=0, fault=None):
    """What a tool prints that ends with this exit status; see :func:`start_tool`."""
    # Beside the folder, where a test may look for what is left.
    output = Path(folder).with_name(f'{Path(folder).name}.output')
    status = end_of(start_tool(folder, tool, arguments, output=str(output), fault=fault))
    text = output.read_text()
    assert status == expect, text[-20000:]
    return text


def error_of(folder, tool, *arguments):
    """The message of a tool that refuses to work."""
    return error_in(run_tool(folder, tool, *arguments, expect=2))


def be_quick():
    """In a process of the tests: nothing that takes longer than the few steps of a training."""
    torch.set_num_threads(1)
    gc.freeze()  # what is imported; MMEngine's data sets collect all garbage
    # Seconds after which a dataloader worker looks whether it is still needed.
    torch.utils.data._utils.worker.MP_STATUS_CHECK_INTERVAL = 0.2
    # MMEngine formats the config for each checkpoint.
    mmengine.config.config.FormatCode = lambda text, **_: (text, True)
    # And reads all of MMagic's metafiles for each config that derives from one of MMagic's.
    utils = mmengine.config.utils
    utils.load = functools.cache(utils.load)


def _run(folder, tool, arguments, output, fault):
    os.chdir(folder)
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(file, 1)
    os.dup2(file, 2)
    be_quick()
    # A shell's background jobs, and so these tests in one, are born deaf to it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if fault:
        fault()
    sys.argv = [tool, *arguments]
    runpy.run_path(str(ROOT / 'tools' / tool), run_name='__main__')
