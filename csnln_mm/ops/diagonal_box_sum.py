"""The diagonal box sum, over query rows that stream by.

For a matrix M of queries i against candidates g, both positions of a map, it is

    D(M)[i, g] = sum over d in [-r, r]^2 of M[i + d, g + d]

with zero outside either map. Patch correlations are D of pixel correlations, overlapping patch
placements are D of the attention weights, and D is its own adjoint (docs/operator.md).

D is separable: first the rows, then the columns. A row of the matrix is laid out as
[W + r, h (w + r)], query columns with r padding columns behind them against candidates with r
padding candidates behind each candidate row. So the shift by one column, of query and candidate
at once, is one shift of flat memory: where it runs over the end of a row it meets padding.
Padding must be zero on the way in and has no meaning on the way out.
"""

import torch
from torch import Tensor


class MatrixLayout:
    """Sizes of the padded query-by-candidate matrix.

    Args:
        query_size: (H, W) of the query map.
        key_size: (h, w) of the candidate map.
        radius: r, half the patch size rounded down.
    """

    def __init__(self, query_size: tuple[int, int], key_size: tuple[int, int], radius: int) -> None:
        self.radius = radius
        self.height, self.width = query_size
        self.padded_width = self.width + radius
        self.padded_key_width = key_size[1] + radius
        self.candidates = key_size[0] * self.padded_key_width
        self.row_elements = self.padded_width * self.candidates


class RowWindow:
    """The latest query rows of a matrix, which arrive from top to bottom.

    Args:
        layout: sizes of the matrix.
        n: samples.
        rows: most rows that are appended at a time.
        kept: rows before these that must still be there.
        like: gives dtype and device.
    """

    def __init__(self, layout: MatrixLayout, n: int, rows: int, kept: int, like: Tensor) -> None:
        self.layout = layout
        self.kept = kept
        # Rows above and below the map are zero.
        radius = layout.radius
        capacity = min(rows + kept, layout.height + radius) + radius
        self.memory = like.new_empty(n, capacity, layout.padded_width, layout.candidates)
        self.memory[:, :radius] = 0
        self.start = -radius  # the query row in slot 0
        self.stop = 0  # the next query row to be appended

    def append(self, rows: int) -> Tensor:
        """Make room for the next rows.

        Returns:
            [n, rows, W + r, h (w + r)], to be filled, padding with zeros.
        """
        last = self.stop + rows
        below = self.layout.radius if last == self.layout.height else 0
        if last + below - self.start > self.memory.shape[1]:
            self._move_to(max(self.stop - self.kept, self.start))
        self.stop = last
        if below:
            self.memory[:, last - self.start : last - self.start + below] = 0
        return self.rows(last - rows, last)

    def rows(self, first: int, last: int) -> Tensor:
        """Query rows [first, last), those outside the map being zero."""
        return self.memory[:, first - self.start : last - self.start]

    def _move_to(self, start: int) -> None:
        kept = self.rows(start, self.stop)
        overlap = start - self.start < kept.shape[1]
        self.memory[:, : kept.shape[1]] = kept.clone() if overlap else kept
        self.start = start


class DiagonalBoxSum:
    """D of rows of a window, with the memory that this takes.

    Args:
        layout: sizes of the matrix.
        n: samples.
        rows: most rows at a time.
        like: gives dtype and device.
    """

    def __init__(self, layout: MatrixLayout, n: int, rows: int, like: Tensor) -> None:
        self.layout = layout
        self.n = n
        self.column_shift = layout.candidates + 1
        # A block of rows between zeros, which the shifts by columns run into.
        self.guard = layout.radius * self.column_shift
        self.memory = like.new_empty(2 * self.guard + n * rows * layout.row_elements)
        self.memory[: self.guard].zero_()

    def scratch(self, rows: int) -> Tensor:
        """[n, rows, W + r, h (w + r)] of the memory, free for use until the next call."""
        return self._block(rows, 0)

    def __call__(
        self, window: RowWindow, first: int, last: int, out: Tensor, column: int = 0
    ) -> Tensor:
        """Compute rows [first, last) of D.

        Args:
            window: rows [first - r, last + r) of the matrix, as far as they are in the map.
            first, last: the rows wanted.
            out: [n, last - first, columns, h (w + r)], contiguous; written to.
            column: of D, that goes into the first column of ``out``.

        Returns:
            ``out``.
        """
        radius, columns = self.layout.radius, slice(column, column + out.shape[2])
        if radius == 0:
            return out.copy_(window.rows(first, last)[:, :, columns])
        self._sum_rows(window, first, last)
        before, after = (self._block(last - first, d)[:, :, columns] for d in (-radius, radius))
        torch.add(before, after, out=out)
        for shift in range(1 - radius, radius):
            out += self._block(last - first, shift)[:, :, columns]
        return out

    def _sum_rows(self, window: RowWindow, first: int, last: int) -> None:
        layout = self.layout
        end = self.guard + self.n * (last - first) * layout.row_elements
        self.memory[end : end + self.guard].zero_()
        out = self._block(last - first, 0)
        # The first addition needs no copy to add to, except where it has nothing to add.
        step = min(layout.padded_key_width, layout.candidates)
        centre, below = window.rows(first, last), window.rows(first + 1, last + 1)
        torch.add(centre[..., :-step], below[..., step:], out=out[..., :-step])
        out[..., -step:] = centre[..., -step:]
        for d in range(-layout.radius, layout.radius + 1):
            step = abs(d) * layout.padded_key_width
            if d in (0, 1) or step >= layout.candidates:
                continue
            rows = window.rows(first + d, last + d)
            if d < 0:
                out[..., step:] += rows[..., :-step]
            else:
                out[..., :-step] += rows[..., step:]

    def _block(self, rows: int, shift: int) -> Tensor:
        """The block of rows, read ``shift`` columns further on in query and candidate."""
        layout = self.layout
        start = self.guard + shift * self.column_shift
        block = self.memory[start : start + self.n * rows * layout.row_elements]
        return block.view(self.n, rows, layout.padded_width, layout.candidates)
