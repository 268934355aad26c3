"""Tables as text or Markdown."""

import io
from collections.abc import Sequence


def format_table(header: Sequence[str], rows: Sequence[Sequence[str]], style: str = 'text') -> str:
    """Format a table with the first column aligned left and the others right.

    Args:
        header: titles.
        rows: cells, as many as titles.
        style: 'text' or 'markdown'.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table

    markdown = style == 'markdown'
    table = Table(
        box=box.MARKDOWN if markdown else box.SIMPLE_HEAD, show_edge=markdown, pad_edge=markdown
    )
    for i, title in enumerate(header):
        table.add_column(title, justify='right' if i else 'left', no_wrap=True)
    for cells in rows:
        table.add_row(*cells)
    # Not to a terminal, whose width and colours would change the text.
    console = Console(file=io.StringIO(), width=10_000, markup=False, emoji=False, highlight=False)
    console.print(table)
    lines = [line.rstrip() for line in console.file.getvalue().splitlines() if line.strip()]
    if markdown:  # rich leaves out the alignment of columns
        first, *others = lines[1].strip('|').split('|')
        rule = [f' :{first[2:-1]} ', *(f' {other[2:-1]}: ' for other in others)]
        lines[1] = f'|{"|".join(rule)}|'
    return '\n'.join(lines).replace('─', '-')
