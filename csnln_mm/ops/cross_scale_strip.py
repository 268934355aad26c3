"""The forward and backward pass of cross-scale attention over one strip of query columns.

Symbols as in docs/operator.md: correlations P = q^T k, similarities D(P) = S n, logits
T = softmax_scale S, weights A = softmax(T), value blocks B, output blocks Z = D(A) B / divisor.
"""
from typing import Iterator, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from .diagonal_box_sum import DiagonalBoxSum, GuardedBlock, MatrixLayout

__all__ = ['Strip', 'StripPass', 'cut_into_strips', 'product_dtype']


class Strip(NamedTuple):
    """Query columns that come out, and the wider range of columns that bears on them."""
    inner: slice
    outer: slice


def cut_into_strips(width: int, columns: int, radius: int) -> Iterator[Strip]:
    """Strips with a halo of 2 r on either side, cut at the border of the map.

    An output column needs weights r columns away, and these need correlations r further on.
    """
    for start in range(0, width, columns):
        stop = min(start + columns, width)
        yield Strip(
            slice(start, stop),
            slice(max(0, start - 2 * radius), min(width, stop + 2 * radius)))


def product_dtype(value: Tensor) -> torch.dtype:
    """Of the product of weights and values: 16 bits pay off on a GPU only."""
    if value.device.type == 'cpu':
        return torch.promote_types(value.dtype, torch.float32)
    return value.dtype


class _RowBlock(NamedTuple):
    """Query rows [first, last) whose weights are made, and [done, ready) that can be finished."""
    first: int
    last: int
    done: int
    ready: int


class StripPass:
    """One strip of some samples; its inputs prepared, its buffers shared by all row blocks.

    Args:
        query: [n, K, H, W], the whole map.
        key: [n, K, h, w].
        value: [n, C, s h, s w].
        logit_scale: softmax_scale / n[g], [n, 1, h, w], in the dtype of the computation.
        strip: the query columns.
        scale: s.
        radius: r.
        divisor: constant that the result is divided by.
        rows: query rows in a block.
    """

    def __init__(self, query: Tensor, key: Tensor, value: Tensor, logit_scale: Tensor,
                 strip: Strip, scale: int, radius: int, divisor: float, rows: int) -> None:
        self.strip, self.scale, self.divisor = strip, scale, divisor
        query = query[..., strip.outer]
        self.layout = layout = MatrixLayout(query.shape[-2:], key.shape[-2:], radius)
        self.rows = min(rows, layout.height)
        self.n = query.shape[0]
        self.inner = slice(strip.inner.start - strip.outer.start,
                           strip.inner.stop - strip.outer.start)
        dtype = logit_scale.dtype

        self.queries = query.new_zeros(
            self.n, layout.height, layout.padded_width, query.shape[1], dtype=dtype)
        self.queries[:, :, :layout.width] = query.permute(0, 2, 3, 1)
        self.keys = self._pad_candidates(key.to(dtype))
        blocks = F.pixel_unshuffle(value.to(product_dtype(value)), scale) / divisor
        self.blocks = self._pad_candidates(blocks)
        self.logit_scale = self._pad_candidates(logit_scale).unsqueeze(2)
        # Added to the logits: whatever stands in a padding candidate gets the weight 0.
        self.mask = self._pad_candidates(torch.zeros_like(logit_scale[:1]), -torch.inf).unsqueeze(2)

        self.block = self._guarded_block()
        self.correlation = self._box_sum()
        self.weights = self._box_sum()
        self.similarity = self._buffer(self.rows)
        self.finished = self._buffer(min(self.rows + radius, layout.height))

    def forward(self, out: Tensor) -> None:
        """Write the strip's columns of Z.

        Args:
            out: [n, C, s H, s W], the whole map.
        """
        columns = slice(self.scale * self.strip.inner.start, self.scale * self.strip.inner.stop)
        for block in self._row_blocks():
            self._compute_weights(block, logits=self.similarity)
            self.weights.push(self.block, block.last - block.first)
            if block.done < block.ready:
                spread = self._finish(self.weights, block).to(self.blocks.dtype)
                pixels = torch.bmm(self.blocks, spread.flatten(1, 2).transpose(1, 2))
                pixels = pixels.unflatten(2, (-1, self.layout.padded_width))[..., self.inner]
                rows = slice(self.scale * block.done, self.scale * block.ready)
                out[:, :, rows, columns] = F.pixel_shuffle(pixels, self.scale)

    def backward(self, grad: Tensor, grad_query: Tensor, grad_key: Tensor, grad_value: Tensor,
                 grad_logit_scale: Tensor) -> None:
        """Add the strip's part of the gradients, its weights computed again.

        Args:
            grad: gradient of Z, [n, C, s H, s W], the whole map.
            grad_query, grad_key, grad_value, grad_logit_scale: as the inputs; added to.
        """
        layout = self.layout
        grad_block, grad_weights = self._guarded_block(), self._box_sum()
        grad_correlation = self._box_sum()
        logits = self._buffer(self.rows)
        grad_keys = torch.zeros_like(self.keys)
        grad_blocks = torch.zeros_like(self.blocks)
        grad_scale = torch.zeros_like(self.logit_scale)
        for block in self._row_blocks():
            rows = block.last - block.first
            scratch = logits[:, :rows]
            similarity, weights = self._compute_weights(block, logits=logits)
            self.weights.push(self.block, rows)

            # dA = D(dZ B^T), which leads by r rows.
            start, stop = grad_weights.stop, self._lead(block.last)
            if start < stop:
                self._product(
                    self._grad_pixels(grad, start, stop).transpose(1, 2), self.blocks,
                    grad_block.resize(stop - start))
                grad_weights.push(grad_block, stop - start)
            grad_weights.pull(block.last, scratch)

            # dT, then dS n = softmax_scale dT / n.
            grad_similarity = grad_block.resize(rows)
            torch.ops.aten._softmax_backward_data.out(
                scratch, weights, -1, weights.dtype, grad_input=grad_similarity)
            torch.mul(grad_similarity, similarity, out=scratch)
            grad_scale += scratch.sum((1, 2), keepdim=True)
            grad_similarity *= self.logit_scale
            grad_correlation.push(grad_block, rows)

            if block.done < block.ready:
                # dB = D(A)^T dZ, dq = dP k, dk = dP^T q; they lag by r rows.
                spread = self._finish(self.weights, block).flatten(1, 2)
                pixels = self._grad_pixels(grad, block.done, block.ready)
                grad_blocks.baddbmm_(pixels, spread.to(pixels.dtype))
                correlation = self._finish(grad_correlation, block)
                queries = self.queries[:, block.done:block.ready].flatten(1, 2)
                grad_keys.baddbmm_(queries.transpose(1, 2), correlation.flatten(1, 2))
                part = torch.bmm(correlation.flatten(1, 2), self.keys.transpose(1, 2))
                part = part.unflatten(1, (-1, layout.padded_width))[:, :, :layout.width]
                grad_query[:, :, block.done:block.ready,
                           self.strip.outer] += part.permute(0, 3, 1, 2)
        grad_key += self._drop_padding(grad_keys)
        grad_value += F.pixel_shuffle(self._drop_padding(grad_blocks), self.scale) / self.divisor
        grad_logit_scale += self._drop_padding(grad_scale.flatten(1, 2))

    def _compute_weights(self, block: _RowBlock, logits: Tensor) -> 'tuple[Tensor, Tensor]':
        """D(P) and A of the block's rows, A also in ``self.block``; ``logits`` is scratch."""
        rows = block.last - block.first
        start, stop = self.correlation.stop, self._lead(block.last)
        if start < stop:
            self._product(self.queries[:, start:stop].flatten(1, 2), self.keys,
                          self.block.resize(stop - start))
            self.correlation.push(self.block, stop - start)
        similarity = self.similarity[:, :rows]
        self.correlation.pull(block.last, similarity)
        logits = logits[:, :rows]
        torch.addcmul(self.mask, similarity, self.logit_scale, out=logits)
        weights = self.block.resize(rows)
        torch.softmax(logits, -1, out=weights)
        weights[:, :, self.layout.width:] = 0
        return similarity, weights

    def _row_blocks(self) -> Iterator[_RowBlock]:
        """A row of D(A) is ready when the weights of the r rows after it are there."""
        height, done = self.layout.height, 0
        for first in range(0, height, self.rows):
            last = min(first + self.rows, height)
            ready = height if last == height else max(0, last - self.layout.radius)
            yield _RowBlock(first, last, done, ready)
            done = ready

    def _lead(self, row: int) -> int:
        """Rows of a matrix that must be there before D of it is known up to ``row``."""
        return min(row + self.layout.radius, self.layout.height)

    def _finish(self, matrix: DiagonalBoxSum, block: _RowBlock) -> Tensor:
        out = self.finished[:, :block.ready - block.done]
        matrix.pull(block.ready, out)
        return out

    def _grad_pixels(self, grad: Tensor, first: int, last: int) -> Tensor:
        """Rows of dZ as blocks, zero outside the strip: [n, C s s, rows (W + r)]."""
        s, inner = self.scale, self.strip.inner
        grad = grad[:, :, s * first:s * last, s * inner.start:s * inner.stop]
        grad = F.pixel_unshuffle(grad.to(self.blocks.dtype), s)
        padding = self.inner.start, self.layout.padded_width - self.inner.stop
        return F.pad(grad, padding).flatten(2)

    @staticmethod
    def _product(a: Tensor, b: Tensor, out: Tensor) -> None:
        """Matrix product into a block of rows, in the dtype of the block."""
        out = out.flatten(1, 2)
        if a.dtype == out.dtype:
            torch.bmm(a, b, out=out)
        else:
            out.copy_(torch.bmm(a, b))

    def _pad_candidates(self, x: Tensor, value: float = 0.) -> Tensor:
        """[n, C, h, w] -> [n, C, h (w + r)]."""
        return F.pad(x, (0, self.layout.radius), value=value).flatten(2)

    def _drop_padding(self, x: Tensor) -> Tensor:
        """[n, C, h (w + r)] -> [n, C, h, w]."""
        return x.unflatten(2, (self.layout.key_height, -1))[..., :self.layout.key_width]

    def _buffer(self, rows: int) -> Tensor:
        layout = self.layout
        return self.queries.new_empty(self.n, rows, layout.padded_width, layout.candidates)

    def _guarded_block(self) -> GuardedBlock:
        rows = self._lead(self.rows)
        return GuardedBlock(self.layout, self.n, rows, self.queries)

    def _box_sum(self) -> DiagonalBoxSum:
        rows = min(self.rows + 2 * self.layout.radius, self.layout.height)
        return DiagonalBoxSum(self.layout, self.n, rows, self.queries)
