import zlib

import cv2
import numpy as np
import pytest

from csnln_mm.errors import UserError
from csnln_mm.images.bands import fit_groups, parse_bands
from csnln_mm.images.image_data import ImageData
from csnln_mm.images.image_file import as_8_bit_rgb, read_image
from csnln_mm.images.value_range import check_range, find_range


def ramp(low, high, dtype, size=(60, 70)):
    return np.linspace(low, high, size[0] * size[1]).reshape(size).astype(dtype)


@pytest.mark.parametrize(
    'pixels, expected, origin',
    [
        (ramp(3, 9, np.uint8), (0, 255), 'full'),
        (ramp(0, 65000, np.uint16), (0, 65535), 'full'),
        (ramp(0, 4000, np.uint16), (0, 4095), 'data'),
        (ramp(1, 200, np.uint16), (0, 255), 'data'),
        # A detector of heat: no bit more is in use than the contrast needs.
        (ramp(27000, 31000, np.uint16), (27000, 31000), 'data'),
        (ramp(-1000, 3000, np.int16), (-1000, 3000), 'data'),
        (ramp(0, 0.9, np.float32), (0, 1), 'full'),
        (ramp(-3, 40, np.float32), (-3, 40), 'data'),
        (np.zeros((4, 5), np.int16), (0, 1), 'data'),
    ],
)
def test_what_the_pixels_show(pixels, expected, origin):
    found = find_range(ImageData(pixels), None)
    assert (found.low, found.high, found.origin) == ((expected[0],), (expected[1],), origin)


def test_a_few_outliers_do_not_make_the_range():
    pixels = ramp(0, 1000, np.uint16, (300, 400))
    pixels[100, 100:105] = 65535
    assert find_range(ImageData(pixels), None).high == (1023,)
    heights = ramp(200, 300, np.float32, (300, 400))
    heights[7, 8] = 1e6
    found = find_range(ImageData(heights), None)
    assert found.low[0] == pytest.approx(200, abs=1) and found.high[0] == pytest.approx(300, abs=1)


def test_what_stands_for_no_value_does_not_count():
    heights = ramp(200, 300, np.float32)
    heights[:20], heights[20:25], heights[25] = -9999, np.nan, -3.4e38
    low, high, _ = find_range(ImageData(heights, nodata=-9999), None)
    assert 230 < low[0] < 250 and high == (300,)
    alpha = np.full((60, 70), 65535, np.uint16)
    pixels = ramp(0, 4000, np.uint16)
    pixels[:5], alpha[:5] = 65535, 0
    assert find_range(ImageData(pixels, alpha), None).high == (4095,)
    nothing = find_range(ImageData(np.full((4, 4), np.nan, np.float32)), None)
    assert (nothing.low, nothing.high) == ((0,), (1,))


def test_bands_of_a_group_have_one_range_unless_each_is_asked_for():
    pixels = np.stack([ramp(0, top, np.uint16) for top in (900, 500, 400, 3000)], -1)
    assert find_range(ImageData(pixels), None).high == (1023, 1023, 1023, 4095)
    assert find_range(ImageData(pixels, bands=(1,) * 4), None).high == (1023, 511, 511, 4095)
    high = find_range(ImageData(pixels), 'data').high
    np.testing.assert_allclose(high, (900, 500, 400, 3000), rtol=0.02)


def test_the_order_is_given_then_file_then_data():
    image = ImageData(ramp(0, 900, np.uint16), value_range=(0, 4095))
    assert find_range(image, (5, 6))[:2] == ((5,), (6,))
    assert find_range(image, None).origin == 'file'
    assert find_range(image, 'full').high == (65535,)
    assert str(find_range(image, None)) == '0 to 4095'


@pytest.mark.parametrize('option', [(3, 2), (0, np.inf), (1,), 'auto', ('a', 'b')])
def test_ranges_that_are_none(option):
    with pytest.raises(UserError, match='range must'):
        check_range(option)


def test_eight_bits_to_look_at():
    pixels = ramp(0, 4095, np.uint16)
    shown = as_8_bit_rgb(ImageData(pixels))
    np.testing.assert_array_equal(shown[..., 1], (pixels / 4095 * 255).round())
    assert as_8_bit_rgb(pixels).max() == 16
    bands = np.stack([ramp(0, 1, np.float32)] * 5, -1)
    bands[0, 0] = np.nan
    assert as_8_bit_rgb(ImageData(bands)).shape == (60, 70, 3)


def test_bands_are_named_from_one():
    assert parse_bands('4,3,2+8') == ((3, 2, 1), (7,))
    for text in '', '0', '1,,2', '1;2', '1+1', 'red':
        with pytest.raises(UserError, match='bands must be'):
            parse_bands(text)


def test_groups_are_of_one_band_or_what_the_network_takes():
    assert fit_groups((3, 1), 3, chosen=False) == (3, 1)
    assert fit_groups((3, 1), 1, chosen=False) == (1, 1, 1, 1)
    assert fit_groups((1, 1, 1), 3, chosen=False) == (1, 1, 1)
    assert fit_groups((1,) * 5, 5, chosen=False) == (5,)
    with pytest.raises(UserError, match='takes 5 bands together, or one as grey, not 3'):
        fit_groups((3, 1), 5, chosen=False)


@pytest.mark.parametrize(
    'pixels, expected',
    [
        (np.arange(100, 160).reshape(6, 10) << 4, 65535),  # as PNG wants it
        (np.arange(100, 160).reshape(6, 10) * 65535 // 4095, 65535),
        (np.arange(100, 160).reshape(6, 10), 4095),  # as some write it
        (np.arange(60).reshape(6, 10) * 1101, 65535),  # it is not true
    ],
)
def test_significant_bits_of_a_png(tmp_path, pixels, expected):
    _, data = cv2.imencode('.png', pixels.astype(np.uint16))
    data, chunk = data.tobytes(), b'sBIT\x0c'
    chunk = (1).to_bytes(4, 'big') + chunk + zlib.crc32(chunk).to_bytes(4, 'big')
    (tmp_path / 'a.png').write_bytes(data[:33] + chunk + data[33:])
    assert find_range(read_image(tmp_path / 'a.png'), None).high == (expected,)
