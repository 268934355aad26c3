"""Attention of any pixel, recurrence and stage from one run of a network."""

import threading

import numpy as np
import pytest
import torch

from csnln_mm.errors import UserError
from csnln_mm.images.image_file import ImageData
from csnln_mm.networks import CSNLNNet
from csnln_mm.upscaling import Upscaler
from csnln_mm.visualization import AttentionRecord, extract_attention
from csnln_mm.visualization.figures import concentration, top_matches
from csnln_mm.visualization.overlays import draw_map, draw_matches, error_map, match_crops

IMAGE = ImageData(np.random.RandomState(0).randint(0, 256, (20, 24, 3), np.uint8))


@pytest.fixture(scope='module')
def upscaler():
    torch.manual_seed(0)
    return Upscaler(CSNLNNet(mid_channels=4, num_recurrences=2, upscale_factor=4), tile=0)


@pytest.fixture(scope='module')
def record(upscaler):
    return AttentionRecord(upscaler, IMAGE, (5, 6), window=16)


def test_one_run_gives_the_maps_of_every_recurrence_and_stage(upscaler, record):
    assert (record.recurrences, record.num_stages) == ([1, 2], 2)
    for recurrence in 1, 2:
        for stage in 1, 2:
            place = dict(recurrence=recurrence, stage=stage)
            one = record.maps((5, 6), **place)
            (expected,) = extract_attention(upscaler, IMAGE, [(5, 6)], window=16, **place)
            assert one.query == expected.query and one.offset == expected.offset
            np.testing.assert_array_equal(one.in_scale, expected.in_scale)
            np.testing.assert_array_equal(one.cross_scale, expected.cross_scale)


def test_it_is_of_its_own_run_alone(upscaler, record):
    """Another thread that upscales with the same network at the same time is not recorded."""
    network, other = upscaler.network, Upscaler(upscaler.network, tile=0)

    def interfere(*_):
        if threading.current_thread() is threading.main_thread():
            thread = threading.Thread(target=other, args=(IMAGE.pixels,))
            thread.start()
            thread.join()

    hook = network.head.register_forward_hook(interfere)
    again = AttentionRecord(upscaler, IMAGE, (5, 6), window=16)
    hook.remove()
    for place in dict(recurrence=1, stage=2), dict(recurrence=2, stage=1):
        np.testing.assert_array_equal(
            again.maps((5, 6), **place).cross_scale, record.maps((5, 6), **place).cross_scale
        )


def test_a_network_without_attention_has_no_record():
    network = CSNLNNet(mid_channels=4, num_recurrences=1, cell=dict(branches=('local',)))
    with pytest.raises(UserError, match='no attention'):
        AttentionRecord(Upscaler(network, tile=0), IMAGE, (0, 0))


def test_overlays_have_the_size_of_the_magnified_input(record):
    one = record.maps((5, 6), stage=2)
    matches, _ = top_matches(one, 3)
    assert draw_matches(one, matches, factor=3).shape == (48, 48, 3)
    assert draw_map(one, one.cross_scale, factor=3).shape == (48, 48, 3)
    assert draw_map(one, one.in_scale, factor=3).shape == (48, 48, 3)
    crops = match_crops(one, matches, 4)
    assert [crop.caption for crop in crops[:2]] == ['target', 'became']
    assert crops[2].caption == f'1: {100 * matches[0].weight:.3g} %'


def test_the_brightest_place_of_a_map_is_that_of_the_largest_weight(record):
    one = record.maps((5, 6))
    weights = np.full((16, 16), 0.5 / 255, np.float32)
    weights[12, 3] = 0.5
    brightness = draw_map(one._replace(in_scale=weights), weights, factor=4).sum(-1)
    assert np.unravel_index(brightness.argmax(), brightness.shape)[0] // 4 == 12


def test_the_error_map_is_the_largest_difference_over_the_channels():
    gt = np.full((1, 2, 3), 100, np.uint8)
    image = gt.copy()
    image[0, 1] = 103, 90, 100
    assert error_map(image, gt, gain=8)[0, :, 0].tolist() == [0, 80]


def test_concentration_counts_the_places_that_hold_half():
    weights = np.array([[0.5, 0.3], [0.1, 0.1]])
    assert concentration(weights, 'pixels') == (
        'half of the weight on 1 of 4 pixels, largest 2 times the mean'
    )
