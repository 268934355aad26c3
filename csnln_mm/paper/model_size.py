"""Parameters and multiply-adds of a network, by MMEngine's analysis."""

import copy
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from mmengine.analysis import FlopAnalyzer
from torch import Tensor, nn
from torch.autograd import Function

from csnln_mm import ops

__all__ = [
    'ModelSize',
    'cross_scale_multiply_adds',
    'direct_cross_scale_multiply_adds',
    'in_scale_multiply_adds',
    'measure_model_size',
]


class ModelSize(NamedTuple):
    """How large a network is, and what enlarging one image by it takes.

    A multiply-add is one operation. Biases, activations, softmax and the additions of the
    attention's diagonal box sums are not counted, nor what bears on no pixel of the result: the
    next input that the last recurrence makes.

    Attributes:
        lr_size: (height, width) of the image, in LR pixels.
        trainable: parameters that training changes.
        parameters: all of them.
        convolutions: multiply-adds of convolutions and deconvolutions.
        in_scale_attention: multiply-adds of its two matrix products.
        cross_scale_attention: multiply-adds of its two matrix products, factorised.
        direct_cross_scale_attention: what the same takes by the formula with p x p patches.
        other: multiply-adds of whatever else MMEngine counts, such as bilinear reductions.
    """

    lr_size: tuple[int, int]
    trainable: int
    parameters: int
    convolutions: int
    in_scale_attention: int
    cross_scale_attention: int
    direct_cross_scale_attention: int
    other: int

    @property
    def multiply_adds(self) -> int:
        """All, as computed here."""
        return self.convolutions + self.in_scale_attention + self.cross_scale_attention + self.other

    @property
    def direct_multiply_adds(self) -> int:
        """All, with cross-scale attention by the direct formula."""
        return self.multiply_adds - self.cross_scale_attention + self.direct_cross_scale_attention


def cross_scale_multiply_adds(
    queries: int, candidates: int, embed_channels: int, channels: int, scale: int
) -> int:
    """Of ``q^T k`` and ``D(A) B``: pixels, not patches, go through the matrix products.

    Args:
        queries: H W.
        candidates: L = (H / s) (W / s).
        embed_channels: of query and key.
        channels: C, of the value, s s pixels of which stand for a candidate.
        scale: s.
    """
    return queries * candidates * (embed_channels + channels * scale**2)


def direct_cross_scale_multiply_adds(
    queries: int, candidates: int, embed_channels: int, channels: int, scale: int, patch_size: int
) -> int:
    """Of the formula (Eq. 4): every one of the ``p x p`` pixels of a patch each time."""
    return patch_size**2 * cross_scale_multiply_adds(
        queries, candidates, embed_channels, channels, scale
    )


def in_scale_multiply_adds(queries: int, keys: int, embed_channels: int, channels: int) -> int:
    """Of ``q^T k`` and the weighted sum of values."""
    return queries * keys * (embed_channels + channels)


def measure_model_size(generator: nn.Module, lr_size: tuple[int, int]) -> ModelSize:
    """Count. Convolutions are computed on the CPU for it, attention is not.

    Args:
        generator: [N, 3, H, W] -> [N, 3, S H, S W]; not changed.
        lr_size: (height, width) of the image, in LR pixels.
    """
    generator = copy.deepcopy(generator).cpu().eval()
    analyzer = FlopAnalyzer(generator, (torch.zeros(1, 3, *lr_size),))
    analyzer.unsupported_ops_warnings(False).tracer_warnings('none')
    analyzer.uncalled_modules_warnings(False)
    # Functions written by hand are invisible to the analysis unless they are made known to it.
    analyzer.set_op_handle(
        f'prim::PythonOp.{_CrossScaleStandIn.__name__}',
        _count_cross_scale,
        f'prim::PythonOp.{_InScaleStandIn.__name__}',
        _count_in_scale,
    )
    with torch.no_grad(), _stand_ins():
        counts = analyzer.by_operator()
    counts = Counter({name: int(count) for name, count in counts.items()})
    parameters = list(generator.parameters())
    return ModelSize(
        lr_size=(int(lr_size[0]), int(lr_size[1])),
        trainable=sum(p.numel() for p in parameters if p.requires_grad),
        parameters=sum(p.numel() for p in parameters),
        convolutions=counts.pop('conv', 0),
        in_scale_attention=counts.pop('in_scale', 0),
        cross_scale_attention=counts.pop('cross_scale', 0),
        direct_cross_scale_attention=counts.pop('direct_cross_scale', 0),
        other=sum(counts.values()),
    )


@contextmanager
def _stand_ins() -> Iterator[None]:
    """The attention operators replaced by functions that say what would be computed.

    Tracing takes sizes for tensors, and the operators make plans of them. Not computing the
    attention also saves most of the time.
    """
    operators = ops.cross_scale_attention, ops.in_scale_attention
    ops.cross_scale_attention, ops.in_scale_attention = _trace_cross_scale, _trace_in_scale
    try:
        yield
    finally:
        ops.cross_scale_attention, ops.in_scale_attention = operators


def _trace_cross_scale(
    query: Tensor, key: Tensor, value: Tensor, *, scale: int, patch_size: int = 3, **kwargs: Any
) -> Tensor:
    return _CrossScaleStandIn.apply(query, key, value, scale, patch_size)


def _trace_in_scale(query: Tensor, key: Tensor, value: Tensor, **kwargs: Any) -> Tensor:
    return _InScaleStandIn.apply(query, key, value)


class _CrossScaleStandIn(Function):
    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, scale: int, patch_size: int
    ) -> Tensor:
        n, channels, height, width = value.shape
        return value.new_zeros(n, channels, scale * height, scale * width)


class _InScaleStandIn(Function):
    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        return value.new_zeros(*value.shape[:2], *query.shape[2:])


def _count_cross_scale(inputs: list[Any], outputs: list[Any]) -> Counter:
    (n, embed, *_), (_, _, *candidates), (_, channels, *_) = map(_shape, inputs)
    scale, patch_size = outputs[0].node().scalar_args()
    candidates = candidates[0] * candidates[1]
    # The operator pads queries to sides that the scale divides.
    arguments = candidates * scale**2, candidates, embed, channels, scale
    return Counter(
        cross_scale=n * cross_scale_multiply_adds(*arguments),
        direct_cross_scale=n * direct_cross_scale_multiply_adds(*arguments, patch_size),
    )


def _count_in_scale(inputs: list[Any], outputs: list[Any]) -> Counter:
    (n, embed, *queries), (_, _, *keys), (_, channels, *_) = map(_shape, inputs)
    return Counter(
        in_scale=n
        * in_scale_multiply_adds(queries[0] * queries[1], keys[0] * keys[1], embed, channels)
    )


def _shape(value: Any) -> list[int]:
    return value.type().sizes()
