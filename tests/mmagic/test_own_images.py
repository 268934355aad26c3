"""A config's training on a user's images: pairs, or ground truths alone."""

import copy
import re

import numpy as np
import pytest
import torch
from command_line import ROOT
from forked_tool import end_of, start_tool
from mmagic.registry import DATASETS, MODELS
from mmagic.utils import register_all_modules
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from tiny_data import smooth_noise
from tiny_network import save_checkpoint

from csnln_mm.cli import main
from csnln_mm.errors import UserError
from csnln_mm.images.degradation import downsample
from csnln_mm.images.image_file import read_rgb, write_image
from csnln_mm.mmagic.exact_resume import SampleIndex
from csnln_mm.mmagic.own_images import set_images, set_steps, set_weights

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
    assert main(['train', 'csnln_x2_div2k.py', *options]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_one_command_fine_tunes(images, tmp_path):
    save_checkpoint(tmp_path / 'start.pth')
    options = ['--patch-size', 12, '--val', 2, '--weights', 'start.pth', '--steps', 3]
    options += ['--cfg-options', 'train_dataloader.num_workers=0']
    options += ['train_dataloader.persistent_workers=False', 'val_dataloader.num_workers=0']
    config = ROOT / 'configs/csnln_x2_div2k.py'
    arguments = [config, '--gt', images / 'gt', '--lq', images / 'lq', *options]
    process = start_tool(tmp_path, 'train.py', arguments)
    output = tmp_path / 'output.txt'
    assert end_of(process) == 0, output.read_text()[-5000:]
    assert len(re.findall(r'Iter\(val\).*PSNR: [\d.]+', output.read_text())) == 3
    assert (tmp_path / 'work_dirs/csnln_x2_div2k/iter_3.pth').exists()
