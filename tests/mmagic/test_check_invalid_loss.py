"""Losses and weights that are no numbers; half precision."""

import re
from statistics import mean

import pytest
from command_line import error_in
from mmengine.config import Config
from short_training import ROOT, Spoil, checkpoint, make_data, settings, train

from csnln_mm.mmagic.resume import list_checkpoints


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return make_data(tmp_path_factory.mktemp('numbers'))


@pytest.mark.slow
@pytest.mark.parametrize(
    'gradient, said',
    [
        (False, r'loss is (inf|nan) in step 3; its weights are not saved'),
        (True, r'state_dict\.generator\S+ is not finite after step 3; its weights are not saved'),
    ],
    ids=['loss', 'gradient'],
)
def test_training_stops_and_keeps_the_last_good_checkpoint(folder, tmp_path, gradient, said):
    line = error_in(train(folder, tmp_path, *settings(6), expect=2, fault=Spoil(gradient)))
    assert re.search(said, line), line
    assert f'The newest checkpoint is {tmp_path}/iter_2.pth' in line
    assert [path.name for path in list_checkpoints(tmp_path)] == ['iter_2.pth', 'iter_1.pth']
    assert all(value.isfinite().all() for value in checkpoint(tmp_path, 2)['state_dict'].values())


@pytest.mark.slow
def test_bfloat16_learns_as_float32_does(folder, tmp_path):
    """100 steps on the same samples: the mean loss of the last 25 within 5%."""
    options = settings(
        100,
        **{
            'default_hooks.checkpoint.interval': 100,
            'model.generator.num_recurrences': 1,
            'log_processor.window_size': 1,
            'param_scheduler.milestones': '[50,75]',
            'train_dataloader.num_workers': 0,
            'train_dataloader.persistent_workers': False,
            'train_dataloader.dataset.pipeline.4.gt_patch_size': 24,
        },
    )
    losses = {}
    for name, flag in ('float32', []), ('bfloat16', ['--amp']):
        output = train(folder, tmp_path / name, *flag, *options)
        losses[name] = [float(x) for x in re.findall(r'Iter\(train\).*? loss: ([\d.]+)', output)]
        assert len(losses[name]) == 100
    assert losses['bfloat16'] != losses['float32']
    ends = {name: mean(values[-25:]) for name, values in losses.items()}
    assert ends['float32'] < 0.8 * losses['float32'][0], 'nothing was learned'
    assert ends['bfloat16'] == pytest.approx(ends['float32'], rel=0.05)


def test_what_keeps_a_training_whole_is_on_in_every_config_that_trains():
    """Those in configs/mixing train as MMagic does."""
    for path in sorted((ROOT / 'configs').glob('**/*.py')):
        cfg = Config.fromfile(path)
        if {'_base_', 'mixing'} & set(path.parts) or 'train_cfg' not in cfg:
            continue
        assert cfg.default_hooks.check_invalid_loss.type == 'CheckInvalidLossHook', path
        assert cfg.default_hooks.exact_resume.type == 'ExactResumeHook', path
        assert cfg.default_hooks.checkpoint.type == 'AtomicCheckpointHook', path
        assert cfg.train_dataloader.sampler.type == 'ResumableSampler', path
        assert cfg.train_dataloader.dataset.pipeline[0].type == 'SeedPerSample', path
