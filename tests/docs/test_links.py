"""Links of the pages lead to files that exist; tests that a page names exist under that name."""

import re

import pytest
from doc_pages import PAGES, ROOT

LINK = r'(?<!!)\[([^]]+)\]\(([^)#\s]+)(?:#[^)]*)?\)'
TESTS = {path.stem: path for path in (ROOT / 'tests').rglob('test_*.py')}


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_files_that_are_linked_exist(page):
    text = re.sub(r'```.*?```', '', page.read_text(), flags=re.S)
    for label, target in re.findall(LINK, text):
        if '://' in target:
            continue
        path = page.parent / target
        assert path.exists(), target
        if path.name.startswith('test_'):
            assert label == path.stem


def test_tests_that_are_named_exist():
    named = re.findall(r'\btest_\w+', (ROOT / 'docs/reliability.md').read_text())
    code = '\n'.join(path.read_text() for path in (ROOT / 'tests').rglob('test_*.py'))
    there = {*TESTS, *re.findall(r'^def (test_\w+)', code, flags=re.M)}
    assert named and not set(named) - there
