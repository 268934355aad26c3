"""A network's pictures beside bicubic enlargement and the truth: one table, one picture each."""

from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from csnln_mm.datasets.benchmarks import GT_FOLDER, lr_folder
from csnln_mm.errors import UserError
from csnln_mm.images.degradation import upsample
from csnln_mm.images.image_file import read_rgb
from csnln_mm.images.metrics import psnr, ssim

__all__ = ['Comparison', 'Score', 'score', 'compare_benchmark', 'format_table', 'draw_comparison']


class Score(NamedTuple):
    """PSNR in dB and SSIM, on Y with a border of ``scale`` pixels left out."""

    psnr: float
    ssim: float

    def __str__(self) -> str:
        return f'{self.psnr:.2f} dB / {self.ssim:.4f}'


class Comparison(NamedTuple):
    """One photograph: 8-bit RGB pictures [H, W, 3] of the same size, and the scores of two."""

    name: str
    bicubic: np.ndarray
    predicted: np.ndarray
    truth: np.ndarray
    bicubic_score: Score
    predicted_score: Score


def compare_benchmark(benchmark: Path, predictions: Path, scale: int) -> list[Comparison]:
    """Score saved predictions and bicubic enlargement against a benchmark.

    Args:
        benchmark: folder with ``GTmod12`` and ``LRbicxS``.
        predictions: folder with a picture for each of ``GTmod12``.
        scale: S.

    Raises:
        UserError: if there are no pictures, or one is missing, damaged or of another size than
            its ground truth.
    """
    comparisons = []
    for path in sorted((benchmark / GT_FOLDER).glob('*.png')):
        truth = read_rgb(path)
        lr_path, predicted_path = benchmark / lr_folder(scale) / path.name, predictions / path.name
        bicubic, predicted = upsample(read_rgb(lr_path), scale), read_rgb(predicted_path)
        for source, picture in (lr_path, bicubic), (predicted_path, predicted):
            if picture.shape != truth.shape:
                raise UserError(f'{source} is not of the size of {path} (at x{scale})')
        comparisons.append(
            Comparison(
                path.stem,
                bicubic,
                predicted,
                truth,
                score(truth, bicubic, scale),
                score(truth, predicted, scale),
            )
        )
    if not comparisons:
        raise UserError(f'there are no .png pictures in {benchmark / GT_FOLDER}')
    return comparisons


def format_table(comparisons: list[Comparison]) -> str:
    """A line a photograph and their mean: PSNR / SSIM of both, and what is gained."""
    width = max(len('photograph'), *(len(c.name) for c in comparisons))
    lines = [f'{"photograph":{width}}  {"bicubic":>15}  {"CSNLN":>15}  {"gain":>8}']
    rows: list[tuple[str, Score, Score]] = [
        (c.name, c.bicubic_score, c.predicted_score) for c in comparisons
    ]
    mean = [Score(*np.mean(scores, axis=0)) for scores in zip(*(row[1:] for row in rows))]
    for name, bicubic, predicted in [*rows, ('mean', *mean)]:
        lines.append(
            f'{name:{width}}  {bicubic.psnr:6.2f} / {bicubic.ssim:.4f}  '
            f'{predicted.psnr:6.2f} / {predicted.ssim:.4f}  '
            f'{predicted.psnr - bicubic.psnr:+5.2f} dB'
        )
    lines.insert(-1, '-' * len(lines[0]))
    return '\n'.join(lines)


def draw_comparison(comparison: Comparison, path: Path, crop: int = 64) -> None:
    """Draw bicubic, CSNLN and truth, each with the same detail magnified, to a PNG.

    The detail is where the network gains most over bicubic enlargement.

    Args:
        comparison: of one photograph.
        path: PNG to write.
        crop: side of the detail in pixels; less for pictures that are smaller.
    """
    # The figure is only saved: no display, and pyplot's global state stays out of it.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    height, width = comparison.truth.shape[:2]
    crop = min(crop, height, width)
    top, left = _most_gained(comparison, crop)
    columns: dict[str, tuple[np.ndarray, str]] = {
        'bicubic': (comparison.bicubic, str(comparison.bicubic_score)),
        'CSNLN': (comparison.predicted, str(comparison.predicted_score)),
        'ground truth': (comparison.truth, 'PSNR / SSIM'),
    }
    figure = Figure(figsize=(13.5, 4.5 * height / width + 5.2), dpi=100, layout='constrained')
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots(2, 3, height_ratios=[height / width, 1])
    for column, (title, (picture, caption)) in enumerate(columns.items()):
        whole, detail = axes[:, column]
        whole.imshow(picture, interpolation='lanczos')
        whole.add_patch(
            Rectangle((left - 0.5, top - 0.5), crop, crop, fill=False, color='red', linewidth=2)
        )
        whole.set_title(title, fontsize=15)
        detail.imshow(picture[top : top + crop, left : left + crop], interpolation='nearest')
        detail.set_xlabel(caption, fontsize=13)
        for axis in whole, detail:
            axis.set_xticks([])
            axis.set_yticks([])
        for side in detail.spines.values():
            side.set(color='red', linewidth=2)
    path.parent.mkdir(parents=True, exist_ok=True)
    canvas.print_png(str(path))


def score(truth: np.ndarray, picture: np.ndarray, scale: int) -> Score:
    """PSNR and SSIM on Y, a border of ``scale`` pixels left out.

    Args:
        truth: uint8 RGB, [H, W, 3].
        picture: of the same size.
        scale: S.
    """
    return Score(psnr(picture, truth, scale), ssim(picture, truth, scale))


def _most_gained(comparison: Comparison, crop: int) -> tuple[int, int]:
    """Top left corner of the crop with the largest fall in squared error."""

    def error(picture: np.ndarray) -> np.ndarray:
        return np.square(picture.astype(np.float64) - comparison.truth).sum(-1)

    gain = error(comparison.bicubic) - error(comparison.predicted)
    total = cv2.boxFilter(gain, -1, (crop, crop), normalize=False, anchor=(0, 0))
    height, width = gain.shape
    total = total[: height - crop + 1, : width - crop + 1]
    top, left = np.unravel_index(total.argmax(), total.shape)
    return int(top), int(left)
