"""Every command in the README and in docs/ works.

Each is run, in one folder and in the order of the pages, with small images and small networks under
the names that the pages use. Those that match a line of NOT_RUN are only checked: the files of the
repository that they name exist, and their arguments are accepted. Python blocks are run as well;
those that are configs are loaded by MMEngine.
"""

import argparse
import io
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from doc_pages import PAGES, ROOT, Command, blocks, commands
from golden import load_golden
from mmagic.registry import MODELS
from mmengine.config import Config
from mmengine.registry import DefaultScope
from PIL import Image
from tiny_data import make_benchmark, make_demo, smooth_noise

from csnln_mm.cli import main
from csnln_mm.images.image_file import write_image
from csnln_mm.integrations.safetensors import export_safetensors
from csnln_mm.networks import CSNLNNet

# What begins a command, as a regular expression, and why it is not run here.
NOT_RUN = {
    r'(python3 -m venv|\.) ': 'makes an environment, or needs one',
    r'make (env|test|lint|docs|demo)': 'minutes; the continuous integration runs the first three',
    r'pip install (-e|--no-deps|pytorch-optimizer)': 'changes the environment',
    r'(python -m build|pip install .*\.whl|mim )': 'tests/packaging/test_wheel.py runs the page',
    r'csnln upscale .*/iter_10\.pth': 'tests/packaging/test_wheel.py runs the page',
    r'(CSNLN_TEST_\w+=\S+ )?python -m pytest': 'these are the tests',
    r'tools/(dist|slurm)_\w+\.sh': 'several devices or a cluster',
    r'([A-Z_]+=\S+ )+tools/(dist|slurm)_\w+\.sh': 'several machines or a cluster',
    r'csnln train': 'hours; tests/tools, configs and mmagic train',
    r'csnln measure .*--(time|jpeg)': 'minutes; tests/paper/test_measure.py measures',
    r'sbatch tools/train\.sbatch': 'a cluster',
    r'(torchrun|srun|sbatch) .*csnln\w* upscale': 'several processes; tests/test_shard.py',
    r'ff(mpeg|probe) ': 'ffmpeg is not installed',
    r'python -m csnln_mm\.compatibility': 'tests/tools/test_train_and_test.py runs such tools',
    r'csnln explore': 'serves until it is ended; tests/explore uses the page',
    r'csnln ablation': 'days; tests/paper/test_ablation.py runs small budgets',
    r'python benchmarks/attention\.py': 'minutes; tests/benchmarks/test_attention.py measures',
    r'python benchmarks/inputs\.py': 'minutes; tests/benchmarks/test_inputs.py measures',
    r'python benchmarks/versions\.py': 'half an hour; tests/benchmarks/test_versions.py measures',
    r'csnln prepare div2k data/DIV2K': '800 images; tests/datasets prepares small ones',
}
if shutil.which('ffmpeg') and shutil.which('ffprobe'):
    del NOT_RUN[r'ff(mpeg|probe) ']
# The same for Python blocks: a line of the block.
PYTHON_NOT_RUN = {
    'from mmagic.apis import MMagicInferencer': 'tests/mmagic/test_generator.py compares pixels',
    'import pydicom': 'tests/upscaling/test_fields.py reads such a file',
    # They stay registered, so that one test takes them back.
    "'my_attention'": 'tests/mmagic/test_own_images.py loads it',
    '@register_part': 'tests/networks/test_own_parts.py runs all of them',
    'KERNELS[8]': 'tests/networks/test_own_parts.py runs all of them',
}

BLOCKS = [block for page in PAGES for block in blocks(page)]
ITEMS = [
    item for block in BLOCKS for item in (commands(block) if block.language == 'bash' else [block])
]


def reason_not_to_run(item):
    if isinstance(item, Command):
        text = shlex.join(item.words)
        return next((why for begin, why in NOT_RUN.items() if re.match(begin, text)), None)
    return next((why for line, why in PYTHON_NOT_RUN.items() if line in item.text), None)


def test_no_exception_is_out_of_date():
    commands = [shlex.join(item.words) for item in ITEMS if isinstance(item, Command)]
    for begin in NOT_RUN:
        assert any(re.match(begin, command) for command in commands), begin
    for line in PYTHON_NOT_RUN:
        assert any(line in block.text for block in BLOCKS)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """The repository's root for a user who has some images, data sets and checkpoints."""
    root = tmp_path_factory.mktemp('docs')
    for name in 'docs', 'tools':
        (root / name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / 'configs', root / 'configs')
    for name in '_base_/models/csnln.py', 'csnln_x2_demo.py':
        path = root / 'configs' / name
        text = re.sub(r'mid_channels=\d+', 'mid_channels=4', path.read_text())
        path.write_text(re.sub(r'num_recurrences=\d+', 'num_recurrences=1', text))
    for scale in 2, 3, 4:
        make_benchmark(root / 'data/Set5', 1, scale)
    for name in 'Set5', 'Set14':
        write_image(root / f'downloads/{name}/a.png', smooth_noise(24, 36, 1))
    write_image(root / 'work_dirs/theirs/a_x2.png', smooth_noise(24, 36, 2))
    (root / 'metrics.json').write_text('{"Set5/PSNR": 33.7, "Set5/SSIM": 0.93}')
    write_image(root / 'data/DIV2K/DIV2K_train_LR_bicubic/X2_sub/a.png', smooth_noise(48, 60, 1))
    write_image(root / 'home/Pictures/a.png', smooth_noise(480, 480, 1))
    make_demo(root / 'data/demo', 216, 420)
    write_image(root / 'pairs/LR/ax2.png', smooth_noise(48, 50, 1))
    write_image(root / 'pairs/HR/a.png', smooth_noise(96, 100, 1))
    write_image(root / 'photos/test/a.png', smooth_noise(24, 36, 2))
    for name in 'photo.jpg small.png texture.png panorama.jpg photos/a.png scans/b/c.tif'.split():
        write_image(root / name, smooth_noise(12, 14, 2))
    deep = smooth_noise(12, 14, 3).astype(np.uint16) * 16
    bands = np.concatenate([deep] * 3, -1)[..., :8]
    tifffile.imwrite(root / 'scene.tif', bands, planarconfig='contig', photometric='minisblack')
    scene = np.tile(smooth_noise(36, 48, 4), (1, 1, 2))[..., :4].astype(np.uint16) * 30
    write_image(root / 'scenes/a.tif', scene)
    tifffile.imwrite(root / 'detector.tif', deep[..., 0], photometric='minisblack')
    cells = dict(photometric='minisblack', metadata=dict(axes='CYX'))
    tifffile.imwrite(root / 'cells.ome.tif', deep.transpose(2, 0, 1), **cells)
    tifffile.imwrite(root / 'scan.tif', deep, photometric='rgb', resolution=(300, 300))
    animation = [Image.fromarray(smooth_noise(12, 14, seed)) for seed in (1, 2)]
    for name in 'moving.gif', 'pages.tif':
        pages = [*animation, *animation][:3]
        pages[0].save(root / name, save_all=True, append_images=pages[1:])
    if shutil.which('ffmpeg'):
        make_clip(root / 'clip.mp4')
    save_checkpoint(root, 'csnln_x2_demo/iter_1200.pth', 'csnln_x2_demo')
    save_checkpoint(root, 'csnln_x2_div2k/iter_500000.pth', 'csnln_x2_div2k')
    # For the pages that begin with what another page exports.
    released = root / 'work_dirs/csnln_x2_div2k/iter_500000.pth'
    export_safetensors(released, root / 'csnln_x2.safetensors')
    save_checkpoint(root, 'csnln_x2_fast/iter_60000.pth', 'compact/csnln_x2_fast')
    save_checkpoint(root, 'csnln_x2_fast_soap/iter_6000.pth', 'compact/csnln_x2_fast')
    save_checkpoint(root, 'esrgan_csnln_x4/iter_400000.pth', 'csnln_x4_div2k')
    for name in 'CHECKPOINT', 'csnln_x4':
        shutil.copy(root / 'work_dirs/esrgan_csnln_x4/iter_400000.pth', root / f'{name}.pth')
    torch.save(load_golden(2).state_dict, root / 'model_x2.pt')
    network = CSNLNNet(
        mid_channels=4, num_recurrences=2, image_skip=True, cell=dict(branches=['local'])
    )
    torch.save(dict(params=network.state_dict()), root / 'net_g_latest.pth')  # as BasicSR does
    return root


COLOURS = [(200, 40, 40), (40, 200, 40), (40, 40, 200), (180, 180, 60)]


def make_clip(path):
    """A video of four flat colours in BT.709, with a sound."""
    write_image(path.with_suffix('.png'), np.array([COLOURS], np.uint8).repeat(16, 1).repeat(32, 0))
    colours = 'scale=out_color_matrix=bt709:out_range=tv -pix_fmt yuv420p -color_range tv'
    colours += ' -colorspace bt709 -color_primaries bt709 -color_trc bt709'
    inputs = f'-loop 1 -framerate 30000/1001 -i {path.with_suffix(".png")} -f lavfi -i sine=440'
    command = f'ffmpeg -v error {inputs} -frames:v 6 -t 0.2 -vf {colours} -c:a aac {path}'
    subprocess.run(command.split(), check=True)


def test_a_video_keeps_its_rate_colours_and_sound(folder):
    """Of the pipe that the page shows, which ran before if all tests did."""
    if not shutil.which('ffmpeg'):
        pytest.skip('ffmpeg is not installed')
    (pipe,) = (
        item for item in ITEMS if isinstance(item, Command) and item.words[-1] == 'large.mp4'
    )
    run_pipe(pipe.words, folder)
    about = (
        'codec_type,codec_name,r_frame_rate,nb_read_frames,color_range,color_space,color_transfer'
    )
    seen = []
    for name in 'clip.mp4', 'large.mp4':
        command = f'ffprobe -v error -count_frames -show_entries stream={about} -of compact {name}'
        seen.append(subprocess.check_output(command.split(), cwd=folder, text=True))
    assert seen[0] == seen[1] and 'codec_type=audio' in seen[0] and '30000/1001' in seen[0]
    exact, colours = '-sws_flags accurate_rnd+full_chroma_int', []
    for name, side in ('clip.mp4', 16), ('large.mp4', 32):
        command = f'ffmpeg -v error -i {name} {exact} -frames:v 1 -f image2pipe -c:v png -'
        png = subprocess.check_output(command.split(), cwd=folder)
        image = Image.open(io.BytesIO(png)).convert('RGB')
        assert image.size == (4 * side, 2 * side)
        colours.append([image.getpixel((side * i + side // 2, side)) for i in range(4)])
    np.testing.assert_allclose(colours[1], colours[0], atol=1)
    np.testing.assert_allclose(colours[0], COLOURS, atol=5)


def save_checkpoint(root, name, config):
    """As if it had been trained."""
    path = root / 'work_dirs' / name
    cfg = Config.fromfile(root / f'configs/{config}.py')
    with DefaultScope.overwrite_default_scope('mmagic'):
        model = MODELS.build(cfg.model)
    path.parent.mkdir(parents=True)
    torch.save(dict(meta=dict(cfg=cfg.pretty_text), state_dict=model.state_dict()), path)


@pytest.mark.slow
@pytest.mark.parametrize('item', [x for x in ITEMS if not reason_not_to_run(x)], ids=str)
def test_it_runs(item, folder, monkeypatch, tmp_path):
    """In this process, so that MMagic is imported once."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv('HOME', str(folder / 'home'))
    if isinstance(item, Command):
        words = [os.path.expanduser(word) for word in item.words]
        if '<' in words:
            run_with_files(words)
        elif words[0] in ('ffmpeg', 'ffprobe'):
            run_pipe(words, folder)
        elif words[0] == 'csnln':
            assert main(words[1:]) == 0
        else:
            assert words[0] == 'python'
            assert run_tool(words[1], words[2:], monkeypatch) in (None, 0)
    elif re.search(r'^(_base_|model|custom_imports) = ', item.text, flags=re.M):
        (tmp_path / 'config.py').write_text(item.text)
        assert Config.fromfile(tmp_path / 'config.py')
    else:
        for package in 'openvino', 'rasterio':
            if f'import {package}' in item.text:
                pytest.importorskip(package)
        code = compile(item.text, item.page, 'exec')
        exec(code, dict(image=smooth_noise(12, 14, 3)))


@pytest.mark.parametrize('item', [x for x in ITEMS if reason_not_to_run(x)], ids=str)
def test_it_is_understood(item, monkeypatch, tmp_path):
    if not isinstance(item, Command):
        compile(item.text, item.page, 'exec')
        return
    words = [word for word in item.words if not re.match(r'[A-Z_]+=', word)]
    for word in words:
        if word.startswith(('configs/', 'tools/', 'tests/')):
            assert (ROOT / word).exists(), word
    if words[0] == 'make':
        subprocess.run(['make', '-n', *words[1:]], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    elif words[0].endswith('.sh'):
        tool, arguments = what_a_script_starts(words, tmp_path)
        check_arguments(tool, arguments, monkeypatch)
    elif words[0] == 'csnln':
        check_arguments('csnln_mm/__main__.py', words[1:], monkeypatch)
    elif words[0] == 'python' and words[1] != '-m':
        check_arguments(words[1], words[2:], monkeypatch)


class Understood(BaseException):
    """Raised when a command has accepted its arguments and would begin to work."""


def run_with_files(words):
    """A command of csnln that ends in ``< FILE > FILE``."""
    *command, less, source, greater, target = words
    assert (command[0], less, greater) == ('csnln', '<', '>')
    with open(source, 'rb') as stdin, open(target, 'wb') as stdout:
        command = [sys.executable, '-m', 'csnln_mm', *command[1:]]
        subprocess.run(command, stdin=stdin, stdout=stdout, check=True)
    assert Path(target).stat().st_size


def run_pipe(words, folder):
    """Commands of ffmpeg and csnln, one after the other."""
    line = ' '.join(word if word == '|' else shlex.quote(word) for word in words)
    line = line.replace('| csnln ', f'| {sys.executable} -m csnln_mm ')
    subprocess.run(['bash', '-o', 'pipefail', '-c', line], cwd=folder, check=True)


def run_tool(tool, arguments, monkeypatch):
    """The exit status."""
    monkeypatch.setattr(sys, 'argv', [tool, *arguments])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(ROOT / tool), run_name='__main__')
    torch.set_flush_denormal(False)  # a session of onnxruntime leaves its thread without
    return ended.value.code


def check_arguments(tool, arguments, monkeypatch):
    parse = argparse.ArgumentParser.parse_args

    def parse_and_stop(parser, *args, **kwargs):
        parse(parser, *args, **kwargs)
        raise Understood

    monkeypatch.setattr(argparse.ArgumentParser, 'parse_args', parse_and_stop)
    monkeypatch.setattr(sys, 'argv', [tool, *arguments])
    with pytest.raises(Understood):
        runpy.run_path(str(ROOT / tool), run_name='__main__')


def what_a_script_starts(words, tmp_path):
    """The tool that a shell script starts through ``python`` or ``srun``, and its arguments."""
    for name in 'python', 'srun':
        (tmp_path / name).write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
        (tmp_path / name).chmod(0o755)
    output = subprocess.run(
        ['bash', *words],
        cwd=ROOT,
        env=dict(os.environ, PATH=f'{tmp_path}:{os.environ["PATH"]}'),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout.splitlines()
    # The last, after what is checked before.
    *_, i = (i for i, word in enumerate(output) if re.search(r'tools/(train|test)\.py$', word))
    return Path(output[i]).relative_to(ROOT), output[i + 1 :]
