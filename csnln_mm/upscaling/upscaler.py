"""A network that super-resolves images in memory."""

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from csnln_mm.checkpoints import choose_pretrained, load_network
from csnln_mm.device import free_memory, select_device
from csnln_mm.errors import UserError
from csnln_mm.images.image_file import ImageData
from csnln_mm.ops.imresize import imresize
from csnln_mm.upscaling.tile_size import OutOfMemory, Tiling, choose_tiling, halve_until_it_fits
from csnln_mm.upscaling.tiling import check_tile, self_ensemble, tiled_forward

DTYPES = {'float32': None, 'float16': torch.float16, 'bfloat16': torch.bfloat16}


class Upscaler:
    """A network that upscales images, loaded once.

    Args:
        network: checkpoint of a training run, a converted one, or a released state dict; the name
            of a model that comes with the package; or the network itself, [N, 3, H, W] in 0..1 to
            [N, 3, S H, S W], with ``upscale_factor`` and ``mid_channels``. By default the model of
            the package that suits ``scale``, see
            :func:`~csnln_mm.checkpoints.choose_pretrained`.
        scale: upscaling factor of the results, above 0 and up to 64. Where it is not the
            network's, the network's output is resized bicubically. By default the network's.
        tile: side in LR pixels of the tiles that an image is cut into, also what the attention
            can see; 0 for the whole image. By default
            :func:`~csnln_mm.upscaling.tile_size.choose_tiling` decides.
        overlap: LR pixels that neighbouring tiles share, 0 to half of ``tile``.
        ensemble: mean over the eight flips and rotations: eight times the time.
        device: such as 'cpu' or 'cuda:1'; by default CUDA if there is some.
        dtype: 'float32', 'float16' or 'bfloat16'; the latter two by autocast, the softmax and
            the result stay float32.

    Attributes:
        network: in evaluation mode, on ``device``.
        scale: upscaling factor of the results.

    Raises:
        UserError: if a file cannot be read or is not of a network, or a setting is out of range
            or impossible on this device.
    """

    def __init__(
        self,
        network: str | Path | nn.Module | None = None,
        *,
        scale: float | None = None,
        tile: int | None = None,
        overlap: int | None = None,
        ensemble: bool = False,
        device: str | None = None,
        dtype: str = 'float32',
    ) -> None:
        if dtype not in DTYPES:
            raise UserError(f'dtype must be one of {", ".join(DTYPES)}, got {dtype}')
        if overlap is not None and tile is None:
            raise UserError('overlap needs tile: set both')
        try:
            check_tile(tile or 0, overlap or 0)
        except ValueError as error:
            raise UserError(str(error)) from error
        check_scale(scale)
        self.device = select_device(device)
        if self.device.type == 'cpu' and dtype == 'float16':
            raise UserError('float16 needs a GPU; use bfloat16 on a CPU')
        if network is None:
            network = choose_pretrained(scale).path
        if not isinstance(network, nn.Module):
            network = load_network(str(network))
        # Convolutions run up to twice as fast on CPUs when channels vary fastest in memory.
        self.network = network.to(self.device, memory_format=torch.channels_last).eval()
        self.scale: float = scale or network.upscale_factor
        self.dtype = DTYPES[dtype]
        self.tile = tile
        self.overlap = overlap
        self.ensemble = ensemble
        # Asked once: what earlier images leave in caches must not change the tiles of later ones.
        self._free_memory = free_memory(self.device)

    def tiling(self, width: int, height: int) -> Tiling:
        """The tiles that an image of this size is cut into."""
        return choose_tiling(
            (width, height),
            self.network,
            self.device,
            free=self._free_memory,
            tile=self.tile,
            overlap=self.overlap,
        )

    def __call__(
        self,
        image: ImageData | np.ndarray,
        *,
        size: tuple[int, int] | None = None,
        on_tile: Callable[[int, int], None] = lambda done, total: None,
    ) -> Any:
        """Upscale an image.

        When memory runs out, the tile is halved, down to 32 pixels, and a warning is logged.

        Args:
            image: or its pixels alone: uint8 or uint16, [H, W] grey or [H, W, 3] RGB, any size.
                Grey goes through the network as RGB and comes back as grey; transparency is
                upscaled bicubically, and the colour where nothing shows is taken from the
                nearest pixel that does; the profile is kept.
            size: (width, height) to resize the network's output to, bicubically.
            on_tile: called with (done, total) after each run of the network. What it raises ends
                the call.

        Returns:
            The same kind of thing, ``scale`` times as wide and high, or of ``size``.

        Raises:
            UserError: if the memory does not suffice.
        """
        if not isinstance(image, ImageData):
            return self(ImageData(image), size=size, on_tile=on_tile).pixels
        width, height = image.size
        pixels, alpha = image.pixels, image.alpha
        size = size or scaled_size(image.size, self.scale)
        if alpha is not None:
            pixels = _fill_transparent(pixels, alpha)
            alpha = _resize_bicubically(alpha, size)
        try:
            y = halve_until_it_fits(
                lambda tiling: self._forward(pixels, tiling, size, on_tile),
                self.tiling(width, height),
                (width, height),
                self.network,
                overlap=self.overlap,
            )
        except OutOfMemory as error:
            raise UserError(str(error)) from error
        return image._replace(pixels=y, alpha=alpha)

    def _forward(
        self,
        pixels: np.ndarray,
        tiling: Tiling,
        size: tuple[int, int],
        on_tile: Callable[[int, int], None],
    ) -> np.ndarray:
        done, total = 0, tiling.count * (8 if self.ensemble else 1)

        def run(x: Tensor) -> Tensor:
            nonlocal done
            y = self.network(x)
            done += 1
            on_tile(done, total)
            return y

        with (
            torch.inference_mode(),
            torch.autocast(self.device.type, self.dtype, enabled=self.dtype is not None),
        ):
            y = tiled_forward(
                partial(self_ensemble, run) if self.ensemble else run,
                _to_tensor(pixels).to(self.device),
                self.network.upscale_factor,
                tile=tiling.tile,
                overlap=tiling.overlap,
                margin=tiling.margin,
            )[0]
        y = y.float().cpu()
        if size != (y.shape[-1], y.shape[-2]):
            y = imresize(y, size[::-1])
        return _to_array(y, pixels)


def check_scale(scale: float | None) -> None:
    """Raise UserError unless images can be upscaled by this factor."""
    if scale is not None and not 0 < scale <= 64:
        raise UserError(f'scale must be above 0 and at most 64, got {scale:g}')


def scaled_size(size: tuple[int, int], scale: float) -> tuple[int, int]:
    """(width, height) after scaling, rounded, at least 1."""
    return tuple(max(1, math.floor(side * scale + 0.5)) for side in size)


def _to_tensor(pixels: np.ndarray) -> Tensor:
    """uint8 or uint16, [H, W] or [H, W, 3] -> [1, 3, H, W] in 0..1."""
    unit = np.iinfo(pixels.dtype).max / 255.0
    rgb = np.stack([pixels] * 3, -1) if pixels.ndim == 2 else pixels
    x = torch.from_numpy(np.ascontiguousarray(rgb.transpose(2, 0, 1), np.float32))
    return (x / unit / 255.0)[None]


def _to_array(y: Tensor, like: np.ndarray) -> np.ndarray:
    """[3, H, W] in 0..1 -> dtype and channels as ``like`` has them."""
    unit = np.iinfo(like.dtype).max / 255.0
    y = (y * 255.0).clamp(0, 255) * unit
    if like.ndim == 2:
        return y.mean(0).round().numpy().astype(like.dtype)
    return y.round().permute(1, 2, 0).numpy().astype(like.dtype)


def _fill_transparent(pixels: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """The colour of the nearest pixel that shows, where nothing does.

    Whatever colour a file has there would bleed into the edges of what shows.
    """
    hidden = alpha == 0
    if not hidden.any() or hidden.all():
        return pixels
    import cv2

    _, nearest = cv2.distanceTransformWithLabels(
        hidden.astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    colours = np.zeros((nearest.max() + 1, *pixels.shape[2:]), pixels.dtype)
    colours[nearest[~hidden]] = pixels[~hidden]
    return colours[nearest]


def _resize_bicubically(channel: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    image = Image.fromarray(channel.astype(np.float32)).resize(size, Image.Resampling.BICUBIC)
    limit = np.iinfo(channel.dtype).max
    return np.asarray(image).round().clip(0, limit).astype(channel.dtype)
