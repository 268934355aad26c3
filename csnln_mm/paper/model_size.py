"""Parameters and multiply-adds of a network, counted without computing anything."""

import copy
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import prod
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from csnln_mm import ops
from csnln_mm.errors import UserError
from csnln_mm.paper.published import TABLE_2, published
from csnln_mm.tables import format_table

_BILINEAR = torch.ops.aten.upsample_bilinear2d


class ModelSize(NamedTuple):
    """How large a network is, and what upscaling one image with it takes.

    A multiply-add is one operation. Biases, activations, softmax and the additions of the
    attention's diagonal box sums are not counted.

    Attributes:
        lr_size: (height, width) of the image, in LR pixels.
        trainable: parameters that training changes.
        parameters: all of them.
        convolutions: multiply-adds of convolutions, transposed ones included, and of whatever
            matrix products a network has beside its attention.
        in_scale_attention: multiply-adds of its two matrix products.
        cross_scale_attention: multiply-adds of its two matrix products, factorised.
        reference_cross_scale_attention: what it takes by the reference implementation, with p x p
            patches.
        other: multiply-adds of bilinear reductions, four for each value that they make.
    """

    lr_size: tuple[int, int]
    trainable: int
    parameters: int
    convolutions: int
    in_scale_attention: int
    cross_scale_attention: int
    reference_cross_scale_attention: int
    other: int

    @property
    def multiply_adds(self) -> int:
        """All, as computed here."""
        return self.convolutions + self.in_scale_attention + self.cross_scale_attention + self.other

    @property
    def reference_multiply_adds(self) -> int:
        """All, with cross-scale attention by the reference implementation."""
        attention = self.reference_cross_scale_attention
        return self.multiply_adds - self.cross_scale_attention + attention


def cross_scale_multiply_adds(
    queries: int, candidates: int, embed_channels: int, channels: int, scale: int
) -> int:
    """Count those of ``q^T k`` and ``D(A) B``: pixels, not patches, go through the matrix products.

    Args:
        queries: H W.
        candidates: L = (H / s) (W / s).
        embed_channels: of query and key.
        channels: C, of the value, s s pixels of which stand for a candidate.
        scale: s.
    """
    return queries * candidates * (embed_channels + channels * scale**2)


def in_scale_multiply_adds(queries: int, keys: int, embed_channels: int, channels: int) -> int:
    """Count those of ``q^T k`` and the weighted sum of values."""
    return queries * keys * (embed_channels + channels)


def model_size(network: nn.Module, lr_size: tuple[int, int]) -> ModelSize:
    """Count on torch's meta device, where tensors have shapes but no values.

    Args:
        network: [N, 3, H, W] -> [N, 3, S H, S W]; not changed.
        lr_size: (height, width) of the image, in LR pixels.

    Raises:
        UserError: if the image has no pixels.
    """
    if min(lr_size) < 1:
        raise UserError(f'an LR image of {lr_size[0]}x{lr_size[1]} pixels has no pixels')
    network = copy.deepcopy(network).to('meta').eval()
    x = torch.empty(1, 3, *lr_size, device='meta')
    with torch.no_grad(), _counted_attention() as attention:
        products, other = _multiply_adds(network, x)
    parameters = list(network.parameters())
    return ModelSize(
        lr_size=(int(lr_size[0]), int(lr_size[1])),
        trainable=sum(p.numel() for p in parameters if p.requires_grad),
        parameters=sum(p.numel() for p in parameters),
        convolutions=products,
        in_scale_attention=attention['in_scale'],
        cross_scale_attention=attention['cross_scale'],
        reference_cross_scale_attention=attention['reference_cross_scale'],
        other=other,
    )


def model_size_table(name: str, size: ModelSize, style: str = 'text') -> str:
    """Show the paper's Table 2 with a network below it, and the network's multiply-adds.

    Args:
        name: of the network.
        size: from :func:`model_size`.
        style: 'text' or 'markdown'.
    """
    parameters = [(row.name, f'{row.parameters / 1e6:g}M', '') for row in published(2, TABLE_2)]
    parameters.append((name, f'{size.parameters / 1e6:.2f}M', f'{size.trainable:,}'))
    adds = [
        ('convolutions', size.convolutions, size.convolutions),
        ('in-scale attention', size.in_scale_attention, size.in_scale_attention),
        ('cross-scale attention', size.cross_scale_attention, size.reference_cross_scale_attention),
        ('other', size.other, size.other),
        ('all', size.multiply_adds, size.reference_multiply_adds),
    ]
    height, width = size.lr_size
    header = f'multiply-adds, LR {height}x{width}', 'as computed', 'reference'
    rows = [(name, *(f'{count / 1e9:.2f}G' for count in counts)) for name, *counts in adds]
    first = format_table(('model', 'parameters', 'trainable'), parameters, style)
    return f'{first}\n\n{format_table(header, rows, style)}'


def _multiply_adds(module: nn.Module, x: Tensor) -> tuple[int, int]:
    """Of a module's convolutions and matrix products, and of its bilinear reductions."""
    with FlopCounterMode(display=False, custom_mapping={_BILINEAR: _count_bilinear}) as counter:
        module(x)
    total = counter.get_total_flops() // 2  # torch counts multiplications and additions
    bilinear = counter.get_flop_counts().get('Global', {}).get(_BILINEAR, 0) // 2
    return total - bilinear, bilinear


def _count_bilinear(*_: Any, out_shape: Any = None, **__: Any) -> int:
    return 2 * 4 * prod(out_shape)


@contextmanager
def _counted_attention() -> Iterator[Counter]:
    """The attention operators replaced by functions that count what would be computed.

    The operators' own matrix products depend on the device's memory, and carry padding.
    """
    counts: Counter = Counter()

    def cross_scale(
        query: Tensor, key: Tensor, value: Tensor, *, scale: int, patch_size: int = 3, **_: Any
    ) -> Tensor:
        n, channels, height, width = value.shape
        candidates = key.shape[2] * key.shape[3]
        # The operator pads queries to sides that the scale divides.
        queries = candidates * scale**2
        count = n * cross_scale_multiply_adds(queries, candidates, query.shape[1], channels, scale)
        counts['cross_scale'] += count
        # By Eq. 4 every pixel of a p x p patch goes through the products each time.
        counts['reference_cross_scale'] += patch_size**2 * count
        return value.new_empty(n, channels, scale * height, scale * width)

    def in_scale(query: Tensor, key: Tensor, value: Tensor, **_: Any) -> Tensor:
        queries, keys = query.shape[2:].numel(), key.shape[2:].numel()
        counts['in_scale'] += len(value) * in_scale_multiply_adds(
            queries, keys, query.shape[1], value.shape[1]
        )
        return value.new_empty(*value.shape[:2], *query.shape[2:])

    with operators_replaced(cross_scale, in_scale):
        yield counts


@contextmanager
def operators_replaced(cross_scale: Callable, in_scale: Callable) -> Iterator[None]:
    """Let everything that calls the attention operators get these instead."""
    operators = ops.cross_scale_attention, ops.in_scale_attention
    ops.cross_scale_attention, ops.in_scale_attention = cross_scale, in_scale
    try:
        yield
    finally:
        ops.cross_scale_attention, ops.in_scale_attention = operators
