"""TIFF files of satellites and microscopes, judged by the libraries that wrote them."""

import itertools
import warnings
import zlib

import numpy as np
import pytest
import tifffile
from tiny_network import save_checkpoint

from csnln_mm.errors import UserError
from csnln_mm.images.image_file import read_header, read_image
from csnln_mm.upscaling import Upscaler, upscale

HEIGHT, WIDTH = 50, 70
DTYPES = 'uint8', 'uint16', 'int16', 'float32'
# The options of rasterio and what it is to be judged by; bands, kind of georeference.
LAYOUTS = [
    {},
    dict(tiled=True, blockxsize=32, blockysize=16, compress='deflate'),
    dict(interleave='band', compress='lzw'),
    dict(interleave='band', tiled=True, blockxsize=16, blockysize=16, BIGTIFF='YES'),
    dict(compress='zstd', predictor=2, ENDIANNESS='BIG'),
]
KINDS = 'area', 'rotated', 'point', 'gcps'
CASES = [
    (dtype, bands, layout, KINDS[i % 4])
    for i, (dtype, bands, layout) in enumerate(
        itertools.product(DTYPES, (1, 2, 3, 4, 10), range(len(LAYOUTS)))
    )
]


def smooth(dtype, bands):
    """[bands, H, W], of little that a network could change."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    bases = [np.sin((x * (i + 1) + y) / 25) + np.cos(y / 17 + i) for i in range(bands)]
    base = (np.stack(bases) + 2) / 4
    low, high = {'uint8': (0, 255), 'uint16': (0, 9000), 'int16': (-900, 2000)}.get(dtype, (-1, 1))
    return (base * (high - low) + low).astype(dtype)


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp('plain') / 'plain.pth'
    return save_checkpoint(path, plain=True, cell=dict(branches=('local',)))


def run(source, checkpoint, **options):
    target = source.with_name('result.tif')
    options = dict(dict(checkpoint=checkpoint, device='cpu', overwrite=True), **options)
    (result,) = upscale([source], target, **options)
    assert result.status == 'done', result.reason
    return target


def halved(pixels):
    """The mean of 2x2 pixels, [..., H, W]."""
    return pixels.reshape(*pixels.shape[:-2], HEIGHT, 2, WIDTH, 2).mean((-3, -1), dtype=float)


def check_pixels(result, source):
    assert np.abs(halved(result) - source).max() < 0.05 * np.ptp(source.astype(float))


@pytest.mark.parametrize('dtype, bands, layout, kind', CASES)
def test_a_georeferenced_image_lies_where_it_lay(tmp_path, checkpoint, dtype, bands, layout, kind):
    rasterio = pytest.importorskip('rasterio')
    pytest.importorskip('imagecodecs')
    from rasterio.control import GroundControlPoint
    from rasterio.transform import Affine

    pixels = smooth(dtype, bands)
    options = dict(LAYOUTS[layout], width=WIDTH, height=HEIGHT, count=bands, dtype=dtype)
    turn = (10, 2, 6e5, 1.5, -10, 5.2e6) if kind == 'rotated' else (10, 0, 6e5, 0, -10, 5.2e6)
    if kind != 'gcps':
        options.update(crs='EPSG:32632', transform=Affine(*turn))
    if dtype != 'uint8':
        options['nodata'] = 0 if dtype == 'uint16' else -9999
        pixels[:, 20:30, 30:50] = options['nodata']
    with rasterio.open(tmp_path / 'a.tif', 'w', driver='GTiff', **options) as file:
        file.write(pixels)
        if kind == 'point':
            file.update_tags(AREA_OR_POINT='Point')
        if kind == 'gcps':
            corners = [(0, 0), (50, 0), (0, 70), (50, 70)]
            points = [GroundControlPoint(r, c, 6e5 + 9 * c, 5.2e6 - 11 * r) for r, c in corners]
            file.gcps = points, rasterio.crs.CRS.from_epsg(32632)
        file.set_band_description(bands, 'infrared')
    target = run(tmp_path / 'a.tif', checkpoint)
    with rasterio.open(tmp_path / 'a.tif') as before, rasterio.open(target) as after:
        assert after.crs == before.crs and after.dtypes == before.dtypes
        assert after.nodata == before.nodata and after.descriptions == before.descriptions
        assert after.tags().get('AREA_OR_POINT') == before.tags().get('AREA_OR_POINT')
        if kind == 'gcps':
            (old, crs), (new, crs_after) = before.gcps, after.gcps
            assert crs == crs_after and len(old) == len(new) == 4
            for a, b in zip(old, new):
                assert (b.row, b.col, b.x, b.y) == (2 * a.row, 2 * a.col, a.x, a.y)
        else:
            np.testing.assert_allclose(after.bounds, before.bounds, rtol=0, atol=1e-9)
            assert after.transform.almost_equals(before.transform @ Affine.scale(0.5), 1e-9)
        result = after.read()
    hidden = np.zeros(pixels.shape, bool) if dtype == 'uint8' else pixels == options['nodata']
    np.testing.assert_array_equal(
        np.kron(hidden, np.ones((2, 2))), hidden.any() & (result == options.get('nodata'))
    )
    difference = np.abs(halved(result) - pixels)[~hidden]
    assert difference.max() < 0.06 * np.ptp(pixels[~hidden].astype(float))


@pytest.mark.parametrize('interleave', ['pixel', 'band'])
def test_a_mask_becomes_transparency(tmp_path, checkpoint, interleave):
    rasterio = pytest.importorskip('rasterio')
    pixels, mask = smooth('uint16', 3), np.ones((HEIGHT, WIDTH), bool)
    mask[20:30, 30:50] = False
    pixels[:, ~mask] = 65535
    options = dict(width=WIDTH, height=HEIGHT, count=3, dtype='uint16', interleave=interleave)
    with warnings.catch_warnings(), rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        warnings.simplefilter('ignore')
        with rasterio.open(tmp_path / 'a.tif', 'w', driver='GTiff', **options) as file:
            file.write(pixels)
            file.write_mask(mask)
        with rasterio.open(run(tmp_path / 'a.tif', checkpoint)) as after:
            assert [colour.name for colour in after.colorinterp][3:] == ['alpha']
            *bands, alpha = halved(after.read())
    assert (alpha[:16] == 65535).all() and (alpha[24:26, 34:46] == 0).all()
    assert np.abs(bands - pixels)[:, mask].max() < 0.06 * 9000


def test_what_an_rpc_locates_is_located_twice_as_far(tmp_path, checkpoint):
    rasterio = pytest.importorskip('rasterio')
    from rasterio.rpc import RPC
    from rasterio.transform import RPCTransformer

    def terms(*values):
        return [*values, *[0.0] * (20 - len(values))]

    offsets = dict(height_off=100, lat_off=45, long_off=7, line_off=24.5, samp_off=34)
    scales = dict(height_scale=500, lat_scale=0.05, long_scale=0.06, line_scale=26, samp_scale=37)
    lines = dict(line_num_coeff=terms(-0.02, 0.03, -1.0, 0.002), line_den_coeff=terms(1.0))
    samples = dict(samp_num_coeff=terms(0.01, 1.0, 0.02, 0.001), samp_den_coeff=terms(1.0))
    options = dict(driver='GTiff', width=WIDTH, height=HEIGHT, count=1, dtype='uint16')
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        with rasterio.open(tmp_path / 'a.tif', 'w', **options) as file:
            file.write(smooth('uint16', 1))
            file.rpcs = RPC(**offsets, **scales, **lines, **samples, err_bias=None, err_rand=None)
        places = []
        for path in tmp_path / 'a.tif', run(tmp_path / 'a.tif', checkpoint):
            with rasterio.open(path) as file:
                found = RPCTransformer(file.rpcs).rowcol(
                    [6.97, 7.03], [45.02, 44.99], zs=[150, 0], op=float
                )
                places.append(np.array(found, float))
    np.testing.assert_allclose(places[1], 2 * places[0], atol=1e-9)


def test_bands_are_chosen_with_what_is_said_of_them(tmp_path, checkpoint):
    rasterio = pytest.importorskip('rasterio')
    pixels = smooth('uint16', 5)
    options = dict(driver='GTiff', width=WIDTH, height=HEIGHT, count=5, dtype='uint16')
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        with rasterio.open(tmp_path / 'a.tif', 'w', **options) as file:
            file.write(pixels)
            file.descriptions = list('ABCDE')
        target = run(tmp_path / 'a.tif', checkpoint, bands='4,3,2+5')
        with rasterio.open(target) as after:
            assert after.descriptions == ('D', 'C', 'B', 'E')
            check_pixels(after.read(), pixels[[3, 2, 1, 4]])


@pytest.mark.parametrize('dtype', ['uint8', 'uint16', 'float32'])
@pytest.mark.parametrize(
    'axes, options',
    [
        ('CYX', dict(ome=True)),
        ('ZCYX', dict(ome=True, compression='zlib')),
        ('ZCYX', dict(imagej=True)),
        ('YXS', dict(ome=True)),
    ],
)
def test_channels_of_a_microscope(tmp_path, checkpoint, dtype, axes, options):
    pixels = smooth(dtype, 3)
    data = np.stack([pixels, np.zeros_like(pixels)]) if axes[0] == 'Z' else pixels
    data = np.moveaxis(data, 0, -1) if axes[-1] == 'S' else data
    photometric = 'rgb' if axes[-1] == 'S' else 'minisblack'
    tifffile.imwrite(
        tmp_path / 'a.tif', data, photometric=photometric, metadata=dict(axes=axes), **options
    )
    # Of several depths each is a page.
    result = tifffile.imread(run(tmp_path / 'a.tif', checkpoint), key=0)
    assert result.dtype == dtype
    check_pixels(np.moveaxis(result, -1, 0), pixels)


@pytest.mark.parametrize(
    'place, value, reason',
    [
        ('limits.TIFF_BANDS', 2, 'a.tif: 3 channels are not supported'),
        ('images.tiff_file.free_main_memory', lambda: 99, 'strips are larger than the memory'),
    ],
)
def test_more_than_a_limit_is_refused(tmp_path, monkeypatch, place, value, reason):
    """The limits are lowered."""
    metadata = dict(axes='CYX')
    tifffile.imwrite(tmp_path / 'a.tif', smooth('uint8', 3), metadata=metadata, ome=True)
    assert read_image(tmp_path / 'a.tif').bands == (1, 1, 1)
    monkeypatch.setattr(f'csnln_mm.{place}', value)
    with pytest.raises(UserError, match=reason):
        read_image(tmp_path / 'a.tif')


@pytest.mark.parametrize('bits', [10, 12, 14])
def test_packed_bits_say_what_is_white(tmp_path, checkpoint, bits):
    pytest.importorskip('imagecodecs')
    white = 2**bits - 1
    pixels = (smooth('float32', 1)[0] * 0.2 * white + white / 2).astype(np.uint16)
    tifffile.imwrite(tmp_path / 'a.tif', pixels, bitspersample=bits)
    assert read_image(tmp_path / 'a.tif').value_range == (0, white)
    target = run(tmp_path / 'a.tif', checkpoint)
    assert read_image(target).value_range == (0, white)
    check_pixels(tifffile.imread(target), pixels)


def test_what_files_say_of_their_values(tmp_path):
    pixels = smooth('uint16', 1)[0]

    def said(dtype=np.uint16, **options):
        tifffile.imwrite(tmp_path / 'a.tif', pixels.astype(dtype), **options)
        return read_image(tmp_path / 'a.tif').value_range

    assert said() is None
    assert said(extratags=[(281, 'H', 1, 16383, True)]) == (0, 16383)
    assert said(extratags=[(281, 'H', 1, 65535, True)]) is None
    assert said(np.float32, extratags=[(340, 'f', 1, -5, True), (341, 'f', 1, 9, True)]) == (-5, 9)
    assert said(imagej=True, metadata={'min': 0.0, 'max': 4095.0}) == (0, 4095)
    # A contrast that somebody liked.
    assert said(imagej=True, metadata={'min': 117.0, 'max': 803.0}) is None
    ome = dict(axes='YX', SignificantBits=14)
    assert said(ome=True, metadata=ome) in (None, (0, 16383))


@pytest.mark.parametrize('dtype', ['int32', 'uint32', 'float64', 'int8', 'complex64'])
def test_other_types_are_refused_in_one_line(tmp_path, dtype):
    tifffile.imwrite(tmp_path / 'a.tif', np.ones((4, 4), dtype))
    (result,) = upscale([tmp_path / 'a.tif'], tmp_path / 'b.tif', device='cpu')
    assert f'a.tif: pixels of the type {dtype} are not supported; convert' in result.reason


def test_without_a_format_a_png_is_written_where_it_loses_nothing(tmp_path, checkpoint):
    for name, bands in ('grey', 1), ('bands', 5):
        pixels = np.moveaxis(smooth('uint8', bands), 0, -1)
        pixels = pixels[..., 0] if bands == 1 else pixels
        options = dict(planarconfig='contig') if bands > 1 else {}
        tifffile.imwrite(tmp_path / f'{name}.tif', pixels, photometric='minisblack', **options)
    results = upscale([tmp_path], tmp_path / 'out', checkpoint=checkpoint, device='cpu')
    assert sorted(result.target.name for result in results) == ['bands.tif', 'grey.png']
    (result,) = upscale([tmp_path / 'bands.tif'], tmp_path / 'b.png', checkpoint=checkpoint)
    assert '.png cannot hold 5 bands; use .tif or .tiff' in result.reason
    assert read_header(tmp_path / 'bands.tif').groups == (1,) * 5


def test_a_slice_of_dicom_by_its_own_library(tmp_path, checkpoint):
    pydicom = pytest.importorskip('pydicom')
    pixels = smooth('int16', 1)[0]
    meta = pydicom.dataset.FileMetaDataset()
    meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    made = pydicom.Dataset()
    made.file_meta, made.Rows, made.Columns = meta, HEIGHT, WIDTH
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, 'MONOCHROME2'
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 12, 11, 1
    made.RescaleSlope, made.RescaleIntercept = '1', '-100'
    made.PixelData = pixels.clip(-2048, 2047).tobytes()
    made.save_as(tmp_path / 'a.dcm', enforce_file_format=False)
    dicom = pydicom.dcmread(tmp_path / 'a.dcm', force=True)
    units = dicom.pixel_array.astype(np.float32) * float(dicom.RescaleSlope)
    units += float(dicom.RescaleIntercept)
    result = Upscaler(checkpoint, device='cpu')(units, value_range=(-1024, 3071))
    check_pixels(result, pixels - 100.0)


def test_a_tile_that_becomes_more_than_its_pixels(tmp_path):
    path = tmp_path / 'a.tif'
    tifffile.imwrite(path, np.zeros((64, 64), np.uint8), tile=(64, 64), compression='zlib')
    content = zlib.compress(bytes(3 * 2**20))
    start = path.stat().st_size
    with path.open('ab') as file:
        file.write(content)
    with tifffile.TiffFile(path, mode='r+') as tiff:
        tiff.pages[0].tags['TileOffsets'].overwrite([start])
        tiff.pages[0].tags['TileByteCounts'].overwrite([len(content)])
    with pytest.raises(UserError, match='a.tif is damaged: a strip or tile has too many pixels'):
        read_image(path)
