"""What all command lines refuse before they begin: one line, status 2."""

import argparse
import os
import signal

import pytest
from command_line import ROOT, run_code

from csnln_mm.cli import arguments as cli
from csnln_mm.cli import exit_status
from csnln_mm.errors import UserError


@pytest.fixture(autouse=True)
def handler():
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


def raising(error):
    def main():
        raise error

    return main


@pytest.mark.parametrize(
    'error, status, line',
    [
        (UserError('it is so'), 2, 'csnln: error: it is so\n'),
        (PermissionError(13, 'not allowed', 'a/b'), 2, 'csnln: error: a/b: not allowed\n'),
        (OSError(28, 'No space left on device'), 2, 'csnln: error: No space left on device\n'),
        (KeyboardInterrupt(), 130, 'interrupted\n'),
    ],
)
def test_a_mistake_is_one_line(error, status, line, capsys):
    assert exit_status(raising(error)) == status
    assert capsys.readouterr().err == line


def test_interrupted_again_while_python_cleans_up():
    output = run_code(
        """
import atexit, signal, sys
from csnln_mm.cli import exit_status

def main():
    atexit.register(signal.raise_signal, signal.SIGINT)
    raise KeyboardInterrupt

sys.exit(exit_status(main))
""",
        expect=-signal.SIGINT,
    )
    assert output == 'interrupted\n'


def test_an_error_of_the_program_keeps_its_traceback():
    with pytest.raises(OSError, match='without a number'):
        exit_status(raising(OSError('without a number')))
    assert exit_status(lambda: None) == 0 and exit_status(lambda: 1) == 1


def parse(capsys, *words):
    """(arguments, '') or (None, the last line of the message)."""
    parser = argparse.ArgumentParser()
    parser.add_argument('--out', type=cli.output_file)
    parser.add_argument('--folder', type=cli.output_folder)
    cli.add_shared(parser, '--work-dir', '--cfg-options', '--launcher', '--local_rank')
    try:
        return parser.parse_args(words), ''
    except SystemExit as ended:
        assert ended.code == 2
        return None, capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    'words, expected',
    [
        (('--out', 'there'), 'argument --out: there is a folder; name a file'),
        (('--out', 'file/a.json'), 'file is not a folder; name another'),
        (('--out', 'file/new/a.json'), 'file is not a folder; name another'),
        (('--folder', 'file'), 'file is not a folder; name another'),
        (('--cfg-options', 'model'), 'argument --cfg-options: expected KEY=VALUE'),
        (('--cfg-options', 'a=[1,(2]'), 'argument --cfg-options: expected KEY=VALUE'),
    ],
)
def test_refused_when_it_is_read(tmp_path, monkeypatch, capsys, words, expected):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'there').mkdir()
    (tmp_path / 'file').write_text('')
    assert expected in parse(capsys, *words)[1]
    assert sorted(os.listdir()) == ['file', 'there']


def test_what_can_be_written_is_not_made_yet(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    args, _ = parse(
        capsys, '--out', 'new/a.json', '--folder', 'other/new', '--cfg-options', 'a.b=[1,2]', 'c=x'
    )
    assert (str(args.out), str(args.folder)) == ('new/a.json', 'other/new')
    assert args.cfg_options == {'a.b': [1, 2], 'c': 'x'}
    assert not os.listdir()


def test_a_folder_without_the_right_to_write(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(os, 'access', lambda path, mode: False)
    assert 'cannot be written to' in parse(capsys, '--out', str(tmp_path / 'a.json'))[1]


@pytest.mark.parametrize('command', ['test', 'report'])
@pytest.mark.parametrize('name', ['bicubic_x2.py', str(ROOT / 'configs/csnln_x4_div2k.py')])
def test_missing_test_sets_are_said_before_anything_is_imported(tmp_path, command, name):
    code = f"""
import os, sys
from csnln_mm.cli import main
os.chdir({str(tmp_path)!r})
status = main([{command!r}, {name!r}])
print('torch' in sys.modules)
sys.exit(status)
"""
    output = run_code(code, expect=2)
    assert 'there are no test images: data/ does not exist' in output and 'False' in output


@pytest.mark.parametrize(
    'launcher, variable',
    [('pytorch', 'RANK'), ('slurm', 'SLURM_PROCID'), ('mpi', 'OMPI_COMM_WORLD_RANK')],
)
def test_a_launcher_that_did_not_start_it(monkeypatch, capsys, launcher, variable):
    args, _ = parse(capsys, '--launcher', launcher)
    monkeypatch.delenv(variable, raising=False)
    with pytest.raises(UserError, match=f'--launcher {launcher}: .*{variable} is not set'):
        cli.launcher(args)
    monkeypatch.setenv(variable, '0')
    monkeypatch.setenv('LOCAL_RANK', '0')
    assert cli.launcher(args) == launcher
