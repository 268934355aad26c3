"""Commands and Python blocks of the documentation, in the order in which they are read."""

import re
import shlex
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / 'README.md', ROOT / 'CONTRIBUTING.md', *sorted((ROOT / 'docs').glob('*.md'))]


class Block(NamedTuple):
    """A fenced block: its page, relative to the repository; 'bash' or 'python'; its text."""

    page: str
    language: str
    text: str

    def __str__(self) -> str:
        return f'{self.page}: {self.text.splitlines()[0]}'


class Command(NamedTuple):
    """A line of a bash block: its page, and the words, without comments."""

    page: str
    words: list[str]

    def __str__(self) -> str:
        return f'{self.page}: {shlex.join(self.words)}'


def blocks(page: Path, heading: str = '') -> list[Block]:
    """Of the whole page, or of the section of second level with this heading."""
    name = str(page.relative_to(ROOT))
    text = page.read_text()
    if heading:
        (text,) = re.findall(rf'^## {heading}$(.*?)(?=^## |\Z)', text, flags=re.M | re.S)
    return [
        Block(name, language, text)
        for language, text in re.findall(r'^```(bash|python)\n(.*?)^```$', text, flags=re.M | re.S)
    ]


def commands(block: Block) -> list[Command]:
    lines = block.text.replace('\\\n', ' ').splitlines()
    words = (shlex.split(line, comments=True) for line in lines)
    return [Command(block.page, words) for words in words if words]
