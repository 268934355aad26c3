"""Count parameters and multiply-adds of a network without computing anything."""

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
    """The size of a network, and the multiply-adds to upscale one image.

    A multiply-add is one operation. Biases, activations, softmax and the additions of diagonal box
    sums do not count.

    Attributes:
        lr_size: (height, width) of the image, in LR pixels.
        trainable: number of parameters that training changes.
        parameters: number of all parameters.
        convolutions: multiply-adds of convolutions, transposed convolutions, and matrix products
            outside of attention.
        in_scale_attention: multiply-adds of its two matrix products.
        cross_scale_attention: multiply-adds of its two matrix products, factorised.
        reference_cross_scale_attention: the same with p x p patches, by Eq. 4 of the paper.
        other: multiply-adds of bilinear reductions, four per output value.
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
        """All multiply-adds, as computed here."""
        return self.convolutions + self.in_scale_attention + self.cross_scale_attention + self.other

    @property
    def reference_multiply_adds(self) -> int:
        """All multiply-adds, with cross-scale attention by Eq. 4 of the paper."""
        attention = self.reference_cross_scale_attention
        return self.multiply_adds - self.cross_scale_attention + attention


def cross_scale_multiply_adds(
    queries: int, candidates: int, embed_channels: int, channels: int, scale: int
) -> int:
    """Count multiply-adds of ``q^T k`` and ``D(A) B``, whose factors are pixels, not patches.

    Args:
        queries: H W.
        candidates: L = (H / s) (W / s).
        embed_channels: of query and key.
        channels: C, of the value, which has s x s pixels per candidate.
        scale: s.
    """
    return queries * candidates * (embed_channels + channels * scale**2)


def in_scale_multiply_adds(queries: int, keys: int, embed_channels: int, channels: int) -> int:
    """Count multiply-adds of ``q^T k`` and of the weighted sum of values."""
    return queries * keys * (embed_channels + channels)


def model_size(network: nn.Module, lr_size: tuple[int, int]) -> ModelSize:
    """Count parameters and multiply-adds on torch's meta device, where tensors have no values.

    Args:
        network: [N, c, H, W] -> [N, c, S H, S W]; not changed.
        lr_size: (height, width) of the image, in LR pixels.

    Raises:
        UserError: if the image has no pixels.
    """
    if min(lr_size) < 1:
        raise UserError(f'an LR image of {lr_size[0]}x{lr_size[1]} pixels has no pixels')
    network = copy.deepcopy(network).to('meta').eval()
    x = torch.empty(1, getattr(network, 'in_channels', 3), *lr_size, device='meta')
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
    """Format the paper's Table 2 with a network below it, and the network's multiply-adds."""
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
    header = f'multiply-adds, LR {height}x{width}', 'as computed', 'Eq. 4, p x p patches'
    rows = [(name, *(f'{count / 1e9:.2f}G' for count in counts)) for name, *counts in adds]
    first = format_table(('model', 'parameters', 'trainable'), parameters, style)
    return f'{first}\n\n{format_table(header, rows, style)}'


def _multiply_adds(module: nn.Module, x: Tensor) -> tuple[int, int]:
    """Count a module's convolutions and matrix products, and its bilinear reductions."""
    with FlopCounterMode(display=False, custom_mapping={_BILINEAR: _count_bilinear}) as counter:
        module(x)
    total = counter.get_total_flops() // 2  # torch counts multiplications and additions
    bilinear = counter.get_flop_counts().get('Global', {}).get(_BILINEAR, 0) // 2
    return total - bilinear, bilinear


def _count_bilinear(*_: Any, out_shape: Any = None, **__: Any) -> int:
    return 2 * 4 * prod(out_shape)


@contextmanager
def _counted_attention() -> Iterator[Counter]:
    """In this context, the attention operators count multiply-adds instead of computing.

    Their actual matrix products depend on the device's memory, and include padding.
    """
    counts: Counter = Counter()

    def cross_scale(
        query: Tensor, key: Tensor, value: Tensor, *, scale: int, patch_size: int = 3, **_: Any
    ) -> Tensor:
        n, channels, height, width = value.shape
        candidates = key.shape[2] * key.shape[3]
        # The operator pads queries to multiples of the scale.
        queries = candidates * scale**2
        count = n * cross_scale_multiply_adds(queries, candidates, query.shape[1], channels, scale)
        counts['cross_scale'] += count
        # In Eq. 4 the factors are patches of p x p pixels.
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
    """In this context, everything that calls the attention operators calls these instead."""
    operators = ops.cross_scale_attention, ops.in_scale_attention
    ops.cross_scale_attention, ops.in_scale_attention = cross_scale, in_scale
    try:
        yield
    finally:
        ops.cross_scale_attention, ops.in_scale_attention = operators
