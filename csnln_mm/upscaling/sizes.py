"""The size of results: by a factor, or by the length of their sides."""

import math
from typing import NamedTuple

from csnln_mm.errors import UserError

MAX_SIDE = 2**17


class TargetSize(NamedTuple):
    """The size of results, with the proportions of their images.

    Attributes:
        kind: 'scale', 'width', 'longest' or 'shortest' side, 'fit' within, or 'at-least'.
        values: the factor, the side, or (width, height), in pixels.
    """

    kind: str
    values: tuple[float, ...]

    def factor(self, size: tuple[int, int]) -> float:
        """The factor by which an image of this (width, height) is upscaled."""
        if self.kind == 'scale':
            return self.values[0]
        if self.kind == 'width':
            return self.values[0] / size[0]
        if self.kind in ('longest', 'shortest'):
            return self.values[0] / (max(size) if self.kind == 'longest' else min(size))
        ratios = [wanted / side for wanted, side in zip(self.values, size, strict=True)]
        return min(ratios) if self.kind == 'fit' else max(ratios)

    def of(self, size: tuple[int, int]) -> tuple[int, int]:
        """(width, height) of the result of an image of this (width, height)."""
        return scaled_size(size, self.factor(size))

    @property
    def label(self) -> str:
        """The ending of names of results beside their inputs."""
        values = 'x'.join(f'{value:g}' for value in self.values)
        return {'scale': 'x', 'width': 'w'}.get(self.kind, self.kind) + values


def target_size(**sizes: float | tuple[int, int] | None) -> TargetSize | None:
    """Make the target size from scale, width, longest, shortest, fit or at_least; None for none.

    Raises:
        UserError: if several are given, or one is out of range.
    """
    given = {name.replace('_', '-'): value for name, value in sizes.items() if value is not None}
    if len(given) > 1:
        raise UserError(f'give one size, not {" and ".join(given)}')
    for kind, value in given.items():
        values = value if isinstance(value, tuple) else (value,)
        if kind == 'scale':
            check_scale(values[0])
        elif not all(0 < side <= MAX_SIDE for side in values):
            shown = 'x'.join(f'{side:g}' for side in values)
            raise UserError(f'{kind} must be from 1 to {MAX_SIDE} pixels, got {shown}')
        return TargetSize(kind, values)
    return None


def check_scale(scale: float | None) -> None:
    """Raise UserError unless images can be upscaled by this factor."""
    if scale is not None and not 0 < scale <= 64:
        raise UserError(f'scale must be above 0 and at most 64, got {scale:g}')


def scaled_size(size: tuple[int, int], scale: float) -> tuple[int, int]:
    """(width, height) after scaling, rounded, at least 1."""
    width, height = (max(1, math.floor(side * scale + 0.5)) for side in size)
    return width, height
