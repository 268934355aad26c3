"""The diagonal box sum, over query rows that stream by.

For a matrix M of queries i against candidates g, both positions of a map, it is

    D(M)[i, g] = sum over d in [-r, r]^2 of M[i + d, g + d]

with zero outside either map. Patch correlations are D of pixel correlations, overlapping patch
placements are D of the attention weights, and D is its own adjoint (docs/operator.md).

D is separable. Its column part is one shift of flat memory per offset, because a block of the
matrix is laid out as [n, rows, W + r, h (w + r)]: samples, query rows, query columns with r
padding columns behind each row, candidates with r padding candidates behind each candidate row.
Where a shift runs over the end of a row it meets padding. Padding must be zero on the way in
and has no meaning on the way out.
"""
from typing import Tuple

import torch
from torch import Tensor

__all__ = ['MatrixLayout', 'GuardedBlock', 'DiagonalBoxSum']


class MatrixLayout:
    """Sizes of the padded query-by-candidate matrix.

    Args:
        query_size: (H, W) of the query map.
        key_size: (h, w) of the candidate map.
        radius: r, half the patch size rounded down.
    """

    def __init__(self, query_size: Tuple[int, int], key_size: Tuple[int, int],
                 radius: int) -> None:
        self.radius = radius
        self.height, self.width = query_size
        self.padded_width = self.width + radius
        self.key_height, self.key_width = key_size
        self.padded_key_width = self.key_width + radius
        self.candidates = self.key_height * self.padded_key_width
        self.row_elements = self.padded_width * self.candidates

    @property
    def column_shift(self) -> int:
        """Distance in memory to the next query column and the next candidate column at once."""
        return self.candidates + 1


class GuardedBlock:
    """Memory for a block of rows, with the zeros before and after it that D's shifts read.

    Args:
        layout: sizes of the matrix.
        n: samples.
        rows: most rows that a block will have.
        like: gives dtype and device.
    """

    def __init__(self, layout: MatrixLayout, n: int, rows: int, like: Tensor) -> None:
        self.layout = layout
        self.n = n
        self.guard = layout.radius * layout.column_shift
        self.memory = like.new_empty(2 * self.guard + n * rows * layout.row_elements)
        self.memory[:self.guard].zero_()

    def view(self, rows: int, shift: int = 0) -> Tensor:
        """The block of ``rows`` rows, read ``shift`` columns further on in query and candidate.

        Returns:
            [n, rows, W + r, h (w + r)], contiguous.
        """
        layout = self.layout
        shape = self.n, rows, layout.padded_width, layout.candidates
        start = self.guard + shift * layout.column_shift
        return self.memory[start:start + self.n * rows * layout.row_elements].view(shape)

    def resize(self, rows: int) -> Tensor:
        """Make room for ``rows`` rows, to be written to the block that is returned."""
        end = self.guard + self.n * rows * self.layout.row_elements
        self.memory[end:end + self.guard].zero_()
        return self.view(rows)


class DiagonalBoxSum:
    """D of a matrix whose rows arrive top to bottom, holding only the rows still needed.

    Row y can be pulled once rows up to y + r were pushed, or the map has ended.

    Args:
        layout: sizes of the matrix.
        n: samples.
        rows: most rows between the first row of a :meth:`pull` - r and the last row pushed.
        like: gives dtype and device.
    """

    def __init__(self, layout: MatrixLayout, n: int, rows: int, like: Tensor) -> None:
        self.layout = layout
        # Summed over columns, not yet over rows.
        self.window = like.new_empty(n, rows, layout.padded_width, layout.candidates)
        self.start = 0  # the query row in slot 0 of the window
        self.stop = 0  # the next query row to be pushed

    def push(self, block: GuardedBlock, rows: int) -> None:
        """Take the next ``rows`` rows from ``block``, which is left as it is."""
        slot = self.stop - self.start
        out = self.window[:, slot:slot + rows]
        radius = self.layout.radius
        if radius == 0:
            out.copy_(block.view(rows))
        else:
            torch.add(block.view(rows, -radius), block.view(rows, radius), out=out)
            for shift in range(1 - radius, radius):
                out += block.view(rows, shift)
        self.stop += rows

    def pull(self, stop: int, out: Tensor) -> None:
        """Write the rows of D from the last one pulled up to ``stop`` and forget what is done.

        Args:
            stop: query row after the last one wanted.
            out: [n, rows, W + r, h (w + r)].
        """
        layout, radius = self.layout, self.layout.radius
        first = stop - out.shape[1]
        out.copy_(self.window[:, first - self.start:stop - self.start])
        for d in [*range(-radius, 0), *range(1, radius + 1)]:
            top, bottom = max(first, -d), min(stop, layout.height - d)
            left = max(0, -d * layout.padded_key_width)
            right = layout.candidates - max(0, d * layout.padded_key_width)
            if top < bottom and left < right:
                step = d * layout.padded_key_width
                out[:, top - first:bottom - first, :, left:right] += self.window[
                    :, top + d - self.start:bottom + d - self.start, :, left + step:right + step]
        self._forget(stop - radius)

    def _forget(self, row: int) -> None:
        done = row - self.start
        if done <= 0 or self.stop == self.layout.height and row + self.layout.radius == self.stop:
            return
        kept = self.stop - row
        rest = self.window[:, done:done + kept]
        self.window[:, :kept] = rest if kept <= done else rest.clone()
        self.start = row
