"""What can be told of the environment script without making an environment."""

import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / 'tools/make_env.sh'


def run(*arguments, **env):
    return subprocess.run(
        ['bash', SCRIPT, *map(str, arguments)],
        env=dict(PATH='/usr/bin:/bin', **env),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_help():
    done = run('--help')
    assert done.returncode == 0 and 'MMCV_FIND_LINKS' in done.stdout
    assert run().returncode == 2


def test_another_python_is_refused_before_anything_is_downloaded(tmp_path):
    wrong = tmp_path / 'python'
    wrong.write_text('#!/bin/sh\nexit 1\n')
    wrong.chmod(0o755)
    done = run(tmp_path / 'env', PYTHON=str(wrong))
    assert done.returncode == 1
    assert 'Python 3.11' in done.stdout
    assert not list((tmp_path / 'env').iterdir())


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / 'precious').write_text('data')
    done = run(tmp_path)
    if 'Python 3.11' in done.stdout:
        pytest.skip('no Python 3.11 on the plain PATH')
    assert done.returncode == 1
    assert 'was not made by this script' in done.stdout
    assert (tmp_path / 'precious').read_text() == 'data'
