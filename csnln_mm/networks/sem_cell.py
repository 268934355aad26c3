"""The self-exemplars mining (SEM) cell, section 4.2 and Figure 3."""

from collections.abc import Sequence
from math import prod

from torch import Tensor, nn

from csnln_mm.networks.build import build_part
from csnln_mm.networks.conv_prelu import ConvPReLU, Downsample, Upsample
from csnln_mm.networks.cross_scale_attention import CrossScaleNonLocalAttention
from csnln_mm.networks.fusion import BRANCHES, MutualProjectedFusion, check_branches
from csnln_mm.networks.in_scale_attention import InScaleNonLocalAttention

# The released x4 model upscales by 2 twice.
_RELEASED_STAGES = {2: (2,), 3: (3,), 4: (2, 2)}


class _Stage(nn.Module):
    """The attention branches on one map, and their fusion with the cell's input.

    ``scale`` is that of the attention, ``total_scale`` that from the cell's input to the output.
    """

    def __init__(
        self,
        channels: int,
        scale: int,
        total_scale: int,
        branches: Sequence[str],
        cross_scale_attention: dict,
        in_scale_attention: dict,
        fusion: dict | None,
    ) -> None:
        super().__init__()
        self.use_local = 'local' in branches
        self.use_in_scale = 'in_scale' in branches
        self.use_cross_scale = 'cross_scale' in branches
        if self.use_in_scale:
            self.in_scale_attention = build_part(
                in_scale_attention, InScaleNonLocalAttention, in_channels=channels
            )
            self.in_scale_upsample = Upsample(channels, scale)
        if self.use_cross_scale:
            self.cross_scale_attention = build_part(
                cross_scale_attention,
                CrossScaleNonLocalAttention,
                in_channels=channels,
                scale=scale,
            )
        self.fusion = build_part(
            fusion, MutualProjectedFusion, channels=channels, scale=total_scale, branches=branches
        )

    def forward(self, x: Tensor, local: Tensor) -> Tensor:
        """[N, C, h, w] and the cell's input [N, C, H, W] -> [N, C, scale h, scale w]."""
        in_scale = cross_scale = None
        if self.use_in_scale:
            in_scale = self.in_scale_upsample(self.in_scale_attention(x))
        if self.use_cross_scale:
            cross_scale = self.cross_scale_attention(x)
        return self.fusion(local if self.use_local else None, in_scale, cross_scale)


class SEMCell(nn.Module):
    """One step of the recurrence: mine a feature map for exemplars and upscale it.

    Args:
        mid_channels: C.
        upscale_factor: S, 2, 3 or 4.
        branches: any of 'local', 'in_scale', 'cross_scale' (the columns of Table 3). Without
            any, the cell is the table's plain baseline: convolutions and an upsampling.
        fusion: config of the fusion; :class:`MutualProjectedFusion` by default.
        stages: upscale factors one after another whose product is S. By default those of the
            released model: one stage, but (2, 2) for S = 4. The paper's text has (4, ).
        patch_size: p of the cross-scale attention.
        in_scale_grid: (rows, columns) of regions for the in-scale attention; the whole map by
            default.
        num_plain_convs: 3x3 convolutions of the cell without branches.
        cross_scale_attention: config of the cross-scale attention, in place of ``patch_size``;
            with ``type``, of one that maps [N, C, h, w] to [N, C, s h, s w] and takes
            ``in_channels`` and ``scale``.
        in_scale_attention: config of the in-scale attention, in place of ``in_scale_grid``; with
            ``type``, of one that keeps the shape and takes ``in_channels``.

    Raises:
        ValueError: if a value is not one of the above.
    """

    def __init__(
        self,
        mid_channels: int = 128,
        *,
        upscale_factor: int = 2,
        branches: Sequence[str] = BRANCHES,
        fusion: dict | None = None,
        stages: Sequence[int] | None = None,
        patch_size: int = 3,
        in_scale_grid: tuple[int, int] | None = None,
        num_plain_convs: int = 10,
        cross_scale_attention: dict | None = None,
        in_scale_attention: dict | None = None,
    ) -> None:
        super().__init__()
        check_branches(branches)
        if not isinstance(upscale_factor, int) or upscale_factor not in _RELEASED_STAGES:
            raise ValueError(
                f'upscale_factor must be one of {sorted(_RELEASED_STAGES)}, got {upscale_factor}'
            )
        stages = tuple(stages or _RELEASED_STAGES[upscale_factor])
        if min(stages) < 2 or prod(stages) != upscale_factor:
            raise ValueError(
                f'stages must multiply to the upscale_factor {upscale_factor}, got {stages}'
            )
        self.upscale_factor = upscale_factor
        self.plain = None
        self.stages = nn.ModuleList()
        if not branches:
            self.plain = nn.Sequential(
                *(ConvPReLU(mid_channels, mid_channels) for _ in range(num_plain_convs)),
                Upsample(mid_channels, upscale_factor),
            )
        else:
            if tuple(branches) == ('local',):
                stages = (upscale_factor,)  # earlier stages would bear on nothing
            self.stages.extend(
                _Stage(
                    mid_channels,
                    scale,
                    prod(stages[: i + 1]),
                    branches,
                    cross_scale_attention or dict(patch_size=patch_size),
                    in_scale_attention or dict(grid=in_scale_grid),
                    fusion,
                )
                for i, scale in enumerate(stages)
            )
        self.next_input = nn.Sequential(
            Downsample(mid_channels, upscale_factor), ConvPReLU(mid_channels, mid_channels)
        )

    def forward(
        self, x: Tensor, attention: bool = True, last: bool = False
    ) -> tuple[Tensor | None, Tensor]:
        """One recurrence.

        Args:
            x: L_(i-1), [N, C, H, W].
            attention: whether the attention branches work; without them the fusion of the last
                stage gets the local branch alone, which the cell must have.
            last: whether no recurrence follows, so that a next input would be computed in vain.

        Returns:
            The next input L_i, [N, C, H, W], or None after the last recurrence, and the hidden
            state H_i, [N, C, S H, S W].
        """
        if self.plain is not None:
            hidden = self.plain(x)
        elif attention:
            hidden = x
            for stage in self.stages:
                hidden = stage(hidden, x)
        else:
            hidden = self.stages[-1].fusion(x)
        return None if last else self.next_input(hidden), hidden
