"""Images to train on or to measure against, as what they are of 0 to 255."""

import numpy as np
import pytest
import tifffile

from csnln_mm.errors import UserError
from csnln_mm.images.ground_truth import count_bands, read_ground_truth
from csnln_mm.images.image_data import ImageData
from csnln_mm.images.image_file import read_header, write_image


def bands(count, dtype=np.uint16, high=4000):
    ramp = np.linspace(0, high, 12 * 14 * count).reshape(12, 14, count)
    return ramp.astype(dtype)


def test_black_and_white_are_0_and_255(tmp_path):
    path = tmp_path / 'a.tif'
    write_image(path, bands(4))
    truth = read_ground_truth(path)
    assert truth.values.high == (4095,) * 4  # the bits in use
    values = truth.to_255(truth.image.pixels)
    assert values.dtype == np.float32
    np.testing.assert_allclose(values, bands(4) * (255 / 4095), rtol=1e-6)
    given = read_ground_truth(path, (1000, 2000))
    assert given.to_255(np.array([[[1000] * 4, [2000] * 4]])).tolist() == [[[0] * 4, [255] * 4]]


def test_8_bits_are_what_they_are(tmp_path):
    pixels = bands(5, np.uint8, 200)
    write_image(tmp_path / 'a.tif', pixels)
    truth = read_ground_truth(tmp_path / 'a.tif')
    values = truth.to_255(truth.image.pixels)
    assert values.dtype == np.uint8 and (values == pixels).all()


def test_bands_are_chosen_in_their_order(tmp_path):
    write_image(tmp_path / 'a.tif', bands(4))
    chosen = read_ground_truth(tmp_path / 'a.tif', 'full', '4,1')
    assert (chosen.image.pixels == bands(4)[..., [3, 0]]).all()
    with pytest.raises(UserError, match='a.tif: there is no band 5'):
        read_ground_truth(tmp_path / 'a.tif', bands='5')


def test_what_has_no_value_takes_its_neighbours(tmp_path):
    pixels = bands(1, np.float32)[..., 0]
    pixels[3, 4], pixels[0, 0] = np.nan, -9999
    write_image(tmp_path / 'a.tif', ImageData(pixels))
    tifffile.imwrite(tmp_path / 'b.tif', pixels, extratags=[(42113, 's', 0, '-9999', True)])
    filled = read_ground_truth(tmp_path / 'b.tif').image
    assert filled.pixels[3, 4, 0] in (pixels[2:5, 3:6].ravel()) and filled.nodata is None
    assert filled.pixels[0, 0, 0] in (pixels[0, 1], pixels[1, 0])
    assert np.isfinite(read_ground_truth(tmp_path / 'a.tif').image.pixels).all()


@pytest.mark.parametrize(
    'pixels, chosen, expected',
    [
        (bands(1, np.uint8)[..., 0], None, None),
        (bands(3, np.uint8), None, None),
        (bands(3, np.uint8), '1,2', 2),
        (bands(3), None, 3),
        (bands(1)[..., 0], None, 1),
        (bands(6, np.uint8), None, 6),
    ],
)
def test_what_all_programs_read_alike(tmp_path, pixels, chosen, expected):
    write_image(tmp_path / 'a.tif', pixels)
    assert count_bands('a.tif', read_header(tmp_path / 'a.tif'), chosen) == expected
