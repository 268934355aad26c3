"""A config's training on a user's images: pairs, or ground truths alone."""

import copy
import re
import sys

import numpy as np
import pytest
import torch
from command_line import ROOT, refusal
from forked_tool import run_tool
from mmagic.registry import DATASETS, MODELS
from mmagic.utils import register_all_modules
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from tiny_data import make_benchmark, make_div2k, smooth_noise
from tiny_network import save_checkpoint

from csnln_mm.cli import main
from csnln_mm.errors import UserError
from csnln_mm.images.degradation import downsample
from csnln_mm.images.image_file import read_image, read_rgb, write_image
from csnln_mm.installed_configs import config_path
from csnln_mm.mmagic.check_config import build_parts
from csnln_mm.mmagic.config import load_config
from csnln_mm.mmagic.exact_resume import SampleIndex
from csnln_mm.mmagic.loaders import check_dataset
from csnln_mm.mmagic.own_images import (
    config_of_checkpoint,
    set_images,
    set_steps,
    set_test_images,
    set_weights,
)
from csnln_mm.mmagic.training import has_foreign_parts
from csnln_mm.networks.build import PARTS
from csnln_mm.paper.measure import collect_images, measure
from csnln_mm.upscaling import Upscaler

register_all_modules()
NAMES = 'abcdefgh'


@pytest.fixture(scope='module')
def images(tmp_path_factory):
    """Eight pairs of x2: lq/ax2.jpg, gt/a.png, ..."""
    folder = tmp_path_factory.mktemp('own')
    for seed, name in enumerate(NAMES):
        gt = smooth_noise(64, 73, seed)
        write_image(folder / f'only_gt/{name}.png', gt)
        write_image(folder / f'gt/{name}.png', gt[:, :72])
        write_image(folder / f'lq/{name}x2.png', downsample(gt[:, :72], 2))
    return folder


@pytest.fixture
def cfg():
    return Config.fromfile(ROOT / 'configs/csnln_x2_div2k.py')


def build(loader):
    return DATASETS.build(copy.deepcopy(loader.dataset))


def sample(dataset, seed=1, index=0):
    """Of a seed, as the sampler of the configs gives it."""
    results = dataset.get_data_info(index)
    results['sample_idx'] = SampleIndex(index, seed)
    packed = dataset.pipeline(results)
    return packed['inputs'].numpy(), packed['data_samples'].gt_img.numpy()


def keys(dataset):
    return [dataset.get_data_info(i)['key'] for i in range(len(dataset))]


def test_pairs_are_split_by_name(cfg, images):
    set_images(cfg, images / 'gt', images / 'lq', patch_size=16, validation=2)
    train, val = build(cfg.train_dataloader), build(cfg.val_dataloader)
    assert len(train) == 6 and len(val) == 2
    assert sorted(keys(train) + keys(val)) == list(NAMES)
    img, gt = sample(train)
    assert img.shape == (3, 16, 16) and gt.shape == (3, 32, 32)
    img, gt = sample(val)
    name = keys(val)[0]
    assert (gt == read_rgb(images / f'gt/{name}.png').transpose(2, 0, 1)).all()
    assert (img == read_rgb(images / f'lq/{name}x2.png').transpose(2, 0, 1)).all()


def test_the_config_keeps_all_else(cfg, images):
    before = copy.deepcopy(cfg)
    set_images(cfg, images / 'gt', images / 'lq')
    for key in cfg.keys() - {'train_dataloader', 'val_dataloader'}:
        assert cfg[key] == before[key], key
    assert cfg.train_dataloader.dataset.pipeline == before.train_dataloader.dataset.pipeline
    assert cfg.val_dataloader.dataset.pipeline == before.val_dataloader.dataset.pipeline


def test_bicubic_images_are_windows_of_the_reduced_image(cfg, images):
    set_images(cfg, images / 'only_gt', patch_size=16)
    train = build(cfg.train_dataloader)
    shapes = {tuple(image.shape for image in sample(train, seed)) for seed in range(4)}
    assert shapes == {((3, 16, 16), (3, 32, 32))}
    pipeline = cfg.train_dataloader.dataset.pipeline
    pipeline[:] = [step for step in pipeline if not re.search('Flip|Random', step.type)]
    train, val = build(cfg.train_dataloader), build(cfg.val_dataloader)
    whole = read_rgb(images / f'only_gt/{keys(train)[0]}.png')[:, :72]
    reduced = downsample(whole, 2)
    places = set()
    for seed in range(8):
        img, gt = (image.transpose(1, 2, 0) for image in sample(train, seed))
        assert img.shape == (16, 16, 3) and gt.shape == (32, 32, 3)
        windows = np.lib.stride_tricks.sliding_window_view(reduced, img.shape)[:, :, 0]
        ((y, x),) = np.argwhere((windows == img).all((2, 3, 4)))
        assert (whole[2 * y : 2 * y + 32, 2 * x : 2 * x + 32] == gt).all()
        places.add((y, x))
    assert len(places) > 4
    img, gt = (image.transpose(1, 2, 0) for image in sample(val))
    assert gt.shape == (64, 72, 3) and (img == downsample(gt, 2)).all()


@pytest.mark.parametrize('scale', [2, 3])
def test_real_esrgan_degrades_at_random_and_by_the_seed(images, scale):
    cfg = Config.fromfile(ROOT / f'configs/csnln_x{scale}_div2k.py')
    set_images(cfg, images / 'only_gt', degradation='realesrgan', patch_size=12)
    train = build(cfg.train_dataloader)
    first = [sample(train, seed) for seed in range(4)]
    for img, gt in first:
        assert img.shape == (3, 12, 12) and gt.shape == (3, 12 * scale, 12 * scale)
        assert 0 <= img.min() and img.max() <= 255 and img.std() > 0
    assert len({img.tobytes() for img, _ in first}) == 4
    again = sample(train, 2)
    assert all(np.array_equal(a, b) for a, b in zip(again, first[2]))
    img, gt = sample(build(cfg.val_dataloader))
    assert (img.transpose(1, 2, 0) == downsample(gt.transpose(1, 2, 0), scale)).all()


def test_images_are_validated_alike_whether_made_or_read(cfg, images):
    """Also their colours: pred_img and gt_img are in one channel order."""
    model = MODELS.build(Config.fromfile(ROOT / 'configs/bicubic_x2.py').model)
    outputs = []
    for lq in images / 'lq', None:
        set_images(cfg, images / 'gt', lq, validation=2)
        batch = pseudo_collate([build(cfg.val_dataloader)[0]])
        (output,) = model.val_step(batch)
        outputs.append([output.output.pred_img, output.gt_img])
    for read, made in zip(*outputs):
        assert torch.equal(read, made)


def test_validation_on_other_folders(cfg, images):
    set_images(cfg, images / 'only_gt', val_gt=images / 'gt', val_lq=images / 'lq')
    assert len(build(cfg.train_dataloader)) == len(build(cfg.val_dataloader)) == 8


def test_an_image_without_a_partner_is_named(cfg, images, tmp_path):
    write_image(tmp_path / 'lq/a.png', smooth_noise(24, 24, 0))
    set_images(cfg, images / 'gt', tmp_path / 'lq')
    with pytest.raises(UserError, match=r'gt/b.png has no partner \(and 6 more\)'):
        len(build(cfg.train_dataloader))


def test_weights_bring_their_network(cfg, tmp_path):
    path = str(save_checkpoint(tmp_path / 'a.pth', mid_channels=8))
    set_weights(cfg, path)
    assert cfg.load_from == path
    assert cfg.model.generator == dict(
        type='CSNLNNet', upscale_factor=2, mid_channels=8, num_recurrences=1, image_skip=True
    )
    path = str(save_checkpoint(tmp_path / 'b.pth', upscale_factor=3))
    with pytest.raises(UserError, match='is for x3, config .* for x2'):
        set_weights(cfg, path)


def test_a_shorter_run_has_the_same_schedule(cfg):
    set_steps(cfg, 1000)
    assert cfg.train_cfg.max_iters == 1000 and cfg.train_cfg.val_interval == 100
    assert cfg.param_scheduler.milestones == [300, 600, 900]
    assert cfg.default_hooks.checkpoint.interval == 100


@pytest.mark.parametrize('steps, interval', [(3, 2), (20, 10), (60, 30), (200, 50), (5000, 500)])
def test_a_short_run_is_not_validated_all_the_time(cfg, steps, interval):
    set_steps(cfg, steps)
    assert cfg.train_cfg.val_interval == cfg.default_hooks.checkpoint.interval == interval


@pytest.mark.parametrize('steps, begin', [(30_000, 100), (600, 2), (1, 2)])
def test_a_cosine_ends_with_the_run_and_its_warmup_is_as_much_shorter(steps, begin):
    cfg = Config.fromfile(ROOT / 'configs/compact/csnln_x2_fast.py')
    set_steps(cfg, steps)
    warmup, cosine = cfg.param_scheduler
    assert (warmup.end, cosine.begin, cosine.end) == (begin, begin, max(steps, begin + 2))


@pytest.mark.parametrize(
    'options, message',
    [
        (['--lq', '.'], '--lq needs --gt'),
        (['--val', '3'], '--val needs --gt'),
        (['--gt', '.', '--lq', '.', '--degradation', 'bicubic'], 'give either'),
        (['--gt', '.', '--val-lq', '.'], '--val-lq needs --val-gt'),
        (['--gt', '.', '--val', '3', '--val-gt', '.'], 'give either'),
        (['--gt', 'nowhere'], '--gt: nowhere is not a folder'),
        (['--gt', '.', '--val-gt', 'nowhere'], '--val-gt: nowhere is not a folder'),
    ],
)
def test_options_that_cannot_be_meant_are_refused(options, message, capsys):
    assert message in refusal(capsys, 'train', 'csnln_x2_div2k.py', *options)


def test_tests_on_images_of_ones_own(images, tmp_path):
    cfg = Config.fromfile(ROOT / 'configs/csnln_x2_div2k.py')
    set_test_images(cfg, images / 'only_gt')
    (loader,), (evaluator,) = cfg.test_dataloader, cfg.test_evaluator
    assert len(build(loader)) == 8 and evaluator.metrics[0].prefix == 'only_gt'
    make_benchmark(tmp_path / 'A', 1)
    make_benchmark(tmp_path / 'B', 2)
    set_test_images(cfg, tmp_path)
    assert [len(build(loader)) for loader in cfg.test_dataloader] == [1, 2]
    assert [x.metrics[1].prefix for x in cfg.test_evaluator] == ['A', 'B']
    empty = tmp_path / 'empty'
    empty.mkdir()
    with pytest.raises(UserError, match='has neither images nor test sets with GTmod12'):
        set_test_images(cfg, empty)
    set_test_images(cfg, tmp_path / 'A')
    assert len(cfg.test_dataloader) == 1


@pytest.mark.parametrize('name', ['csnln_x2_mmagic.py', 'edsr_cross_scale_x2.py'])
def test_a_mixing_config_trains_on_images_of_ones_own(images, name):
    cfg = load_config(name)
    set_images(cfg, images / 'gt', images / 'lq', patch_size=16)
    img, gt = sample(build(cfg.train_dataloader))
    assert img.shape == (3, 16, 16) and gt.shape == (3, 32, 32)


def test_the_config_of_a_checkpoint(tmp_path):
    path = str(save_checkpoint(tmp_path / 'a.pth', mid_channels=8))
    cfg = config_of_checkpoint(path, options={'model.test_cfg.ensemble': True})
    assert cfg.model.generator.mid_channels == 8 and cfg.model.test_cfg.ensemble
    assert cfg.work_dir == 'work_dirs/test_a'
    cfg = config_of_checkpoint('csnln-x3-fast')
    assert cfg.model.generator.upscale_factor == 3 and cfg.model.test_cfg == dict(mode='whole')


def test_a_config_of_ones_own_has_its_own_name_and_folder(tmp_path, monkeypatch):
    base = config_path('edsr_cross_scale_x2.py')
    assert base.endswith('configs/mixing/edsr_cross_scale_x2.py')
    monkeypatch.setattr(sys, 'path', list(sys.path))
    (tmp_path / 'my_module_beside_a_config.py').touch()
    (tmp_path / 'mine.py').write_text(
        f"_base_ = '{base}'\ncustom_imports = dict(imports=['csnln_mm.mmagic', "
        "'my_module_beside_a_config'])"
    )
    cfg = load_config(str(tmp_path / 'mine.py'))
    assert cfg.work_dir == 'work_dirs/mine' and 'my_module_beside_a_config' in sys.modules
    (tmp_path / 'named.py').write_text(f"_base_ = '{base}'\nwork_dir = 'elsewhere'")
    assert load_config(str(tmp_path / 'named.py')).work_dir == 'elsewhere'


def test_contributings_config_with_an_attention_of_ones_own(tmp_path, monkeypatch):
    """Its module lies beside it; a checkpoint never imports it by itself."""
    blocks = re.findall('```python\n(.*?)```', (ROOT / 'CONTRIBUTING.md').read_text(), re.S)
    names = {'mine.py': '_base_ = ', 'my_attention.py': 'class GatedUpsampling'}
    for name, content in names.items():
        (block,) = (block for block in blocks if content in block)
        (tmp_path / name).write_text(block)
    monkeypatch.setattr(sys, 'path', list(sys.path))
    cfg = load_config(str(tmp_path / 'mine.py'))
    try:
        model = build_parts(cfg)
        assert has_foreign_parts(model.generator) and not has_foreign_parts(model.generator.head)
        torch.save(
            dict(meta=dict(cfg=cfg.pretty_text), state_dict=model.state_dict()),
            tmp_path / 'mine.pth',
        )
        assert config_of_checkpoint(str(tmp_path / 'mine.pth'))
    finally:
        del sys.modules['my_attention'], PARTS['GatedUpsampling']
        MODELS.module_dict.pop('GatedUpsampling')
    with pytest.raises(UserError, match='name the config of its training.* csnln test FILE'):
        config_of_checkpoint(str(tmp_path / 'mine.pth'))


@pytest.fixture(scope='module')
def bands(tmp_path_factory):
    """Six images of four bands, of 14 bits in 16."""
    folder = tmp_path_factory.mktemp('bands')
    for seed in range(6):
        parts = [smooth_noise(48, 60, 10 * seed + i)[..., :2] for i in range(2)]
        pixels = np.concatenate(parts, -1).astype(np.uint16) * 40
        write_image(folder / f'gt/{seed}.tif', pixels)
        write_image(folder / f'lq/{seed}.tif', downsample(pixels, 2))
    return folder


@pytest.mark.parametrize('lq', [None, 'lq'])
def test_the_network_takes_the_bands_that_there_are(cfg, bands, lq):
    set_images(cfg, bands / 'gt', lq and bands / lq, patch_size=12, value_range=(0.0, 16383.0))
    assert cfg.model.generator.in_channels == 4 == len(cfg.model.generator.rgb_mean)
    assert cfg.model.data_preprocessor.mean == [0.0]
    assert [metric.convert_to for metric in cfg.val_evaluator.metrics] == [None, None]
    cfg.model.generator.update(mid_channels=4, num_recurrences=1)
    build_parts(cfg)
    img, gt = sample(build(cfg.train_dataloader))
    assert img.shape == (4, 12, 12) and gt.shape == (4, 24, 24)
    (val,) = [pseudo_collate([x]) for x in build(cfg.val_dataloader)]
    (name,) = val['data_samples']
    pixels = read_image(bands / f'gt/{name.gt_path[-5]}.tif').pixels
    torch.testing.assert_close(
        name.gt_img, torch.from_numpy(pixels * np.float32(255 / 16383)).permute(2, 0, 1)
    )
    small = torch.from_numpy(downsample(pixels, 2) * np.float32(255 / 16383)).permute(2, 0, 1)
    (img,) = val['inputs']
    assert (img - small).abs().max() < (1e-4 if lq else 0.02)  # made from it, it is not rounded


def test_chosen_bands_go_through_a_network_of_weights(cfg, bands, tmp_path):
    set_weights(cfg, str(save_checkpoint(tmp_path / 'rgb.pth')))
    with pytest.raises(UserError, match=r'0.tif has 4 bands, and the network takes 3; .*--bands'):
        set_images(cfg, bands / 'gt', patch_size=12)
    set_images(cfg, bands / 'gt', bands / 'lq', patch_size=12, bands='3,2,1')
    _, gt = sample(build(cfg.train_dataloader))
    assert gt.shape == (3, 24, 24) and cfg.model.data_preprocessor.mean == [0.0, 0.0, 0.0]
    set_images(cfg, bands / 'gt', bands / 'lq', patch_size=12, bands='4')
    _, gt = sample(build(cfg.train_dataloader))
    assert (gt[0] == gt[1]).all() and (gt[0] == gt[2]).all()


def test_an_image_of_other_bands_is_named(cfg, bands, images, tmp_path):
    for seed in 0, 1, 3:
        write_image(tmp_path / f'{seed}.tif', read_image(bands / f'gt/{seed}.tif'))
    write_image(tmp_path / '2.tif', np.zeros((48, 60, 5), np.uint16))
    set_images(cfg, tmp_path, patch_size=12)
    with pytest.raises(UserError, match='2.tif has 5 bands, and the network takes 4'):
        check_dataset(cfg.train_dataloader.dataset, title='training', scale=2)
    (tmp_path / 'a.png').write_bytes((images / 'gt/a.png').read_bytes())
    for path in tmp_path.glob('*.tif'):
        path.rename(path.with_name(f'b{path.name}'))
    cfg = load_config('csnln_x2_div2k.py')
    set_images(cfg, tmp_path, patch_size=12)
    with pytest.raises(UserError, match='b0.tif is not an image of 8 bits, grey or RGB, as others'):
        check_dataset(cfg.train_dataloader.dataset, title='training', scale=2)


@pytest.mark.parametrize(
    'options, message',
    [
        (
            ['model.generator.in_channels=1'],
            'in_channels (1), out_channels (3) and the length of rgb_mean (3) must agree',
        ),
        (
            [
                'model.generator.in_channels=1',
                'model.generator.out_channels=1',
                'model.generator.rgb_mean=[0.4]',
            ],
            'the network takes images of 1 channel, and the training images are loaded with 3',
        ),
    ],
)
def test_networks_of_other_channels_than_the_images_are_refused(options, message, tmp_path, capsys):
    make_div2k(tmp_path / 'DIV2K', 2)
    make_benchmark(tmp_path / 'Set5')
    roots = ['train_dataloader.dataset.data_root', 'val_dataloader.dataset.data_root']
    small = ['model.generator.mid_channels=4', 'model.generator.num_recurrences=1']
    options += [f'{key}={tmp_path}/{name}' for key, name in zip(roots, ('DIV2K', 'Set5'))] + small
    line = refusal(
        capsys, 'train', 'csnln_x2_div2k.py', '--work-dir', tmp_path, '--cfg-options', *options
    )
    assert message in line


@pytest.mark.slow
def test_a_network_of_four_bands_from_start_to_finish(bands, tmp_path):
    save_checkpoint(tmp_path / 'rgb.pth')
    files = [str(tmp_path / name) for name in ('rgb.pth', 'four.safetensors')]
    assert main(['grow', *files, '--channels', '4']) == 0
    options = ['--patch-size', 12, '--val', 2, '--weights', 'four.safetensors', '--steps', 3]
    options += ['--range', 0, 16383, '--cfg-options', 'train_dataloader.num_workers=0']
    options += ['train_dataloader.persistent_workers=False', 'val_dataloader.num_workers=0']
    config = ROOT / 'configs/csnln_x2_div2k.py'
    text = run_tool(tmp_path, 'train.py', config, '--gt', bands / 'gt', *options)
    assert re.search(r'no step improved|upscale with it: .*\.pth --range 0 16383$', text, re.M)
    checkpoint = tmp_path / 'work_dirs/csnln_x2_div2k/iter_3.pth'
    tested = run_tool(
        tmp_path,
        'test.py',
        checkpoint,
        *['--data', bands / 'gt', '--range', 0, 16383, '--save-images', tmp_path / 'images'],
    )
    (psnr,) = re.findall(r'^gt/PSNR +(\d\d\.\d+)$', tested, re.M)
    saved = read_image(next((tmp_path / 'images').rglob('0.tif'))).pixels
    pixels = read_image(bands / 'gt/0.tif').pixels
    assert saved.dtype == np.uint16 and saved.shape == pixels.shape
    # By the command that measures, which rounds reduced images to integers.
    sets = collect_images([bands / 'gt'])
    models = {'mine': Upscaler(checkpoint, device='cpu', tile=0)}
    (row,) = measure(sets, models, 2, value_range=(0, 16383))
    assert row.scores['gt'].psnr == pytest.approx(float(psnr), abs=0.05)


@pytest.mark.slow
def test_an_afternoon_of_fine_tuning(images, tmp_path):
    """Train from weights, resume, and test the result without a config, on a quiet terminal."""
    save_checkpoint(tmp_path / 'start.pth')
    options = ['--patch-size', 12, '--val', 2, '--weights', 'start.pth', '--steps', 3]
    options += ['--cfg-options', 'train_dataloader.num_workers=0']
    options += ['train_dataloader.persistent_workers=False', 'val_dataloader.num_workers=0']
    config = ROOT / 'configs/csnln_x2_div2k.py'
    arguments = [config, '--gt', images / 'gt', '--lq', images / 'lq', *options]
    text = run_tool(tmp_path, 'train.py', *arguments)
    folder = tmp_path / 'work_dirs/csnln_x2_div2k'
    # Of the start, and of steps 2 and 3.
    assert len(re.findall(r'Iter\(val\).*PSNR: [\d.]+', text)) == 3
    assert re.search(r'rate +0.0001, meant for 16 .*--auto-scale-lr makes it 1.25e-05', text)
    assert re.search('no step improved on the start, PSNR|upscale with it: csnln upscale', text)
    (log,) = folder.glob('2*/2*.log')
    for noise in 'System environment', 'Hooks will be executed', 'stand-ins', 'backend':
        assert noise not in text and noise in log.read_text(), noise
    assert len(text.splitlines()) < 50, text

    (folder / 'iter_3.pth').unlink()
    text = run_tool(tmp_path, 'train.py', *arguments, '--resume')
    assert 'resuming from' in text and 'seed' not in text
    assert all('random seed' not in path.read_text() for path in folder.glob('2*/2*.log'))
    written = Config.fromfile(folder / 'csnln_x2_div2k.py')
    assert not written.resume and written.load_from == 'start.pth'

    checkpoint = folder / 'iter_3.pth'
    text = run_tool(tmp_path, 'test.py', checkpoint, '--data', images / 'only_gt')
    assert re.search(r'^only_gt/PSNR +\d\d\.\d+$', text, re.M) and len(text.splitlines()) < 20
    assert main(['test', str(config), str(checkpoint), '--data', str(images / 'only_gt')]) == 2
