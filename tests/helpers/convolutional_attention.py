"""Cross-scale attention by convolutions with patches, as in the paper and its released code.

It shares no step with the operators but the padding and the norm.
"""

import torch
import torch.nn.functional as F

from csnln_mm.ops.cross_scale_geometry import pad_to_multiple
from csnln_mm.ops.cross_scale_reference import candidate_norm


def convolutional_attention(
    query, key, value, *, scale, patch_size=3, softmax_scale=10.0, divisor=6.0
):
    """Eq. 4 for inputs of one dtype, in which everything is computed.

    The candidate patches are the kernels of a convolution over the queries; its softmax over the
    candidates weights the value patches, which a transposed convolution adds up where the queries
    lie. Makes the whole [H W, h w] matrix and p^2 copies of key and value.
    """
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
