"""A real ComfyUI, driven through its HTTP interface: ``make test-comfyui COMFYUI=folder``.

It runs with the Python of the tests, or COMFYUI_PYTHON; tests/integrations/test_spandrel.py calls
the node folder without it.
"""

import importlib
import json
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import save_file
from tiny_network import photograph

from csnln_mm import integrations
from csnln_mm.checkpoints.pretrained import checkpoint_path
from csnln_mm.upscaling import Upscaler

COMFYUI = os.environ.get('COMFYUI')
pytestmark = pytest.mark.skipif(not COMFYUI, reason='COMFYUI names no folder of ComfyUI')
PYTHON = os.environ.get('COMFYUI_PYTHON', sys.executable)


class Server:
    """A ComfyUI with a base folder of its own."""

    def __init__(self, base):
        self.base = base
        with socket.socket() as free:
            free.bind(('127.0.0.1', 0))
            self.port = free.getsockname()[1]
        words = f'main.py --cpu --disable-api-nodes --port {self.port} --base-directory {base}'
        words += ' --database-url sqlite:///:memory:'
        self.log = base / 'log.txt'
        with self.log.open('wb') as log:
            self.process = subprocess.Popen(
                [PYTHON, *words.split()], cwd=COMFYUI, stdout=log, stderr=subprocess.STDOUT
            )
        self.proc = Path(f'/proc/{self.process.pid}')
        self.wait_for(self.answers, 'a server')

    def answers(self):
        assert self.process.poll() is None, self.log.read_text()[-3000:]
        try:
            return self.get('/prompt')
        except URLError:
            return None

    def get(self, path, **body):
        data = json.dumps(body).encode() if body else None
        with urlopen(Request(f'http://127.0.0.1:{self.port}{path}', data), timeout=30) as answer:
            content = answer.read()
        return json.loads(content) if content else None

    def wait_for(self, look, what, seconds=300):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if found := look():
                return found
            time.sleep(0.05)
        raise AssertionError(f'no {what} after {seconds} s: {self.log.read_text()[-3000:]}')

    def since(self):
        """What it has printed since the last upscale was started."""
        return self.log.read_text()[self.printed :]

    def start(self, model, image):
        """Put an upscale into the queue; its identifier."""
        self.printed = len(self.log.read_text())
        nodes = {
            '1': dict(class_type='LoadImage', inputs=dict(image=image)),
            '2': dict(class_type='UpscaleModelLoader', inputs=dict(model_name=model)),
            '3': dict(
                class_type='ImageUpscaleWithModel',
                inputs=dict(upscale_model=['2', 0], image=['1', 0]),
            ),
            '4': dict(
                class_type='SaveImage',
                inputs=dict(images=['3', 0], filename_prefix=f'{image[:-4]}-{model}'),
            ),
        }
        return self.get('/prompt', prompt=nodes)['prompt_id']

    def used(self):
        """Its processor seconds so far, and its memory now and at most, in MiB."""
        ticks = (self.proc / 'stat').read_text().rsplit(')', 1)[1].split()[11:13]
        status = dict(line.split(':', 1) for line in (self.proc / 'status').open())
        sizes = (int(status[key].split()[0]) // 1024 for key in ('VmRSS', 'VmHWM'))
        return sum(map(int, ticks)) / os.sysconf('SC_CLK_TCK'), *sizes

    def costs(self, model, side):
        """Of an upscale of so many pixels in width and height, in words."""
        Image.fromarray(photograph(side, side)).save(self.base / 'input/image.png')
        (self.proc / 'clear_refs').write_text('5')  # the most so far is what it has now
        before = self.used()
        result = self.end(self.start(model, 'image.png'))
        assert result['status']['status_str'] == 'success', result['status']
        after = self.used()
        return f'{side}x{side} {after[0] - before[0]:.1f} CPU s, {after[2] - before[1]} MiB'

    def print_costs(self, model):
        """The memory is in addition to that of the process with the model loaded."""
        Image.fromarray(photograph(64, 64)).save(self.base / 'input/small.png')
        self.end(self.start(model, 'small.png'))
        print(f'{model}:', *(self.costs(model, side) for side in (256, 512)), sep='; ')

    def end(self, prompt):
        """What became of an upscale, once it has ended."""
        return self.wait_for(lambda: self.get(f'/history/{prompt}').get(prompt), 'end')


@pytest.fixture
def server(tmp_path):
    base = tmp_path
    for name in 'input', 'output', 'user', 'temp', 'custom_nodes', 'models/upscale_models':
        (base / name).mkdir(parents=True)
    (base / 'custom_nodes/csnln').symlink_to(Path(integrations.__file__).parent / 'comfyui')
    # Prints each call of the progress bar: what the browser would be sent.
    (base / 'custom_nodes/show.py').write_text(
        'from comfy import utils\n'
        'old = utils.ProgressBar.update_absolute\n'
        'def show(self, value, total=None, preview=None):\n'
        '    print("progress", value, total or self.total, flush=True)\n'
        '    old(self, value, total, preview)\n'
        'utils.ProgressBar.update_absolute = show\n'
        'NODE_CLASS_MAPPINGS = {}\n'
    )
    running = Server(base)
    yield running
    running.process.terminate()
    running.process.wait(30)


@pytest.mark.parametrize('branches', ['fast', 'attention'])
@pytest.mark.parametrize('scale', [2, 4])
def test_it_gives_the_commands_image_and_can_be_cancelled(server, scale, branches):
    name = f'csnln-x{scale}-{branches}'
    weights = checkpoint_path(name)
    (server.base / f'models/upscale_models/{name}.safetensors').symlink_to(weights)
    server.print_costs(f'{name}.safetensors')

    side = 160 if branches == 'attention' else 300
    image = photograph(side, side + 20)
    Image.fromarray(image).save(server.base / 'input/a.png')
    result = server.end(server.start(f'{name}.safetensors', 'a.png'))
    assert result['status']['status_str'] == 'success', result['status']
    saved = result['outputs']['4']['images'][0]
    actual = np.asarray(Image.open(server.base / 'output' / saved['subfolder'] / saved['filename']))
    expected = Upscaler(name, device='cpu')(image)
    # SaveImage cuts off what is behind the point.
    assert np.abs(actual.astype(int) - expected).max() <= 1
    steps = [
        tuple(map(int, words)) for words in re.findall(r'progress (\d+) (\d+)', server.since())
    ]
    count = Upscaler(name, device='cpu').tiling(side + 20, side).count
    assert steps == [*[(i + 1, count) for i in range(count)], (1, 1)]  # and ComfyUI's own tile

    # Another image, so that nothing comes from a cache.
    large = np.tile(image, (6, 6, 1))
    Image.fromarray(large).save(server.base / 'input/b.png')
    prompt = server.start(f'{name}.safetensors', 'b.png')
    server.wait_for(lambda: server.get('/queue')['queue_running'], 'beginning')
    time.sleep(2)  # within a tile
    start = time.monotonic()
    server.get('/interrupt', prompt_id=prompt)
    ended = server.end(prompt)
    print(f'{name}: cancelled after {time.monotonic() - start:.1f} s')
    messages = [kind for kind, _ in ended['status']['messages']]
    assert 'execution_interrupted' in messages and not ended['outputs']


@pytest.mark.parametrize('scale', [2, 4])
def test_a_compact_network_beside_it(server, scale):
    """SRVGGNetCompact of 32 layers, which takes the same time with any weights."""
    module = importlib.import_module('spandrel.architectures.Compact.__arch.SRVGG')
    network = module.SRVGGNetCompact(num_feat=64, num_conv=32, upscale=scale, act_type='prelu')
    weights = {key: value.contiguous() for key, value in network.state_dict().items()}
    name = f'compact-x{scale}.safetensors'
    save_file(weights, server.base / 'models/upscale_models' / name)
    server.print_costs(name)
