import pytest
import torch
from mmagic.models.archs import SpatialTemporalEnsemble
from mmagic.registry import MODELS
from mmagic.structures import DataSample
from mmengine.registry import DefaultScope

from csnln_mm.upscaling.chopping import chopped_forward
from csnln_mm.upscaling.tiling import self_ensemble, tiled_forward


@pytest.fixture(autouse=True)
def scope():
    with DefaultScope.overwrite_default_scope('mmagic'):
        yield


def build(**kwargs):
    torch.manual_seed(0)
    return MODELS.build(
        dict(
            type='CSNLNEditor',
            generator=dict(type='CSNLNNet', mid_channels=4, num_recurrences=1),
            pixel_loss=dict(type='L1Loss'),
            data_preprocessor=dict(type='DataPreprocessor', mean=[0.0] * 3, std=[255.0] * 3),
            **kwargs,
        )
    )


@pytest.mark.parametrize(
    'test_cfg, forward',
    [
        (None, lambda network, x: network(x)),
        # Options of another mode do not matter.
        (dict(mode='whole', overlap=4, max_pixels=200), lambda network, x: network(x)),
        (
            dict(mode='chop', overlap=4, max_pixels=200),
            lambda network, x: chopped_forward(network, x, 2, overlap=4, max_pixels=200),
        ),
        (
            dict(mode='tile', tile=16, overlap=4),
            lambda network, x: tiled_forward(network, x, 2, tile=16, overlap=4),
        ),
        (dict(ensemble=True), lambda network, x: SpatialTemporalEnsemble()(x, network)),
    ],
)
def test_what_it_predicts(test_cfg, forward):
    model, image = build(test_cfg=test_cfg), torch.randint(0, 256, (3, 40, 31)).float()
    data = model.data_preprocessor(dict(inputs=[image], data_samples=[DataSample()]))
    with torch.no_grad():
        predicted = model(**data, mode='predict')[0].output.pred_img
        expected = forward(model.generator, image[None] / 255)[0] * 255
    torch.testing.assert_close(predicted, expected.clamp(0, 255))


def test_the_ensemble_is_mmagics_to_the_bit():
    generator, x = build().generator, torch.rand(1, 3, 12, 9)
    with torch.no_grad():
        expected = SpatialTemporalEnsemble()(x, generator)
        assert torch.equal(self_ensemble(generator, x), expected)


@pytest.mark.parametrize(
    'test_cfg, message',
    [
        (dict(mode='tiles'), 'chop'),
        (dict(mode='chop', overlp=3), 'overlp.*overlap'),
        (dict(overlp=3), 'overlp.*overlap'),
        (dict(mode='chop', overlap=-1), 'overlap must be'),
        (dict(mode='tile', tile=16, overlap=9), 'overlap must be'),
    ],
)
def test_errors_name_what_is_accepted(test_cfg, message):
    with pytest.raises(ValueError, match=message):
        build(test_cfg=test_cfg)
