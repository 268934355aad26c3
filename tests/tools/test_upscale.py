"""``csnln upscale`` as a person types it."""

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command_line import ROOT, free_port, refusal, run
from PIL import Image
from tiny_network import names, photograph, save_checkpoint

from csnln_mm.cli import main


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    return str(save_checkpoint(tmp_path_factory.mktemp('checkpoint') / 'tiny.pth'))


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.zeros((7, 9, 3), np.uint8)).save('a.png')
    return tmp_path


def test_upscales_and_tells_what_failed(checkpoint, folder, capfd):
    (folder / 'b.jpg').write_text('hello')
    words = ['*.*', '-o', 'out', '--checkpoint', checkpoint, '--device', 'cpu']
    assert main(['upscale', *words]) == 1
    told, failed = capfd.readouterr()
    assert '[1/1] a.png: 9x7 to 18x14 by tiny.pth, in one tile; out/a.png, ' in told
    assert told.endswith('\n1 done, 0 skipped, 1 failed\n')
    # Once, and not among the results.
    assert failed == 'failed: b.jpg is damaged or no image\n' and 'b.jpg' not in told
    assert Image.open('out/a.png').size == (18, 14)


def test_beside_the_input_by_the_short_options(checkpoint, folder, capsys):
    words = ['-n', checkpoint, '-g', 'cpu', '-t', 'auto', '-f', 'jpg', '-s', '1.5']
    assert main(['upscale', '-i', 'a.png', *words]) == 0
    assert Image.open('a_x1.5.jpg').size == (14, 11)
    assert main(['upscale', 'a.png', *words]) == 0
    out = capsys.readouterr().out
    assert '0 done, 1 skipped because a_x1.5.jpg exists, made by ' in out
    assert out.endswith(' (--overwrite replaces, --name renames), 0 failed\n')


class Stdin:
    def __init__(self, content):
        self.buffer = io.BufferedReader(io.BytesIO(content))


def test_stdin_and_stdout(checkpoint, folder, monkeypatch, capfdbinary):
    monkeypatch.setattr(sys, 'stdin', Stdin((folder / 'a.png').read_bytes()))
    assert main(['upscale', '-', '-n', checkpoint, '-g', 'cpu']) == 0
    assert Image.open(io.BytesIO(capfdbinary.readouterr().out)).size == (18, 14)
    assert names(folder) == ['a.png']


def test_an_animation_through_a_pipe(checkpoint, folder, monkeypatch, capfdbinary):
    images = [Image.new('RGB', (9, 7), (shade, 0, 0)) for shade in (0, 90)]
    images[0].save('moving.webp', save_all=True, append_images=images[1:], lossless=True)
    monkeypatch.setattr(sys, 'stdin', Stdin((folder / 'moving.webp').read_bytes()))
    assert main(['upscale', '-', '-n', checkpoint, '-g', 'cpu']) == 0
    image = Image.open(io.BytesIO(capfdbinary.readouterr().out))
    assert (image.format, image.size, image.n_frames) == ('WEBP', (18, 14), 2)


def test_all_images_of_stdin_and_one_that_is_damaged(checkpoint, folder, monkeypatch, capfdbinary):
    image = (folder / 'a.png').read_bytes()
    words = ['upscale', '-', '-n', checkpoint, '-g', 'cpu']
    monkeypatch.setattr(sys, 'stdin', Stdin(3 * image))
    assert main([*words, '-f', 'bmp']) == 0
    out, error = capfdbinary.readouterr()
    assert len(out) == 3 * (54 + 14 * 56) and b'3 frames, 2 of them repeated; stdout, ' in error
    damaged = image.replace(b'IDAT', b'IDAX')
    monkeypatch.setattr(sys, 'stdin', Stdin(image + damaged + image))
    assert main([*words, '--progress', 'none']) == 1
    out, error = capfdbinary.readouterr()
    assert out.count(b'IEND') == 1
    assert error == b'failed: image 2 of stdin is damaged or no image\n'
    monkeypatch.setattr(sys, 'stdin', Stdin(2 * image))
    assert main([*words, '-o', 'b.png']) == 2
    assert b'several images come from stdin' in capfdbinary.readouterr().err
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


def start(*words):
    return subprocess.Popen(
        [sys.executable, '-m', 'csnln_mm', 'upscale', *words, '--progress', 'json'],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_several_processes_do_what_one_does(checkpoint, folder, capfd):
    for name in 'bcde':
        Image.fromarray(photograph(20, 30, seed=ord(name))).save(f'{name}.png')
    (folder / 'f.png').write_text('hello')
    words = ['*.png', '-n', checkpoint]
    assert main(['upscale', *words, '-g', 'cpu', '-o', 'one']) == 1
    one = capfd.readouterr()
    assert main(['upscale', *words, '-g', 'cpu,cpu', '-o', 'two']) == 1
    two = capfd.readouterr()
    assert two.err == one.err == 'failed: f.png is damaged or no image\n'
    assert two.out.splitlines()[0] == '2 processes share the images'
    assert two.out.splitlines()[-1] == one.out.splitlines()[-1] == '5 done, 0 skipped, 1 failed'
    assert sorted(line[:4] for line in two.out.splitlines()[1:-1]) == [
        f'[{number}/5' for number in range(1, 6)
    ]
    assert names(Path('one')) == names(Path('two')) == ['a.png', 'b.png', 'c.png', 'd.png', 'e.png']
    for name in names(Path('one')):
        assert Path('one', name).read_bytes() == Path('two', name).read_bytes()


def test_a_mistake_of_several_processes_is_one_line(folder, capfd):
    assert main(['upscale', 'a.png', '-n', 'none.pth', '-j', '2']) == 2
    assert capfd.readouterr().err == 'csnln: error: checkpoint none.pth does not exist\n'


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGKILL])
def test_one_of_several_processes_is_ended(checkpoint, folder, number):
    """The command, by SIGTERM; or a process that it has started, by SIGKILL."""
    for name in 'bcde':
        Image.fromarray(np.zeros((500, 500, 3), np.uint8)).save(f'{name}.png')
    with start('*.png', '-o', 'out', '-n', checkpoint, '-t', '32', '-j', '2') as process:
        for line in process.stdout:
            if json.loads(line)['event'] == 'tile':
                break
        children = Path(f'/proc/{process.pid}/task/{process.pid}/children').read_text().split()
        started = [
            pid for pid in children if b'spawn_main' in Path(f'/proc/{pid}/cmdline').read_bytes()
        ]
        assert len(started) == 2
        os.kill(process.pid if number == signal.SIGTERM else int(started[0]), number)
        events = [json.loads(line) for line in process.stdout]
        error = process.stderr.read()
    assert process.returncode == 128 + number
    assert 'Traceback' not in error
    assert not any(Path(f'/proc/{pid}').exists() for pid in started)
    if number == signal.SIGKILL:
        assert error.startswith('csnln: process 1 of 2 was ended by SIGKILL; run the command again')
        assert events[-1]['event'] == 'end'
    else:
        assert error == 'csnln: interrupted\n'
    for name in names(Path('out')):
        assert Image.open(Path('out', name)).load()


def test_with_torchrun_a_bad_image_does_not_stop_the_others(checkpoint, folder):
    """torchrun ends all processes as soon as one has failed."""
    (folder / 'b.png').write_text('hello')  # all that the second process has
    Image.fromarray(photograph(200, 200)).save('c.png')
    words = ['*.png', '-o', 'out', '-n', checkpoint, '-g', 'cpu', '-t', '32']
    launcher = [ROOT / 'tools/dist_run.py', '--nproc_per_node=2', f'--master_port={free_port()}']
    output = run(
        sys.executable, *launcher, '-m', 'csnln_mm', 'upscale', *words, cwd=folder, expect=1
    )
    assert 'share 2/2 of 3 images, by RANK' in output
    assert names(Path('out')) == ['a.png', 'c.png']


@pytest.mark.parametrize(
    'words, message',
    [
        (['a.png', '-n', 'none.pth'], 'none.pth does not exist'),
        (['a.png', '-n', 'csnln-x2-slow'], 'neither a checkpoint file nor a model'),
        (['a.png', '--config', 'a.py'], 'name it with -n'),
        (['-n', 'none.pth'], 'name an image'),
        (['-', 'a.png', '-n', 'none.pth'], '- is a single input'),
        (['-', '-g', 'cpu,cpu'], '- is a single input; it cannot be shared'),
        (['a.png', '--shard', '2'], 'a share is named K/N'),
        (['a.png', '--shard', '2/1', '-j', '2'], 'a share is named K/N'),
    ],
)
def test_a_wrong_argument_is_one_line(words, message, capsys):
    assert message in refusal(capsys, 'upscale', *words)
