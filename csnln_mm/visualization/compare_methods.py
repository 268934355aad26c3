"""Methods that enlarge the same reduced picture again."""

from collections.abc import Callable, Sequence

import numpy as np
from torch import nn

from csnln_mm.checkpoints import load_network
from csnln_mm.errors import UserError
from csnln_mm.images.degradation import downsample, mod_crop, upsample
from csnln_mm.images.image_file import ImageData
from csnln_mm.upscaling.upscaler import Upscaler
from csnln_mm.visualization.attention import as_8_bit_rgb
from csnln_mm.visualization.figures import comparison_figure

__all__ = ['compare_methods']

BICUBIC = 'bicubic'


def compare_methods(
    truth: ImageData,
    methods: Sequence[str],
    *,
    box: tuple[int, int, int, int] | None = None,
    scale: int | None = None,
    load: Callable[[str], nn.Module] = load_network,
    device: str | None = None,
) -> np.ndarray:
    """Reduce a picture by the field's protocol, enlarge it by each method, and draw them.

    Args:
        truth: cut at the bottom and right to multiples of the scale; transparency is left out.
        methods: 'bicubic' or 'NAME=CHECKPOINT' each.
        box: see :func:`~.visualization.comparison_figure`.
        scale: that of the networks by default, or 2 without any.
        load: makes a network of a checkpoint.
        device: see :class:`~.upscaling.Upscaler`.

    Returns:
        The figure, uint8 RGB, [H, W, 3].

    Raises:
        UserError: if a method is none, scales differ, or the picture is too small.
    """
    checkpoints = _parse(methods)
    upscalers = {
        name: Upscaler(load(path), device=device)
        for name, path in checkpoints.items()
        if path is not None
    }
    for name, upscaler in upscalers.items():
        scale = upscaler.scale if scale is None else scale
        if upscaler.scale != scale:
            raise UserError(f'{name} enlarges by {upscaler.scale}, not by {scale}')
    scale = 2 if scale is None else scale
    if scale < 2:
        raise UserError(f'the scale must be at least 2, got {scale}')
    try:
        reference = np.ascontiguousarray(mod_crop(as_8_bit_rgb(truth.pixels), scale))
    except ValueError as error:
        raise UserError(str(error)) from error
    if min(reference.shape[:2]) < 2 * scale + 11:
        raise UserError(f'the picture is too small to measure: {truth.size[0]}x{truth.size[1]}')
    reduced = downsample(reference, scale)
    results = {
        name: upsample(reduced, scale) if path is None else upscalers[name](reduced)
        for name, path in checkpoints.items()
    }
    return comparison_figure(reference, results, scale=scale, box=box)


def _parse(methods: Sequence[str]) -> dict[str, str | None]:
    """Name to checkpoint, None for the bicubic enlargement."""
    checkpoints: dict[str, str | None] = {}
    for method in methods:
        name, equals, path = method.partition('=')
        if method != BICUBIC and not (equals and name and path):
            raise UserError(f'method {method!r} is neither {BICUBIC} nor NAME=CHECKPOINT')
        if name in checkpoints:
            raise UserError(f'two methods are named {name}')
        checkpoints[name] = path if equals else None
    return checkpoints
