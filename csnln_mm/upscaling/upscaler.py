"""A network that super-resolves images in memory."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from csnln_mm.checkpoints import choose_pretrained, load_network
from csnln_mm.device import free_memory, is_out_of_memory, select_device
from csnln_mm.errors import UserError
from csnln_mm.images.image_file import ImageData
from csnln_mm.ops.imresize import imresize
from csnln_mm.upscaling.tile_size import OutOfMemory, Tiling, choose_tiling, upscale_in_tiles
from csnln_mm.upscaling.tiling import check_tile

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
        name: of the model or the file; of a network, its class.

    Raises:
        UserError: if a file cannot be read or is not of a network, or a setting is out of range
            or impossible on this device.

    Examples:
        >>> import numpy as np
        >>> from csnln_mm.upscaling import Upscaler
        >>> upscaler = Upscaler(scale=3, device='cpu')
        >>> upscaler(np.zeros((20, 30, 3), np.uint8)).shape
        (60, 90, 3)
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
        self.name = type(network).__name__
        if not isinstance(network, nn.Module):
            self.name = Path(network).name.removesuffix('.safetensors')
            network = load_network(str(network))
        # Convolutions run up to twice as fast on CPUs when channels vary fastest in memory.
        self.network = network.to(self.device).to(memory_format=torch.channels_last).eval()
        self.scale = scale or cast(int, network.upscale_factor)
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
        tiling: Tiling | None = None,
        on_tile: Callable[[int, int], None] | None = None,
    ) -> Any:
        """Upscale an image.

        When memory runs out, the tile is halved, down to 32 pixels, and a warning is logged.

        Args:
            image: or its pixels alone: uint8 or uint16, [H, W] grey or [H, W, 3] RGB, any size.
                Grey goes through the network as RGB and comes back as grey; transparency is
                upscaled bicubically, and transparent pixels take the colour of the nearest
                visible one; the profile is kept.
            size: (width, height) to resize the network's output to, bicubically.
            tiling: from :meth:`tiling`, if that was called before.
            on_tile: called with (done, total) after each run of the network. What it raises ends
                the call.

        Returns:
            The same kind of thing, ``scale`` times as wide and high, or of ``size``.

        Raises:
            UserError: if the memory does not suffice, or the network's output is not finite.
        """
        if not isinstance(image, ImageData):
            return self(ImageData(image), size=size, tiling=tiling, on_tile=on_tile).pixels
        size = size or scaled_size(image.size, self.scale)
        shown = image if image.alpha is None else _fill_transparent(image, image.alpha)
        try:
            y = self._forward(_to_tensor(shown), tiling or self.tiling(*image.size), on_tile)
            if size != (y.shape[-1], y.shape[-2]):
                y = imresize(y, (size[1], size[0]))
            alpha = None if image.alpha is None else _resize_bicubically(image.alpha, size)
            return image._replace(pixels=_to_pixels(y, image), alpha=alpha)
        except OutOfMemory as error:
            raise UserError(str(error)) from error
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            raise UserError(f'not enough memory for {size[0]}x{size[1]} pixels') from error

    def _forward(
        self, x: Tensor, tiling: Tiling, on_tile: Callable[[int, int], None] | None
    ) -> Tensor:
        """[1, 3, H, W] -> [3, S H, S W], on the CPU."""
        with (
            torch.inference_mode(),
            torch.autocast(self.device.type, self.dtype, enabled=self.dtype is not None),
        ):
            y = upscale_in_tiles(
                self.network,
                x.to(self.device),
                tiling,
                overlap=self.overlap,
                ensemble=self.ensemble,
                on_tile=on_tile,
            )
        y = y[0].cpu()
        if not y.isfinite().all():
            less = ' (--dtype float32 may help)' if self.dtype is not None else ''
            raise UserError(f'the result has values that are not finite{less}')
        return y


def check_scale(scale: float | None) -> None:
    """Raise UserError unless images can be upscaled by this factor."""
    if scale is not None and not 0 < scale <= 64:
        raise UserError(f'scale must be above 0 and at most 64, got {scale:g}')


def scaled_size(size: tuple[int, int], scale: float) -> tuple[int, int]:
    """(width, height) after scaling, rounded, at least 1."""
    width, height = (max(1, math.floor(side * scale + 0.5)) for side in size)
    return width, height


def _to_tensor(image: ImageData) -> Tensor:
    """[1, 3, H, W] in 0..1."""
    rgb = np.stack([image.pixels] * 3, -1) if image.pixels.ndim == 2 else image.pixels
    x = torch.from_numpy(np.ascontiguousarray(rgb.transpose(2, 0, 1), np.float32))
    return (x / (image.white / 255.0) / 255.0)[None]


def _to_pixels(y: Tensor, like: ImageData) -> np.ndarray:
    """[3, H, W] in 0..1 -> pixels of the dtype and channels that an image has."""
    y = (y * 255.0).clamp(0, 255) * (like.white / 255.0)
    y = y.mean(0) if like.pixels.ndim == 2 else y.permute(1, 2, 0)
    return y.round().numpy().astype(like.pixels.dtype)


def _fill_transparent(image: ImageData, alpha: np.ndarray) -> ImageData:
    """The image with the colour of the nearest visible pixel where nothing is visible.

    Whatever colour a file has there would bleed into the edges of what is visible.
    """
    hidden = alpha == 0
    if not hidden.any() or hidden.all():
        return image
    import cv2

    _, nearest = cv2.distanceTransformWithLabels(
        hidden.astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    pixels = image.pixels
    colours = np.zeros((nearest.max() + 1, *pixels.shape[2:]), pixels.dtype)
    colours[nearest[~hidden]] = pixels[~hidden]
    return image._replace(pixels=colours[nearest])


def _resize_bicubically(channel: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    image = Image.fromarray(channel.astype(np.float32)).resize(size, Image.Resampling.BICUBIC)
    limit = np.iinfo(channel.dtype).max
    return np.asarray(image).round().clip(0, limit).astype(channel.dtype)
