"""Sphinx settings: pages in Markdown, API reference from docstrings."""

from csnln_mm import __version__

project = 'csnln-mm'
author = 'The csnln-mm authors'
release = version = __version__

extensions = ['myst_parser', 'sphinx.ext.autodoc', 'sphinx.ext.napoleon', 'sphinx.ext.viewcode']
exclude_patterns = ['_build']
myst_heading_anchors = 3
autodoc_member_order = 'bysource'
autodoc_typehints = 'description'
html_theme = 'furo'
html_title = f'csnln-mm {release}'
