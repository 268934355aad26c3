"""What a network's attention attends to, recorded while it upscales an image."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from csnln_mm.errors import UserError
from csnln_mm.images.image_file import ImageData
from csnln_mm.upscaling.upscaler import Upscaler

__all__ = ['AttentionMaps', 'attends', 'crop_window', 'extract_attention']


class AttentionMaps(NamedTuple):
    """The attention of one pixel.

    Attributes:
        input: what the network was given, uint8 RGB, [h, w, 3]: the image, or a window of it.
        offset: (x, y) of ``input`` in the image.
        point: (x, y) of the pixel in ``input``.
        output: the network's result for it, uint8 RGB, [S h, S w, 3].
        in_scale: weights of the pixels of the map, [h', w'], sum 1; None without that branch.
        cross_scale: weights of the candidates, [h'', w''], sum 1; None without that branch.
        map_scale: side of a pixel of ``input`` on the map: 1, or 2 in the second stage at x4.
        query: (row, column) of the pixel on the map.
        recurrence: the one that was asked, from 1.
        scale: s of the cross-scale attention.
        patch_size: p of the cross-scale attention.
    """

    input: np.ndarray
    offset: tuple[int, int]
    point: tuple[int, int]
    output: np.ndarray
    in_scale: np.ndarray | None
    cross_scale: np.ndarray | None
    map_scale: int
    query: tuple[int, int]
    recurrence: int
    scale: int
    patch_size: int


def extract_attention(
    upscaler: Upscaler,
    image: ImageData,
    points: Sequence[tuple[int, int]],
    *,
    recurrence: int | None = None,
    stage: int = 1,
    window: int = 192,
) -> list[AttentionMaps]:
    """Run the network and record the attention weights of chosen pixels.

    Args:
        upscaler: with ``tile=0``: the network sees all of what it is given at once.
        image: 8-bit or 16-bit; transparency is left out.
        points: (x, y) of pixels in the image.
        recurrence: 1 to the number of recurrences; by default the last with attention.
        stage: of the cell, 1 or, in the released x4 network, 2.
        window: side of the square around a pixel that the network sees where the image has
            more pixels than that; 0 for the whole image always.

    Raises:
        UserError: if a point lies outside, the window is negative, or there is no such recurrence,
            stage or attention.
    """
    network = upscaler.network
    total = network.num_recurrences
    attending = sorted(network.attention_recurrences or range(1, total + 1))
    recurrence = attending[-1] if recurrence is None else recurrence
    if not 1 <= recurrence <= total:
        raise UserError(f'the network has recurrences 1 to {total}, not {recurrence}')
    if recurrence not in attending:
        raise UserError(
            f'the network has no attention in recurrence {recurrence}, but in '
            + ', '.join(map(str, attending))
        )
    call = attending.index(recurrence) + 1
    stages = network.cell.stages
    if not 1 <= stage <= len(stages):
        raise UserError(f'the network has {len(stages)} stages with attention, no stage {stage}')
    crops = [crop_window(image, point, window) for point in points]
    if all(input.shape[:2] == image.size[::-1] for input, _, _ in crops):
        return _record(upscaler, crops[0][0], (0, 0), points, recurrence, call, stages[stage - 1])
    maps = []
    for input, offset, point in crops:
        maps += _record(upscaler, input, offset, [point], recurrence, call, stages[stage - 1])
    return maps


def attends(network: nn.Module) -> bool:
    """Whether a network has attention that :func:`extract_attention` can record."""
    stages = getattr(getattr(network, 'cell', None), 'stages', ())
    return any(stage.use_in_scale or stage.use_cross_scale for stage in stages)


def crop_window(
    image: ImageData, point: tuple[int, int], window: int
) -> tuple[np.ndarray, tuple[int, int], tuple[int, int]]:
    """What the network sees around a pixel.

    Args:
        image: 8-bit or 16-bit; transparency is left out.
        point: (x, y) of the pixel.
        window: side of the square where the image has more pixels than that; 0 for the whole.

    Returns:
        uint8 RGB, [h, w, 3]; (x, y) of its corner in the image; (x, y) of the pixel in it.

    Raises:
        UserError: if the window is negative or the point lies outside.
    """
    if window < 0:
        raise UserError(
            f'the window must have at least 1 pixel, or 0 for the whole image, got {window}'
        )
    (x, y), (width, height) = point, image.size
    if not (0 <= x < width and 0 <= y < height):
        raise UserError(
            f'point {x},{y} lies outside the image: x is from 0 to '
            f'{width - 1}, y from 0 to {height - 1}'
        )
    rgb = _as_8_bit_rgb(image.pixels)
    if window == 0 or width * height <= window**2:
        return rgb, (0, 0), point
    left, top = (
        max(0, min(at - window // 2, side - window)) for at, side in ((x, width), (y, height))
    )
    input = np.ascontiguousarray(rgb[top : top + window, left : left + window])
    return input, (left, top), (x - left, y - top)


def _record(
    upscaler: Upscaler,
    input: np.ndarray,
    offset: tuple[int, int],
    points: Sequence[tuple[int, int]],
    recurrence: int,
    call: int,
    stage: nn.Module,
) -> list[AttentionMaps]:
    attentions = {
        name: getattr(stage, name)
        for name, used in (
            ('in_scale_attention', stage.use_in_scale),
            ('cross_scale_attention', stage.use_cross_scale),
        )
        if used
    }
    if not attentions:
        raise UserError('the network has no attention')
    probes = {
        name: _Probe(attention, points, input.shape[1], call)
        for name, attention in attentions.items()
    }
    try:
        output = upscaler(input)
    finally:
        for probe in probes.values():
            probe.remove()
    any_probe = next(iter(probes.values()))
    cross_scale = attentions.get('cross_scale_attention')
    return [
        AttentionMaps(
            input=input,
            offset=offset,
            point=point,
            output=output,
            in_scale=_map(probes.get('in_scale_attention'), i),
            cross_scale=_map(probes.get('cross_scale_attention'), i),
            map_scale=any_probe.map_scale,
            query=any_probe.positions[i],
            recurrence=recurrence,
            scale=cross_scale.scale if cross_scale else 0,
            patch_size=cross_scale.patch_size if cross_scale else 0,
        )
        for i, point in enumerate(points)
    ]


class _Probe:
    """Asks an attention module for its weights in its ``call``-th run."""

    def __init__(
        self, attention: nn.Module, points: Sequence[tuple[int, int]], width: int, call: int
    ) -> None:
        self.points, self.width = points, width
        self.calls_left = call
        self.weights: np.ndarray | None = None
        self.remove = attention.register_forward_pre_hook(self).remove

    def __call__(self, attention: nn.Module, inputs: tuple[Any, ...]) -> None:
        self.calls_left -= 1
        if self.calls_left:
            return
        features = inputs[0]
        self.map_scale = features.shape[-1] // self.width
        self.positions = [
            (y * self.map_scale + self.map_scale // 2, x * self.map_scale + self.map_scale // 2)
            for x, y in self.points
        ]
        with torch.autocast(features.device.type, enabled=False):
            weights = attention.weights_at(features.float(), self.positions)
        self.weights = weights[0].cpu().numpy()


def _map(probe: _Probe | None, index: int) -> np.ndarray | None:
    return None if probe is None else probe.weights[index]


def _as_8_bit_rgb(pixels: np.ndarray) -> np.ndarray:
    """Pixels of :class:`~csnln_mm.images.ImageData` as uint8 RGB, [H, W, 3]."""
    if pixels.dtype == np.uint16:
        pixels = (pixels / 257).round().astype(np.uint8)
    return np.stack([pixels] * 3, -1) if pixels.ndim == 2 else pixels
