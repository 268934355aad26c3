import pytest
from mmengine.config import Config

from csnln_mm.checkpoints.architecture import check_settings
from csnln_mm.errors import UserError


def checkpoint(**generator):
    model = dict(type='CSNLNEditor', generator=dict(dict(type='CSNLNNet'), **generator))
    return dict(meta=dict(cfg=Config(dict(model=model)).pretty_text), state_dict={})


@pytest.mark.parametrize(
    'generator, reason',
    [
        (dict(image_skip=True), 'image_skip=True, not False'),
        (dict(cell=dict(patch_size=5)), 'patch_size=5, not 3'),
        (dict(cell=dict(in_scale_grid=(2, 2))), r'in_scale_grid=\(2, 2\), not \(1, 1\)'),
        (dict(rgb_mean=[0.0, 0.0, 0.0]), 'rgb_mean'),
    ],
)
def test_what_the_weights_do_not_show_is_found(generator, reason):
    with pytest.raises(UserError, match=f'a.pth does not fit the config: .* {reason}'):
        check_settings(checkpoint(**generator), dict(type='CSNLNNet'), 'a.pth')
    check_settings(checkpoint(**generator), dict(dict(type='CSNLNNet'), **generator), 'a.pth')


def test_defaults_that_are_written_out_are_the_same():
    written = dict(
        type='CSNLNNet',
        image_skip=False,
        rgb_mean=[0.4488, 0.4371, 0.4040],
        cell=dict(patch_size=3, in_scale_grid=None),
    )
    check_settings(checkpoint(), written, 'a.pth')
    check_settings(checkpoint(**written), dict(type='CSNLNNet'), 'a.pth')


def test_nothing_to_compare_passes():
    for file in {}, [], dict(meta=dict()), dict(meta=dict(cfg='x = f()')), checkpoint(type='RDN'):
        check_settings(file, dict(type='CSNLNNet', image_skip=True), 'a.pth')
    check_settings(checkpoint(image_skip=True), dict(type='BicubicUpsampler'), 'a.pth')
