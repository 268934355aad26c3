"""The (de)convolutions of CSNLN: each with a bias, most followed by a one-slope PReLU."""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from csnln_mm.ops.precision import is_autocasting
from csnln_mm.ops.uncompiled import is_inference_on_cpu, is_tracing
from csnln_mm.scales import KERNELS


def resampling_kernel(factor: int) -> tuple[int, int, int]:
    """(kernel size, stride, padding) with which a convolution changes the size by ``factor``.

    Raises:
        ValueError: if ``factor`` is not one of :data:`csnln_mm.scales.SCALES`.
    """
    if not isinstance(factor, int) or factor not in KERNELS:
        raise ValueError(f'the scale must be one of {sorted(KERNELS)}, got {factor}')
    return KERNELS[factor]


class _Activated(nn.Sequential):
    """A convolution and its PReLU."""

    def forward(self, input: Tensor) -> Tensor:
        """In inference on CPUs in one pass over the output, which oneDNN writes once."""
        conv, prelu = self
        if not _can_fuse(conv, prelu, input):
            return super().forward(input)
        slope = cast(Tensor, prelu.weight).item()
        arguments = conv.stride, conv.dilation, conv.groups, 'leaky_relu', [slope], ''
        if type(conv) is nn.Conv2d:
            return torch.ops.mkldnn._convolution_pointwise(
                input, conv.weight, conv.bias, conv.padding, *arguments
            )
        return torch.ops.mkldnn._convolution_transpose_pointwise(
            input, conv.weight, conv.bias, conv.padding, conv.output_padding, *arguments
        )


def _can_fuse(conv: nn.Module, prelu: nn.Module, input: Tensor) -> bool:
    return (
        is_inference_on_cpu(input)
        and type(conv) in (nn.Conv2d, nn.ConvTranspose2d)
        and type(prelu) is nn.PReLU
        and input.dtype == conv.weight.dtype == torch.float32
        and torch.backends.mkldnn.is_available()
        and torch.backends.mkldnn.enabled
        and not is_autocasting('cpu')
        # Nobody must look at what lies between the two.
        and not any(m._forward_hooks or m._forward_pre_hooks for m in (conv, prelu))
    )


class ConvPReLU(_Activated):
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


class Downsample(_Activated):
    """Strided convolution and PReLU: [N, C, f H, f W] -> [N, C, H, W].

    Args:
        channels: C.
        factor: f, one of :data:`csnln_mm.scales.SCALES`.
    """

    def __init__(self, channels: int, factor: int) -> None:
        super().__init__(nn.Conv2d(channels, channels, *resampling_kernel(factor)), nn.PReLU())


class Upsample(_Activated):
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
