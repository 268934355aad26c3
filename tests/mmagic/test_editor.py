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


def predict(model, image):
    data = model.data_preprocessor(dict(inputs=[image], data_samples=[DataSample()]))
    with torch.no_grad():
        return model(**data, mode='predict')[0].output.pred_img


def test_predicts_the_whole_image_by_default():
    model, image = build(), torch.randint(0, 256, (3, 40, 31)).float()
    with torch.no_grad():
        expected = model.generator(image[None] / 255)[0] * 255
    torch.testing.assert_close(predict(model, image), expected.clamp(0, 255))


def test_options_of_another_mode_do_not_matter():
    image = torch.randint(0, 256, (3, 40, 31)).float()
    model = build(test_cfg=dict(mode='whole', overlap=4, max_pixels=200))
    torch.testing.assert_close(predict(model, image), predict(build(), image))


def test_predicts_in_released_pieces():
    model = build(test_cfg=dict(mode='chop', overlap=4, max_pixels=200))
    image = torch.randint(0, 256, (3, 40, 31)).float()
    with torch.no_grad():
        expected = (
            chopped_forward(model.generator, image[None] / 255, 2, overlap=4, max_pixels=200)[0]
            * 255
        )
    torch.testing.assert_close(predict(model, image), expected.clamp(0, 255))


def test_predicts_in_blended_tiles():
    model = build(test_cfg=dict(mode='tile', tile=16, overlap=4))
    image = torch.randint(0, 256, (3, 40, 31)).float()
    with torch.no_grad():
        expected = tiled_forward(model.generator, image[None] / 255, 2, tile=16, overlap=4)[0] * 255
    torch.testing.assert_close(predict(model, image), expected.clamp(0, 255))


def test_the_ensemble_is_the_mean_over_flips_and_rotations():
    model = build(test_cfg=dict(ensemble=True))
    image = torch.randint(0, 256, (3, 12, 9)).float()
    x, sides = image[None] / 255, (-2, -1)
    variants = []
    with torch.no_grad():
        for turns in range(4):
            for flip in (), (-1,):
                y = model.generator(x.rot90(turns, sides).flip(flip))
                variants.append(y.flip(flip).rot90(-turns, sides))
    expected = torch.stack(variants).mean(0)[0] * 255
    torch.testing.assert_close(predict(model, image), expected.clamp(0, 255))


def test_the_ensemble_is_mmagics_to_the_bit():
    """Which the figures of before were measured with."""
    generator = build().generator
    x = torch.rand(1, 3, 12, 9)
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
