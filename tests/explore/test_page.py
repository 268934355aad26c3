"""The page as a person uses it, in a real browser."""

import shutil
import socket
import threading
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image
from tiny_network import photograph, save_checkpoint

from csnln_mm.checkpoints import load_network
from csnln_mm.images.image_file import ImageData, read_image, write_image
from csnln_mm.upscaling import Upscaler
from csnln_mm.visualization import compare_methods

pytest.importorskip('gradio', reason='the page needs Gradio')
sync_api = pytest.importorskip('playwright.sync_api', reason='no Playwright to drive a browser')
CHROMIUM = shutil.which('chromium') or shutil.which('google-chrome')
if CHROMIUM is None:
    pytest.skip('no Chromium', allow_module_level=True)

from csnln_mm.explore import Server  # noqa: E402

ARGUMENTS = (
    '--no-sandbox',
    '--disable-gpu',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    '--no-first-run',
)
LIMIT = 10_000
EXAMPLE = photograph(30, 40)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp('explore')


@pytest.fixture(scope='module')
def network(folder):
    return load_network(save_checkpoint(folder / 'tiny.pth', num_recurrences=2))


@pytest.fixture(scope='module')
def addresses():
    """All that this process, the server, has connected to."""
    seen = set()
    connect = socket.socket.connect

    def note(self, address):
        seen.add(address[0] if isinstance(address, tuple) else 'a local socket')
        return connect(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, 'connect', note)
        yield seen


@pytest.fixture(scope='module')
def server(network, addresses):
    with Server({'tiny': network}, examples={'example.png': EXAMPLE}, max_pixels=LIMIT) as server:
        yield server


@pytest.fixture(scope='module')
def context(server):
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        context = browser.new_context()
        context.set_default_timeout(60_000)
        context.hosts = set()
        context.on('request', lambda request: context.hosts.add(urlsplit(request.url).hostname))
        yield context
        browser.close()


@pytest.fixture(scope='module')
def page(context, server):
    page = context.new_page()
    page.goto(server.url)
    page.locator('#upscale').wait_for()
    yield page
    page.close()


def upload(page, path, about=None):
    page.locator('#image input[type=file]').set_input_files(path)
    if about:
        page.locator('#about').get_by_text(about).wait_for()


def choose_example(page):
    page.locator('#examples button').first.click()
    page.locator('#about').get_by_text('example.png, 40x30').wait_for()


def press_upscale(page):
    page.get_by_role('tab', name='Upscale').click()
    page.locator('#upscale').click()


def click_pixel(page, x, y):
    image = page.locator('#image img')
    box = image.bounding_box()
    # The 40 x 30 pixels fill the element's width or height.
    factor = min(box['width'] / 40, box['height'] / 30)
    left, top = (box['width'] - 40 * factor) / 2, (box['height'] - 30 * factor) / 2
    image.click(position=dict(x=left + (x + 0.4) * factor, y=top + (y + 0.4) * factor))


def wait_for(condition):
    """Of what happens in this process."""
    for _ in range(600):
        if condition():
            return
        threading.Event().wait(0.1)
    raise AssertionError('it did not happen')


def test_a_result_is_that_of_the_command_with_16_bits_alpha_and_profile(page, folder, network):
    pixels = photograph(20, 26).astype(np.uint16) * 257
    alpha = np.full((20, 26), 65535, np.uint16)
    image = ImageData(pixels, alpha, icc_profile=b'a profile')
    write_image(folder / 'deep.tif', image)
    upload(page, folder / 'deep.tif', '26x20, 16 bits, transparency, colour profile')
    press_upscale(page)
    page.locator('#status').get_by_text('26x20 to 52x40').wait_for()
    with page.expect_download() as download:
        page.locator('#download').click()
    assert download.value.suggested_filename == 'deep_x2.png'
    download.value.save_as(folder / 'result.png')
    result, expected = read_image(folder / 'result.png'), Upscaler(network)(image)
    np.testing.assert_array_equal(result.pixels, expected.pixels)
    np.testing.assert_array_equal(result.alpha, expected.alpha)
    assert result.icc_profile == b'a profile'


def test_the_slider_between_bicubic_and_the_network_is_dragged(page):
    choose_example(page)
    press_upscale(page)
    handle = page.locator('#slider .handle-wrap, #slider .outer').first
    handle.wait_for()
    before = handle.bounding_box()
    x, y = before['x'] + before['width'] / 2, before['y'] + before['height'] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 100, y, steps=4)
    page.mouse.up()
    assert handle.bounding_box()['x'] == pytest.approx(before['x'] + 100, abs=15)


def test_clicks_show_what_two_pixels_attend_to_without_running_the_network_again(
    page, folder, network
):
    write_image(folder / 'clicks.png', EXAMPLE)
    upload(page, folder / 'clicks.png', 'clicks.png, 40x30')
    runs = []
    hook = network.head.register_forward_hook(lambda *_: runs.append(1))
    click_pixel(page, 20, 15)
    page.locator('#text-A').get_by_text('Pixel A (20, 15), recurrence 2').wait_for()
    assert page.locator('#crops-A figure').count() == 8
    assert page.locator('#crops-A').get_by_text('%').count() == 6
    for view in 'matches', 'cross', 'in':
        page.locator(f'#{view}-A img').wait_for()
    page.locator('#recurrence input[type=number]').fill('1')
    page.locator('#text-A').get_by_text('Pixel A (20, 15), recurrence 1').wait_for()
    page.get_by_role('radio', name='B').click()
    click_pixel(page, 30, 5)
    page.locator('#text-B').get_by_text('Pixel B (30, 5), recurrence 1').wait_for()
    assert page.locator('#text-A').is_visible()
    hook.remove()
    assert runs == [1]
    page.locator('#attribute').click()
    page.locator('#depends-B').get_by_text('diffusion index').wait_for()
    page.locator('#attribution-B img').wait_for()
    assert page.locator('#cross-B img').is_visible()


def test_comparison_with_the_image_as_ground_truth(page, folder, network):
    write_image(folder / 'gt.png', EXAMPLE)
    (expected,) = compare_methods(
        folder / 'gt.png', dict(bicubic='bicubic', tiny=Upscaler(network))
    )
    choose_example(page)
    page.get_by_role('tab', name='Compare').click()
    page.locator('#compare').click()
    page.locator('#scores table').wait_for()
    cells = page.locator('#scores td').all_inner_texts()
    assert cells == [
        text
        for name, score in expected.scores.items()
        for text in (name, f'{score.psnr:.2f} dB', f'{score.ssim:.4f}')
    ]
    assert page.locator('#details figure').count() == 4
    assert page.locator('#errors figure').count() == 2


def test_unusual_images_are_taken_and_others_refused_in_one_sentence(page, folder):
    Image.fromarray(photograph(20, 26)).convert('CMYK').save(folder / 'cmyk.jpg')
    frames = [Image.fromarray(photograph(20, 26, seed)) for seed in (1, 2)]
    frames[0].save(folder / 'animated.webp', save_all=True, append_images=frames[1:])
    Image.new('L', (1, 1)).save(folder / 'one.png')
    for name in 'text.png', 'text.pth':
        (folder / name).write_text('neither an image nor a checkpoint')
    Image.new('L', (101, 100)).save(folder / 'large.png')

    upload(page, folder / 'cmyk.jpg', 'cmyk.jpg, 26x20, 8 bits')
    upload(page, folder / 'animated.webp', 'animated.webp, 26x20, 8 bits')
    upload(page, folder / 'text.png')
    page.get_by_text('text.png is damaged or no image').wait_for()
    upload(page, folder / 'large.png')
    page.get_by_text('101x100 pixels, more than the limit of 10,000').wait_for()
    press_upscale(page)
    page.get_by_text('there is no image yet').wait_for()
    with page.expect_file_chooser() as chooser:
        page.locator('#add').click()
    chooser.value.set_files(folder / 'text.pth')
    page.get_by_text('text.pth').wait_for()

    upload(page, folder / 'one.png', 'one.png, 1x1, 8 bits, grey')
    press_upscale(page)
    page.locator('#status').get_by_text('1x1 to 2x2').wait_for()


def test_a_closed_page_ends_its_work_and_leaves_no_file(page, context, server, network, folder):
    write_image(folder / 'long.png', photograph(90, 100))
    started, closed, runs = threading.Event(), threading.Event(), []

    def hold(module, inputs, output):
        runs.append(tuple(inputs[0].shape[-2:]))
        started.set()
        assert closed.wait(60)

    other = context.new_page()
    other.goto(server.url)
    upload(other, folder / 'long.png', 'long.png, 100x90')
    hook = network.head.register_forward_hook(hold)
    other.get_by_label('Tile').click()
    other.get_by_role('option', name='32 px').click()
    press_upscale(other)
    wait_for(started.is_set)
    mine = len(server.sessions)
    other.close()
    wait_for(lambda: len(server.sessions) == mine - 1)
    closed.set()
    # The page of another user works on.
    Image.new('L', (1, 1)).save(folder / 'last.png')
    upload(page, folder / 'last.png', 'last.png')
    press_upscale(page)
    wait_for(lambda: (1, 1) in runs)
    hook.remove()
    assert runs[1:] == [(1, 1)]
    assert not list(server.sessions.folder.rglob('long*'))


def test_no_file_beyond_the_uploads_is_read(page, server, folder):
    outside = folder / 'tiny.pth'
    for path in outside, f'{server.sessions.folder}/../{folder.name}', '/etc/hostname', 'setup.cfg':
        response = page.request.get(f'{server.url}gradio_api/file={path}')
        assert response.status in (403, 404), path


def test_nothing_leaves_this_machine(page, context, addresses):
    """All requests of the browser in this file, and all connections of the server."""
    assert context.hosts - {None} == {'127.0.0.1'}
    assert addresses <= {'127.0.0.1', '::1', 'localhost', 'a local socket'}


def test_the_page_can_begin_with_an_image(context, network):
    with Server({'tiny': network}, examples={'first.png': EXAMPLE}, open_first=True) as server:
        page = context.new_page()
        page.goto(server.url)
        page.locator('#about').get_by_text('first.png, 40x30').wait_for()
        page.close()
