"""Random inputs of the attention operators, and their results with gradients."""

import torch


def cross_scale_inputs(size, scale, n=1, embed=3, channels=2, dtype=torch.float64, seed=0):
    """query, key and value that need gradients."""
    height, width = size
    key_size = -(-height // scale), -(-width // scale)
    shapes = (n, embed, height, width), (n, embed, *key_size), (n, channels, height, width)
    return random_maps(shapes, dtype, seed)


def in_scale_inputs(size, key_size=None, n=1, embed=3, channels=2, dtype=torch.float64, seed=0):
    """query, key and value that need gradients."""
    key_size = key_size or size
    return random_maps(
        ((n, embed, *size), (n, embed, *key_size), (n, channels, *key_size)), dtype, seed
    )


def random_maps(shapes, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    maps = [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]
    return [x.to(dtype).requires_grad_() for x in maps]


def with_gradients(operator, inputs, **options):
    """[output, gradients of the inputs] for the same output gradient at every call."""
    out = operator(*inputs, **options)
    grad = random_maps([out.shape], out.dtype, seed=1)[0].detach()
    return [out, *torch.autograd.grad(out, inputs, grad)]


def assert_close(actual, expected, tolerance=1e-10):
    """Lists of tensors; the tolerance is relative to the largest element, or 1 if that is less."""
    for a, e in zip(actual, expected):
        assert a.shape == e.shape
        scale = max(1.0, e.abs().max().item())
        assert (a.to(e.dtype) - e).abs().max().item() <= tolerance * scale
