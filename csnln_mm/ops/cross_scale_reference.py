"""Cross-scale non-local attention, the reference implementation: the operator's definition."""

import torch
import torch.nn.functional as F
from torch import Tensor

from csnln_mm.ops.cross_scale_geometry import check_inputs, pad_to_multiple


def candidate_norm(key: Tensor, patch_size: int) -> Tensor:
    """Norm of every zero-padded candidate patch, at least 1e-4.

    Args:
        key: candidates, [N, K, h, w].
        patch_size: odd side p of a patch.

    Returns:
        [N, 1, h, w]: ``n[g] = max(sqrt(sum_d |k[g+d]|^2), 1e-4)``.
    """
    energy = key.square().sum(1, keepdim=True)
    ones = energy.new_ones(1, 1, patch_size, patch_size)
    # The gradient of sqrt at 0 is infinite, so the floor goes under the root.
    return F.conv2d(energy, ones, padding=patch_size // 2).clamp(min=1e-8).sqrt()


def cross_scale_attention_reference(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    scale: int,
    patch_size: int = 3,
    softmax_scale: float = 10.0,
    divisor: float = 6.0,
) -> Tensor:
    """What :func:`~csnln_mm.ops.cross_scale_attention` computes, step by step (Eq. 4).

    The candidate patches are the kernels of a convolution over the queries; its softmax over
    the candidates weights the value patches, which a transposed convolution adds up where the
    queries lie. Makes the whole [H W, h w] matrix and p^2 copies of key and value: for tests
    and benchmarks. Arguments, result and errors are those of the fast operator, but the inputs
    are of one dtype, in which everything is computed.
    """
    check_inputs(query, key, value, scale, patch_size)
    height, width = query.shape[-2:]
    query, value = pad_to_multiple(query, scale), pad_to_multiple(value, scale)
    n, _, h, w = key.shape
    radius = patch_size // 2
    norm = candidate_norm(key, patch_size)

    key_patches = F.unfold(key, patch_size, padding=radius)  # [N, K p p, h w]
    value_patches = F.unfold(
        value, scale * patch_size, padding=scale * radius, stride=scale
    )  # [N, C sp sp, h w]
    outputs = []
    for i in range(n):
        kernels = key_patches[i].t().reshape(h * w, -1, patch_size, patch_size)
        similarity = F.conv2d(query[i : i + 1], kernels, padding=radius)
        similarity = similarity / norm[i].reshape(1, h * w, 1, 1)
        weights = (softmax_scale * similarity).softmax(1)
        patches = value_patches[i].t().reshape(h * w, -1, scale * patch_size, scale * patch_size)
        outputs.append(F.conv_transpose2d(weights, patches, stride=scale, padding=scale * radius))
    return torch.cat(outputs)[..., : scale * height, : scale * width] / divisor
