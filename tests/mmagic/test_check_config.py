"""Mistakes in configs: the key, and what would be right, before anything is written or read."""

from pathlib import Path

import pytest
import torch

from csnln_mm.errors import UserError
from csnln_mm.mmagic.check_config import build_parts
from csnln_mm.mmagic.config import load_config
from csnln_mm.mmagic.runner import build_test_runner, build_train_runner

CONFIGS = Path(__file__).parents[2] / 'configs'
DEMO = CONFIGS / 'csnln_x2_demo.py'
TINY = {'model.generator.mid_channels': 2, 'model.generator.num_recurrences': 1}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """There is no data: a mistake is found without."""
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    assert not list(tmp_path.iterdir())


def message(build, **options):
    return message_of(build, load_config(str(DEMO), options=dict(TINY, **options)))


def message_of(build, cfg):
    with pytest.raises(UserError) as caught:
        build(cfg)
    assert '\n' not in str(caught.value)
    return str(caught.value)


PIPELINE = 'train_dataloader.dataset.pipeline'
# KEY stands for the key itself.
MISTAKES = [
    (
        'model.type',
        'CSNLNEdito',
        "KEY: there is no model 'CSNLNEdito'; did you mean 'CSNLNEditor'?",
    ),
    ('model.generator.type', 'CSNLN', "KEY: there is no model 'CSNLN'; did you"),
    ('model.generator.upscale_factor', 5, 'must be one of [2, 3, 4], got 5'),
    ('model.generator.upscale_factor', 'x2', 'must be one of [2, 3, 4], got x2'),
    ('model.generator.num_recurrences', -1, 'recurrences must be an integer of at least 1, got -1'),
    ('model.generator.mid_channels', 0, 'mid_channels must be an integer of at least 1, got 0'),
    ('model.generator.mid_channels', 'many', 'mid_channels must be an integer of at least 1'),
    ('model.generator.num_recurences', 3, "KEY: CSNLNNet has no such argument; did you mean 'num_"),
    ('model.generator.cell.branches', ['global'], "branches must be distinct ones of ('local', '"),
    ('model.generator.cell.patch_size', 4, 'patch_size must be a positive odd integer, got 4'),
    ('model.generator.cell.stages', [2, 2], 'stages must multiply to the upscale_factor 2'),
    ('model.generator.cell.patchsize', 3, "KEY: SEMCell has no such argument; did you mean 'patc"),
    ('model.generator.cell.fusion.type', 'Fusion', "KEY: there is no model 'Fusion'"),
    ('model.test_cfg.mode', 'halves', "test_cfg['mode'] must be one of ('whole', 'chop', 'tile')"),
    ('model.test_cfg.overlapp', 1, "test_cfg has unknown keys ['overlapp']; accepted:"),
    ('model.pixel_loss.type', 'L3Loss', "KEY: there is no model 'L3Loss'"),
    ('model.pixel_los', dict(type='L1Loss'), 'KEY: '),
    ('val_dataloader.batchsize', 1, "KEY: DataLoader has no such argument; did you mean 'batch_"),
    ('val_dataloader.dataset.type', 'ImagePair', "KEY: there is no dataset 'ImagePair'; did you"),
    ('val_evaluator.metrics', [dict(type='PSRN')], "KEY[0].type: there is no metric 'PSRN'; did"),
    ('custom_hooks', [dict(type='Hok')], "KEY[0].type: there is no hook 'Hok'"),
    ('default_hooks.logger.intervall', 1, 'KEY: LoggerHook has no'),
    ('default_hooks.logger.interval', 0, 'default_hooks.logger: interval must be greater than 0'),
    ('val_dataloader.batch_size', 0, 'val_dataloader: batch_size should be a positive integer'),
    ('test_dataloader.0.num_workers', -1, 'test_dataloader[0]: num_workers option should be non'),
    ('randomness.seed', 'abc', "KEY must be an integer of at least 0, got 'abc'"),
    ('randomness.sed', 1, "KEY: set_randomness has no such argument; did you mean 'seed'?"),
    ('optim_wrapper.optimizer.type', 'Adm', "KEY: there is no optimizer 'Adm'; did you mean"),
    ('optim_wrapper.optimizer.type', 'soup.SOAP', 'KEY: soup.SOAP needs the package soup, which'),
    ('optim_wrapper.optimizer.rl', 1, 'KEY: Adam has no such argument'),
    ('optim_wrapper.optimizer.lr', -1, 'optim_wrapper.optimizer: '),
    ('optim_wrapper.optimizer.lr', 'abc', 'optim_wrapper.optimizer: '),
    ('param_scheduler.milestones', 'abc', "milestones must be integers, got 'abc'"),
    ('param_scheduler.milestones', 3, 'param_scheduler: '),
    ('param_scheduler.milestone', [1], 'KEY: MultiStepParamScheduler has no such argument; did'),
    ('train_cfg.max_iter', 4, 'KEY: IterBasedTrainLoop has no such argument; did you'),
    ('train_cfg.max_iters', 0, 'KEY must be an integer of at least 1, got 0'),
    ('train_cfg.max_iters', 'abc', 'KEY must be an integer of at least 1'),
    ('train_cfg.val_interval', 0, 'KEY must be an integer of at least 1'),
    ('train_dataloader.batch_size', 0, 'train_dataloader: batch_size should be a positive'),
    (PIPELINE, [dict(type='Flipp')], "KEY[0].type: there is no transform 'Flipp'; did you mean"),
    (PIPELINE, [dict(type='Flip', keys=['img'], ratio=1)], 'KEY[0].ratio: Flip has no such argum'),
    (
        PIPELINE,
        [dict(type='SetValues', dictionary=dict(scale=3))],
        'KEY[0].dictionary.scale must be model.generator.upscale_factor (2), got 3',
    ),
    (
        PIPELINE,
        [dict(type='PairedRandomCrop', gt_patch_size=47)],
        'gt_patch_size must be a multiple of model.generator.upscale_factor (2), got 47',
    ),
    ('train_dataloader.sampler.type', 'Infinite', 'KEY: there is no data sampler'),
]


@pytest.mark.parametrize('key, value, expected', MISTAKES)
def test_a_mistake_is_told_by_its_key(key, value, expected):
    text = message(build_train_runner, **{key: value})
    assert expected.replace('KEY', key) in text and str(DEMO) in text


def test_a_test_is_checked_as_a_training_is():
    key, value, expected = MISTAKES[0]
    assert expected.replace('KEY', key) in message(build_test_runner, **{key: value})


@pytest.mark.parametrize(
    'key, expected',
    [
        ('trian_cfg.max_iters', "has no 'trian_cfg', to set KEY; did you mean 'train_cfg'?"),
        ('load_frm', "has no 'load_frm', to set KEY; did you mean 'load_from'?"),
        ('test_dataloader.batch_size', 'KEY cannot be set: '),
        ('test_dataloader.7.batch_size', 'KEY cannot be set: '),
    ],
)
def test_a_setting_that_leads_nowhere(key, expected):
    text = message_of(lambda config: load_config(config, options={key: 1}), str(DEMO))
    assert expected.replace('KEY', key) in text


def test_what_a_config_cannot_import_is_named(tmp_path_factory):
    path = tmp_path_factory.mktemp('config') / 'a.py'
    path.write_text("custom_imports = dict(imports=['nowhere'], allow_failed_imports=False)")
    text = message_of(lambda config: load_config(config), str(path))
    assert text == f"config {path}: ModuleNotFoundError: No module named 'nowhere'"


def test_settings_that_a_config_may_leave_to_mmengine():
    cfg = load_config(str(DEMO), options={'sync_bn': 'torch', 'auto_scale_lr.enable': True})
    assert cfg.sync_bn == 'torch' and cfg.auto_scale_lr.enable


def test_a_config_that_is_for_something_else():
    bicubic = load_config(str(CONFIGS / 'bicubic_x2.py'))
    assert 'no train_dataloader: it is not for training' in message_of(build_train_runner, bicubic)
    bicubic.test_dataloader = None
    assert 'has no test_dataloader' in message_of(build_test_runner, bicubic)


def test_a_fusion_has_its_settings():
    text = message(build_train_runner, **{'model.generator.cell.fusion.recipe': 'other'})
    assert "recipe must be 'released' or 'paper', got 'other'" in text
    fusion = dict(type='AdditionFusion', recipe='paper')
    text = message(build_train_runner, **{'model.generator.cell.fusion': fusion})
    assert 'model.generator.cell.fusion.recipe: AdditionFusion has no such argument' in text


ALL = sorted(path for path in CONFIGS.rglob('*.py') if '_base_' not in path.parts)


@pytest.mark.parametrize('name', [str(path.relative_to(CONFIGS)) for path in ALL])
def test_the_configs_have_no_mistakes(name):
    """What is wrong is only that there is no data."""
    build, options = build_train_runner, TINY
    if name.startswith('bicubic'):
        build, options = build_test_runner, None
    elif 'esrgan' in name:
        # The perceptual loss would download its network.
        options = {'model.perceptual_loss': None}
    elif name.startswith('mixing'):
        options = None
    elif name.endswith(('_soap.py', '_photo.py')):
        pytest.importorskip('pytorch_optimizer')
    text = message_of(build, load_config(str(CONFIGS / name), options=options))
    assert 'does not exist; prepare it' in text or 'there are no test images' in text


@pytest.fixture(scope='module')
def checkpoints(tmp_path_factory):
    """Of tiny networks by scale, as a training saves them and as bare weights."""
    folder = tmp_path_factory.mktemp('checkpoints')
    for scale in 2, 3, 4:
        options = dict(TINY, **{'model.generator.image_skip': True})
        cfg = load_config(str(CONFIGS / f'csnln_x{scale}_div2k.py'), options=options)
        state_dict = build_parts(cfg).state_dict()
        meta = dict(cfg=cfg.pretty_text, iter=1)
        torch.save(dict(state_dict=state_dict, meta=meta), folder / f'x{scale}.pth')
        torch.save(dict(state_dict=state_dict), folder / f'bare_x{scale}.pth')
    return folder


@pytest.mark.parametrize('scale', [3, 4])
def test_a_checkpoint_of_another_scale(checkpoints, scale):
    def train(cfg):
        cfg.load_from = path
        build_train_runner(cfg)

    path = str(checkpoints / f'x{scale}.pth')
    for build in train, lambda cfg: build_test_runner(cfg, path):
        assert message(build) == (
            f'checkpoint {path} does not fit the config: it was trained with '
            f'upscale_factor={scale}, not 2'
        )
    path = str(checkpoints / f'bare_x{scale}.pth')
    for build in train, lambda cfg: build_test_runner(cfg, path):
        assert f'checkpoint {path} does not fit the config: generator.cell.' in message(build)


def test_a_checkpoint_that_fits_is_no_mistake(checkpoints):
    path = str(checkpoints / 'x2.pth')
    options = {'load_from': path, 'model.generator.image_skip': True}
    assert 'does not exist; prepare it' in message(build_train_runner, **options)


def test_checkpoints_are_not_fetched():
    text = message(build_train_runner, load_from='https://example.org/a.pth')
    assert 'download it first' in text


@pytest.mark.parametrize('content', [[1], dict(state_dict=[1]), dict(state_dict={'a': 1}), 3])
def test_a_checkpoint_of_something_else(tmp_path_factory, content):
    path = tmp_path_factory.mktemp('other') / 'other.pth'
    torch.save(content, path)
    assert str(path) in message(lambda cfg: build_test_runner(cfg, str(path)))
