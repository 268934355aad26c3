"""The forward and backward pass of cross-scale attention over one strip of query columns.

Symbols as in docs/operator.md: correlations P = q^T k, logits T = softmax_scale D(P) / n, weights
A = softmax(T), value blocks B, output blocks Z = D(A) B / divisor.
"""

from collections.abc import Iterator
from math import prod
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from csnln_mm.ops.cross_scale_geometry import as_blocks, map_size
from csnln_mm.ops.diagonal_box_sum import DiagonalBoxSum, MatrixLayout, RowWindow
from csnln_mm.ops.precision import (
    product,
    product_dtype,
    raise_negligible,
    softmax,
    softmax_backward,
)


class Strip(NamedTuple):
    """The query columns of an output strip, and the wider range of columns that it depends on."""

    inner: slice
    outer: slice


def cut_into_strips(width: int, columns: int, radius: int) -> Iterator[Strip]:
    """Strips with a halo of 2 r on either side, cut at the border of the map.

    An output column needs weights r columns away, and these need correlations r further on.
    """
    for start in range(0, width, columns):
        stop = min(start + columns, width)
        yield Strip(
            slice(start, stop), slice(max(0, start - 2 * radius), min(width, stop + 2 * radius))
        )


class Candidates:
    """The keys and value blocks that queries are compared with and rebuilt from, for some samples.

    Every candidate row ends with r padding candidates, whose keys and blocks are zero.

    Args:
        key: [n, K, h, w].
        value: [n, C, s h, s w].
        logit_scale: softmax_scale / n[g], [n, 1, h, w], in the dtype of the computation.
        scale: s.
        radius: r.
        divisor: constant that the result is divided by.
    """

    def __init__(
        self,
        key: Tensor,
        value: Tensor,
        logit_scale: Tensor,
        scale: int,
        radius: int,
        divisor: float,
    ) -> None:
        self.size, self.scale, self.radius, self.divisor = map_size(key), scale, radius, divisor
        self.keys = self._pad(key.to(logit_scale.dtype))
        blocks = as_blocks(value, scale).flatten(1, 3)
        self.blocks = self._pad(blocks.to(product_dtype(value)) / divisor)
        self.logit_scale = self._pad(logit_scale).unsqueeze(2)

    def padding(self, matrix: Tensor) -> Tensor:
        """Columns of padding candidates of a matrix [..., h (w + r)]."""
        return matrix.unflatten(-1, (self.size[0], -1))[..., self.size[1] :]

    def _pad(self, x: Tensor) -> Tensor:
        """[n, C, h, w] -> [n, C, h (w + r)]."""
        return F.pad(x, (0, self.radius)).flatten(2)

    def drop_padding(self, x: Tensor) -> Tensor:
        """[n, C, h (w + r)] -> [n, C, h, w]."""
        return x.unflatten(2, (self.size[0], -1))[..., : self.size[1]]


class CandidateGrads:
    """Sums over strips of the gradients of candidates, padded as these are."""

    def __init__(self, candidates: Candidates) -> None:
        self.candidates = candidates
        self.keys = torch.zeros_like(candidates.keys)
        self.blocks = torch.zeros_like(candidates.blocks)
        self.log_scale = torch.zeros_like(candidates.logit_scale)  # of log(logit_scale)

    def write(self, key: Tensor, value: Tensor, log_norm: Tensor) -> None:
        """Write the gradients of key, value and log(n), in their shapes and dtypes."""
        candidates = self.candidates
        key.copy_(candidates.drop_padding(self.keys))
        blocks = as_blocks(value, candidates.scale)
        blocks.copy_(candidates.drop_padding(self.blocks).unflatten(1, blocks.shape[1:4]))
        value /= candidates.divisor
        log_norm.copy_(candidates.drop_padding(-self.log_scale.squeeze(2)))


class _RowBlock(NamedTuple):
    """Query rows [first, last) whose weights are computed, and [done, ready) to be finished."""

    first: int
    last: int
    done: int
    ready: int


class StripPass:
    """One strip of some samples; its inputs prepared, its memory shared by all row blocks.

    Args:
        query: [n, K, H, W], the whole map.
        candidates: of the whole map.
        strip: the query columns.
        rows: query rows in a block.
    """

    def __init__(self, query: Tensor, candidates: Candidates, strip: Strip, rows: int) -> None:
        self.candidates, self.strip = candidates, strip
        query = query[..., strip.outer]
        self.n, _, height, width = query.shape
        radius = candidates.radius
        self.layout = MatrixLayout((height, width), candidates.size, radius)
        self.rows = min(rows, height)
        # The place of the strip's output columns within the columns that they depend on.
        self.inner = slice(
            strip.inner.start - strip.outer.start, strip.inner.stop - strip.outer.start
        )
        self.queries = F.pad(query.to(candidates.keys.dtype), (0, radius))

        self.most_rows = min(self.rows + radius, height)
        self.box_sum = DiagonalBoxSum(self.layout, self.n, self.most_rows, self.queries)
        self.correlation = self._window()
        self.weights = self._window()
        self.logits = self._matrix()

    def forward(self, out: Tensor) -> None:
        """Write the strip's columns of Z.

        Args:
            out: [n, C, s H, s W], the whole map.
        """
        out = as_blocks(out, self.candidates.scale)[..., self.strip.inner]
        for block in self._row_blocks():
            self._compute_weights(block)
            if block.done < block.ready:
                spread = self._spread_weights(block).to(self.candidates.blocks.dtype)
                pixels = torch.bmm(self.candidates.blocks, spread.transpose(1, 2))
                rows = out[..., block.done : block.ready, :]
                rows.copy_(pixels.view(rows.shape))

    def backward(self, grad: Tensor, grad_query: Tensor, grad_candidates: CandidateGrads) -> None:
        """Add the strip's part of the gradients, its weights computed again.

        Args:
            grad: gradient of Z, [n, C, s H, s W], the whole map.
            grad_query: [n, K, H, W], the whole map; added to.
            grad_candidates: added to.
        """
        candidates = self.candidates
        grad = as_blocks(grad, self.candidates.scale)[..., self.strip.inner]
        grad_query = grad_query[..., self.strip.outer]
        grad_spread, grad_correlation = self._window(), self._window()
        matrix = self._matrix()
        for block in self._row_blocks():
            rows = block.last - block.first
            logits, weights = self._compute_weights(block)

            # dA = D(dZ B^T), which leads by r rows.
            start, stop = grad_spread.stop, self._lead(block.last)
            if start < stop:
                pixels = self._grad_pixels(grad[..., start:stop, :], padded=True)
                product(
                    pixels.transpose(1, 2),
                    candidates.blocks,
                    grad_spread.append(stop - start).flatten(1, 2),
                )
            grad_weights = self.box_sum(grad_spread, block.first, block.last, matrix[:, :rows])

            grad_logits = self.box_sum.scratch(rows)
            softmax_backward(grad_weights, weights, out=grad_logits)
            grad_candidates.log_scale.add_(logits.mul_(grad_logits).sum((1, 2), keepdim=True))
            torch.mul(grad_logits, candidates.logit_scale, out=grad_correlation.append(rows))

            if block.done < block.ready:
                # dB = D(A)^T dZ, dq = dP k, dk = dP^T q; they lag by r rows.
                pixels = self._grad_pixels(grad[..., block.done : block.ready, :])
                spread = self._spread_weights(block).to(pixels.dtype)
                grad_candidates.blocks.baddbmm_(pixels, spread)

                out = matrix[:, : block.ready - block.done]
                correlation = self.box_sum(grad_correlation, block.done, block.ready, out)
                correlation = correlation.flatten(1, 2)
                queries = self.queries[:, :, block.done : block.ready].flatten(2)
                grad_candidates.keys.baddbmm_(queries, correlation)
                part = torch.bmm(candidates.keys, correlation.transpose(1, 2))
                part = part.unflatten(2, (-1, self.layout.padded_width))
                grad_query[:, :, block.done : block.ready] += part[..., : self.layout.width]

    def _compute_weights(self, block: _RowBlock) -> tuple[Tensor, Tensor]:
        """T and A of the block's rows; A also goes into its window."""
        candidates = self.candidates
        start, stop = self.correlation.stop, self._lead(block.last)
        if start < stop:
            queries = self.queries[:, :, start:stop].flatten(2)
            product(
                queries.transpose(1, 2),
                candidates.keys,
                out=self.correlation.append(stop - start).flatten(1, 2),
            )
        logits = self.logits[:, : block.last - block.first]
        self.box_sum(self.correlation, block.first, block.last, logits)
        logits *= candidates.logit_scale
        raise_negligible(logits)
        # Padding candidates get the weight 0.
        candidates.padding(logits).fill_(torch.finfo(logits.dtype).min)
        weights = self.weights.append(block.last - block.first)
        softmax(logits, out=weights)
        weights[:, :, self.layout.width :] = 0
        return logits, weights

    def _spread_weights(self, block: _RowBlock) -> Tensor:
        """D(A) of the rows that are ready, for the strip's output columns, over T."""
        columns = self.inner.stop - self.inner.start
        shape = self.n, block.ready - block.done, columns, self.layout.candidates
        out = self.logits.flatten()[: prod(shape)].view(shape)
        self.box_sum(self.weights, block.done, block.ready, out, self.inner.start)
        return out.flatten(1, 2)

    def _grad_pixels(self, grad: Tensor, padded: bool = False) -> Tensor:
        """Gradients of some rows' output blocks, [n, C s s, pixels], zeros beside the strip's."""
        if padded:
            sides = self.inner.start, self.layout.padded_width - self.inner.stop
            grad = F.pad(grad, sides)
        return grad.flatten(4).flatten(1, 3).to(self.candidates.blocks.dtype)

    def _row_blocks(self) -> Iterator[_RowBlock]:
        """A row of D(A) is ready once the weights of the r rows after it are computed."""
        height, done = self.layout.height, 0
        for first in range(0, height, self.rows):
            last = min(first + self.rows, height)
            ready = height if last == height else max(0, last - self.layout.radius)
            yield _RowBlock(first, last, done, ready)
            done = ready

    def _lead(self, row: int) -> int:
        """The number of rows that D of a matrix needs to be known up to ``row``."""
        return min(row + self.layout.radius, self.layout.height)

    def _matrix(self) -> Tensor:
        layout = self.layout
        return self.queries.new_empty(
            self.n, self.most_rows, layout.padded_width, layout.candidates
        )

    def _window(self) -> RowWindow:
        return RowWindow(self.layout, self.n, self.most_rows, 2 * self.layout.radius, self.queries)
