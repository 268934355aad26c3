"""Record what a network attends to while it upscales an image."""

import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from csnln_mm.errors import UserError
from csnln_mm.images.image_file import ImageData, as_8_bit_rgb
from csnln_mm.networks import CSNLNNet
from csnln_mm.upscaling.upscaler import Upscaler, network_bands


class AttentionMaps(NamedTuple):
    """The attention of one pixel.

    Attributes:
        input: the image, or the window of it that the network saw, uint8 RGB, [h, w, 3].
        offset: (x, y) of ``input`` in the image.
        point: (x, y) of the pixel in ``input``.
        output: the result for ``input``, uint8 RGB, [S h, S w, 3].
        in_scale: weights of the map's pixels, [h', w'], sum 1; None without that branch.
        cross_scale: weights of the candidates, [h'', w''], sum 1; None without that branch.
        map_scale: side of a pixel of ``input`` on the map: 1, or 2 in the second stage at x4.
        query: (row, column) of the pixel on the map.
        recurrence: number of the recurrence, from 1.
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
    """Run the network, and record the attention weights of chosen pixels.

    Args:
        upscaler: with ``tile=0``, so that the network sees all of its input at once.
        image: 8-bit or 16-bit; transparency is ignored.
        points: (x, y) of pixels in the image.
        recurrence: 1 to the number of recurrences; by default the last with attention.
        stage: of the cell: 1, or 2 in the released x4 network.
        window: side of the square around a pixel that the network sees of a larger image; 0 for
            the whole image.

    Raises:
        UserError: if a point is outside, the window is negative, or the network has no such
            recurrence, stage or attention.

    Examples:
        >>> from csnln_mm.networks import CSNLNNet
        >>> upscaler = Upscaler(CSNLNNet(mid_channels=4, num_recurrences=1), tile=0)
        >>> image = ImageData(np.zeros((8, 10, 3), np.uint8))
        >>> (maps,) = extract_attention(upscaler, image, [(3, 5)])
        >>> maps.cross_scale.shape, maps.in_scale.shape
        ((4, 5), (8, 10))
    """
    maps = []
    record = None
    for point in points:
        if record is None or not record.is_whole:
            record = AttentionRecord(
                upscaler, image, point, window=window, only=(recurrence, stage)
            )
        maps.append(record.maps(point, recurrence=recurrence, stage=stage))
    return maps


class AttentionRecord:
    """The inputs of all attention modules while a network upscales an image once.

    They give the maps of any pixel that the network saw, in any recurrence and stage, in a fraction
    of the time of another run.

    Args:
        upscaler, image, window: as for :func:`extract_attention`.
        around: (x, y) of the pixel in the middle of the window, as far as the image reaches.
        only: the recurrence (None: the last with attention) and the stage to keep in memory; all
            by default.

    Attributes:
        input: the image, or the window of it that the network saw, uint8 RGB, [h, w, 3].
        offset: (x, y) of ``input`` in the image.
        output: the result for ``input``, uint8 RGB, [S h, S w, 3].
        is_whole: whether the network saw the whole image.
        recurrences: those with attention, from 1.
        num_stages: stages of the cell: 2 in the released x4 network, otherwise 1.

    Raises:
        UserError: for the reasons of :func:`extract_attention`.
    """

    def __init__(
        self,
        upscaler: Upscaler,
        image: ImageData,
        around: tuple[int, int],
        *,
        window: int = 192,
        only: tuple[int | None, int] | None = None,
    ) -> None:
        network = upscaler.network
        if not attends(network):
            raise UserError('the network has no attention; csnln models lists those that have')
        check_colour(network)
        stages = network.cell.attentions()
        for stage in stages:
            for branch, module in stage.items():
                _check_shows_weights(branch, module)
        self.num_recurrences = network.num_recurrences
        self.num_stages = len(stages)
        self.recurrences = sorted(
            network.attention_recurrences or range(1, self.num_recurrences + 1)
        )
        self._stages = stages
        self._only = only and self._check(*only)
        self.input, self.offset, _ = crop_window(image, around, window)
        self.is_whole = self.input.shape[:2] == image.size[::-1]
        self._features: dict[tuple[int, int], Tensor] = {}
        hooks = [
            next(iter(stage.values())).register_forward_pre_hook(self._recorder(number))
            for number, stage in enumerate(stages, 1)
        ]
        try:
            self.output = upscaler(self.input)
        finally:
            for hook in hooks:
                hook.remove()

    def _recorder(self, stage: int) -> Callable[[nn.Module, tuple[Any, ...]], None]:
        recurrences = iter(self.recurrences)
        thread = threading.get_ident()

        def record(attention: nn.Module, inputs: tuple[Any, ...]) -> None:
            if threading.get_ident() != thread:
                return  # another thread upscales with the same network
            place = next(recurrences), stage
            if self._only in (None, place):
                self._features[place] = inputs[0]

        return record

    def _check(self, recurrence: int | None, stage: int) -> tuple[int, int]:
        recurrence = self.recurrences[-1] if recurrence is None else recurrence
        if not 1 <= recurrence <= self.num_recurrences:
            raise UserError(
                f'the network has recurrences 1 to {self.num_recurrences}, not {recurrence}'
            )
        if recurrence not in self.recurrences:
            raise UserError(
                f'the network has no attention in recurrence {recurrence}, but in '
                + ', '.join(map(str, self.recurrences))
            )
        if not 1 <= stage <= self.num_stages:
            raise UserError(
                f'the network has {self.num_stages} stages with attention, no stage {stage}'
            )
        return recurrence, stage

    def maps(
        self, point: tuple[int, int], *, recurrence: int | None = None, stage: int = 1
    ) -> AttentionMaps:
        """Compute the attention weights of a pixel.

        Args:
            point: (x, y) in the image, within the window.
            recurrence: one of ``recurrences``; by default the last.
            stage: 1 to ``num_stages``.

        Raises:
            UserError: if the network has no attention there.
        """
        recurrence, stage = self._check(recurrence, stage)
        features = self._features[recurrence, stage]
        point = point[0] - self.offset[0], point[1] - self.offset[1]
        map_scale = features.shape[-1] // self.input.shape[1]
        x, y = (at * map_scale + map_scale // 2 for at in point)
        attentions = self._stages[stage - 1]
        in_scale, cross_scale = attentions.get('in_scale'), attentions.get('cross_scale')
        return AttentionMaps(
            input=self.input,
            offset=self.offset,
            point=point,
            output=self.output,
            in_scale=_weights_at(in_scale, features, (y, x)),
            cross_scale=_weights_at(cross_scale, features, (y, x)),
            map_scale=map_scale,
            query=(y, x),
            recurrence=recurrence,
            scale=getattr(cross_scale, 'scale', 0),
            patch_size=getattr(cross_scale, 'patch_size', 1 if cross_scale else 0),
        )


def attends(network: nn.Module) -> bool:
    """Whether a network has attention that :func:`extract_attention` can record."""
    return isinstance(network, CSNLNNet) and network.has_attention


def check_colour(network: nn.Module) -> None:
    """Raise UserError unless a network takes the colours that an image is shown in."""
    bands = network_bands(network)
    if bands != 3:
        raise UserError(
            f'attention and attribution are shown of networks for colour, not for {bands} bands'
        )


def crop_window(
    image: ImageData, point: tuple[int, int], window: int
) -> tuple[np.ndarray, tuple[int, int], tuple[int, int]]:
    """Crop a larger image to a window around a pixel.

    Args:
        image: 8-bit or 16-bit; transparency is ignored.
        point: (x, y) of the pixel.
        window: side of the window; 0 for the whole image.

    Returns:
        The crop, uint8 RGB, [h, w, 3]; (x, y) of its corner in the image; (x, y) of the pixel in
        it.

    Raises:
        UserError: if the window is negative, or the point is outside.
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
    rgb = as_8_bit_rgb(image)
    if window == 0 or width * height <= window**2:
        return rgb, (0, 0), point
    left, top = (
        max(0, min(at - window // 2, side - window)) for at, side in ((x, width), (y, height))
    )
    crop = np.ascontiguousarray(rgb[top : top + window, left : left + window])
    return crop, (left, top), (x - left, y - top)


def _check_shows_weights(branch: str, attention: nn.Module) -> None:
    for name in ['weights_at'] + ['scale'] * (branch == 'cross_scale'):
        if not hasattr(attention, name):
            raise UserError(
                f'the attention {type(attention).__name__} has no {name!r}, without which its '
                'weights cannot be shown'
            )


def _weights_at(
    attention: nn.Module | None, features: Tensor, position: tuple[int, int]
) -> np.ndarray | None:
    if attention is None:
        return None
    with torch.inference_mode(), torch.autocast(features.device.type, enabled=False):
        return attention.weights_at(features.float(), [position])[0, 0].cpu().numpy()
