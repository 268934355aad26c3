"""``csnln upscale`` as a person types it."""

import io
import json
import signal
import subprocess
import sys

import numpy as np
import pytest
from command_line import refusal
from PIL import Image
from tiny_network import names, save_checkpoint

from csnln_mm.cli import main


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    return str(save_checkpoint(tmp_path_factory.mktemp('checkpoint') / 'tiny.pth'))


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.zeros((7, 9, 3), np.uint8)).save('a.png')
    return tmp_path


def test_upscales_and_tells_what_failed(checkpoint, folder):
    (folder / 'b.jpg').write_text('hello')
    words = ['*.*', '-o', 'out', '--checkpoint', checkpoint, '--device', 'cpu']
    done = subprocess.run(
        [sys.executable, '-m', 'csnln_mm', 'upscale', *words], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert '[1/1] a.png: 9x7 to 18x14 by tiny.pth, in one tile; out/a.png, ' in done.stdout
    assert done.stdout.endswith('\n1 done, 0 skipped, 1 failed\n')
    # Once, and not among the results.
    assert done.stderr == 'failed: b.jpg is damaged or no image\n'
    assert 'b.jpg' not in done.stdout
    assert Image.open('out/a.png').size == (18, 14)


def test_beside_the_input_by_the_short_options(checkpoint, folder, capsys):
    words = ['-n', checkpoint, '-g', 'cpu', '-t', 'auto', '-f', 'jpg', '-s', '1.5']
    assert main(['upscale', '-i', 'a.png', *words]) == 0
    assert Image.open('a_x1.5.jpg').size == (14, 11)
    assert main(['upscale', 'a.png', *words]) == 0
    out = capsys.readouterr().out
    assert out.endswith(
        '0 done, 1 skipped because a_x1.5.jpg exists (--overwrite replaces it), 0 failed\n'
    )


def test_stdin_and_stdout(checkpoint, folder, monkeypatch, capfdbinary):
    class Stream:
        buffer = io.BytesIO((folder / 'a.png').read_bytes())

    monkeypatch.setattr(sys, 'stdin', Stream)
    assert main(['upscale', '-', '-n', checkpoint, '-g', 'cpu']) == 0
    assert Image.open(io.BytesIO(capfdbinary.readouterr().out)).size == (18, 14)
    assert names(folder) == ['a.png']


def test_a_model_of_the_package_by_default_and_by_name(folder, capsys):
    assert main(['upscale', 'a.png', '-s', '3', '-g', 'cpu']) == 0
    assert Image.open('a_x3.png').size == (27, 21)
    assert main(['upscale', 'a.png', '--width', '20', '-o', 'wide.png', '-g', 'cpu']) == 0
    assert Image.open('wide.png').size == (20, 16)
    assert main(['upscale', 'a.png', '-g', 'cpu']) == 0
    by_default = Image.open('a_x2.png')
    assert main(['upscale', 'a.png', '-n', 'csnln-x2-fast', '-o', 'b.png', '-g', 'cpu']) == 0
    assert by_default.size == (18, 14)
    np.testing.assert_array_equal(by_default, Image.open('b.png'))


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_whole_results_only(checkpoint, folder, number):
    Image.fromarray(np.zeros((900, 900, 3), np.uint8)).save('large.png')
    words = ['*.png', '-o', 'out', '-n', checkpoint, '-g', 'cpu', '-t', '32', '--progress', 'json']
    with subprocess.Popen(
        [sys.executable, '-m', 'csnln_mm', 'upscale', *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Where the tests run in the background, Control-C is ignored, which is inherited.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        for line in process.stdout:
            event = json.loads(line)
            if event['event'] == 'tile' and event['number'] == 2:
                process.send_signal(number)
                break
        process.stdout.read()
        assert process.stderr.read().strip().endswith('interrupted')
    assert process.returncode == 128 + number
    assert names(folder / 'out') == ['a.png'] and Image.open('out/a.png').size == (18, 14)


@pytest.mark.parametrize(
    'words, message',
    [
        (['a.png', '-n', 'none.pth'], 'none.pth does not exist'),
        (['a.png', '-n', 'csnln-x2-slow'], 'neither a checkpoint file nor a model'),
        (['a.png', '--config', 'a.py'], 'name it with -n'),
        (['-n', 'none.pth'], 'name an image'),
        (['-', 'a.png', '-n', 'none.pth'], '- is a single image'),
    ],
)
def test_a_wrong_argument_is_one_line(words, message, capsys):
    assert message in refusal(capsys, 'upscale', *words)
