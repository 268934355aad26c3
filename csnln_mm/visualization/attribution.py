"""Local attribution maps: the pixels of the input that a detail of the output depends on.

Jinjin Gu and Chao Dong, Interpreting Super-Resolution Networks with Local Attribution Maps, CVPR
2021 (arXiv 2011.11036). Works with any network, on torch alone.
"""

from collections.abc import Callable
from math import ceil
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from csnln_mm.device import is_out_of_memory
from csnln_mm.errors import UserError
from csnln_mm.images.image_file import ImageData
from csnln_mm.upscaling.upscaler import Upscaler
from csnln_mm.visualization.attention import check_colour, crop_window

# Pixels that go through the network together, to fill a GPU. On a CPU, batches take more memory and
# as much time.
_BATCH_PIXELS = 2**15


class Attribution(NamedTuple):
    """A local attribution map (LAM).

    Attributes:
        map: signed contribution of each pixel of the input to the detail, [H, W].
        start: the detail's gradient content D for the blurred input.
        end: D for the input itself. The map adds up to ``end - start``, except for ``error``.
    """

    map: Tensor
    start: float
    end: float

    @property
    def diffusion_index(self) -> float:
        """:func:`diffusion_index` of the map."""
        return diffusion_index(self.map)

    @property
    def error(self) -> float:
        """The difference of ``end - start`` to the sum of the map, over the sum of magnitudes."""
        lacking = abs(float(self.map.sum()) - (self.end - self.start))
        return lacking / float(self.map.abs().sum()) if lacking else 0.0


def local_attribution(
    network: nn.Module,
    lq: Tensor,
    box: tuple[int, int, int, int],
    *,
    sigma: float = 1.2,
    steps: int = 50,
    batch_size: int | None = None,
    on_step: Callable[[int, int], None] = lambda done, total: None,
) -> Attribution:
    """Attribute a detail of a network's output to the pixels of its input.

    The integral of the paper,

        LAM_i = integral over a from 0 to 1 of dD(F(g(a))) / dg_i  dg_i / da  da,

    follows the path g from the blurred image to the image: g(a) is the image blurred by a Gaussian
    of standard deviation (1 - a) ``sigma``. F is the network, and D the sum of the gradient
    magnitudes in the box (forward differences in each channel). The midpoint rule with ``steps``
    parts has an error of second order, which :attr:`Attribution.error` states.

    Args:
        network: in evaluation mode, [N, C, H, W] in 0..1 to [N, C', S H, S W], differentiable.
        lq: [1, C, H, W] in 0..1, on the network's device.
        box: the detail, (x, y, width, height) in pixels of the output.
        sigma: in pixels of the input; 1.2 is usual.
        steps: forward and backward passes.
        batch_size: steps that go through the network together, which changes time and memory; by
            default 1 on a CPU, and as many as have 2^15 pixels elsewhere.
        on_step: called with (done, total); an exception in it ends the call.

    Raises:
        ValueError: if the box reaches beyond the output, or a number is out of range.
    """
    if steps < 1 or sigma <= 0:
        raise ValueError(f'steps and sigma must be positive, got {steps} and {sigma}')
    if batch_size is None:
        batch_size = max(1, _BATCH_PIXELS // lq[0, 0].numel()) if lq.device.type != 'cpu' else 1
    sigmas = torch.linspace(sigma, 0.0, 2 * steps + 1).tolist()
    radius = ceil(3 * sigma)

    def path(k: int) -> Tensor:
        return _blur(lq, sigmas[k], radius)

    with torch.no_grad():
        start, end = (float(_gradient_content(network(path(k)), box)) for k in (0, 2 * steps))
    total = lq.new_zeros(lq.shape[-2:])
    for first in range(0, steps, batch_size):
        parts = range(first, min(first + batch_size, steps))
        middles = torch.cat([path(2 * k + 1) for k in parts]).requires_grad_()
        # Samples are independent, so the gradient of the sum has the gradient of each.
        content = _gradient_content(network(middles), box)
        (gradients,) = torch.autograd.grad(content, middles)
        changes = torch.cat([path(2 * k + 2) - path(2 * k) for k in parts])
        total += (gradients * changes).sum((0, 1))
        on_step(parts.stop, steps)
    return Attribution(total, start, end)


class PixelAttribution(NamedTuple):
    """The attribution of the detail around a pixel.

    Attributes:
        input: the image, or the window of it that the network saw, uint8 RGB, [h, w, 3].
        offset: (x, y) of ``input`` in the image.
        point: (x, y) of the pixel in ``input``.
        box: the detail, (x, y, width, height) in pixels of the output for ``input``.
        attribution: of the detail to the pixels of ``input``.
    """

    input: np.ndarray
    offset: tuple[int, int]
    point: tuple[int, int]
    box: tuple[int, int, int, int]
    attribution: Attribution


def extract_attribution(
    upscaler: Upscaler,
    image: ImageData,
    point: tuple[int, int],
    *,
    detail: int = 16,
    steps: int = 50,
    window: int = 96,
    on_step: Callable[[int, int], None] = lambda done, total: None,
) -> PixelAttribution:
    """Attribute the detail around a pixel to the pixels of an image, or of a window of it.

    Args:
        upscaler: of any differentiable network; its tiles and ensemble are not used.
        image: 8-bit or 16-bit; transparency is ignored.
        point: (x, y) of a pixel in the image.
        detail: side of the square around the pixel, in the output; less if the output is smaller.
        steps: see :func:`local_attribution`; 5 give a first impression.
        window: side of the square around the pixel that the network sees of a larger image; 0 for
            the whole image.
        on_step: called with (done, total); an exception in it ends the call.

    Raises:
        UserError: if the point is outside, a number is out of range, or memory runs out.

    Examples:
        >>> from csnln_mm.networks import CSNLNNet
        >>> upscaler = Upscaler(CSNLNNet(mid_channels=4, num_recurrences=1))
        >>> image = ImageData(np.random.RandomState(0).randint(0, 256, (8, 10, 3), np.uint8))
        >>> one = extract_attribution(upscaler, image, (3, 5), detail=4, steps=2)
        >>> one.box, tuple(one.attribution.map.shape)
        ((5, 9, 4, 4), (8, 10))
    """
    for name, number in dict(detail=detail, steps=steps).items():
        if number < 1:
            raise UserError(f'{name} must be at least 1, got {number}')
    check_colour(upscaler.network)
    crop, offset, point = crop_window(image, point, window)
    sides = [upscaler.scale * side for side in crop.shape[1::-1]]
    lengths = [min(detail, side) for side in sides]
    middles = [upscaler.scale * at + upscaler.scale // 2 for at in point]
    corner = [
        max(0, min(middle - length // 2, side - length))
        for middle, length, side in zip(middles, lengths, sides)
    ]
    box = (*corner, *lengths)
    lq = torch.from_numpy(crop.transpose(2, 0, 1).astype(np.float32) / 255)[None]
    try:
        attribution = local_attribution(
            upscaler.network, lq.to(upscaler.device), box, steps=steps, on_step=on_step
        )
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise UserError(
            f'not enough memory for {crop.shape[1]}x{crop.shape[0]} pixels; take a smaller window'
        ) from error
    return PixelAttribution(crop, offset, point, box, attribution)


def diffusion_index(attribution: Tensor) -> float:
    """Measure how many pixels contribute: 100 if all do equally, near 0 if one does alone.

    This is the paper's (1 - G) 100, with the Gini coefficient G of the magnitudes.

    Args:
        attribution: of any shape.

    Returns:
        0 to 100; nan if all are zero.
    """
    magnitudes = attribution.detach().flatten().abs().double().sort().values
    count = len(magnitudes)
    ranks = torch.arange(1, count + 1, dtype=torch.double, device=attribution.device)
    # The mean of |g_i - g_j| over twice the mean of g, without the pairs.
    gini = (2 * ranks - count - 1) @ magnitudes / (count * magnitudes.sum())
    return 100 * (1 - float(gini))


def _blur(x: Tensor, sigma: float, radius: int) -> Tensor:
    """Blur [N, C, H, W] by a Gaussian, replicating the border."""
    offsets = torch.arange(-radius, radius + 1, dtype=x.dtype, device=x.device)
    # A sigma of 0 becomes a kernel of one 1 and zeros, which keeps the image.
    kernel = torch.exp(-0.5 * (offsets / max(sigma, 1e-6)) ** 2)
    kernel = (kernel / kernel.sum()).repeat(x.shape[1], 1, 1, 1)
    x = F.pad(x, (radius,) * 4, mode='replicate')
    return F.conv2d(F.conv2d(x, kernel, groups=x.shape[1]), kernel.mT, groups=x.shape[1])


def _gradient_content(y: Tensor, box: tuple[int, int, int, int]) -> Tensor:
    """Sum the gradient magnitudes in a box of [N, C, H, W]."""
    left, top, width, height = box
    if not (0 <= left < left + width <= y.shape[-1] and 0 <= top < top + height <= y.shape[-2]):
        raise ValueError(f'box {box} reaches beyond the output of {y.shape[-1]}x{y.shape[-2]}')
    y = F.pad(y, (0, 1, 0, 1), mode='replicate')
    y = y[..., top : top + height + 1, left : left + width + 1]
    differences = y[..., 1:, :-1] - y[..., :-1, :-1], y[..., :-1, 1:] - y[..., :-1, :-1]
    # This norm has the gradient 0, not nan, in flat areas, where both differences are 0.
    return torch.linalg.vector_norm(torch.stack(differences), dim=0).sum()
