"""A recurrence with the local branch alone, without its hidden state: for inference on CPUs.

The cell upscales its input by S and downscales the result, both with kernels of t S x t S. On
blocks of S x S pixels of the hidden state both are products of matrices: a block is made of t x t
pixels of the input, and adds to t x t pixels of the output, and to the image. So blocks are made in
the processor's cache, used and forgotten, and none is made twice.
"""

from collections.abc import Iterator, Sequence
from math import prod
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Pixels of a piece: with 48 channels and S = 4, 1.5 MiB of the hidden state.
PIECE = 512


class _Piece(NamedTuple):
    """Rows ``top`` to ``bottom`` and columns ``left`` to ``right`` of the blocks."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def shape(self) -> tuple[int, int]:
        return self.bottom - self.top, self.right - self.left


class LocalRecurrence:
    """The part of a recurrence that has the size of the hidden state.

    Args:
        upsample: of the cell's local branch, with a PReLU of one slope, as ``downsample``.
        downsample: of its next input; None if there is none.
        kernel: of the reconstruction, [c, C, 3, 3].
    """

    def __init__(
        self, upsample: nn.Sequential, downsample: nn.Sequential | None, kernel: Tensor
    ) -> None:
        up = cast(nn.ConvTranspose2d, upsample[0])
        self.channels, self.scale, self.padding = up.in_channels, up.stride[0], int(up.padding[0])
        self.taps = up.kernel_size[0] // self.scale
        self.slope = float(cast(Tensor, upsample[1].weight))
        c, s, t = self.channels, self.scale, self.taps
        # For row y of a block: [t t C, S C], from the pixels around it to the pixels of the row.
        # And from a one, for the bias.
        weight = up.weight.view(c, c, t, s, t, s).flip(2, 4)
        weight = weight.permute(3, 2, 4, 0, 5, 1).reshape(s, t * t * c, s * c)
        bias = cast(Tensor, up.bias).repeat(s).expand(s, 1, s * c)
        self.up = torch.cat([weight, bias], 1)
        self.downsample = downsample
        if downsample is not None:
            # [S C, t t C], from the pixels of the row to pixels of the output.
            weight = cast(Tensor, downsample[0].weight).view(c, c, t, s, t, s)
            self.down = weight.permute(3, 5, 1, 2, 4, 0).reshape(s, s * c, t * t * c)
        # [9 c, C], from a pixel of the hidden state to those of the image around it.
        self.image = kernel.permute(2, 3, 0, 1).reshape(-1, c)
        self.border = self.padding + 1  # of the image, while it is made
        self._memories: dict[str, Tensor] = {}

    def __call__(self, features: Tensor) -> tuple[Tensor | None, Tensor]:
        """[N, C, H, W] -> the downsampled hidden state, of this shape, and [N, c, S H, S W]."""
        downs, images = zip(*map(self._one, features))
        return None if self.downsample is None else _stack(downs), _stack(images)

    def _one(self, features: Tensor) -> tuple[Tensor | None, Tensor]:
        c, (height, width), reach = self.channels, features.shape[1:], self.taps - 1
        padded = F.pad(features, [reach] * 4).permute(1, 2, 0).contiguous()
        down = None if self.downsample is None else torch.zeros_like(padded)
        border, s = self.border, self.scale
        sides = s * height + 2 * border, s * width + 2 * border
        image = features.new_zeros(len(self.image) // 9, *sides)
        for piece in self._pieces(height, width):
            hidden = self._hidden(padded, piece)
            self._clear_outside(hidden, piece, (height, width))
            if down is not None:
                self._add_down(hidden, piece, down)
            self._add_image(hidden, piece, image)
        image = image[:, border:-border, border:-border]
        if down is None:
            return None, image
        down = down[reach : reach + height, reach : reach + width].permute(2, 0, 1)
        conv, activation = cast(nn.Sequential, self.downsample)
        del padded  # as it is as large
        return activation(down.add_(cast(Tensor, conv.bias).view(c, 1, 1))), image

    def _pieces(self, height: int, width: int) -> Iterator[_Piece]:
        # Some blocks at the border may lie outside of the hidden state.
        first, more = self.padding // self.scale, self.taps - 1 - self.padding // self.scale
        width, height = width + more, height + more
        count = -(-(width - first) // PIECE)
        edges = [first + (width - first) * i // count for i in range(count + 1)]
        for left, right in zip(edges, edges[1:]):
            rows = max(1, PIECE // (right - left))
            for top in range(first, height, rows):
                yield _Piece(top, min(height, top + rows), left, right)

    def _hidden(self, padded: Tensor, piece: _Piece) -> Tensor:
        """[S, rows, columns, S, C]: the rows of the blocks first."""
        c, s, t, (rows, columns) = self.channels, self.scale, self.taps, piece.shape
        stride = padded.shape[1] * c
        around = self._memory('around', rows * columns, t * t * c + 1)
        around[:, -1] = 1
        around[:, :-1].view(rows, columns, t, t * c).copy_(
            padded.as_strided(
                (rows, columns, t, t * c),
                (stride, c, stride, 1),
                piece.top * stride + piece.left * c,
            )
        )
        hidden = self._memory('hidden', s, rows * columns, s * c)
        for row, weight in zip(hidden, self.up):
            torch.mm(around, weight, out=row)
        return F.leaky_relu_(hidden, self.slope).view(s, rows, columns, s, c)

    def _memory(self, name: str, *shape: int) -> Tensor:
        """Memory that all pieces use: new memory would cost more time than what is done in it."""
        if name not in self._memories or len(self._memories[name]) < prod(shape):
            self._memories[name] = self.image.new_empty(prod(shape))
        return self._memories[name][: prod(shape)].view(shape)

    def _clear_outside(self, hidden: Tensor, piece: _Piece, size: tuple[int, int]) -> None:
        """Where the hidden state has no pixels, the convolutions meet zeros."""
        s = self.scale
        for side, first, last, rows in (
            (size[0], piece.top, piece.bottom - 1, hidden.permute(1, 0, 2, 3, 4)),
            (size[1], piece.left, piece.right - 1, hidden.permute(2, 3, 0, 1, 4)),
        ):
            rows[0, : max(0, self.padding - s * first)] = 0
            rows[-1, max(0, s * side + self.padding - s * last) :] = 0

    def _add_down(self, hidden: Tensor, piece: _Piece, down: Tensor) -> None:
        c, s, t, (rows, columns) = self.channels, self.scale, self.taps, piece.shape
        by_row = hidden.view(s, rows * columns, s * c)
        parts = self._memory('down', rows * columns, t * t * c)
        torch.mm(by_row[0], self.down[0], out=parts)
        for row, weight in zip(by_row[1:], self.down[1:]):
            parts.addmm_(row, weight)
        parts = parts.view(rows, columns, t, t, c)
        for y in range(t):
            top = piece.top - y + t - 1
            for x in range(t):
                left = piece.left - x + t - 1
                down[top : top + rows, left : left + columns] += parts[:, :, y, x]

    def _add_image(self, hidden: Tensor, piece: _Piece, image: Tensor) -> None:
        s, (rows, columns) = self.scale, piece.shape
        parts = self._memory('image', len(self.image), hidden.numel() // self.channels)
        torch.mm(self.image, hidden.view(-1, self.channels).t(), out=parts)
        parts = parts.view(3, 3, len(image), s, rows, columns * s)
        for y in range(3):
            top = s * piece.top + 2 - y
            for x in range(3):
                left = s * piece.left + 2 - x
                place = image[:, top : top + s * rows, left : left + s * columns]
                place.unflatten(1, (rows, s)).transpose(1, 2).add_(parts[y, x])


def _stack(maps: Sequence[Tensor]) -> Tensor:
    """Without a copy of a single one."""
    return maps[0][None] if len(maps) == 1 else torch.stack(list(maps))
