"""``csnln models``: one row for each model that comes with the package."""

from csnln_mm.checkpoints import list_pretrained
from csnln_mm.cli import main


def test_lists_them(capsys):
    assert main(['models', '--format', 'markdown']) == 0
    header, _, *rows = capsys.readouterr().out.splitlines()
    assert header.startswith('| name ')
    assert [row.split()[1] for row in rows] == [model.name for model in list_pretrained()]
    assert all('Apache-2.0' in row for row in rows)


def test_info_names_where_they_are(capsys):
    assert main(['info']) == 0
    line = next(x for x in capsys.readouterr().out.splitlines() if x.startswith('weights'))
    assert 'checkpoints/weights: csnln-x2' in line
