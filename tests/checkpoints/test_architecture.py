import json

import pytest

from csnln_mm.checkpoints.architecture import check_settings, differences, read_architecture
from csnln_mm.errors import UserError


def checkpoint(**network):
    model = dict(type='CSNLNEditor', generator=dict(dict(type='CSNLNNet'), **network))
    return dict(meta=dict(cfg=f'x = f()\nmodel = {model!r}\n'), state_dict={})


@pytest.mark.parametrize(
    'network, reason',
    [
        (dict(upscale_factor=3), 'upscale_factor=3, not 2'),
        (dict(image_skip=True), 'image_skip=True, not False'),
        (dict(recurrence_skip=True), 'recurrence_skip=True, not False'),
        (dict(cell=dict(patch_size=5)), 'patch_size=5, not 3'),
        (dict(cell=dict(cross_scale_attention=dict(patch_size=5))), 'patch_size=5, not 3'),
        (dict(cell=dict(cross_scale_attention=dict(softmax_scale=1.0))), 'softmax_scale=1.0, not'),
        (dict(cell=dict(in_scale_grid=(2, 2))), r'in_scale_grid=\(2, 2\), not \(1, 1\)'),
        (dict(cell=dict(in_scale_attention=dict(grid=[2, 2]))), r'in_scale_grid=\(2, 2\)'),
        (dict(attention_recurrences=[1, 3]), 'attention_recurrences=.1, 3., not None'),
        (dict(rgb_mean=[0.0, 0.0, 0.0]), 'rgb_mean'),
        (dict(cell=dict(type='MyCell')), 'cell='),
    ],
)
def test_settings_that_the_weights_may_not_show_are_compared(network, reason):
    with pytest.raises(UserError, match=f'a.pth does not fit the config: .* {reason}'):
        check_settings(checkpoint(**network), dict(type='CSNLNNet'), 'a.pth')
    assert differences(dict(type='CSNLNNet'), network)
    check_settings(checkpoint(**network), dict(dict(type='CSNLNNet'), **network), 'a.pth')


def test_defaults_that_are_written_out_are_the_same():
    written = dict(
        type='CSNLNNet',
        image_skip=False,
        recurrence_skip=False,
        rgb_mean=[0.4488, 0.4371, 0.4040],
        cell=dict(patch_size=3, in_scale_grid=None),
        attention_recurrences=list(range(1, 13)),
    )
    check_settings(checkpoint(), written, 'a.pth')
    check_settings(checkpoint(**written), dict(type='CSNLNNet'), 'a.pth')


def test_nothing_to_compare_passes():
    for file in {}, [], dict(meta=dict()), dict(meta=dict(cfg='x = f()')), checkpoint(type='RDN'):
        check_settings(file, dict(type='CSNLNNet', image_skip=True), 'a.pth')
    check_settings(checkpoint(image_skip=True), dict(type='BicubicUpsampler'), 'a.pth')


@pytest.mark.parametrize('network', [dict(cell=[1]), dict(attention_recurrences=1)])
def test_nonsense_in_a_checkpoint_is_one_line(network):
    with pytest.raises(UserError, match='the config in checkpoint a.pth is refused'):
        check_settings(checkpoint(**network), dict(type='CSNLNNet'), 'a.pth')


def test_metadata_of_safetensors():
    network = dict(type='CSNLNNet', upscale_factor=3, cell=dict(patch_size=1))
    meta = dict(architecture=json.dumps(network))
    assert read_architecture(dict(meta=meta, state_dict={}), 'a.safetensors') == network
    for text in '[' * 10**5, '[]', 'null', '{', 'x':
        with pytest.raises(UserError, match='the config in checkpoint a is refused'):
            read_architecture(dict(meta=dict(architecture=text), state_dict={}), 'a')


@pytest.mark.parametrize(
    'preprocessor', [dict(type='DataPreprocessor'), dict(mean=[0, 0, 0], std=[1, 1, 1]), [1], 'x']
)
def test_images_that_were_normalized_otherwise(preprocessor):
    model = dict(generator=dict(type='CSNLNNet'), data_preprocessor=preprocessor)
    with pytest.raises(UserError, match='a.pth is refused: its data_preprocessor'):
        read_architecture(dict(meta=dict(cfg=f'model = {model}')), 'a.pth')
