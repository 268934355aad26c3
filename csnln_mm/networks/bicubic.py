"""MATLAB's bicubic interpolation, the baseline of the field, as a generator."""

from torch import Tensor, nn

from csnln_mm.networks.build import register_part
from csnln_mm.ops.imresize import imresize


@register_part
class BicubicUpsampler(nn.Module):
    """Upscale images without learning, to check a pipeline against known scores.

    Args:
        upscale_factor: S, an integer of at least 1.

    Raises:
        ValueError: if ``upscale_factor`` is not such an integer.
    """

    def __init__(self, upscale_factor: int = 2) -> None:
        super().__init__()
        if not isinstance(upscale_factor, int) or upscale_factor < 1:
            raise ValueError(f'upscale_factor must be a positive integer, got {upscale_factor}')
        self.upscale_factor = upscale_factor

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] in 0..1 -> [N, C, S H, S W], in 0..1 and in steps of 8 bits."""
        height, width = x.shape[-2:]
        x = imresize(x, (self.upscale_factor * height, self.upscale_factor * width))
        return x.mul(255).round().clamp(0, 255).div(255)
