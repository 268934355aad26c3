"""Images of every kind through the network and back."""

import struct
import zlib

import cv2
import numpy as np
import pytest
import tifffile
import torch
from damage import cut_off, png, png_chunk
from golden import load_golden
from PIL import Image, ImageCms, ImageOps
from tiny_network import bicubic, close, photograph, save_checkpoint

from csnln_mm.checkpoints import load_network
from csnln_mm.errors import UserError
from csnln_mm.images.image_file import ImageData, read_image
from csnln_mm.networks import CSNLNNet
from csnln_mm.upscaling import Upscaler, upscale

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile('sRGB')).tobytes()


def run(source, out, checkpoint, **kwargs):
    (result,) = upscale([source], out, checkpoint=checkpoint, device='cpu', **kwargs)
    assert result.status == 'done', result.reason
    return result.target


@pytest.fixture(scope='module')
def local():
    """A model of the package, which knows photographs."""
    return Upscaler('csnln-x2-fast', device='cpu')


def test_the_network_makes_the_pixels(checkpoint):
    image = photograph()
    network = load_network(checkpoint)
    with torch.no_grad():
        expected = network(torch.from_numpy(image).permute(2, 0, 1)[None] / 255)
    expected = (expected[0].clamp(0, 1) * 255).round().permute(1, 2, 0).numpy().astype(np.uint8)
    close(Upscaler(checkpoint, device='cpu')(image), expected, 1)


def test_a_result_that_is_not_finite_is_no_image(checkpoint):
    network = load_network(checkpoint)
    with torch.no_grad():
        network.reconstruct.weight.fill_(3e38)  # finite itself
    with pytest.raises(UserError, match='the result has values that are not finite$'):
        Upscaler(network, device='cpu')(photograph())


@pytest.mark.parametrize('suffix', ['.PNG', '.bmp', '.tiff', '.webp'])
def test_every_format(plain, tmp_path, suffix):
    source = tmp_path / f'picture{suffix}'
    image = Image.fromarray(photograph())
    image.save(source, lossless=True)
    target = run(source, tmp_path / 'out', plain, suffix='same')
    assert target.name == source.name
    close(np.asarray(Image.open(target)), bicubic(image))


def test_jpeg(plain, tmp_path):
    Image.fromarray(photograph()).save(tmp_path / 'a.jpg', quality=95, icc_profile=PROFILE)
    read = Image.open(tmp_path / 'a.jpg')
    target = run(tmp_path / 'a.jpg', tmp_path / 'out', plain)
    result = Image.open(target)
    assert target.name == 'a.png' and result.info['icc_profile'] == PROFILE
    close(np.asarray(result), bicubic(read))
    result = Image.open(run(tmp_path / 'a.jpg', tmp_path / 'out', plain, suffix='same'))
    assert result.format == 'JPEG' and result.info['icc_profile'] == PROFILE
    close(np.asarray(result), bicubic(read), 12)


@pytest.mark.parametrize('mode', ['L', '1'])
def test_grey_stays_grey(plain, tmp_path, mode):
    image = Image.fromarray(photograph()).convert(mode)
    image.save(tmp_path / 'a.png')
    result = Image.open(run(tmp_path / 'a.png', tmp_path / 'out', plain))
    assert result.mode == 'L'
    if mode == 'L':
        close(np.asarray(result), bicubic(image))


@pytest.mark.parametrize(
    'mode, suffix', [('LA', '.png'), ('RGBA', '.png'), ('RGBA', '.webp'), ('RGBA', '.tif')]
)
def test_transparency_is_upscaled(plain, tmp_path, mode, suffix):
    alpha = Image.fromarray(photograph(seed=5)[..., 0])
    image = Image.fromarray(photograph()).convert(mode[:-1])
    image.putalpha(alpha)
    image.save(tmp_path / f'a{suffix}', lossless=True)
    result = Image.open(run(tmp_path / f'a{suffix}', tmp_path / 'out', plain, suffix=suffix))
    assert result.mode == mode
    close(np.asarray(result.getchannel('A')), bicubic(alpha))
    colour = np.asarray(result.convert(mode[:-1]))
    close(colour, bicubic(Image.fromarray(photograph()).convert(mode[:-1])))


@pytest.mark.parametrize('transparent', [False, True])
def test_palettes_become_colours(plain, tmp_path, transparent):
    image = Image.fromarray(photograph()).quantize(8)
    image.save(tmp_path / 'a.png', transparency=2 if transparent else None)
    result = Image.open(run(tmp_path / 'a.png', tmp_path / 'out', plain))
    assert result.mode == ('RGBA' if transparent else 'RGB')
    assert result.size == (52, 40)


def deep_photograph(channels=3):
    image = np.dstack([photograph(), photograph(seed=7)[..., :1]])[..., :channels]
    image = image.astype(np.uint16) * 256 + np.arange(26, dtype=np.uint16)[:, None] * 9
    return image[..., 0] if channels == 1 else image


@pytest.mark.parametrize(
    'suffix, channels, profile',
    [('.png', 1, None), ('.tif', 3, PROFILE), ('.png', 4, PROFILE), ('.tif', 4, None)],
)
def test_16_bits_stay_16_bits(plain, tmp_path, suffix, channels, profile):
    image = deep_photograph(channels)
    tifffile.imwrite(
        tmp_path / 'a.tif',
        image,
        photometric='minisblack' if channels == 1 else 'rgb',
        extrasamples=['unassalpha'] if channels == 4 else None,
        iccprofile=profile,
    )
    target = run(tmp_path / 'a.tif', tmp_path / 'out', plain, suffix=suffix)
    result = cv2.imread(str(target), cv2.IMREAD_UNCHANGED)
    result = result if channels == 1 else result[..., [2, 1, 0, 3][:channels]]
    expected = cv2.resize(image, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    close(result[4:-4, 4:-4], expected[4:-4, 4:-4], 300)
    assert Image.open(target).info.get('icc_profile') == profile
    # What was written is read again as it is.
    again = run(target, tmp_path / 'again', plain, suffix=suffix)
    assert cv2.imread(str(again), cv2.IMREAD_UNCHANGED).dtype == np.uint16


def test_16_bit_grey_with_transparency(plain, tmp_path):
    grey = deep_photograph(1)
    # No library here writes a PNG of 16-bit grey and alpha.
    pixels = np.dstack([grey, grey]).astype('>u2')
    rows = b''.join(b'\0' + row.tobytes() for row in pixels)
    (tmp_path / 'a.png').write_bytes(png((26, 20, 16, 4), zlib.compress(rows)))
    result = cv2.imread(str(run(tmp_path / 'a.png', tmp_path / 'out', plain)), cv2.IMREAD_UNCHANGED)
    assert result.dtype == np.uint16 and result.shape == (40, 52, 4)
    np.testing.assert_array_equal(result[..., 0], result[..., 2])


def test_16_bit_tiff_in_other_arrangements(tmp_path):
    colour, alpha = deep_photograph(), deep_photograph(1)
    opaque = np.full_like(alpha, 65535)
    halved = np.dstack([colour // 2, opaque // 2])

    def read(image, photometric='rgb', **kwargs):
        tifffile.imwrite(tmp_path / 'a.tif', image, photometric=photometric, **kwargs)
        return read_image(tmp_path / 'a.tif')

    planes = read(colour.transpose(2, 0, 1), planarconfig='separate')
    np.testing.assert_array_equal(planes.pixels, colour)
    four = np.dstack([colour, alpha])
    planes = read(four.transpose(2, 0, 1), planarconfig='separate', extrasamples=['unassalpha'])
    np.testing.assert_array_equal(planes.pixels, colour)
    np.testing.assert_array_equal(planes.alpha, alpha)
    np.testing.assert_array_equal(read(65535 - alpha, 'miniswhite').pixels, alpha)
    np.testing.assert_array_equal(read(alpha, 'minisblack', planarconfig='separate').pixels, alpha)
    premultiplied = read(halved, extrasamples=['assocalpha'])
    np.testing.assert_allclose(premultiplied.pixels, colour, atol=3)
    np.testing.assert_array_equal(premultiplied.alpha, opaque // 2)
    unnamed = read(four, extrasamples=['unspecified'])
    np.testing.assert_array_equal(unnamed.pixels, four)
    assert unnamed.alpha is None and unnamed.groups == (3, 1)


def test_the_transparent_grey_of_a_16_bit_png(tmp_path):
    grey = deep_photograph(1)
    png = cv2.imencode('.png', grey)[1].tobytes()
    chunk = png_chunk(b'tRNS', struct.pack('>H', grey[0, 0]))
    (tmp_path / 'a.png').write_bytes(png[:33] + chunk + png[33:])
    picture = read_image(tmp_path / 'a.png')
    np.testing.assert_array_equal(picture.pixels, grey)
    np.testing.assert_array_equal(picture.alpha == 0, grey == grey[0, 0])


@pytest.mark.parametrize('suffix', ['.png', '.tif'])
def test_a_cut_16_bit_picture_is_told_in_one_line(tmp_path, capfd, suffix):
    path = tmp_path / f'a{suffix}'
    if suffix == '.png':
        cv2.imwrite(str(path), deep_photograph())
    else:
        tifffile.imwrite(path, deep_photograph(), photometric='rgb')
    cut_off(path)
    with pytest.raises(UserError, match='damaged'):
        read_image(path)
    assert capfd.readouterr().err == ''


@pytest.mark.parametrize('profile', [None, b'not a profile'])
def test_cmyk_becomes_rgb(plain, tmp_path, profile):
    image = Image.fromarray(photograph()).convert('CMYK')
    image.save(tmp_path / 'a.jpg', quality=95, icc_profile=profile)
    result = Image.open(run(tmp_path / 'a.jpg', tmp_path / 'out', plain))
    assert result.mode == 'RGB' and 'icc_profile' not in result.info
    close(np.asarray(result), bicubic(Image.open(tmp_path / 'a.jpg').convert('RGB')))


@pytest.mark.parametrize(
    'kind, orientation', [('jpg', 6), ('png16', 6), *(('tif16', number) for number in range(1, 9))]
)
def test_exif_rotation_is_honoured(plain, tmp_path, orientation, kind):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(photograph()).save(tmp_path / 'a.jpg', quality=95, exif=exif)
    expected = bicubic(ImageOps.exif_transpose(Image.open(tmp_path / 'a.jpg')))
    deep = photograph().astype(np.uint16) * 257
    source = tmp_path / f'a.{kind[:3]}'
    if kind == 'tif16':
        tag = 0x0112, 'H', 1, orientation, True
        tifffile.imwrite(source, deep, photometric='rgb', extratags=[tag])
    elif kind == 'png16':
        # No library here writes it into a PNG of 16 bits.
        data = cv2.imencode('.png', deep[..., ::-1])[1].tobytes()
        chunk = png_chunk(b'eXIf', exif.tobytes().removeprefix(b'Exif\0\0'))
        source.write_bytes(data[:33] + chunk + data[33:])
    target = run(source, tmp_path / 'out', plain)
    result = cv2.imread(str(target), cv2.IMREAD_UNCHANGED)[..., ::-1]
    if kind != 'jpg':
        assert result.dtype == np.uint16
        result = (result / 257).round().astype(np.uint8)
    close(result, expected, 12)
    assert Image.open(target).getexif().get(0x0112) is None


@pytest.mark.parametrize('scale, size', [(2, (1, 1)), (3, (1, 9)), (4, (7, 2))])
@pytest.mark.parametrize('ensemble', [False, True])
def test_any_size_and_scale(tmp_path, scale, size, ensemble):
    checkpoint = save_checkpoint(tmp_path / 'c.pth', upscale_factor=scale)
    upscaler = Upscaler(checkpoint, device='cpu', ensemble=ensemble)
    assert upscaler.scale == scale
    result = upscaler(np.zeros((*size, 3), np.uint8))
    assert result.shape == (scale * size[0], scale * size[1], 3)


def test_by_another_factor_than_the_networks(plain):
    image = photograph()
    upscaler = Upscaler(plain, scale=1.5, device='cpu')
    assert upscaler.scale == 1.5
    resized = Upscaler(plain, device='cpu')(image, size=(39, 30))
    np.testing.assert_array_equal(upscaler(image), resized)
    expected = np.asarray(Image.fromarray(image).resize((39, 30), Image.Resampling.BICUBIC))
    close(resized[2:-2, 2:-2], expected[2:-2, 2:-2], 6)
    with pytest.raises(UserError, match='scale must be above 0'):
        Upscaler(plain, scale=-2.0)


def test_only_attention_needs_small_tiles():
    options = dict(mid_channels=4, num_recurrences=1)
    with_attention = Upscaler(CSNLNNet(**options), device='cpu').tiling(300, 300)
    local = CSNLNNet(**options, cell=dict(branches=('local',)))
    assert with_attention.tile == 64
    assert Upscaler(local, device='cpu').tiling(300, 300).count == 1


def test_tiles_change_little_and_do_not_show(checkpoint):
    image = photograph(60, 70)
    whole = Upscaler(checkpoint, tile=0, device='cpu')(image)
    tiles = Upscaler(checkpoint, tile=32, overlap=12, device='cpu')(image)
    assert not np.array_equal(tiles, whole)
    close(tiles, whole, 6)


def test_ensemble_is_the_mean_over_flips_and_rotations(checkpoint):
    image = photograph(16, 22)
    single = Upscaler(checkpoint, tile=0, device='cpu')
    expected = np.zeros((32, 44, 3))
    for turns in range(4):
        for flip in (False, True):
            turned = np.rot90(image[:, ::-1] if flip else image, turns)
            result = np.rot90(single(np.ascontiguousarray(turned)).astype(float), -turns)
            expected += (result[:, ::-1] if flip else result) / 8
    ensemble = Upscaler(checkpoint, tile=0, device='cpu', ensemble=True)(image)
    assert np.abs(ensemble - expected).max() <= 1.0


def test_bfloat16(checkpoint):
    image = photograph()
    close(
        Upscaler(checkpoint, device='cpu', dtype='bfloat16')(image),
        Upscaler(checkpoint, device='cpu')(image),
        6,
    )


def test_memory_that_runs_out_halves_the_tile(checkpoint, caplog):
    class Tight(torch.nn.Module):
        upscale_factor, mid_channels = 2, 4

        def __init__(self, network):
            super().__init__()
            self.network = network  # a part of it, so that both have one memory format

        def forward(self, x):
            if x.shape[-1] > self.most:
                raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")
            return self.network(x)

    network = load_network(checkpoint)
    tight = Tight(network)
    image = photograph(60, 70)
    tight.most = 32
    result = Upscaler(tight, device='cpu', tile=0)(image)
    np.testing.assert_array_equal(result, Upscaler(network, device='cpu', tile=32)(image))
    assert [record.message for record in caplog.records] == [
        'out of memory (in one tile); continuing with 2 tiles of 64 px, overlap 8',
        'out of memory (2 tiles of 64 px, overlap 8); continuing with 9 tiles of 32 px, overlap 8',
    ]
    tight.most = 31
    with pytest.raises(UserError, match='not enough memory'):
        Upscaler(tight, device='cpu')(image)


def test_colour_under_transparency_does_not_bleed(plain):
    pixels = np.full((20, 30, 3), (200, 30, 60), np.uint8)
    alpha = np.full((20, 30), 255, np.uint8)
    pixels[:, :10], alpha[:, :10] = 0, 0
    result = Upscaler(plain, device='cpu')(ImageData(pixels, alpha))
    close(result.pixels, np.full((40, 60, 3), (200, 30, 60), np.uint8), 1)
    assert result.alpha[:, :18].max() == 0


@pytest.mark.parametrize('factor', [np.uint8(1), np.uint16(257)])
def test_alpha_by_the_network_is_upscaled_as_a_grey_image(checkpoint, factor):
    pixels = photograph() * factor
    alpha = pixels[..., 1].copy()
    options = dict(value_range='full')
    upscaler = Upscaler(checkpoint, device='cpu')
    result = upscaler(ImageData(pixels, alpha), **options)
    np.testing.assert_array_equal(result.pixels, upscaler(pixels, **options))
    np.testing.assert_array_equal(result.alpha, upscaler(alpha, **options))
    # Whatever is black and white in the colours.
    narrow = upscaler(ImageData(pixels, alpha), value_range=(0, 200 * int(factor)))
    np.testing.assert_array_equal(narrow.alpha, result.alpha)


@pytest.mark.parametrize('size', [(20, 26), (40, 60)])
def test_what_is_opaque_or_transparent_stays_so(checkpoint, size):
    pixels, told = photograph(*size), []
    alpha = np.full(size, 255, np.uint8)
    alpha[:, :13] = 0
    upscaler = Upscaler(checkpoint, device='cpu', tile=32, ensemble=True)
    result = upscaler(ImageData(pixels, alpha), on_tile=lambda *run: told.append(run))
    assert result.alpha[:, :22].max() == 0 and result.alpha[:, 30:].min() == 255
    assert told[-1] == (len(told), len(told))


def test_every_run_of_the_network_is_told(plain):
    told = []
    upscaler = Upscaler(plain, device='cpu', tile=32, ensemble=True)
    upscaler(photograph(40, 30), on_tile=lambda done, total: told.append((done, total)))
    assert told == [(i, 16) for i in range(1, 17)]

    def cancel(done, total):
        raise InterruptedError

    with pytest.raises(InterruptedError):
        upscaler(photograph(40, 30), on_tile=cancel)


def test_a_released_state_dict_tells_its_network(tmp_path):
    golden = load_golden(2)
    torch.save(golden.state_dict, tmp_path / 'released.pth')
    upscaler = Upscaler(tmp_path / 'released.pth', tile=0, device='cpu')
    image = golden.arrays['lr'][0].permute(1, 2, 0).numpy()
    result = upscaler((image * 65535).round().astype(np.uint16)) / 65535
    expected = golden.arrays['sr'][0].permute(1, 2, 0).clamp(0, 1).numpy()
    np.testing.assert_allclose(result, expected, atol=2e-3)


@pytest.mark.parametrize(
    'change, message',
    [
        ("'CSNLNNet'", "'os.getcwd'"),
        ("'mid_channels': 4", "'mid_channels': __import__('os').getpid()"),
        ("'mid_channels': 4", "'mid_channels': 4, **dict()"),
    ],
)
def test_a_checkpoint_cannot_run_code(checkpoint, tmp_path, change, message):
    content = torch.load(checkpoint)
    text = content['meta']['cfg']
    assert change in text
    content['meta']['cfg'] = text.replace(change, message)
    torch.save(content, tmp_path / 'evil.pth')
    with pytest.raises(UserError, match='refused|does not have'):
        Upscaler(tmp_path / 'evil.pth', device='cpu')


@pytest.mark.parametrize(
    'dtype, low, high',
    [
        (np.uint16, 0, 4095),
        (np.uint16, 0, 255),
        (np.uint16, 27000, 31000),
        (np.int16, -1000, 3000),
        (np.float32, 0, 1),
        (np.float32, -3, 7),
    ],
)
def test_an_image_looks_the_same_in_every_range(local, dtype, low, high):
    grey = photograph()[..., 0].astype(float)
    grey[0, :2] = 0, 255
    deep = (grey * 257).astype(np.uint16)
    expected = local(deep) / 65535
    pixels = grey / 255 * (high - low) + low
    pixels = pixels.astype(dtype) if dtype == np.float32 else pixels.round().astype(dtype)
    result = local(pixels)
    assert result.dtype == dtype and result.shape == expected.shape
    steps = 1 / 255 if high == 255 else 2e-3
    np.testing.assert_allclose((result - float(low)) / (high - low), expected, atol=steps)
    np.testing.assert_array_equal(local(pixels, value_range=(low, high)), result)


def test_values_outside_of_the_range_are_not_clipped(local):
    pixels = np.full((20, 30), 100, np.uint16)
    pixels[8:14, 10:20] = 3000
    result = local(pixels, value_range=(0, 1000))
    assert np.abs(result[34:].astype(int) - 100).max() < 30
    assert np.abs(result[20:24, 26:34].astype(int) - 3000).max() < 200
    # What lies within does not depend on what lies far outside.
    again = local(np.where(pixels == 3000, 1000, pixels).astype(np.uint16), value_range=(0, 1000))
    np.testing.assert_array_equal(result[36:], again[36:])


def test_no_value_stays_where_it_is(local):
    heights = (photograph()[..., 0] / 10 + 200).astype(np.float32)
    holes = heights.copy()
    holes[5:9, 6:16], holes[0, 0] = -9999, np.nan
    result = local(ImageData(holes, nodata=-9999), value_range=(195, 230)).pixels
    expected = local(heights, value_range=(195, 230))
    hidden = np.zeros((40, 52), bool)
    hidden[10:18, 12:32] = True
    np.testing.assert_array_equal(result == -9999, hidden)
    np.testing.assert_array_equal(np.argwhere(np.isnan(result)), np.indices((2, 2)).reshape(2, 4).T)
    result[:2, :2] = expected[:2, :2]
    assert np.abs(result - expected)[~hidden].max() < 20
    # Black is no value here, and no black of the result becomes one.
    dark = np.zeros((20, 26), np.uint16)
    dark[:, 13:] = photograph()[:, 13:, 0] // 8 + 1
    result = local(ImageData(dark, nodata=0)).pixels
    assert (result[:, :26] == 0).all() and (result[:, 26:] > 0).all()


def test_bands_go_through_the_network_in_groups(local):
    colour = photograph()
    bands = np.dstack([colour, photograph(seed=3)[..., :2]])
    greys = local(bands)
    for band in range(5):
        np.testing.assert_array_equal(greys[..., band], local(bands[..., band]))
    four = local(bands[..., :4])
    np.testing.assert_array_equal(four[..., :3], local(np.ascontiguousarray(colour)))
    np.testing.assert_array_equal(four[..., 3], greys[..., 3])
    chosen = local(bands, bands='5+3,2,1')
    np.testing.assert_array_equal(chosen[..., 0], greys[..., 4])
    np.testing.assert_array_equal(chosen[..., 1:], local(np.ascontiguousarray(colour[..., ::-1])))
    told = []
    local(bands, bands='5+3,2,1', on_tile=lambda done, total: told.append((done, total)))
    assert told == [(1, 2), (2, 2)]
    with pytest.raises(UserError, match='no band 6; the image has 5'):
        local(bands, bands='6')


def test_a_network_takes_as_many_bands_as_it_has_channels():
    torch.manual_seed(0)
    options = dict(mid_channels=4, num_recurrences=1, cell=dict(branches=('local',)))
    upscalers = {
        n: Upscaler(
            CSNLNNet(in_channels=n, out_channels=n, rgb_mean=[0.5] * n, **options), device='cpu'
        )
        for n in (1, 4)
    }
    bands = np.dstack([photograph(), photograph(seed=3)])[..., :4]
    assert upscalers[4](bands).shape == (40, 52, 4)
    assert upscalers[4](bands[..., 0]).shape == (40, 52)
    alone = upscalers[1](bands)
    np.testing.assert_array_equal(alone[..., 2], upscalers[1](bands[..., 2]))
    with pytest.raises(UserError, match='takes 4 bands together, or one as grey, not 3'):
        upscalers[4](bands[..., :3])


def test_images_come_back_as_they_are(plain):
    upscaler, image = Upscaler(plain, device='cpu'), photograph()
    assert upscaler(image[..., :1]).shape == (40, 52, 1)
    for mode in 'L', 'RGB', 'LA', 'RGBA':
        result = upscaler(Image.fromarray(image).convert(mode))
        assert result.mode == mode and result.size == (52, 40)
    result = upscaler(Image.fromarray(image))
    np.testing.assert_array_equal(np.asarray(result), upscaler(image))
    with pytest.raises(UserError, match='images of the mode P are not upscaled; convert it to L'):
        upscaler(Image.fromarray(image).convert('P'))


@pytest.mark.parametrize(
    'image, message',
    [
        (
            np.zeros((4, 4, 3), np.int64),
            'pixels must be uint8, uint16, int16 or float32, got int64',
        ),
        (np.zeros((4, 4), np.float64), 'got float64; convert them with .astype'),
        (np.zeros((4, 4), bool), 'got bool'),
        (np.zeros((2, 4, 4, 3), np.uint8), r'pixels must be \[H, W\] or \[H, W, C\]'),
        (np.zeros((3, 64, 64), np.uint8), r'turn \[C, H, W\] by .transpose'),
        (np.zeros((0, 4), np.uint8), r'got \[0, 4\]'),
        ('photo.png', 'an image must be an array'),
    ],
)
def test_what_is_no_image(plain, image, message):
    with pytest.raises(UserError, match=message):
        Upscaler(plain, device='cpu')(image)


@pytest.mark.parametrize(
    'settings, message',
    [
        (dict(tile=16, overlap=9), 'half of the tile'),
        (dict(tile=-1), 'must be'),
        (dict(overlap=4), 'needs tile'),
        (dict(device='nowhere'), 'device nowhere'),
        (dict(dtype='float16', device='cpu'), 'bfloat16'),
        (dict(dtype='int8', device='cpu'), 'dtype'),
    ],
)
def test_settings_that_cannot_be(checkpoint, settings, message):
    with pytest.raises(UserError, match=message):
        Upscaler(checkpoint, **settings)
