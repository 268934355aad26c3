"""The recipes of the compact models: staged training, from the first step to the grown network."""

import shutil
from pathlib import Path

import pytest
import torch
from forked_tool import run_tool
from mmengine.config import Config
from short_training import assert_same_training, checkpoint
from tiny_data import make_benchmark, make_div2k

from csnln_mm.checkpoints import list_pretrained
from csnln_mm.checkpoints.architecture import differences
from csnln_mm.checkpoints.network import read_network
from csnln_mm.cli import main

COMPACT = Path(__file__).parents[2] / 'configs/compact'
LR = 'data/DIV2K/DIV2K_train_LR_bicubic/X2_sub'


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Two sub-images in the layout of DIV2K."""
    root = tmp_path_factory.mktemp('compact')
    make_div2k(root / 'data/DIV2K', 2, size=(96, 108))
    make_benchmark(root / 'data/Set5', 1)
    return root


def train(folder, config, work_dir, steps, *arguments, **changed):
    """Checkpoint of the last step."""
    options = {
        'model.generator.mid_channels': 4,
        'train_dataloader.batch_size': 2,
        'train_dataloader.num_workers': 0,
        'train_dataloader.persistent_workers': False,
        'val_dataloader.num_workers': 0,
        'train_cfg.max_iters': steps,
        'param_scheduler.0.end': 2,
        'param_scheduler.1.begin': 2,
        'default_hooks.checkpoint.interval': 1,
        'default_hooks.checkpoint.max_keep_ckpts': 9,
        'randomness.seed': 1,
        **changed,
    }
    words = [f'{key}={value}' for key, value in options.items()]
    arguments = [COMPACT / config, '--work-dir', work_dir, *arguments, '--cfg-options', *words]
    run_tool(folder, 'train.py', *arguments)
    return checkpoint(folder / work_dir, steps)


def test_the_stages(folder, monkeypatch):
    monkeypatch.chdir(folder)
    whole = train(folder, 'csnln_x2_fast.py', 'whole', 4)
    (folder / 'fast').mkdir()
    shutil.copy('whole/iter_2.pth', 'fast')
    resumed = train(folder, 'csnln_x2_fast.py', 'fast', 4, '--resume')
    assert_same_training(resumed, whole)
    # The weights in the file are the moving average, the last weights are beside it.
    key = 'generator.head.0.0.weight'
    assert not torch.equal(resumed['state_dict'][key], resumed['ema_state_dict'][f'module.{key}'])
    average = read_network('fast/iter_4.pth')
    assert torch.equal(average.weights[key.partition('.')[2]], resumed['state_dict'][key])

    words = ['--attention', 'cross_scale', '--recurrences', '1', '--images', LR]
    assert main(['grow', 'fast/iter_4.pth', 'start.safetensors', *words]) == 0
    grown = train(folder, 'csnln_x2_attention.py', 'attention', 1, load_from='start.safetensors')
    start = read_network('start.safetensors').weights
    changed = {
        name.removeprefix('generator.')
        for name, value in grown['ema_state_dict'].items()
        if name.startswith('module.')
        and not torch.equal(value, start[name.removeprefix('module.generator.')])
    }
    assert any('cross_scale_attention.value' in name for name in changed)


def test_soap_resumes_exactly(folder, monkeypatch):
    pytest.importorskip('pytorch_optimizer')
    monkeypatch.chdir(folder)
    # These bounds accept some patches of the first image, and none of the second.
    hard = {'train_dataloader.dataset.pipeline.5.mse': '[0.0046,0.00465]'}
    changed = {'param_scheduler.0.start_factor': 0.5, **hard}
    whole = train(folder, 'csnln_x2_fast_soap.py', 'soap', 4, **changed)
    (folder / 'again').mkdir()
    shutil.copy('soap/iter_2.pth', 'again')
    resumed = train(folder, 'csnln_x2_fast_soap.py', 'again', 4, '--resume', **changed)
    assert_same_training(resumed, whole)


@pytest.mark.parametrize('path', sorted(COMPACT.glob('*.py')), ids=lambda path: path.stem)
def test_each_config_is_of_the_model_of_its_name(path):
    cfg = Config.fromfile(path)
    scale = cfg.model.generator.upscale_factor
    assert path.stem.startswith(f'csnln_x{scale}_') and cfg.train_scale == scale == cfg.test_scale
    models = {model.name.replace('-', '_'): model for model in list_pretrained()}
    if path.stem in models:
        shipped = read_network(models[path.stem].path).architecture
        assert not differences(shipped, cfg.model.generator)
        assert shipped['cell']['branches'] == list(cfg.model.generator.cell.branches)
