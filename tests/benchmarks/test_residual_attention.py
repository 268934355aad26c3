"""Attention on what an image's own reduction lost, with a gate."""

import numpy as np
import pytest
import torch
from residual_attention import Levels, ResidualAttention, gain, known, main, train

from csnln_mm.checkpoints import load_network
from csnln_mm.images import write_image


@pytest.fixture(scope='module')
def network():
    network = load_network('csnln-x2-fast')
    network.requires_grad_(False)
    return network


@pytest.fixture
def rings(tmp_path):
    """Rings that become narrower in proportion to the distance: each recurs at half the size."""
    y, x = np.mgrid[1:97, 1:97]
    wave = 127 * np.sign(np.sin(9 * np.log(x * x + 2 * y * y))) + 128
    write_image(tmp_path / 'rings.png', np.repeat(wave[..., None], 3, axis=2).astype(np.uint8))
    return Levels.read(tmp_path / 'rings.png')


def test_nothing_is_added_at_first(network, rings):
    image = known(network, rings)
    added, fetched = ResidualAttention(network.mid_channels)(image)
    assert not added.any() and fetched.any()
    assert image.residual.shape == (1, 3, 48, 48) and image.residual.abs().max() > 0.1


def test_features_of_large_images_are_whole(network, rings):
    large = Levels(*(np.tile(level, (6, 6, 1)) for level in rings))
    image = known(network, large)
    assert image.features.shape == (1, 48, 288, 288)
    assert image.half_features.shape == (1, 48, 144, 144)


def test_the_crops_of_all_levels_show_the_same(rings):
    random = np.random.default_rng(0)
    for _ in range(8):
        crop = rings.crop(16, random)
        assert [level.shape[:2] for level in crop] == [(32, 32), (16, 16), (8, 8)]
        means = crop.hr.reshape(8, 4, 8, 4, 3).mean((1, 3))
        assert np.corrcoef(means.ravel(), crop.half.ravel())[0, 1] > 0.9


@pytest.mark.parametrize('fetching', (True, False))
def test_training_changes_the_head_alone(network, rings, fetching):
    before = {key: value.clone() for key, value in network.state_dict().items()}
    head = train(network, [rings], steps=3, side=32, fetching=fetching)
    assert head(known(network, rings))[0].any() and np.isfinite(gain(network, head, rings))
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert (head.query[0].weight.ne(head.key[0].weight).any()) == fetching


@pytest.mark.parametrize(
    ('arguments', 'message'),
    (
        (['--test', 'nowhere'], 'nowhere is not a folder'),
        (['--test', '.', '--side', '15'], '--side an even number'),
        (['--test', '.', '--out', 'nowhere/head.pt'], 'no folder nowhere'),
        (['--test', '.'], 'to train with, or none to test'),
    ),
)
def test_wrong_arguments_are_one_line_before_any_training(
    arguments, message, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr('sys.argv', ['residual_attention.py', '.', *arguments])
    with pytest.raises(SystemExit):
        main()
    assert message in capsys.readouterr().err
