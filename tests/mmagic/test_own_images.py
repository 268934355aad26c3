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
from tiny_data import make_benchmark, smooth_noise
from tiny_network import save_checkpoint

from csnln_mm.cli import main
from csnln_mm.errors import UserError
from csnln_mm.images.degradation import downsample
from csnln_mm.images.image_file import read_rgb, write_image
from csnln_mm.installed_configs import config_path
from csnln_mm.mmagic.config import load_config
from csnln_mm.mmagic.exact_resume import SampleIndex
from csnln_mm.mmagic.own_images import (
    config_of_checkpoint,
    set_images,
    set_steps,
    set_test_images,
    set_weights,
)

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
