"""MATLAB's bicubic enlargement, the baseline of the field, as a generator."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ['BicubicUpsampler']

# The kernel reaches 2 pixels to either side.
_REACH = 2


class BicubicUpsampler(nn.Module):
    """Enlarge images without learning: the same pipeline then scores what is known.

    Args:
        upscale_factor: S, an integer of at least 1.

    Raises:
        ValueError: if ``upscale_factor`` is none.
    """

    def __init__(self, upscale_factor: int = 2) -> None:
        super().__init__()
        if not isinstance(upscale_factor, int) or upscale_factor < 1:
            raise ValueError(f'upscale_factor must be a positive integer, got {upscale_factor}')
        self.upscale_factor = upscale_factor

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] in 0..1 -> [N, C, S H, S W], in 0..1 and in steps of 8 bits."""
        scale = self.upscale_factor
        rows, columns = (_mirrored(side).to(x.device) for side in x.shape[-2:])
        x = x[..., rows[:, None], columns]
        # The antialiasing form has MATLAB's a = -0.5; enlarging, there is nothing to antialias.
        x = F.interpolate(x, scale_factor=scale, mode='bicubic', antialias=True)
        margin = _REACH * scale
        x = x[..., margin:-margin, margin:-margin]
        return x.mul(255).round().clamp(0, 255).div(255)


def _mirrored(length: int) -> Tensor:
    """Indices of a side and of its mirror image on either end, as MATLAB continues images."""
    index = torch.arange(-_REACH, length + _REACH) % (2 * length)
    return torch.minimum(index, 2 * length - 1 - index)
