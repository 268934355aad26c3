"""The in-scale non-local (IS-NL) attention module, sections 3 and 4.2."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from csnln_mm import ops
from csnln_mm.networks.build import register_part
from csnln_mm.networks.conv_prelu import ConvPReLU
from csnln_mm.ops.attention_maps import check_positions, in_scale_weights


@register_part
class InScaleNonLocalAttention(nn.Module):
    """Describe every pixel by the pixels that resemble it (Eq. 1 and 2).

    Args:
        in_channels: C.
        embed_channels: channels in which pixels are compared; C / 2 by default.
        grid: (rows, columns) of regions, each of which attends to itself, as in the paper's text;
            by default the whole map attends to itself, as in the released model.

    Raises:
        ValueError: if ``grid`` is not two positive integers.
    """

    def __init__(
        self,
        in_channels: int,
        *,
        embed_channels: int | None = None,
        grid: tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        if grid is not None and (len(grid) != 2 or min(grid) < 1):
            raise ValueError(f'grid must be two positive integers (rows, columns), got {grid}')
        embed_channels = embed_channels or max(1, in_channels // 2)
        self.grid = grid or (1, 1)
        self.traceable = False  # see networks.traceable
        self.query = ConvPReLU(in_channels, embed_channels, 1)
        self.key = ConvPReLU(in_channels, embed_channels, 1)
        self.value = ConvPReLU(in_channels, in_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C, H, W]; sides of regions differ by at most a pixel."""
        attend = ops.in_scale_attention_reference if self.traceable else ops.in_scale_attention
        query, key, value = self.query(x), self.key(x), self.value(x)
        rows, columns = (min(parts, side) for parts, side in zip(self.grid, x.shape[-2:]))
        if (rows, columns) == (1, 1):
            return attend(query, key, value)
        bands = []
        for band in zip(*(t.tensor_split(rows, -2) for t in (query, key, value))):
            regions = zip(*(t.tensor_split(columns, -1) for t in band))
            bands.append(torch.cat([attend(*region) for region in regions], -1))
        return torch.cat(bands, -2)

    def weights_at(self, x: Tensor, positions: Sequence[tuple[int, int]]) -> Tensor:
        """The weights of all positions for chosen pixels.

        Args:
            x: the input of :meth:`forward`, [N, C, H, W].
            positions: (row, column) of each pixel.

        Returns:
            [N, number of positions, H, W]; each map adds up to 1, and is 0 outside the pixel's
            own region of the grid.

        Raises:
            ValueError: if there are no positions, or one lies outside the map.
        """
        check_positions(positions, x)
        query, key = self.query(x), self.key(x)
        maps = []
        for position in positions:
            rows, columns = (
                _region(*of_side) for of_side in zip(position, x.shape[-2:], self.grid)
            )
            inside = position[0] - rows.start, position[1] - columns.start
            weights = query.new_zeros(len(x), *x.shape[-2:])
            weights[:, rows, columns] = in_scale_weights(
                query[..., rows, columns], key[..., rows, columns], [inside]
            )[:, 0]
            maps.append(weights)
        return torch.stack(maps, 1)


def _region(position: int, side: int, parts: int) -> slice:
    """The region that a position lies in, where a side is cut into so many parts."""
    regions = torch.arange(side).tensor_split(min(parts, side))
    region = next(region for region in regions if position <= region[-1])
    return slice(int(region[0]), int(region[-1]) + 1)
