"""Self-exemplar mining within other networks: features in, features of the same shape out."""

from torch import Tensor, nn

from csnln_mm.errors import UserError
from csnln_mm.networks.build import build_part, register_part
from csnln_mm.networks.conv_prelu import Downsample


@register_part
class CrossScaleEnhancer(nn.Module):
    """Add cross-scale attention, downsampled to the size of the map, to a feature map.

    Args:
        channels: C.
        scale: upscale factor of the attention, one of :data:`csnln_mm.scales.SCALES`.
        attention: further arguments of :class:`CrossScaleNonLocalAttention`.

    Raises:
        ValueError: if ``scale`` or an argument of the attention is out of range.
    """

    def __init__(self, channels: int, *, scale: int = 2, attention: dict | None = None) -> None:
        super().__init__()
        self.channels = channels
        self.attention = build_part(
            attention, 'CrossScaleNonLocalAttention', in_channels=channels, scale=scale
        )
        self.downsample = Downsample(channels, scale)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C, H, W], for any H, W >= 1.

        Raises:
            UserError: if ``x`` has another form.
        """
        _check_features(x, self)
        return x + self.downsample(self.attention(x))


@register_part
class SEMEnhancer(nn.Module):
    """Add the next input that a SEM cell makes of a feature map to this map.

    Args:
        channels: C.
        scale: upscale factor within the cell, one of :data:`csnln_mm.scales.SCALES`.
        cell: further arguments of :class:`SEMCell`, such as ``branches`` or ``fusion``.

    Raises:
        ValueError: if ``scale`` or an argument of the cell is out of range.
    """

    def __init__(self, channels: int, *, scale: int = 2, cell: dict | None = None) -> None:
        super().__init__()
        self.channels = channels
        self.cell = build_part(cell, 'SEMCell', mid_channels=channels, upscale_factor=scale)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C, H, W], for any H, W >= 1.

        Raises:
            UserError: if ``x`` has another form.
        """
        _check_features(x, self)
        features, _ = self.cell(x)
        return x + features


def _check_features(x: Tensor, enhancer: CrossScaleEnhancer | SEMEnhancer) -> None:
    """Within another network, the first run shows what that place has."""
    name, shape = type(enhancer).__name__, list(x.shape)
    if x.dim() != 4:
        raise UserError(
            f'{name} got features of shape {shape}, such as the tokens of a transformer; insert it '
            'where they are maps, [N, C, H, W]'
        )
    if x.shape[1] != enhancer.channels:
        raise UserError(
            f'{name} has channels={enhancer.channels}, but the features at its place, {shape}, '
            f'have {x.shape[1]}'
        )
