"""The operators against plain loops over the equations, which share no code with them."""

import math

import numpy as np
import pytest
from attention_inputs import cross_scale_inputs, in_scale_inputs

from csnln_mm import ops


def softmax(values):
    powers = [math.exp(v - max(values)) for v in values]
    return [p / sum(powers) for p in powers]


def cross_scale_loops(query, key, value, scale, patch_size, softmax_scale, divisor):
    """Eq. 4 for one sample: arrays [K, H, W], [K, h, w], [C, H, W] with H = s h, W = s w."""
    channels, height, width = value.shape
    radius = patch_size // 2
    offsets = [(dy, dx) for dy in range(-radius, radius + 1) for dx in range(-radius, radius + 1)]
    candidates = [(y, x) for y in range(key.shape[1]) for x in range(key.shape[2])]

    def at(array, y, x):
        inside = 0 <= y < array.shape[1] and 0 <= x < array.shape[2]
        return array[:, y, x] if inside else np.zeros(len(array))

    out = np.zeros((channels, scale * height, scale * width))
    for y in range(height):
        for x in range(width):
            logits = []
            for gy, gx in candidates:
                norm = max(
                    math.sqrt(sum((at(key, gy + dy, gx + dx) ** 2).sum() for dy, dx in offsets)),
                    1e-4,
                )
                similarity = sum(
                    at(query, y + dy, x + dx) @ at(key, gy + dy, gx + dx) for dy, dx in offsets
                )
                logits.append(softmax_scale * similarity / norm)
            for (gy, gx), weight in zip(candidates, softmax(logits)):
                # The value patch of candidate g, placed so that its block g is at block (y, x).
                for py in range(-scale * radius, scale * (radius + 1)):
                    for px in range(-scale * radius, scale * (radius + 1)):
                        to = scale * y + py, scale * x + px
                        if 0 <= to[0] < out.shape[1] and 0 <= to[1] < out.shape[2]:
                            out[:, to[0], to[1]] += weight * at(
                                value, scale * gy + py, scale * gx + px
                            )
    return out / divisor


def in_scale_loops(query, key, value):
    """For one sample: arrays [K, H, W], [K, h, w], [C, h, w]."""
    out = np.zeros((value.shape[0], *query.shape[1:]))
    positions = [(y, x) for y in range(key.shape[1]) for x in range(key.shape[2])]
    for y in range(query.shape[1]):
        for x in range(query.shape[2]):
            weights = softmax([query[:, y, x] @ key[:, j[0], j[1]] for j in positions])
            out[:, y, x] = sum(w * value[:, j[0], j[1]] for w, j in zip(weights, positions))
    return out


@pytest.mark.parametrize(
    'scale, patch_size, size',
    [(2, 3, (4, 6)), (3, 3, (6, 3)), (2, 1, (4, 4)), (2, 5, (6, 4)), (4, 3, (4, 8))],
)
@pytest.mark.parametrize('name', ['cross_scale_attention', 'cross_scale_attention_reference'])
def test_cross_scale_attention(name, scale, patch_size, size):
    inputs = [x.detach() for x in cross_scale_inputs(size, scale)]
    expected = cross_scale_loops(*(x[0].numpy() for x in inputs), scale, patch_size, 10.0, 6.0)
    actual = getattr(ops, name)(*inputs, scale=scale, patch_size=patch_size)
    np.testing.assert_allclose(actual[0].numpy(), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize('name', ['cross_scale_attention', 'cross_scale_attention_reference'])
def test_cross_scale_attention_of_a_size_that_the_scale_does_not_divide(name):
    """The same as of the map padded by replication, cropped."""
    query, key, value = (x.detach() for x in cross_scale_inputs((5, 7), 3))
    padded = [np.pad(x[0].numpy(), ((0, 0), (0, 1), (0, 2)), mode='edge') for x in (query, value)]
    expected = cross_scale_loops(padded[0], key[0].numpy(), padded[1], 3, 3, 10.0, 6.0)
    actual = getattr(ops, name)(query, key, value, scale=3)
    np.testing.assert_allclose(actual[0].numpy(), expected[:, :15, :21], rtol=0, atol=1e-12)


@pytest.mark.parametrize('name', ['in_scale_attention', 'in_scale_attention_reference'])
def test_in_scale_attention(name):
    inputs = [x.detach() for x in in_scale_inputs((4, 5), (3, 2))]
    expected = in_scale_loops(*(x[0].numpy() for x in inputs))
    np.testing.assert_allclose(getattr(ops, name)(*inputs)[0].numpy(), expected, rtol=0, atol=1e-12)
