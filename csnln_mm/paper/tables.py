"""Results beside the paper's: Table 1, and the model sizes of Table 2."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner

from csnln_mm.errors import UserError
from csnln_mm.files import atomic_write, read_json
from csnln_mm.mmagic.check_config import check_config
from csnln_mm.mmagic.runner import build_test_runner
from csnln_mm.mmagic.testing import run_test
from csnln_mm.paper.model_size import ModelSize, measure_model_size
from csnln_mm.paper.published import BENCHMARKS, TABLE_1, TABLE_2, Score, Table1Row
from csnln_mm.paper.report_format import format_table

__all__ = [
    'evaluate',
    'format_model_size',
    'format_table_1',
    'model_size',
    'read_results',
    'result_row',
    'scale_of',
]

_METRICS = 'PSNR', 'SSIM'


def scale_of(cfg: Config) -> int:
    """The scale that a config's model enlarges by.

    Raises:
        UserError: if it is not one of the paper's.
    """
    scale = cfg.get('model', {}).get('generator', {}).get('upscale_factor')
    if scale not in {row.scale for row in TABLE_1}:
        raise UserError(f'the config has model.generator.upscale_factor={scale}, not 2, 3 or 4')
    return scale


def evaluate(
    cfg: Config,
    checkpoint: str | None = None,
    *,
    per_image: str | Path | None = None,
    pictures: str | Path | None = None,
) -> dict[str, float]:
    """Test a checkpoint on the benchmarks that are there.

    Args:
        cfg: from :func:`~csnln_mm.mmagic.runner.load_config`; changed in place.
        checkpoint: file; none for a model without weights.
        per_image: file for the metrics of every image, written as JSON.
        pictures: folder for the enlarged images, as FOLDER/SET/NAME.png.

    Returns:
        Metric by name, such as 'Set5/PSNR'.

    Raises:
        UserError: if no benchmark is there, or the checkpoint does not fit.
        OSError: if a file cannot be written.
    """
    # The toolbox's pictures of every test, each beside its input and ground truth.
    cfg.custom_hooks = [
        hook for hook in cfg.get('custom_hooks', []) if hook.type != 'BasicVisualizationHook'
    ]
    runner = build_test_runner(cfg, checkpoint)
    hook = _PerImageHook()
    runner.register_hook(hook)
    metrics = run_test(runner, images=pictures)
    if per_image:
        atomic_write(Path(per_image), (json.dumps(hook.images, indent=1) + '\n').encode())
    return metrics


def read_results(path: str) -> dict[str, float]:
    """Read what ``tools/test.py --out`` wrote.

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


def format_table_1(result: Table1Row, style: str = 'text') -> str:
    """The paper's rows for a scale, and a result under them.

    Args:
        result: from :func:`result_row`.
        style: one of :data:`~csnln_mm.paper.report_format.FORMATS`.
    """
    paper = [row for row in TABLE_1 if row.scale == result.scale]
    if style == 'json':
        rows = [dict(_as_dict(row), source='paper') for row in paper]
        rows.append(dict(_as_dict(result), source='measured'))
        return json.dumps(dict(table=1, scale=result.scale, rows=rows), indent=1)
    header = [f'x{result.scale}, PSNR / SSIM', *BENCHMARKS]
    return format_table(header, [_cells(row) for row in (*paper, result)], style)


def model_size(cfg: Config, lr_size: tuple[int, int]) -> ModelSize:
    """Parameters and multiply-adds of a config's network.

    Args:
        cfg: from :func:`~csnln_mm.mmagic.runner.load_config`; not changed.
        lr_size: (height, width) of the image, in LR pixels.

    Raises:
        UserError: if the image has no pixels, or the config has a mistake or no network.
    """
    if min(lr_size) < 1:
        raise UserError(f'an LR image of {lr_size[0]}x{lr_size[1]} pixels has no pixels')
    model = check_config(cfg)
    if not hasattr(model, 'generator'):
        raise UserError(f'config {cfg.filename}: the model has no generator')
    return measure_model_size(model.generator, lr_size)


def format_model_size(method: str, size: ModelSize, style: str = 'text') -> str:
    """The paper's Table 2 with a model under it, and its multiply-adds.

    Args:
        method: the model's name.
        size: from :func:`model_size`.
        style: one of :data:`~csnln_mm.paper.report_format.FORMATS`.
    """
    if style == 'json':
        measured = dict(
            size._asdict(),
            multiply_adds=size.multiply_adds,
            direct_multiply_adds=size.direct_multiply_adds,
        )
        return json.dumps(
            dict(table=2, paper=[row._asdict() for row in TABLE_2], method=method, **measured),
            indent=1,
        )
    parameters = [(row.method, f'{row.parameters:g}M', '') for row in TABLE_2]
    parameters.append((method, f'{size.parameters / 1e6:.2f}M', f'{size.trainable:,}'))
    adds = [
        ('convolutions', size.convolutions, size.convolutions),
        ('in-scale attention', size.in_scale_attention, size.in_scale_attention),
        ('cross-scale attention', size.cross_scale_attention, size.direct_cross_scale_attention),
        ('other', size.other, size.other),
        ('all', size.multiply_adds, size.direct_multiply_adds),
    ]
    height, width = size.lr_size
    return '\n\n'.join(
        [
            format_table(('model', 'parameters', 'trainable'), parameters, style),
            format_table(
                (f'multiply-adds, LR {height}x{width}', 'as computed', 'direct formula'),
                [(name, *(f'{count / 1e9:.2f}G' for count in counts)) for name, *counts in adds],
                style,
            ),
        ]
    )


class _PerImageHook(Hook):
    """Keeps the metrics of each image, of which the evaluators tell the mean only."""

    def __init__(self) -> None:
        self.images: list[dict[str, Any]] = []

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: Sequence | None = None,
    ) -> None:
        metrics = runner.test_loop.evaluator.metrics
        for i, sample in enumerate(outputs or (), start=-len(outputs or ())):
            image = dict(benchmark=metrics[0].prefix, image=Path(sample.gt_path).stem)
            for metric in metrics:
                image.update({k: float(value) for k, value in metric.results[i].items()})
            self.images.append(image)


def _cells(row: Table1Row) -> list[str]:
    return [
        row.method,
        *(
            '-' if score is None else f'{score.psnr:.2f} / {score.ssim:.4f}'
            for score in (row.scores[name] for name in BENCHMARKS)
        ),
    ]


def _as_dict(row: Table1Row) -> dict:
    return dict(
        method=row.method,
        scores={
            name: None if score is None else score._asdict() for name, score in row.scores.items()
        },
    )
