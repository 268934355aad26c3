"""The command ``csnln``: which module it imports, and what its errors look like."""

import sys
import types

import pytest

from csnln_mm.cli import COMMANDS, main
from csnln_mm.errors import UserError


def command(monkeypatch, run, name='info'):
    module = types.ModuleType(f'csnln_mm.cli.{name}')
    module.__doc__ = 'What it does.'
    module.add_arguments = lambda parser: parser.add_argument('--number', type=int)
    module.run = run
    monkeypatch.setitem(sys.modules, module.__name__, module)


@pytest.mark.parametrize('words', [[], ['--help']])
def test_help_lists_all_commands(capsys, words):
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 0
    out = capsys.readouterr().out
    assert all(f'\n    {name}' in out for name in COMMANDS)


def test_a_command_runs_with_its_arguments(monkeypatch):
    command(monkeypatch, lambda args: args.number)
    assert main(['info', '--number', '1']) == 1
    assert main(['info', '--number', '0']) == 0


@pytest.mark.parametrize('words', [['enlarge'], ['info', '--number', 'x']])
def test_mistakes_in_arguments(monkeypatch, capsys, words):
    command(monkeypatch, lambda args: 0)
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert ': error: ' in capsys.readouterr().err.splitlines()[-1]


def test_an_error_of_the_user_is_one_line(monkeypatch, capsys):
    def run(args):
        raise UserError('no such thing')

    command(monkeypatch, run)
    assert main(['info']) == 2
    assert capsys.readouterr().err == 'csnln: error: no such thing\n'
    monkeypatch.setenv('CSNLN_TRACEBACK', '1')
    with pytest.raises(UserError):
        main(['info'])
