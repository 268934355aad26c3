import pytest
import torch
import torch.nn.functional as F

from csnln_mm import ops
from csnln_mm.networks import CrossScaleNonLocalAttention, build_network


@pytest.mark.parametrize(
    'scale, patch_size, size', [(2, 3, (6, 8)), (3, 5, (1, 1)), (4, 1, (7, 5)), (5, 3, (7, 5))]
)
def test_is_the_reference_on_a_replicated_map(scale, patch_size, size):
    torch.manual_seed(0)
    module = build_network(
        dict(type='CrossScaleNonLocalAttention', in_channels=4, scale=scale, patch_size=patch_size)
    ).double()
    x = torch.randn(2, 4, *size).double()
    height, width = (-(-side // scale) for side in size)
    padded = F.pad(x, (0, scale * width - size[1], 0, scale * height - size[0]), mode='replicate')
    down = F.interpolate(padded, (height, width), mode='bilinear', align_corners=False)
    expected = ops.cross_scale_attention_reference(
        module.query(padded),
        module.key(down),
        module.value(padded),
        scale=scale,
        patch_size=patch_size,
    )
    result = module(x)
    assert result.shape == (2, 4, scale * size[0], scale * size[1])
    torch.testing.assert_close(
        result, expected[..., : scale * size[0], : scale * size[1]], rtol=0, atol=1e-10
    )


@pytest.mark.parametrize(
    'arguments',
    [dict(scale=1), dict(scale=2.0), dict(patch_size=2), dict(patch_size=-1), dict(patch_size=3.0)],
)
def test_refuses_arguments_out_of_range(arguments):
    with pytest.raises(ValueError):
        CrossScaleNonLocalAttention(4, **arguments)
