"""Configs by name, from any folder."""

from collections import Counter
from pathlib import Path

import pytest
from mmengine.config import Config

from csnln_mm import config_path
from csnln_mm.errors import UserError
from csnln_mm.mmagic.config import load_config

CONFIGS = Path(__file__).parents[2] / 'configs'


@pytest.mark.parametrize('name', ['csnln_x2_div2k.py', 'mixing/esrgan_csnln_x4.py'])
def test_path(name):
    assert Path(config_path(name)).resolve() == CONFIGS / name


def test_no_such_config():
    with pytest.raises(UserError, match='no config csnln_x5.py'):
        config_path('csnln_x5.py')


def test_tools_take_a_name_where_there_is_no_such_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load_config('csnln_x3_div2k.py').model.generator.upscale_factor == 3
    Path('csnln_x3_div2k.py').write_text('model = dict()')
    assert not load_config('csnln_x3_div2k.py').model


def test_base_of_a_config_anywhere(tmp_path):
    path = tmp_path / 'mine.py'
    path.write_text("_base_ = __import__('csnln_mm').config_path('csnln_x2_div2k.py')")
    assert Config.fromfile(path).model.generator.type == 'CSNLNNet'


def test_names_are_unique_as_mim_wants_them():
    names = Counter(path.name for path in CONFIGS.rglob('*.py'))
    assert max(names.values()) == 1
