"""Animations, pages and streams: every image of them, upscaled."""

import io

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageSequence
from tiny_network import names
from torch import nn

from csnln_mm.errors import UserError
from csnln_mm.images.formats import has_plugin
from csnln_mm.images.image_data import ImageData, ImageHeader
from csnln_mm.images.image_file import read_frames, read_header, read_image, write_frames
from csnln_mm.upscaling import files, upscale
from csnln_mm.upscaling.stream import ImageStream

DURATIONS = [40, 50, 60, 70, 80, 90]
ORDER = [0, 1, 2, 3, 2, 1]
COLOURS = [(250, 40, 40), (40, 250, 40), (40, 40, 250), (250, 250, 250)]


class Doubling(nn.Module):
    """Each pixel four times, which shows where every one of them went."""

    upscale_factor, mid_channels, has_attention, calls = 2, 4, False, 0

    def forward(self, x):
        self.calls += 1
        return nn.functional.interpolate(x, scale_factor=2)


def frame(number, mode='RGB'):
    """A bar that moves; with transparency, over nothing."""
    image = Image.new(mode, (24, 16), (20, 20, 20) if mode == 'RGB' else (0, 0, 0, 0))
    image.paste(COLOURS[number] + (255,) * (mode == 'RGBA'), (5 * number, 4, 5 * number + 6, 12))
    return image


def save(path, mode='RGB', order=ORDER, **options):
    first, *others = (frame(number, mode) for number in order)
    if path.suffix == '.avif':
        options.update(quality=100, subsampling='4:4:4')
    if path.suffix == '.webp':
        options['lossless'] = True
    options = dict(dict(duration=DURATIONS), **options)
    first.save(path, save_all=True, append_images=others, **options)
    return path


def shown(path):
    """What somebody sees: size, loop, and of every frame the pixels and the duration."""
    frames = []
    with Image.open(path) as image:
        loop = image.info.get('loop')
        for one in ImageSequence.Iterator(image):
            frames.append((np.asarray(one.convert('RGBA')), one.info.get('duration')))
    return loop, [pixels for pixels, _ in frames], [duration for _, duration in frames]


def doubled(image):
    return np.asarray(image.convert('RGBA')).repeat(2, 0).repeat(2, 1)


def assert_shows(pixels, wanted, tolerance):
    """The same opacity, and colours where something shows."""
    np.testing.assert_array_equal(pixels[..., 3] > 127, wanted[..., 3] > 127)
    seen = wanted[..., 3] > 127
    assert np.abs(pixels[seen].astype(int) - wanted[seen]).max() <= tolerance


@pytest.fixture
def network():
    return Doubling()


@pytest.mark.parametrize('mode', ['RGB', 'RGBA'])
@pytest.mark.parametrize('suffix', ['.gif', '.webp', '.png', '.avif'])
def test_an_animation_stays_one(tmp_path, network, suffix, mode):
    options = dict(disposal=2) if (suffix, mode) == ('.gif', 'RGBA') else {}
    options |= {} if suffix == '.avif' else dict(loop=3)
    source, events = save(tmp_path / f'a{suffix}', mode, **options), []
    (result,) = upscale(
        [source], tmp_path / 'out', checkpoint=network, device='cpu', progress=events.append
    )
    done = next(event for event in events if event['event'] == 'done')
    assert result.status == 'done', result.reason
    assert result.target == tmp_path / f'out/a{suffix}'
    loop, frames, durations = shown(result.target)
    assert loop == (None if suffix == '.avif' else 3) and durations == DURATIONS
    for pixels, number in zip(frames, ORDER, strict=True):
        tolerance = {'.avif': 12, '.gif': 4}.get(suffix, 1)
        if suffix == '.avif' and mode == 'RGBA':
            tolerance = 60  # colours at the border of what is hidden
        assert_shows(pixels, doubled(frame(number, mode)), tolerance)
    assert done['frames'] == 6 and done['repeated'] == 2
    header = read_header(result.target)
    assert header.frames == 6 and header.kind == read_header(source).kind


@pytest.mark.parametrize('loop, plays', [(None, 1), (0, 0), (1, 2), (4, 5)])
@pytest.mark.parametrize('suffix', ['.png', '.webp', '.gif', '.avif'])
def test_a_gif_is_played_as_often_in_another_format(tmp_path, network, loop, plays, suffix):
    options = {} if loop is None else dict(loop=loop)
    source = save(tmp_path / 'a.gif', order=[0, 1], duration=[50, 70], **options)
    assert read_header(source).plays == plays
    target = tmp_path / f'b{suffix}'
    upscale([source], target, checkpoint=network, device='cpu')
    if suffix != '.avif':  # of which Pillow does not tell
        assert shown(target)[0] == (loop if suffix == '.gif' else plays)
    assert read_header(target).plays == plays
    upscale([target], tmp_path / 'back.gif', checkpoint=network, device='cpu')
    assert shown(tmp_path / 'back.gif')[0] == loop


def test_an_avif_says_how_often_it_is_played_as_libavif_writes_it(tmp_path):
    """Flag 1 of the list of edits, and the duration of all rounds, in all tracks."""
    frames = [ImageData(np.asarray(frame(i))[..., :3].copy(), duration=50) for i in (0, 1)]
    for plays, repeats in (0, 1), (1, 0), (4, 1):
        path = tmp_path / f'{plays}.avif'
        write_frames(path, frames, ImageHeader((24, 16), frames=2, plays=plays))
        content = path.read_bytes()
        edits, track, movie = (content.index(box) + 4 for box in (b'elst', b'tkhd', b'mvhd'))
        assert content[edits + 3] == repeats
        once = int.from_bytes(content[edits + 8 : edits + 16], 'big')
        for place in track + 28, movie + 24:
            total = int.from_bytes(content[place : place + 8], 'big')
            assert total == (plays * once or 2**64 - 1)
        assert once == 100


def test_frames_of_16_bits_are_read_in_8_which_a_line_says(tmp_path, network, capsys):
    values = [np.arange(384, dtype=np.uint16).reshape(16, 24) * factor for factor in (170, 60)]
    values[1][0, 0] = values[1][-1, -1] = (
        99  # where nothing changes below 256 Pillow writes nothing
    )
    values[0][-1, -1] = 0
    first, second = map(Image.fromarray, values)
    first.save(tmp_path / 'a.png', save_all=True, append_images=[second], duration=50)
    upscale(
        [tmp_path / 'a.png'], tmp_path / 'b.png', checkpoint=network, device='cpu', progress=True
    )
    assert 'a.png: its frames have more than 8 bits, and are read in 8\n' in capsys.readouterr().out
    for pixels, wanted in zip(shown(tmp_path / 'b.png')[1], values, strict=True):
        np.testing.assert_allclose(pixels[::2, ::2, 0], wanted / 257, atol=1)


def test_an_animated_jpeg_xl_is_refused(tmp_path, network):
    if not has_plugin('JXL'):
        pytest.skip('pillow-jxl-plugin is not installed')
    source, pixels = tmp_path / 'a.jxl', np.stack([np.asarray(frame(i)) for i in (1, 2)])
    source.write_bytes(imagecodecs.jpegxl_encode(pixels, lossless=True, photometric='rgb'))
    for number in None, 1:
        (result,) = upscale([source], checkpoint=network, device='cpu', frame=number)
        assert result.reason.endswith(
            'is an animated JPEG XL, which is not read; djxl converts it to APNG'
        )


def test_rounded_durations_keep_their_sum(tmp_path, network):
    source = save(tmp_path / 'a.png', order=[0, 1] * 15, duration=[100 / 3] * 30)
    for suffix, step in ('.gif', 10), ('.webp', 1), ('.avif', 1):
        target = tmp_path / f'b{suffix}'
        upscale([source], target, checkpoint=network, device='cpu')
        durations = shown(target)[2]
        assert len(durations) == 30 and sum(durations) == 1000
        assert max(abs(d - 100 / 3) for d in durations) < step
    assert network.calls == 6


@pytest.mark.parametrize('suffix', ['.gif', '.webp', '.png', '.avif'])
@pytest.mark.parametrize('order', [(0, 1), (1, 0)])
def test_transparency_that_begins_or_ends_in_between_stays(tmp_path, suffix, order):
    hidden = frame(1, 'RGBA')
    alpha = np.asarray(hidden.getchannel('A'))
    images = ImageData(np.asarray(frame(0))), ImageData(np.asarray(hidden)[..., :3], alpha)
    header = ImageHeader((24, 16), frames=2)
    frames = [images[i]._replace(duration=50) for i in order]
    write_frames(tmp_path / f'a{suffix}', frames, header, quality=100)
    seen = [pixels[..., 3] > 127 for pixels in shown(tmp_path / f'a{suffix}')[1]]
    assert seen[order.index(0)].all()
    np.testing.assert_array_equal(seen[order.index(1)], alpha > 0)


def test_an_image_for_programs_without_animations_is_no_frame(tmp_path, network):
    source = save(tmp_path / 'a.png', default_image=True, duration=DURATIONS[1:])
    assert read_header(source).frames == 5
    upscale([source], tmp_path / 'b.png', checkpoint=network, device='cpu')
    _, frames, durations = shown(tmp_path / 'b.png')
    assert durations == DURATIONS[1:]
    np.testing.assert_array_equal(frames[0], doubled(frame(1)))


def test_a_single_frame(tmp_path, network):
    source = save(tmp_path / 'a.gif', disposal=0)
    (result,) = upscale([source], checkpoint=network, device='cpu', frame=4)
    assert result.target == tmp_path / 'a_x2.png'
    assert_shows(shown(result.target)[1][0], doubled(frame(3)), 2)
    (result,) = upscale([source], tmp_path / 'out', checkpoint=network, device='cpu', frame=7)
    assert result.reason == f'{source} has 6 frames or pages, and no number 7'
    with pytest.raises(UserError, match='counted from 1'):
        upscale([source], checkpoint=network, device='cpu', frame=0)


def test_formats_without_frames_are_refused_before_the_work(tmp_path, network):
    save(tmp_path / 'a.gif')
    tifffile.imwrite(tmp_path / 'p.tif', np.zeros((3, 8, 8), np.uint8), photometric='minisblack')
    options = dict(checkpoint=network, device='cpu', scale=2)
    (result,) = upscale([tmp_path / 'a.gif'], tmp_path / 'out', suffix='.jpg', **options)
    assert (
        '.jpg cannot hold 6 frames; use one of ' in result.reason and '--frame 1' in result.reason
    )
    (result,) = upscale([tmp_path / 'p.tif'], tmp_path / 'out', suffix='.png', **options)
    assert '.png cannot hold 3 pages; use one of .tif, .tiff, or --frame 1' in result.reason
    assert not network.calls and not (tmp_path / 'out').exists()


def test_a_damaged_frame_leaves_nothing(tmp_path, network):
    content = save(tmp_path / 'a.png').read_bytes()
    (tmp_path / 'a.png').write_bytes(content[: content.rindex(b'fdAT') + 8])
    (result,) = upscale([tmp_path / 'a.png'], tmp_path / 'out', checkpoint=network, device='cpu')
    assert result.status == 'failed' and 'a.png, number 6, is damaged' in result.reason
    assert names(tmp_path / 'out') == []


def test_pages_of_any_size_and_type(tmp_path, network):
    """Some are read by tifffile, some by Pillow; copies of less resolution are no pages."""
    pages = [
        np.arange(8 * 9, dtype=np.uint8).reshape(8, 9),
        np.arange(6 * 5 * 3, dtype=np.uint16).reshape(6, 5, 3) * 700,
        np.linspace(-1, 1, 7 * 4, dtype=np.float32).reshape(7, 4),
    ]
    source = tmp_path / 'a.tif'
    with tifffile.TiffWriter(source) as writer:
        for number, page in enumerate(pages):
            kind = 'rgb' if page.ndim == 3 else 'minisblack'
            options = dict(photometric=kind, metadata=None, resolution=(100 + number, 100 + number))
            writer.write(page, **options)
            writer.write(page[::2, ::2], subfiletype=1, **options)
    palette = frame(2).quantize(8)
    colours = np.zeros((3, 256), np.uint16)
    colours[:, :8] = np.reshape((palette.getpalette() + [0] * 24)[:24], (8, 3)).T * 257
    with tifffile.TiffWriter(source, append=True) as writer:
        options = dict(photometric='palette', colormap=colours, metadata=None)
        writer.write(np.asarray(palette), **options)
    assert read_header(source).frames == 4
    (result,) = upscale([source], tmp_path / 'out', checkpoint=network, device='cpu')
    assert result.status == 'done', result.reason
    assert result.target.suffix == '.tif'
    made = list(read_frames(result.target))
    for image, page in zip(made, pages):
        assert image.pixels.dtype == page.dtype
        wanted = page.repeat(2, 0).repeat(2, 1).astype(float)
        np.testing.assert_allclose(image.pixels, wanted, atol=2e-6 * np.abs(wanted).max())
    np.testing.assert_array_equal(made[3].pixels, doubled(frame(2))[..., :3])
    with tifffile.TiffFile(result.target) as tiff:
        assert [page.tags['XResolution'].value[0] for page in tiff.pages[:3]] == [100, 101, 102]
    np.testing.assert_array_equal(read_image(source, 2).pixels, pages[1])
    (result,) = upscale([source], tmp_path / 'one', checkpoint=network, device='cpu', frame=2)
    assert names(tmp_path / 'one') == ['a.png']


@pytest.mark.parametrize(
    'options', [dict(ome=True), dict(imagej=True), dict(ome=True, compression='zlib')]
)
@pytest.mark.parametrize('axes', ['TZCYX', 'TCYX', 'ZYX'])
def test_times_and_depths_of_a_microscope_are_pages_of_all_channels(
    tmp_path, network, options, axes
):
    shape = dict(T=2, Z=3, C=2, Y=8, X=9)
    data = np.random.default_rng(0).integers(0, 65535, [shape[axis] for axis in axes], np.uint16)
    metadata = dict(axes=axes)
    tifffile.imwrite(
        tmp_path / 'a.tif', data, photometric='minisblack', metadata=metadata, **options
    )
    channels = 2 if 'C' in axes else 1
    stacks = data.reshape(-1, channels, 8, 9)
    assert read_header(tmp_path / 'a.tif').frames == len(stacks)
    upscale([tmp_path / 'a.tif'], tmp_path / 'b.tif', checkpoint=network, device='cpu')
    for image, stack in zip(read_frames(tmp_path / 'b.tif'), stacks, strict=True):
        pixels = image.pixels.reshape(16, 18, channels)
        wanted = stack.transpose(1, 2, 0).repeat(2, 0).repeat(2, 1)
        assert np.abs(pixels.astype(int) - wanted).max() <= 1


def test_what_is_kept_for_frames_that_come_again_is_limited(tmp_path, network, monkeypatch):
    source = save(tmp_path / 'a.png', order=[0, 1, 2, 0, 1], duration=50)
    monkeypatch.setattr(files, 'REPEATED_FRAMES_BYTES', 48 * 32 * 3 * 2)
    upscale([source], tmp_path / 'b.webp', checkpoint=network, device='cpu')
    assert network.calls == 5  # each is forgotten when it comes again


def stream(tmp_path, content):
    out = io.BytesIO()
    (tmp_path / 'pipe').mkdir(exist_ok=True)
    return ImageStream(io.BufferedReader(io.BytesIO(content)), out, tmp_path / 'pipe'), out


def encoded(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize('kind', ['PNG', 'BMP', 'PPM', 'WEBP'])
def test_all_images_of_a_stream(tmp_path, network, kind):
    options = dict(lossless=True) if kind == 'WEBP' else {}
    grey = frame(1).convert('L')
    images = [frame(0), frame(0), grey, frame(3).resize((5, 7))]
    source, results = stream(tmp_path, b''.join(encoded(i, kind, **options) for i in images))
    assert source.has_more
    target = tmp_path / 'x'
    (result,) = upscale([source.first], target, checkpoint=network, device='cpu', stream=source)
    assert result.status == 'done', result.reason
    again, _ = stream(tmp_path, results.getvalue())
    for read, image in zip(again.frames(), images, strict=True):
        image = image if read.pixels.ndim == 2 else image.convert('RGB')
        np.testing.assert_array_equal(read.pixels, np.asarray(image).repeat(2, 0).repeat(2, 1))
    assert network.calls == 3 and not (tmp_path / 'x').exists()
    assert names(tmp_path / 'pipe') == []


def test_an_animation_in_a_stream_becomes_its_frames(tmp_path, network):
    png = save(tmp_path / 'a.png').read_bytes()
    source, results = stream(tmp_path, png + png)
    upscale(
        [source.first],
        tmp_path / 'x',
        suffix='.png',
        checkpoint=network,
        device='cpu',
        stream=source,
    )
    assert results.getvalue().count(b'IHDR') == 12 and network.calls == 4


def test_several_jpeg_images_are_refused_and_what_photographs_carry_is_not(tmp_path):
    jpeg = encoded(frame(0), 'JPEG')
    with pytest.raises(UserError, match='several JPEG images on stdin .* use PNG'):
        stream(tmp_path, jpeg + jpeg)
    depth = encoded(frame(0).resize((6, 4)), 'JPEG')
    assert not stream(tmp_path, jpeg + depth)[0].has_more
    mpo = encoded(frame(0), 'MPO', save_all=True, append_images=[frame(1)])
    assert not stream(tmp_path, mpo)[0].has_more


def test_every_view_of_a_stereo_photograph_counts(tmp_path, network):
    path = tmp_path / 'a.mpo'
    frame(0).save(path, 'MPO', save_all=True, append_images=[frame(1)])
    # Pillow writes them without saying what they are.
    assert read_header(path).frames == 1
