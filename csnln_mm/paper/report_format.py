"""Tables for a terminal and for Markdown."""

from collections.abc import Sequence

__all__ = ['format_table', 'FORMATS']

FORMATS = ('text', 'markdown', 'json')


def format_table(header: Sequence[str], rows: Sequence[Sequence[str]], style: str = 'text') -> str:
    """Lines of aligned columns: the first to the left, the others to the right.

    Args:
        header: titles.
        rows: cells, as many as there are titles.
        style: 'text' or 'markdown'.
    """
    widths = [max(len(line[i]) for line in (header, *rows)) for i in range(len(header))]

    def align(cells: Sequence[str]) -> list[str]:
        first, *others = (cell.rjust(width) for cell, width in zip(cells, widths))
        return [first.strip().ljust(widths[0]), *others]

    if style == 'markdown':
        rule = [':' + '-' * (widths[0] - 1), *('-' * (width - 1) + ':' for width in widths[1:])]
        lines = [align(header), rule, *map(align, rows)]
        return '\n'.join(f'| {" | ".join(cells)} |' for cells in lines)
    lines = [align(header), ['-' * width for width in widths], *map(align, rows)]
    return '\n'.join('  '.join(cells).rstrip() for cells in lines)
