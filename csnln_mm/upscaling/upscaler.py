"""A network that super-resolves images in memory."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from csnln_mm.checkpoints import load_network
from csnln_mm.device import select_device
from csnln_mm.errors import UserError
from csnln_mm.images.image_file import ImageData
from csnln_mm.upscaling.tile_size import Pieces, choose_pieces, work_of
from csnln_mm.upscaling.tiling import check_tiles, self_ensemble, tiled_forward

__all__ = ['Upscaler']

DTYPES = {'float32': None, 'float16': torch.float16, 'bfloat16': torch.bfloat16}


class Upscaler:
    """A network that upscales images, loaded once.

    Args:
        network: checkpoint of a training run, a converted one, or a released state dict; or the
            network itself, [N, 3, H, W] in 0..1 to [N, 3, S H, S W], with ``upscale_factor`` and
            ``mid_channels``.
        tile: side in LR pixels of the tiles that an image is cut into, also what the attention
            can see; 0 for the whole image. By default
            :func:`~csnln_mm.upscaling.tile_size.choose_pieces` decides.
        overlap: LR pixels that neighbouring tiles share, 0 to half of ``tile``.
        ensemble: mean over the eight flips and rotations: eight times the time.
        device: such as 'cpu' or 'cuda:1'; by default CUDA if there is some.
        dtype: 'float32', 'float16' or 'bfloat16'; the latter two by autocast, the softmax and
            the result stay float32.

    Raises:
        UserError: if a file cannot be read or is not of a network, or a setting is out of range
            or impossible on this device.
    """

    def __init__(
        self,
        network: str | Path | nn.Module,
        *,
        tile: int | None = None,
        overlap: int | None = None,
        ensemble: bool = False,
        device: str | None = None,
        dtype: str = 'float32',
    ) -> None:
        if dtype not in DTYPES:
            raise UserError(f'dtype must be one of {", ".join(DTYPES)}, got {dtype}')
        if overlap is not None and tile is None:
            raise UserError('an overlap needs a tile')
        try:
            check_tiles(tile or 0, overlap or 0)
        except ValueError as error:
            raise UserError(str(error)) from error
        self.device = select_device(device)
        if self.device.type == 'cpu' and dtype == 'float16':
            raise UserError('float16 needs a GPU; a CPU knows bfloat16')
        if not isinstance(network, nn.Module):
            network = load_network(str(network))
        self.network = network.to(self.device).eval()
        self.scale: int = network.upscale_factor
        self.dtype = DTYPES[dtype]
        self.tile = tile
        self.overlap = overlap
        self.ensemble = ensemble

    def pieces(self, width: int, height: int) -> Pieces:
        """The tiles that an image of this size is cut into."""
        return choose_pieces(
            (width, height), self.network, self.device, tile=self.tile, overlap=self.overlap
        )

    def work(self, pieces: Pieces) -> float:
        """What an image in such tiles takes, see :func:`~csnln_mm.upscaling.tile_size.work_of`."""
        return pieces.count * (8 if self.ensemble else 1) * work_of(pieces.pixels)

    def __call__(
        self,
        picture: ImageData | np.ndarray,
        *,
        advance: Callable[[float], None] = lambda work: None,
    ) -> Any:
        """Upscale an image.

        Args:
            picture: or its colours alone: uint8 or uint16, [H, W] grey or [H, W, 3] RGB, any
                size. Grey goes through the network as RGB and comes back as grey; transparency
                is upscaled bicubically; the profile is kept.
            advance: called with the work done after each run of the network.

        Returns:
            The same kind of thing, ``scale`` times as wide and high.

        Raises:
            UserError: if the memory does not suffice.
        """
        if not isinstance(picture, ImageData):
            return self(ImageData(picture), advance=advance).pixels
        pieces = self.pieces(*picture.size)

        def run(x: Tensor) -> Tensor:
            y = self.network(x)
            advance(work_of(x.shape[-2:].numel()))
            return y

        def run_eightfold(x: Tensor) -> Tensor:
            return self_ensemble(run, x)

        try:
            with (
                torch.inference_mode(),
                torch.autocast(self.device.type, self.dtype, enabled=self.dtype is not None),
            ):
                y = tiled_forward(
                    run_eightfold if self.ensemble else run,
                    _to_tensor(picture.pixels).to(self.device),
                    self.scale,
                    tile=pieces.tile,
                    overlap=pieces.overlap,
                )
            colour = _to_array(y[0], picture.pixels)
        except (MemoryError, RuntimeError) as error:
            if not _is_out_of_memory(error):
                raise
            raise UserError(f'not enough memory {pieces}; use a smaller tile') from error
        alpha = picture.alpha
        if alpha is not None:
            alpha = _upscale_bicubically(alpha, self.scale)
        return ImageData(colour, alpha, picture.icc_profile)


def _to_tensor(colour: np.ndarray) -> Tensor:
    """uint8 or uint16, [H, W] or [H, W, 3] -> [1, 3, H, W] in 0..1."""
    unit = np.iinfo(colour.dtype).max / 255.0
    rgb = np.stack([colour] * 3, -1) if colour.ndim == 2 else colour
    x = torch.from_numpy(np.ascontiguousarray(rgb.transpose(2, 0, 1), np.float32))
    return (x / unit / 255.0)[None]


def _to_array(y: Tensor, like: np.ndarray) -> np.ndarray:
    """[3, H, W] in 0..1 -> dtype and channels as ``like`` has them."""
    unit = np.iinfo(like.dtype).max / 255.0
    y = (y.float() * 255.0).clamp(0, 255).cpu() * unit
    if like.ndim == 2:
        return y.mean(0).round().numpy().astype(like.dtype)
    return y.round().permute(1, 2, 0).numpy().astype(like.dtype)


def _upscale_bicubically(channel: np.ndarray, scale: int) -> np.ndarray:
    height, width = channel.shape
    image = Image.fromarray(channel.astype(np.float32))
    image = image.resize((scale * width, scale * height), Image.Resampling.BICUBIC)
    limit = np.iinfo(channel.dtype).max
    return np.asarray(image).round().clip(0, limit).astype(channel.dtype)


def _is_out_of_memory(error: Exception) -> bool:
    return isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError)) or any(
        text in str(error) for text in ("can't allocate memory", 'not enough memory')
    )
