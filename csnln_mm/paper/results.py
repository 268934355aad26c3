"""Tables of measured and published results on test sets."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from csnln_mm.errors import UserError
from csnln_mm.files import read_json
from csnln_mm.images.metrics import Score
from csnln_mm.tables import format_table


class Result(NamedTuple):
    """A row of a table; None stands for unknown.

    Attributes:
        name: of the method.
        scores: mean PSNR and SSIM on Y by test set.
        parameters: their number.
        multiply_adds: for a result of 1280x720 pixels.
        seconds: for an image of 512x512 pixels.
        perceptual: means of further metrics by test set, in the order of the title.
    """

    name: str
    scores: dict[str, Score]
    parameters: int | None = None
    multiply_adds: int | None = None
    seconds: float | None = None
    perceptual: dict[str, list[float]] = {}


def results_table(
    title: str, sets: Sequence[str], rows: Sequence[Result], style: str = 'text'
) -> str:
    """Format results with a column for each test set, and '-' for missing scores.

    Parameters, multiply-adds and seconds have a column if a row has them.

    Args:
        title: of the first column.
        sets: test sets.
        rows: from top to bottom.
        style: 'text' or 'markdown'.
    """
    units = dict(parameters=(1e3, ',.0f', 'K'), multiply_adds=(1e9, ',.1f', 'G'))
    units['seconds'] = (1, '.1f', '')
    shown = {
        name: unit
        for name, unit in units.items()
        if any(getattr(row, name) is not None for row in rows)
    }

    def cells(row: Result) -> list[str]:
        counts = [
            '' if (value := getattr(row, name)) is None else f'{value / unit:{form}}{letter}'
            for name, (unit, form, letter) in shown.items()
        ]
        return [row.name, *counts, *(_score(row, name) for name in sets)]

    header = [title, *(name.replace('_', '-') for name in shown), *sets]
    return format_table(header, [cells(row) for row in rows], style)


def _score(row: Result, test_set: str) -> str:
    further = (f' / {value:.4f}' for value in row.perceptual.get(test_set, ()))
    return ''.join([str(row.scores.get(test_set, '-')), *further])


def read_scores(path: str) -> dict[str, Score]:
    """Read PSNR and SSIM by test set from a file of ``csnln test --out``; else UserError."""
    content = read_json(path)
    try:
        scores = scores_by_set(content) if isinstance(content, dict) else {}
    except (OverflowError, TypeError, ValueError) as error:
        raise UserError(f'results {path}: PSNR or SSIM is not a number') from error
    if not scores:
        raise UserError(f'results {path}: no metrics such as Set5/PSNR and Set5/SSIM in it')
    return scores


def scores_by_set(metrics: Mapping[str, float]) -> dict[str, Score]:
    """Group metrics such as 'Set5/PSNR' by test set, for sets with both PSNR and SSIM."""
    sets = [name.removesuffix('/PSNR') for name in metrics if name.endswith('/PSNR')]
    return {
        name: Score(float(metrics[f'{name}/PSNR']), float(metrics[f'{name}/SSIM']))
        for name in sets
        if f'{name}/SSIM' in metrics
    }
