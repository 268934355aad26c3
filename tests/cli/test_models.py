"""``csnln models``: one row for each model that comes with the package."""

import re

from csnln_mm.checkpoints import list_pretrained
from csnln_mm.cli import main


def test_lists_them(capsys):
    assert main(['models', '--format', 'markdown']) == 0
    header, _, *rows = capsys.readouterr().out.splitlines()
    assert header.startswith('| name ')
    assert [row.split()[1] for row in rows] == [model.name for model in list_pretrained()]
    assert all('Apache-2.0' in row for row in rows)


def test_a_terminal_of_80_columns_shows_a_line_for_each_and_one_by_name_shows_all(capsys):
    assert main(['models']) == 0
    lines = capsys.readouterr().out.splitlines()
    names = [model.name for model in list_pretrained()]
    assert [line.split()[0] for line in lines[2 : 2 + len(names)]] == names
    assert max(map(len, lines)) <= 80
    assert main(['models', names[0]]) == 0
    text = capsys.readouterr().out
    assert re.search('^licence +Apache-2.0$', text, re.M) and 'Kodak24' in text


def test_a_model_of_another_name_is_refused(capsys):
    assert main(['models', 'csnln-x2-fest']) == 2
    assert 'did you mean csnln-x2-fast?' in capsys.readouterr().err


def test_info_names_where_they_are(capsys):
    assert main(['info']) == 0
    line = next(x for x in capsys.readouterr().out.splitlines() if x.startswith('weights'))
    assert 'checkpoints/weights: csnln-x2' in line
