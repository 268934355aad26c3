"""How much a training step asks of a GPU: counted on the device 'meta', which computes nothing."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from csnln_mm.networks import CSNLNNet

# What makes no kernel run: other views of the same memory, and memory that is not filled.
NO_KERNEL = set(
    'alias as_strided detach empty empty_like empty_strided expand narrow new_empty permute select '
    'slice split split_with_sizes squeeze t transpose unbind unsqueeze view _unsafe_view '
    'promote_types'.split()
)


class KernelCount(TorchDispatchMode):
    """Operators that run at least one kernel; a result on another device fails."""

    count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        self.count += function.overloadpacket.__name__ not in NO_KERNEL
        for tensor in out if isinstance(out, (tuple, list)) else [out]:
            if isinstance(tensor, torch.Tensor) and tensor.dim():
                assert tensor.device.type == 'meta', f'{function} leaves the device'
        return out


@pytest.mark.skipif(
    torch.__version__.startswith('2.1.'), reason='torch 2.1 has no gradient of the softmax on meta'
)
def test_a_training_step_of_the_papers_batch():
    """A loop over samples or small tiles would take thousands; reading a value would fail."""
    counts = []
    for recurrences in 1, 2:
        with torch.device('meta'):
            network = CSNLNNet(num_recurrences=recurrences)
            x = torch.rand(16, 3, 48, 48)
        with KernelCount() as counter:
            network(x).square().mean().backward()
        counts.append(counter.count)
    assert counts[1] - counts[0] < 600
