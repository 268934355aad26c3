"""Attention of any pixel, recurrence and stage from one run of a network."""

import threading

import cv2
import numpy as np
import pytest
import torch

from csnln_mm.errors import UserError
from csnln_mm.images.image_file import ImageData
from csnln_mm.networks import CSNLNNet
from csnln_mm.upscaling import Upscaler
from csnln_mm.visualization import AttentionRecord, extract_attention, extract_attribution
from csnln_mm.visualization.maps import (
    BOX_COLOURS,
    Match,
    concentration,
    match_crops,
    shares,
    top_matches,
)
from csnln_mm.visualization.overlays import draw_map, draw_matches, error_map

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


@pytest.mark.parametrize('bands', [1, 4])
def test_a_network_of_other_bands_is_named(bands):
    sizes = dict(in_channels=bands, out_channels=bands, rgb_mean=[0.4] * bands)
    upscaler = Upscaler(CSNLNNet(mid_channels=4, num_recurrences=1, **sizes), tile=0)
    for show in AttentionRecord, extract_attribution:
        with pytest.raises(UserError, match=f'networks for colour, not for {bands} bands'):
            show(upscaler, IMAGE, (0, 0))


def test_overlays_have_the_size_of_the_magnified_input(record):
    one = record.maps((5, 6), stage=2)
    matches, _ = top_matches(one, 3)
    assert draw_matches(one, matches, factor=3).shape == (48, 48, 3)
    assert draw_map(one, one.cross_scale, factor=3).shape == (48, 48, 3)
    assert draw_map(one, one.in_scale, factor=3).shape == (48, 48, 3)
    crops = match_crops(one, matches, 4)
    assert [(crop.title, crop.caption) for crop in crops[:2]] == [
        ('target', 'input'),
        ('result', 'x4'),
    ]
    assert [crop.caption for crop in crops[2:]] == shares([match.weight for match in matches])


def test_labels_of_patches_side_by_side_do_not_cover_one_another(record):
    one = record.maps((5, 6))
    # A stack, a step of half a side apart, and one in the corner.
    matches = [Match(0.1, 3, y, 4) for y in (2, 4, 6)] + [Match(0.1, 0, 0, 4)]
    drawn = draw_matches(one._replace(input=np.zeros_like(one.input)), matches, factor=40)
    for colour in BOX_COLOURS[:4]:
        # A label is a filled rectangle; what another one covered would be missing.
        mask = (drawn == tuple(bytes.fromhex(colour[1:]))).all(-1).astype(np.uint8)
        filled = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((9, 9)))
        filled = cv2.morphologyEx(filled, cv2.MORPH_OPEN, np.ones((15, 15)))
        assert cv2.connectedComponents(filled)[0] == 2, colour


def test_shares_have_the_same_number_of_digits():
    assert shares([0.4815, 0.0011]) == ['48.1 %', '0.1 %']
    assert shares([0.00043, 0.00002]) == ['0.043 %', '0.002 %']


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
    single = np.eye(1, 2048)
    assert concentration(single, 'patches').endswith('largest 2,048 times the mean')
