import itertools

import pytest
import torch

from csnln_mm.networks import SEMCell

BRANCHES = 'local', 'in_scale', 'cross_scale'
TABLE_3 = [subset for size in range(4) for subset in itertools.combinations(BRANCHES, size)]


def assert_trains(cell, scale):
    """Right shapes, and every parameter bears on the result."""
    x = torch.randn(1, 4, 5, 6)
    following, hidden = cell(x)
    assert following.shape == x.shape
    assert hidden.shape == (1, 4, 5 * scale, 6 * scale)
    (following.square().mean() + hidden.square().mean()).backward()
    for name, parameter in cell.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name


@pytest.mark.parametrize('scale', [3, 4])  # one stage, and two
@pytest.mark.parametrize('branches', TABLE_3)
def test_every_variant_of_table_3(branches, scale):
    assert_trains(SEMCell(4, upscale_factor=scale, branches=branches), scale)


@pytest.mark.parametrize('patch_size', [1, 5])
def test_every_patch_size_of_table_4(patch_size):
    assert_trains(SEMCell(4, patch_size=patch_size), 2)


@pytest.mark.parametrize(
    'fusion', ['AdditionFusion', 'ConcatenationFusion', 'MutualProjectedFusion']
)
@pytest.mark.parametrize('scale', [2, 3, 4])
def test_every_fusion_of_table_5(fusion, scale):
    assert_trains(SEMCell(4, upscale_factor=scale, fusion=dict(type=fusion)), scale)


def test_x4_has_two_stages_as_released_or_one_as_in_the_papers_text():
    assert len(SEMCell(4, upscale_factor=4).stages) == 2
    fusion = dict(type='MutualProjectedFusion', recipe='paper')
    cell = SEMCell(4, upscale_factor=4, stages=(4,), in_scale_grid=(2, 2), fusion=fusion)
    assert len(cell.stages) == 1
    assert cell.stages[0].cross_scale_attention.scale == 4
    assert_trains(cell, 4)


def test_the_plain_baseline_has_ten_convolutions():
    cell = SEMCell(4, branches=[])
    kernels = [m.kernel_size for m in cell.plain.modules() if isinstance(m, torch.nn.Conv2d)]
    assert kernels.count((3, 3)) == 10


@pytest.mark.parametrize(
    'arguments, message',
    [
        (dict(upscale_factor=5), r'\[2, 3, 4\]'),
        (dict(upscale_factor=2.0), r'\[2, 3, 4\]'),
        (dict(upscale_factor=4, stages=(2,)), 'multiply'),
        (dict(stages=(1, 2)), 'multiply'),
        (dict(branches=['locl']), 'in_scale'),
        (dict(branches='local'), 'cross_scale'),
        (dict(branches=['local', 'local']), 'distinct'),
    ],
)
def test_errors_name_what_is_accepted(arguments, message):
    with pytest.raises(ValueError, match=message):
        SEMCell(4, **arguments)
