"""The environment script with commands that fail, hang or are slow in place of Python and pip."""

import os
import pty
import runpy
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / 'tools/make_env.py'
FAKE = Path(__file__).parent / 'fake_python'


class Script:
    """Runs the script on a folder, with a fake Python."""

    def __init__(self, folder):
        self.env = folder / 'env'
        self.calls = folder / 'calls'

    def environment(self, fake, **variables):
        given = dict(PATH='/usr/bin:/bin', PYTHON=str(FAKE), FAKE=fake, FAKE_CALLS=str(self.calls))
        return given | variables

    def start(self, fake='', *arguments, **variables):
        # A child of a test that runs in the background would ignore SIGINT.
        return subprocess.Popen(
            [sys.executable, SCRIPT, self.env, *arguments],
            env=self.environment(fake, **variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def run(self, *arguments, **variables):
        """(exit status, output)"""
        process = self.start(*arguments, **variables)
        return process.wait(60), process.stdout.read()

    def steps(self):
        return [line.split()[0] for line in self.calls.read_text().splitlines()]

    def hanging(self):
        """The processes of the command that hangs, once it does."""
        path = Path(f'{self.calls}.pids')
        wait_for(lambda: path.exists() and path.read_text().endswith('\n'))
        return [int(pid) for pid in path.read_text().split()]


def wait_for(condition):
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def is_running(pid):
    try:
        return Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0] not in 'ZX'
    except FileNotFoundError:
        return False


@pytest.fixture
def script(tmp_path):
    return Script(tmp_path)


def test_from_nothing_to_done_and_then_at_once(script):
    status, output = script.run()
    assert status == 0, output
    assert script.steps() == ['venv', 'pip', 'pip', 'pip', 'import']
    assert f'activate it with: . {script.env}/bin/activate' in output
    assert script.run() == (0, '')
    assert len(script.steps()) == 5


def test_pip_may_neither_compile_nor_resolve(script):
    script.run()
    for call in script.calls.read_text().splitlines()[1:3]:
        assert '--no-deps --only-binary :all:' in call
    pytorch, rest = ((script.env / f'pins-{name}.txt').read_text() for name in ('pytorch', 'rest'))
    assert 'torch==' in pytorch and 'mmagic==' not in pytorch
    assert 'mmagic==' in rest and 'mmcv-lite==' in rest and 'torch==' not in rest
    assert '\nmmcv==' not in rest and 'diffusers' not in rest


def test_the_oldest_versions(script):
    status, output = script.run('', '--versions', 'oldest')
    assert status == 1 and 'Python 3.10 to 3.11' in output
    status, output = script.run('', '--versions', 'oldest', FAKE_VERSION='3, 10')
    assert status == 0 and 'torch==2.1' in (script.env / 'pins-pytorch.txt').read_text()


@pytest.mark.parametrize(
    'variables, reason',
    [
        (dict(FAKE_VERSION='3, 14'), 'is Python 3.14'),
        (
            dict(FAKE_VENV='false'),
            'no venv module (on Debian and Ubuntu: apt-get install python3.12',
        ),
        (dict(PYTHON='/nowhere/python'), '/nowhere/python cannot be run'),
        (dict(PYTHON='', PATH='/nowhere'), 'none was found'),
    ],
)
def test_no_fitting_python(script, variables, reason):
    status, output = script.run('', **variables)
    assert status == 1 and reason in output
    assert 'PYTHON=/path/to/python3.13' in output
    assert not list(script.env.iterdir())


@pytest.mark.parametrize(
    'fake, step',
    [('venv', '1/3 virtual environment'), ('pip', '2/3 PyTorch'), ('import', 'trying it')],
)
def test_a_failing_step(script, fake, step):
    status, output = script.run(f'{fake}-fail', FAKE_OUTPUT='first\nlast words')
    assert status == 1
    assert f'step "{step}" failed' in output
    assert '    last words\n' in output and 'Location' not in output
    assert 'Run the same command again' in output and str(script.env / 'make_env.log') in output


@pytest.mark.parametrize(
    'words, advice',
    [
        ('[Errno 28] No space left on device', 'The disk is full.'),
        ('[Errno -3] Temporary failure in name resolution', 'The package index cannot be reached.'),
        ('ERROR: No matching distribution found for torch==2.14.1', 'has no wheel of this version'),
        ('[Errno 13] Permission denied', 'VENV=dir'),
        ('libGL.so.1: cannot open shared object file', 'A library of the system is missing'),
    ],
)
def test_what_to_do(script, words, advice):
    status, output = script.run('pip-fail', FAKE_OUTPUT=words)
    assert status == 1 and words in output and advice in output


def test_too_little_space(script, monkeypatch, capsys):
    monkeypatch.setattr(shutil, 'disk_usage', lambda path: shutil._ntuple_diskusage(9, 8, 1e9))
    monkeypatch.setattr(sys, 'argv', ['make_env.py', str(script.env)])
    monkeypatch.setenv('PYTHON', sys.executable)
    handlers = [(n, signal.getsignal(n)) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    try:
        with pytest.raises(SystemExit) as exit_:
            runpy.run_path(str(SCRIPT), run_name='__main__')
    finally:
        for number, handler in handlers:
            signal.signal(number, handler)
    assert exit_.value.code == 1
    assert 'needs 8 GB, and 1.0 GB are free there' in capsys.readouterr().err
    assert not list(script.env.iterdir())


def test_a_folder_that_cannot_be_made(script):
    script.env.parent.joinpath('env').write_text('a file')
    status, output = script.run()
    assert status == 1 and 'cannot be made: File exists.\nName another folder: VENV=dir' in output


def test_a_folder_of_something_else_is_left_alone(script):
    script.env.mkdir()
    (script.env / 'precious').write_text('data')
    status, output = script.run()
    assert status == 1 and 'was not made by this script' in output
    assert (script.env / 'precious').read_text() == 'data'


def test_a_failed_one_is_taken_up_again(script):
    assert script.run('pip-fail')[0] == 1
    interrupted = script.env / 'lib/python3.12/site-packages/torch-9.dist-info'
    complete = interrupted.with_name('numpy-9.dist-info')
    for information in interrupted, complete:
        information.mkdir(parents=True)
    (complete / 'INSTALLER').write_text('pip')
    status, output = script.run()
    assert status == 0 and 'continuing with' in output
    assert script.steps() == ['venv', 'pip', 'pip', 'pip', 'pip', 'import']
    assert complete.exists() and not interrupted.exists()


def test_an_outdated_one_is_made_anew(script):
    script.run()
    (script.env / 'left over').write_text('')
    (script.env / '.csnln-env').write_text('another key')
    assert script.run()[0] == 0
    assert script.steps().count('venv') == 2 and not (script.env / 'left over').exists()


def test_another_checkout_is_installed_in_a_finished_one(script):
    script.run()
    (script.env / '.csnln-checkout').write_text('/another/checkout')
    assert script.run()[0] == 0
    assert script.steps()[5:] == ['pip']
    assert script.calls.read_text().splitlines()[-1].endswith(f'-e {ROOT}')


def test_the_environment_of_another_checkout_is_not_replaced_by_other_versions(script, tmp_path):
    script.run()
    (script.env / '.csnln-checkout').write_text(str(tmp_path))
    (script.env / '.csnln-env').write_text('another key')
    status, output = script.run()
    assert status == 1 and f'is the environment of {tmp_path}, with other versions' in output
    assert len(script.steps()) == 5


def test_what_the_whole_suite_needs_comes_on_top_once(script):
    assert script.run('', '--integrations')[0] == 0
    assert script.steps() == ['venv', 'pip', 'pip', 'pip', 'import', 'pip']
    assert script.calls.read_text().splitlines()[-1].endswith('requirements/integrations.txt')
    assert script.run('', '--integrations') == (0, '') and script.run() == (0, '')
    assert len(script.steps()) == 6


@pytest.mark.parametrize(
    'step, number', [('venv', signal.SIGINT), ('pip', signal.SIGTERM), ('import', signal.SIGHUP)]
)
def test_nothing_survives_an_interruption(script, step, number):
    process = script.start(f'{step}-hang')
    pids = script.hanging()
    process.send_signal(number)
    assert process.wait(20) == 128 + number
    assert not any(map(is_running, pids))
    assert 'interrupted; the same command continues' in process.stdout.read()
    assert script.run()[0] == 0


def test_a_command_that_ignores_signals_is_killed(script):
    process = script.start('pip-stubborn')
    pids = script.hanging()
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 130
    assert not any(map(is_running, pids))


def test_a_killed_one_takes_its_command_with_it(script):
    process = script.start('pip-hang')
    child, parent = script.hanging()
    process.kill()
    process.wait(20)
    wait_for(lambda: not is_running(parent))
    os.kill(child, signal.SIGKILL)
    assert script.run()[0] == 0


def test_the_second_of_two_waits_and_says_for_whom(script):
    first = script.start('pip-hang')
    pids = script.hanging()
    second = script.start()
    line = second.stdout.readline()
    assert f'process {first.pid} is making {script.env}; waiting' in line
    first.terminate()
    assert first.wait(20) == 143 and not any(map(is_running, pids))
    assert second.wait(20) == 0 and 'continuing with' in second.stdout.read()


def test_one_that_waits_can_be_interrupted(script):
    first = script.start('pip-hang')
    script.hanging()
    second = script.start()
    second.stdout.readline()
    second.send_signal(signal.SIGINT)
    assert second.wait(20) == 130 and first.poll() is None
    first.terminate()
    first.wait(20)


def test_a_terminal_sees_the_time_on_one_line(script):
    ours, theirs = pty.openpty()
    done = subprocess.run(
        [sys.executable, SCRIPT, script.env],
        env=script.environment('pip-slow', COLUMNS='70'),
        stdout=theirs,
        timeout=60,
    )
    os.close(theirs)
    output = b''
    while True:
        try:
            output += os.read(ours, 10000)
        except OSError:
            break
    os.close(ours)
    assert done.returncode == 0
    text = output.decode()
    assert '\rmake_env: 2/3 PyTorch, 2 s' in text
    assert '\rmake_env: 2/3 PyTorch, 3 s, downloading torch-9.whl (900 MB)' in text
    assert text.count('\n') < 10
