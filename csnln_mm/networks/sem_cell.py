"""The self-exemplars mining (SEM) cell, section 4.2 and Figure 3."""

from collections.abc import Sequence
from math import prod
from typing import cast

from torch import Tensor, nn

from csnln_mm.networks.build import build_part, register_part
from csnln_mm.networks.cell import Cell
from csnln_mm.networks.conv_prelu import ConvPReLU, Downsample, Upsample, resampling_kernel
from csnln_mm.networks.fusion import BRANCHES, check_branches

# The released x4 model upscales by 2 twice, all others in one stage.
_RELEASED_STAGES = {4: (2, 2)}


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
                in_scale_attention, 'InScaleNonLocalAttention', in_channels=channels
            )
            self.in_scale_upsample = Upsample(channels, scale)
        if self.use_cross_scale:
            self.cross_scale_attention = build_part(
                cross_scale_attention,
                'CrossScaleNonLocalAttention',
                in_channels=channels,
                scale=scale,
            )
        self.fusion = build_part(
            fusion, 'MutualProjectedFusion', channels=channels, scale=total_scale, branches=branches
        )

    def attentions(self) -> dict[str, nn.Module]:
        """Those of :meth:`SEMCell.attentions`."""
        attentions = {}
        if self.use_in_scale:
            attentions['in_scale'] = self.in_scale_attention
        if self.use_cross_scale:
            attentions['cross_scale'] = self.cross_scale_attention
        return attentions

    def forward(self, x: Tensor, local: Tensor) -> Tensor:
        """[N, C, h, w] and the cell's input [N, C, H, W] -> [N, C, scale h, scale w]."""
        in_scale = cross_scale = None
        if self.use_in_scale:
            in_scale = self.in_scale_upsample(self.in_scale_attention(x))
        if self.use_cross_scale:
            cross_scale = self.cross_scale_attention(x)
        return self.fusion(local if self.use_local else None, in_scale, cross_scale)


@register_part
class SEMCell(Cell):
    """One step of the recurrence: mine a feature map for exemplars and upscale it.

    Args:
        mid_channels: C.
        upscale_factor: S, one of :data:`csnln_mm.scales.SCALES`.
        branches: any of 'local', 'in_scale', 'cross_scale' (the columns of Table 3). Without
            any, the cell is the table's plain baseline: convolutions and an upsampling.
        fusion: config of the fusion; of a :class:`MutualProjectedFusion` by default.
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

    Examples:
        >>> import torch
        >>> from csnln_mm.networks import SEMCell
        >>> cell = SEMCell(8, upscale_factor=3, branches=['local', 'cross_scale'])
        >>> next_input, hidden = cell(torch.rand(1, 8, 5, 7))
        >>> next_input.shape, hidden.shape
        (torch.Size([1, 8, 5, 7]), torch.Size([1, 8, 15, 21]))
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
        resampling_kernel(upscale_factor)
        stages = tuple(stages or _RELEASED_STAGES.get(upscale_factor, (upscale_factor,)))
        if min(stages) < 2 or prod(stages) != upscale_factor:
            raise ValueError(
                f'stages must multiply to the upscale_factor {upscale_factor}, got {stages}'
            )
        self.upscale_factor = upscale_factor
        self.plain: nn.Sequential | None = None
        built: list[_Stage] = []
        if not branches:
            self.plain = nn.Sequential(
                *(ConvPReLU(mid_channels, mid_channels) for _ in range(num_plain_convs)),
                Upsample(mid_channels, upscale_factor),
            )
        else:
            if tuple(branches) == ('local',):
                stages = (upscale_factor,)  # the result would not depend on earlier stages
            built = [
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
            ]
        self.stages = cast(Sequence[_Stage], nn.ModuleList(built))
        self.next_input = nn.Sequential(
            Downsample(mid_channels, upscale_factor), ConvPReLU(mid_channels, mid_channels)
        )

    def forward(
        self, x: Tensor, attention: bool = True, last: bool = False
    ) -> tuple[Tensor | None, Tensor]:
        """One recurrence.

        Args:
            x: L_(i-1), [N, C, H, W].
            attention: whether the attention branches work. Without them the fusion of the last
                stage gets the local branch alone, which the cell must have.
            last: whether no recurrence follows, so that the next input is not needed.

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

    def attentions(self) -> list[dict[str, nn.Module]]:
        """Those of each stage; none if the cell has no attention branch."""
        attentions = [stage.attentions() for stage in self.stages]
        return attentions if any(attentions) else []

    @property
    def attention_is_optional(self) -> bool:
        """Whether there is a local branch beside the attention branches."""
        return self.has_attention and any(stage.use_local for stage in self.stages)

    @property
    def receptive_radii(self) -> tuple[int, int] | None:
        """Without attention 3x3 convolutions, and the way up and down again."""
        if self.has_attention:
            return None
        kernel_size, stride, _ = resampling_kernel(self.upscale_factor)
        plain = 0 if self.plain is None else len(self.plain) - 1
        radius = plain + kernel_size // stride - 1
        return radius + 1, radius

    def freeze_next_input(self) -> None:
        """Exclude ``next_input`` from training."""
        self.next_input.requires_grad_(False)
