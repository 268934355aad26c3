"""In-scale non-local attention, the reference implementation: the operator's definition."""

from torch import Tensor

from csnln_mm.ops.cross_scale_geometry import check_maps


def check_in_scale_inputs(query: Tensor, key: Tensor, value: Tensor) -> None:
    """Raise ValueError, with the shapes, unless the three maps fit together."""
    check_maps(query, key, value)
    if key.shape[:2] != query.shape[:2]:
        raise ValueError(
            f'key must have the batch and channels of the query '
            f'{tuple(query.shape)}, got {tuple(key.shape)}'
        )
    if value.shape[0] != key.shape[0] or value.shape[2:] != key.shape[2:]:
        raise ValueError(
            f'value must have the batch and size of the key {tuple(key.shape)}, '
            f'got {tuple(value.shape)}'
        )


def in_scale_attention_reference(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """What :func:`~csnln_mm.ops.in_scale_attention` computes, step by step (paper, section 4.2).

    Makes the whole [H W, h w] matrix: for tests and benchmarks. Arguments, result and errors are
    those of the fast operator, but the inputs are of one dtype, in which everything is computed.
    """
    check_in_scale_inputs(query, key, value)
    similarity = query.flatten(2).transpose(1, 2) @ key.flatten(2)
    weights = similarity.softmax(-1)
    out = value.flatten(2) @ weights.transpose(1, 2)
    return out.unflatten(2, query.shape[2:])
