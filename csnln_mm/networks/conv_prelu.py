"""The (de)convolutions of CSNLN: each with a bias, most followed by a one-slope PReLU."""

import torch.nn.functional as F
from torch import Tensor, nn

from csnln_mm.ops.uncompiled import is_tracing
from csnln_mm.scales import KERNELS


def resampling_kernel(factor: int) -> tuple[int, int, int]:
    """(kernel size, stride, padding) with which a convolution changes the size by ``factor``.

    Raises:
        ValueError: if ``factor`` is not one of :data:`csnln_mm.scales.SCALES`.
    """
    if not isinstance(factor, int) or factor not in KERNELS:
        raise ValueError(f'the scale must be one of {sorted(KERNELS)}, got {factor}')
    return KERNELS[factor]


class ConvPReLU(nn.Sequential):
    """Convolution and PReLU at the same size: [N, C, H, W] -> [N, C', H, W].

    Args:
        in_channels: C.
        out_channels: C'.
        kernel_size: odd.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 3) -> None:
        super().__init__(
            nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2), nn.PReLU()
        )


class Downsample(nn.Sequential):
    """Strided convolution and PReLU: [N, C, f H, f W] -> [N, C, H, W].

    Args:
        channels: C.
        factor: f, one of :data:`csnln_mm.scales.SCALES`.
    """

    def __init__(self, channels: int, factor: int) -> None:
        super().__init__(nn.Conv2d(channels, channels, *resampling_kernel(factor)), nn.PReLU())


class Upsample(nn.Sequential):
    """Strided deconvolution and PReLU: [N, C, H, W] -> [N, C, f H, f W].

    Args:
        channels: C.
        factor: f, one of :data:`csnln_mm.scales.SCALES`.
    """

    def __init__(self, channels: int, factor: int) -> None:
        super().__init__(
            nn.ConvTranspose2d(channels, channels, *resampling_kernel(factor)), nn.PReLU()
        )

    def forward(self, input: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C, f H, f W]."""
        height, width = input.shape[-2:]
        if is_tracing() or input.device.type != 'cpu' or height % 2 == 0 or width % 2 == 0:
            return super().forward(input)
        # Where both sides are odd, oneDNN takes up to five times as long; a row of zeros adds none.
        y = super().forward(F.pad(input, (0, 0, 0, 1)))
        return y[..., : y.shape[-2] // (height + 1) * height, :]
