"""MMEngine finds packages without pkg_resources."""

from importlib.metadata import PackageNotFoundError
from pathlib import Path

import mmagic
import mmengine.config.config
import mmengine.utils
import pytest

from csnln_mm.mmagic import installed_packages as packages


@pytest.mark.parametrize('name', ['mmagic', 'mmengine', 'pyyaml', 'PyYAML', 'csnln_mm'])
def test_a_distribution_and_a_module_are_found(name):
    assert packages.is_installed(name)
    assert Path(packages.get_installed_path(name), '__init__.py').is_file()


def test_the_folder_is_that_of_the_module():
    assert packages.get_installed_path('mmagic') == str(Path(mmagic.__file__).parent)


def test_what_is_not_there_or_is_only_a_folder(tmp_path, monkeypatch):
    (tmp_path / 'only_a_folder').mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    for name in 'no_such_package', 'no-such-package', 'only_a_folder':
        assert not packages.is_installed(name)
        with pytest.raises(PackageNotFoundError, match=name):
            packages.get_installed_path(name)


def test_mmengine_asks_here():
    for module in mmengine.utils, mmengine.config.config:
        assert module.is_installed is packages.is_installed
        assert module.get_installed_path is packages.get_installed_path
