"""How much the property tests try, and which files go first.

``pytest --hypothesis-profile=long`` tries a hundred times as much.
"""

from hypothesis import settings

import csnln_mm.compatibility  # noqa: F401  before the first import of MMagic

settings.register_profile('suite', max_examples=60, deadline=None, derandomize=True)
settings.register_profile('long', max_examples=6000, deadline=None, print_blob=True)
settings.load_profile('suite')


def pytest_collection_modifyitems(items):
    """Files with slow tests first, so that no process is left with them at the end.

    By itself pytest-xdist would begin with the files that have the most tests, which are quick.
    """
    slow = {item.path for item in items if item.get_closest_marker('slow')}
    items.sort(key=lambda item: item.path not in slow)
