"""Self-exemplar mining within other networks: features in, features of the same shape out."""

from mmagic.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor

from csnln_mm.networks.conv_prelu import Downsample
from csnln_mm.networks.cross_scale_attention import CrossScaleNonLocalAttention

__all__ = ['CrossScaleEnhancer', 'SEMEnhancer']


@MODELS.register_module()
class CrossScaleEnhancer(BaseModule):
    """Add to a feature map what its larger exemplars show, brought back to the map's size.

    Args:
        channels: C.
        scale: how much larger the exemplars are, 2, 3 or 4.
        attention: further arguments of :class:`CrossScaleNonLocalAttention`.
        init_cfg: initialisation config of MMEngine.

    Raises:
        ValueError: if ``scale`` or an argument of the attention is out of range.
    """

    def __init__(
        self,
        channels: int,
        *,
        scale: int = 2,
        attention: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.attention = CrossScaleNonLocalAttention(channels, scale=scale, **(attention or {}))
        self.downsample = Downsample(channels, scale)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C, H, W], for any H, W >= 1."""
        return x + self.downsample(self.attention(x))


@MODELS.register_module()
class SEMEnhancer(BaseModule):
    """Add to a feature map what a SEM cell would hand on to its next recurrence.

    Args:
        channels: C.
        scale: enlargement within the cell, 2, 3 or 4.
        cell: further arguments of :class:`SEMCell`, such as ``branches`` or ``fusion``.
        init_cfg: initialisation config of MMEngine.

    Raises:
        ValueError: if ``scale`` or an argument of the cell is out of range.
    """

    def __init__(
        self,
        channels: int,
        *,
        scale: int = 2,
        cell: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        cell = dict(dict(type='SEMCell'), **(cell or {}))
        self.cell = MODELS.build(dict(mid_channels=channels, upscale_factor=scale, **cell))

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C, H, W], for any H, W >= 1."""
        features, _ = self.cell(x)
        return x + features
