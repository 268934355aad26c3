"""Results beside the paper's: Table 1, and the model sizes of Table 2, as text or Markdown."""

import io
from collections.abc import Sequence

from csnln_mm.errors import UserError
from csnln_mm.files import read_json
from csnln_mm.paper.model_size import ModelSize
from csnln_mm.paper.published import BENCHMARKS, TABLE_1, TABLE_2, Score, Table1Row

_METRICS = 'PSNR', 'SSIM'


def format_table(header: Sequence[str], rows: Sequence[Sequence[str]], style: str = 'text') -> str:
    """Aligned columns: the first to the left, the others to the right.

    Args:
        header: titles.
        rows: cells, as many as there are titles.
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
    # A file, so that neither the width of a terminal nor its colours change the text.
    console = Console(file=io.StringIO(), width=10_000, markup=False, emoji=False, highlight=False)
    console.print(table)
    lines = [line.rstrip() for line in console.file.getvalue().splitlines() if line.strip()]
    if markdown:  # rich leaves out the alignment of columns
        first, *others = lines[1].strip('|').split('|')
        rule = [f' :{first[2:-1]} ', *(f' {other[2:-1]}: ' for other in others)]
        lines[1] = f'|{"|".join(rule)}|'
    return '\n'.join(lines).replace('─', '-')


def read_results(path: str) -> dict[str, float]:
    """Read what ``csnln test --out`` wrote.

    Raises:
        UserError: if the file is missing or something else.
    """
    content = read_json(path)
    if not isinstance(content, dict) or not any(f'{name}/PSNR' in content for name in BENCHMARKS):
        raise UserError(f'results {path}: no metric such as Set5/PSNR in it')
    metrics = {}
    for name in (f'{benchmark}/{metric}' for benchmark in BENCHMARKS for metric in _METRICS):
        if name in content:
            try:
                metrics[name] = float(content[name])
            except (OverflowError, TypeError, ValueError) as error:
                raise UserError(f'results {path}: {name} is not a number') from error
    return metrics


def result_row(method: str, scale: int, metrics: dict[str, float]) -> Table1Row:
    """Metrics as a row of Table 1; benchmarks that were not tested are None."""
    scores = {}
    for name in BENCHMARKS:
        psnr, ssim = (metrics.get(f'{name}/{metric}') for metric in _METRICS)
        scores[name] = None if psnr is None or ssim is None else Score(psnr, ssim)
    return Table1Row(method, scale, scores)


def table_1(result: Table1Row, style: str = 'text') -> str:
    """The paper's rows for a scale, and a result below them.

    Args:
        result: from :func:`result_row`.
        style: 'text' or 'markdown'.
    """
    header = [f'x{result.scale}, PSNR / SSIM', *BENCHMARKS]
    rows = [
        [row.method, *(str(row.scores[name] or '-') for name in BENCHMARKS)]
        for row in (*TABLE_1, result)
        if row.scale == result.scale
    ]
    return format_table(header, rows, style)


def table_2(method: str, size: ModelSize, style: str = 'text') -> str:
    """The paper's Table 2 with a model below it, and its multiply-adds.

    Args:
        method: the model's name.
        size: from :func:`~csnln_mm.paper.model_size`.
        style: 'text' or 'markdown'.
    """
    parameters = [(row.method, f'{row.parameters:g}M', '') for row in TABLE_2]
    parameters.append((method, f'{size.parameters / 1e6:.2f}M', f'{size.trainable:,}'))
    adds = [
        ('convolutions', size.convolutions, size.convolutions),
        ('in-scale attention', size.in_scale_attention, size.in_scale_attention),
        ('cross-scale attention', size.cross_scale_attention, size.reference_cross_scale_attention),
        ('other', size.other, size.other),
        ('all', size.multiply_adds, size.reference_multiply_adds),
    ]
    height, width = size.lr_size
    header = f'multiply-adds, LR {height}x{width}', 'as computed', 'reference'
    rows = [(name, *(f'{count / 1e9:.2f}G' for count in counts)) for name, *counts in adds]
    first = format_table(('model', 'parameters', 'trainable'), parameters, style)
    return f'{first}\n\n{format_table(header, rows, style)}'
