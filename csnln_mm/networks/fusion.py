"""Fusion of a SEM cell's branches: mutual projection (section 4.2) and its rivals (Table 5).

A fusion is called with the output of each branch, None where the cell lacks the branch or does not
use it in a recurrence:

    local         [N, C, H, W]      features at the size of the cell's input
    in_scale      [N, C, S H, S W]  in-scale attention, upscaled
    cross_scale   [N, C, S H, S W]  cross-scale attention

and returns the hidden state [N, C, S H, S W].
"""

from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from csnln_mm.networks.build import register_part
from csnln_mm.networks.conv_prelu import Downsample, Upsample

BRANCHES = ('local', 'in_scale', 'cross_scale')


def check_branches(branches: Sequence[str]) -> None:
    """Raise ValueError unless ``branches`` are distinct members of :data:`BRANCHES`."""
    unknown = [branch for branch in branches if branch not in BRANCHES]
    if isinstance(branches, str) or unknown or len(set(branches)) < len(branches):
        raise ValueError(f'branches must be distinct ones of {BRANCHES}, got {branches!r}')


@register_part
class MutualProjectedFusion(nn.Module):
    """Add what cross-scale attention finds beyond in-scale attention, then project back.

    With both attention branches, their difference R is transformed and added to the in-scale
    features (Eq. 5 and 6). With the local branch, the error of the result against the local
    features, at their size, is upscaled and added (Eq. 7 and 8). Without either, that step is
    left out; the local branch alone is upscaled.

    Args:
        channels: C.
        scale: S, one of :data:`csnln_mm.scales.SCALES`.
        branches: the members of :data:`BRANCHES` that the cell has, one at least.
        recipe: 'released', R = cross - in, transformed by a residual block of two convolutions,
            or 'paper', R = in - cross, transformed by one convolution.

    Raises:
        ValueError: if ``scale`` or ``recipe`` is not one of the above.
    """

    def __init__(
        self,
        channels: int,
        *,
        scale: int,
        branches: Sequence[str] = BRANCHES,
        recipe: str = 'released',
    ) -> None:
        super().__init__()
        if recipe not in ('released', 'paper'):
            raise ValueError(f"recipe must be 'released' or 'paper', got {recipe!r}")
        self.recipe = recipe
        attentions = [branch for branch in branches if branch != 'local']
        if len(attentions) == 2:
            conv = nn.Conv2d(channels, channels, 3, padding=1)
            if recipe == 'released':
                conv = nn.Sequential(conv, nn.PReLU(), nn.Conv2d(channels, channels, 3, padding=1))
            self.projection = conv
        if 'local' in branches:
            self.upsample = Upsample(channels, scale)
            if attentions:
                self.downsample = Downsample(channels, scale)

    def forward(
        self,
        local: Tensor | None = None,
        in_scale: Tensor | None = None,
        cross_scale: Tensor | None = None,
    ) -> Tensor:
        """Shapes are those of the module's documentation."""
        if in_scale is None or cross_scale is None:
            fused = cross_scale if in_scale is None else in_scale
        elif self.recipe == 'paper':
            fused = in_scale + self.projection(in_scale - cross_scale)
        else:  # in + (R + projection(R)), where in + R is the cross-scale branch itself
            fused = cross_scale + self.projection(cross_scale - in_scale)
        if local is None:
            assert fused is not None
            return fused
        if fused is None:
            return self.upsample(local)
        return fused + self.upsample(local - self.downsample(fused))


@register_part
class AdditionFusion(nn.Module):
    """The sum of all branches, the local one upscaled.

    Args:
        channels: C.
        scale: S, one of :data:`csnln_mm.scales.SCALES`.
        branches: the members of :data:`BRANCHES` that the cell has, one at least.

    Raises:
        ValueError: if ``scale`` is not one of the above.
    """

    def __init__(self, channels: int, *, scale: int, branches: Sequence[str] = BRANCHES) -> None:
        super().__init__()
        if 'local' in branches:
            self.upsample = Upsample(channels, scale)

    def forward(
        self,
        local: Tensor | None = None,
        in_scale: Tensor | None = None,
        cross_scale: Tensor | None = None,
    ) -> Tensor:
        """Shapes are those of the module's documentation."""
        return self.fuse([None if local is None else self.upsample(local), in_scale, cross_scale])

    def fuse(self, features: list[Tensor | None]) -> Tensor:
        """The outputs of :data:`BRANCHES`, in this order and of one shape -> the hidden state."""
        return cast(Tensor, sum(x for x in features if x is not None))


@register_part
class ConcatenationFusion(AdditionFusion):
    """A 3x3 convolution over all branches side by side, the local one upscaled.

    Args:
        channels: C.
        scale: S, one of :data:`csnln_mm.scales.SCALES`.
        branches: the members of :data:`BRANCHES` that the cell has, one at least.

    Raises:
        ValueError: if ``scale`` is not one of the above.
    """

    def __init__(self, channels: int, *, scale: int, branches: Sequence[str] = BRANCHES) -> None:
        super().__init__(channels, scale=scale, branches=branches)
        self.branches = [branch for branch in BRANCHES if branch in branches]
        self.conv = nn.Conv2d(channels * len(branches), channels, 3, padding=1)

    def fuse(self, features: list[Tensor | None]) -> Tensor:
        """A branch without output counts as zeros."""
        kernels = dict(zip(self.branches, self.conv.weight.chunk(len(self.branches), 1)))
        present = {name: x for name, x in zip(BRANCHES, features) if x is not None}
        return F.conv2d(
            torch.cat(list(present.values()), 1),
            torch.cat([kernels[name] for name in present], 1),
            self.conv.bias,
            padding=1,
        )
