"""How much the property tests try, which files go first, and one thread for each process.

``pytest --hypothesis-profile=long`` tries a hundred times as much. Nothing here needs OpenMMLab:
tests of the core run where it is not installed.
"""

import importlib.util
import os

# There are more processes than cores, so that they work while others wait.
os.environ['OMP_NUM_THREADS'] = '1'

from hypothesis import settings  # noqa: E402

import csnln_mm.compatibility  # noqa: E402, F401  before the first import of MMagic

HAS_MMENGINE = importlib.util.find_spec('mmengine') is not None

settings.register_profile('suite', max_examples=60, deadline=None, derandomize=True)
settings.register_profile('long', max_examples=6000, deadline=None, print_blob=True)
settings.load_profile('suite')


# What takes longest first; then other files with slow tests. By itself pytest-xdist would begin
# with the files that have the most tests, which are quick.
LONGEST = [
    'test_two_processes.py',
    'test_interrupted_training.py',
    'test_wheel.py',
    'test_random_signals.py',
]


def pytest_collection_modifyitems(items):
    """So that no process is left with a long file at the end."""
    slow = {item.path for item in items if item.get_closest_marker('slow')}
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.name, 98 if item.path in slow else 99))


def pytest_collection_finish():
    if HAS_MMENGINE:
        from forked_tool import be_quick

        be_quick()
