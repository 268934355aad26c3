"""The paper's training (section 5.2), read off what the configs build."""

from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.runner import Runner
from tiny_data import make_benchmark, make_div2k, smooth_noise

from csnln_mm.images.image_file import write_image

CONFIGS = Path(__file__).parents[2] / 'configs'


@pytest.fixture(scope='module', params=[2, 3, 4])
def built(request, tmp_path_factory):
    """(scale, runner, training dataloader) of a config, its parts built as for training."""
    scale = request.param
    root = tmp_path_factory.mktemp(f'x{scale}')
    cfg = Config.fromfile(CONFIGS / f'csnln_x{scale}_div2k.py')
    cfg.work_dir = str(root / 'work')
    cfg.train_dataloader.dataset.data_root = str(make_div2k(root / 'DIV2K', scale))
    cfg.train_dataloader.update(num_workers=0, persistent_workers=False)
    for loader in [cfg.val_dataloader, *cfg.test_dataloader]:
        name = Path(loader.dataset.data_root).name
        loader.dataset.data_root = str(make_benchmark(root / name, 1, scale))
        loader.num_workers = 0
    runner = Runner.from_cfg(cfg)
    runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    loop = runner.build_train_loop(runner._train_loop)
    runner.param_schedulers = runner.build_param_scheduler(runner.param_schedulers)
    return scale, runner, loop


def test_model(built):
    scale, runner, _ = built
    net = runner.model.generator
    assert (net.upscale_factor, net.mid_channels, net.num_recurrences) == (scale, 128, 12)
    assert not net.image_skip
    assert runner.model.test_mode == 'chop'
    assert type(runner.model.pixel_loss).__name__ == 'L1Loss'


def test_optimisation(built):
    _, runner, loop = built
    assert loop.max_iters == 500 * 1000
    optimizer = runner.optim_wrapper.optimizer
    assert type(optimizer).__name__ == 'Adam'
    assert optimizer.defaults['betas'] == (0.9, 0.999)
    assert optimizer.defaults['eps'] == 1e-8
    assert optimizer.defaults['lr'] == 1e-4
    (scheduler,) = runner.param_schedulers
    assert not scheduler.by_epoch
    assert scheduler.gamma == 0.5
    assert sorted(scheduler.milestones) == [150_000, 300_000, 450_000]


def test_sixteen_samples_a_step_on_eight_processes(built):
    _, runner, loop = built
    assert 8 * loop.dataloader.batch_size == 16
    assert runner.cfg.auto_scale_lr.base_batch_size == 16


def test_patches(built):
    scale, _, loop = built
    batch = next(iter(loop.dataloader))
    assert {tuple(lq.shape) for lq in batch['inputs']} == {(3, 48, 48)}
    assert {tuple(sample.gt_img.shape) for sample in batch['data_samples']} == {
        (3, 48 * scale, 48 * scale)
    }


def test_all_eight_flips_and_rotations_occur(built, tmp_path):
    """An image of the size of a patch leaves nothing to the crop."""
    scale, runner, _ = built
    write_image(tmp_path / 'gt.png', smooth_noise(48 * scale, 48 * scale, seed=0))
    write_image(tmp_path / 'img.png', smooth_noise(48, 48, seed=0))
    pipeline = Compose(runner.cfg.train_pipeline)
    np.random.seed(0)
    seen = set()
    for _ in range(100):
        sample = pipeline({f'{key}_path': str(tmp_path / f'{key}.png') for key in ('gt', 'img')})
        seen.add(sample['inputs'].numpy().tobytes())
    assert len(seen) == 8


def test_benchmarks(built):
    scale, runner, _ = built
    loop = runner.build_test_loop(runner._test_loop)
    names = []
    for loader, evaluator in zip(loop.dataloaders, loop.evaluators):
        psnr, ssim = evaluator.metrics
        assert type(psnr).__name__ == 'PSNR' and type(ssim).__name__ == 'SSIM'
        assert psnr.prefix == ssim.prefix
        names.append(psnr.prefix)
        for metric in (psnr, ssim):
            assert (metric.crop_border, metric.convert_to) == (scale, 'Y')
        sample = loader.dataset[0]
        assert sample['data_samples'].gt_img.shape[-1] == scale * sample['inputs'].shape[-1]
    assert names == ['Set5', 'Set14', 'B100', 'Urban100', 'Manga109']
