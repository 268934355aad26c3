import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from csnln_mm import ops
from csnln_mm.errors import UserError
from csnln_mm.networks import CSNLNNet
from csnln_mm.paper.model_size import cross_scale_multiply_adds, in_scale_multiply_adds, model_size


@pytest.mark.parametrize('scale, size', [(2, (12, 6)), (2, (7, 5)), (3, (7, 5))])
def test_attention_by_hand(scale, size):
    """With 4 channels and two recurrences; convolutions as torch counts them."""
    counted = model_size(CSNLNNet(mid_channels=4, num_recurrences=2, upscale_factor=scale), size)
    pixels, blocks = size[0] * size[1], -(-size[0] // scale) * -(-size[1] // scale)
    in_scale = 2 * pixels * pixels * (4 // 2 + 4)
    # The operator pads the queries to whole blocks.
    cross_scale = 2 * blocks * scale**2 * blocks * (4 // 2 + scale**2 * 4)
    assert counted[4:7] == (in_scale, cross_scale, 9 * cross_scale)
    assert counted.lr_size == size
    assert counted.multiply_adds == sum(counted[3:6]) + counted.other
    assert counted.reference_multiply_adds - counted.multiply_adds == counted[6] - counted[5]


def test_the_second_stage_of_x4_attends_on_the_map_that_is_twice_as_large():
    small = dict(mid_channels=4, num_recurrences=1)
    x4 = model_size(CSNLNNet(upscale_factor=4, **small), (6, 8))
    x2, x2_large = (
        model_size(CSNLNNet(upscale_factor=2, **small), size) for size in ((6, 8), (12, 16))
    )
    assert x4.in_scale_attention == x2.in_scale_attention + x2_large.in_scale_attention
    assert x4.cross_scale_attention == x2.cross_scale_attention + x2_large.cross_scale_attention


@pytest.mark.parametrize('patch_size', [1, 5])
def test_the_reference_takes_every_pixel_of_a_patch(patch_size):
    counted = model_size(
        CSNLNNet(mid_channels=4, num_recurrences=1, cell=dict(patch_size=patch_size)), (6, 6)
    )
    assert counted.reference_cross_scale_attention == patch_size**2 * counted.cross_scale_attention


def test_the_operators_execute_what_is_counted():
    """Their matrix products, as torch counts them: a multiply-add is two there."""
    query, key, value = torch.rand(1, 4, 24, 24), torch.rand(1, 4, 12, 12), torch.rand(1, 8, 24, 24)
    with FlopCounterMode(display=False) as cross_scale:
        ops.cross_scale_attention(query, key, value, scale=2)
    counted = cross_scale_multiply_adds(24 * 24, 12 * 12, 4, 8, 2)
    # A padding column on each query row (in one of two products) and candidate row.
    assert counted < cross_scale.get_total_flops() // 2 < counted * (1 + 1 / 12) * (1 + 1 / 24)
    with FlopCounterMode(display=False) as in_scale:
        ops.in_scale_attention(query, query, value)
    assert in_scale.get_total_flops() == 2 * in_scale_multiply_adds(24 * 24, 24 * 24, 4, 8)


@pytest.mark.parametrize(
    'scale, parameters, multiply_adds, reference',
    [(2, 3061265, 124.00, 197.39), (3, 6010385, 244.49, 313.34), (4, 6568603, 739.49, 1987.01)],
)
def test_the_released_models_at_48_pixels(scale, parameters, multiply_adds, reference):
    counted = model_size(CSNLNNet(upscale_factor=scale), (48, 48))
    assert counted.parameters == counted.trainable == parameters
    assert round(counted.multiply_adds / 1e9, 2) == multiply_adds
    assert round(counted.reference_multiply_adds / 1e9, 2) == reference


def test_an_image_without_pixels():
    with pytest.raises(UserError, match='no pixels'):
        model_size(CSNLNNet(mid_channels=4, num_recurrences=1), (0, 6))


def test_frozen_parameters_and_the_model_itself_are_left_alone():
    generator = CSNLNNet(mid_channels=4, num_recurrences=2).train()
    generator.head.requires_grad_(False)
    counted = model_size(generator, (4, 4))
    frozen = sum(p.numel() for p in generator.head.parameters())
    assert counted.trainable == counted.parameters - frozen
    assert generator.training
    with torch.no_grad():
        assert generator(torch.rand(1, 3, 4, 4)).abs().sum() > 0


def test_convolutions_are_counted_once_for_each_pixel():
    """Also of an image that a network upscales block by block."""
    network = CSNLNNet(mid_channels=48, num_recurrences=2, cell=dict(branches=('local',)))
    small, large = (model_size(network, size).multiply_adds for size in ((36, 64), (360, 640)))
    assert large == 100 * small
