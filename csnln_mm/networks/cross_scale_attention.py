"""The cross-scale non-local (CS-NL) attention module, section 4.1."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from csnln_mm import ops
from csnln_mm.networks.build import register_part
from csnln_mm.networks.conv_prelu import ConvPReLU
from csnln_mm.ops.attention_maps import check_positions, cross_scale_weights
from csnln_mm.ops.cross_scale_geometry import check_patches, pad_to_multiple


@register_part
class CrossScaleNonLocalAttention(nn.Module):
    """Upscale a feature map with patches of itself (Eq. 4, Figure 2).

    Each p x p patch of the map is compared with the p x p patches of the map at 1/s of its
    size, and rebuilt from the s times larger patches at the same places.

    Args:
        in_channels: C.
        scale: s, at least 2.
        patch_size: p, odd.
        embed_channels: channels in which patches are compared; C / 2 by default.
        softmax_scale: factor on the similarities before the softmax.
        divisor: constant for the overlap of patches. 6 in the released model, whose p is 3.

    Raises:
        ValueError: if ``scale`` or ``patch_size`` is out of range.
    """

    def __init__(
        self,
        in_channels: int,
        *,
        scale: int = 2,
        patch_size: int = 3,
        embed_channels: int | None = None,
        softmax_scale: float = 10.0,
        divisor: float = 6.0,
    ) -> None:
        super().__init__()
        check_patches(scale, patch_size)
        if scale == 1:
            raise ValueError('scale must be at least 2, got 1')
        embed_channels = embed_channels or max(1, in_channels // 2)
        self.scale = scale
        self.patch_size = patch_size
        self.softmax_scale = softmax_scale
        self.divisor = divisor
        self.traceable = False  # see networks.traceable
        self.query = ConvPReLU(in_channels, embed_channels, 1)
        self.key = ConvPReLU(in_channels, embed_channels, 1)
        self.value = ConvPReLU(in_channels, in_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C, s H, s W], for any H, W >= 1."""
        attend = (
            ops.cross_scale_attention_reference if self.traceable else ops.cross_scale_attention
        )
        return attend(
            self.query(x),
            self._candidates(x),
            self.value(x),
            scale=self.scale,
            patch_size=self.patch_size,
            softmax_scale=self.softmax_scale,
            divisor=self.divisor,
        )

    def weights_at(self, x: Tensor, positions: Sequence[tuple[int, int]]) -> Tensor:
        """The weights of all candidates for chosen pixels.

        Args:
            x: the input of :meth:`forward`, [N, C, H, W].
            positions: (row, column) of each pixel.

        Returns:
            [N, number of positions, ceil(H / s), ceil(W / s)]; each map adds up to 1. The
            candidate in row g and column h stands for the s x s block of ``x`` at (s g, s h),
            and the p x p blocks around it.

        Raises:
            ValueError: if there are no positions, or one lies outside the map.
        """
        check_positions(positions, x)
        return cross_scale_weights(
            self.query(x),
            self._candidates(x),
            positions,
            scale=self.scale,
            patch_size=self.patch_size,
            softmax_scale=self.softmax_scale,
        )

    def _candidates(self, x: Tensor) -> Tensor:
        """The keys: embedded pixels of the map at 1/s of its size, rounded up."""
        padded = pad_to_multiple(x, self.scale)
        size = [side // self.scale for side in padded.shape[-2:]]
        return self.key(F.interpolate(padded, size, mode='bilinear', align_corners=False))
