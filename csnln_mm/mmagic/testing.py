"""Run a test, and save its metrics and images."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.dist import all_gather_object, is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner

from csnln_mm.errors import UserError
from csnln_mm.files import atomic_write
from csnln_mm.images.image_file import write_image
from csnln_mm.images.value_range import full_range
from csnln_mm.mmagic.processes import other_process_ended


def run_test(
    runner: Runner,
    *,
    out: str | Path | None = None,
    images: str | Path | None = None,
    per_image: str | Path | None = None,
) -> dict[str, float]:
    """Run a test, and save its results.

    Args:
        runner: from :func:`~csnln_mm.mmagic.runner.build_test_runner`.
        out: JSON file for the metrics.
        images: folder for the predicted images, see :class:`SavePredictionsHook`.
        per_image: JSON file for the metrics of each image.

    Returns:
        Metric by name, such as 'Set5/PSNR'.

    Raises:
        OSError: if ``out`` or an image cannot be written.
        UserError: if an image cannot be read, or another process has ended.
    """
    if images:
        runner.register_hook(SavePredictionsHook(Path(images)), 'LOWEST')
    kept = _KeepMetricsHook()
    runner.register_hook(kept, 'LOWEST')
    try:
        runner.test()
    except RuntimeError as error:
        if not other_process_ended(error):
            raise
        raise UserError(
            'the test stopped, because another of its processes has ended, or cannot be reached'
        ) from error
    for path, content in (out, kept.metrics), (per_image, kept.images):
        if path and is_main_process():
            atomic_write(Path(path), f'{json.dumps(content, indent=2)}\n'.encode())
    return kept.metrics


class _KeepMetricsHook(Hook):
    """Keeps the metrics, which MMagic's test loop passes to hooks only, and those of each image."""

    def __init__(self) -> None:
        self.metrics: dict[str, float] = {}
        self.images: list[dict] = []
        # Of this process, by test set, with the set's size.
        self._sets: dict[int, tuple[int, list[dict]]] = {}

    def after_test_epoch(self, runner: Runner, metrics: dict[str, float]) -> None:
        self.metrics.update({name: float(value) for name, value in metrics.items()})
        for size, images in self._sets.values():
            # Each process has every n-th image; some begin again so that all have as many.
            rounds = zip(*all_gather_object(images))
            self.images += [image for images in rounds for image in images][:size]

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any, outputs: Sequence
    ) -> None:
        loader, metrics = runner.test_loop.dataloader, runner.test_loop.evaluator.metrics
        _, images = self._sets.setdefault(id(loader), (len(loader.dataset), []))
        for i, sample in enumerate(outputs, start=-len(outputs)):
            image = dict(benchmark=metrics[0].prefix, image=Path(sample.gt_path).stem)
            for metric in metrics:
                image.update({k: float(value) for k, value in metric.results[i].items()})
            images.append(image)


class SavePredictionsHook(Hook):
    """Write every predicted image as ``folder/SET/NAME.png``, by test set and ground truth.

    Of images that :class:`~csnln_mm.mmagic.transforms.LoadBands` has loaded, a TIFF of their own
    type and values.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any, outputs: Sequence
    ) -> None:
        """Write ``output.pred_img`` of each data sample, [C, H, W] in 0..255; of three BGR."""
        for sample in outputs:
            gt_path = Path(sample.gt_path)
            image = sample.output.pred_img.permute(1, 2, 0).numpy()
            image = image[..., ::-1] if image.shape[2] == 3 else image
            values = sample.metainfo.get('gt_values')
            if values is None:
                pixels, suffix = image.round().clip(0, 255).astype(np.uint8), '.png'
            else:
                pixels, suffix = _restore(image, values), '.tif'
            path = self.folder / gt_path.parents[1].name / f'{gt_path.stem}{suffix}'
            write_image(path, np.ascontiguousarray(pixels))


def _restore(image: np.ndarray, values: dict[str, Any]) -> np.ndarray:
    """[H, W, C] in 0..255 -> what it was in the file."""
    low, high, dtype = (np.array(values['low']), np.array(values['high']), values['dtype'])
    image = image[..., : len(low)] * ((high - low) / 255) + low
    if np.dtype(dtype).kind != 'f':
        image = image.round().clip(*full_range(np.dtype(dtype)))
    return image.astype(dtype)
