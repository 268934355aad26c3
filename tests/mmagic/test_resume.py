import os
import shutil

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import HistoryBuffer
from mmengine.runner.checkpoint import CheckpointLoader
from tiny_runner import make_runner

from csnln_mm.errors import UserError
from csnln_mm.mmagic.resume import (
    describe_kept_schedule,
    latest_valid_checkpoint,
    list_checkpoints,
    use_safe_loading,
)

WHOLE = dict(meta=dict(iter=1), state_dict=dict(w=torch.ones(1000)), optimizer={}, message_hub={})


def save(folder, step, **changed):
    path = folder / f'iter_{step}.pth'
    torch.save({**WHOLE, **changed}, path)
    return path


def test_newest_by_number(tmp_path):
    for step in 9, 10, 100:
        save(tmp_path, step)
    for name in 'best_PSNR_iter_500.pth', 'iter_200.pth.bak', '.iter_300.pth.1.partial':
        shutil.copy(tmp_path / 'iter_9.pth', tmp_path / name)
    found = [path.name for path in list_checkpoints(tmp_path)]
    assert found == ['iter_100.pth', 'iter_10.pth', 'iter_9.pth']
    newest = latest_valid_checkpoint(tmp_path)
    assert newest.path == tmp_path / 'iter_100.pth' and not newest.skipped
    assert torch.equal(newest.content['state_dict']['w'], torch.ones(1000))


def test_names_of_epochs(tmp_path):
    save(tmp_path, 3)
    os.rename(tmp_path / 'iter_3.pth', tmp_path / 'epoch_3.pth')
    assert latest_valid_checkpoint(tmp_path).path is None
    assert latest_valid_checkpoint(tmp_path, 'epoch_{}.pth').path == tmp_path / 'epoch_3.pth'


def cut_off(path):
    os.truncate(path, path.stat().st_size - 100)


def change_a_weight(path):
    """What torch reads without a word: one bit of a weight."""
    content = bytearray(path.read_bytes())
    content[content.index(torch.ones(10).numpy().tobytes()) + 2] ^= 1
    path.write_bytes(content)
    assert not torch.equal(torch.load(path)['state_dict']['w'], WHOLE['state_dict']['w'])


def only_weights(path):
    torch.save(dict(meta={}, state_dict={}), path)


@pytest.mark.parametrize(
    'damage, said',
    [
        (cut_off, 'cut off'),
        (lambda path: os.truncate(path, 0), 'cut off'),
        (change_a_weight, 'does not fit its checksums'),
        (only_weights, 'it lacks optimizer, message_hub'),
    ],
)
def test_what_is_not_whole_is_skipped_and_said(tmp_path, damage, said):
    older, newer = save(tmp_path, 1), save(tmp_path, 2)
    damage(newer)
    newest = latest_valid_checkpoint(tmp_path)
    assert newest.path == older
    (reason,) = newest.skipped
    assert str(newer) in reason and said in reason


def test_none_is_whole(tmp_path):
    for step in 1, 2:
        cut_off(save(tmp_path, step))
    with pytest.raises(UserError, match='no checkpoint in .* is valid: .*iter_2.*iter_1'):
        latest_valid_checkpoint(tmp_path)


def test_no_checkpoint_yet(tmp_path):
    assert latest_valid_checkpoint(tmp_path).path is None
    assert latest_valid_checkpoint(tmp_path / 'nowhere').path is None


def load(path, content):
    """As MMEngine's runner does, what torch saves."""
    torch.save(content, path)
    use_safe_loading()
    return CheckpointLoader.load_checkpoint(str(path))


def test_resuming_does_not_run_a_config_of_the_file(tmp_path):
    """MMEngine's Runner.resume runs meta['config'] as Python."""
    meta = dict(config='raise SystemExit', iter=1)
    assert load(tmp_path / 'a.pth', dict(meta=meta))['meta'] == dict(iter=1)


def test_mmengine_gets_its_logs_back(tmp_path):
    log = HistoryBuffer()
    log.update(3.0)
    content = dict(message_hub=dict(log_scalars=dict(loss=log)))
    again = load(tmp_path / 'a.pth', content)['message_hub']['log_scalars']['loss']
    assert isinstance(again, HistoryBuffer) and again.mean() == again.current() == 3
    log._count_history = 'text'
    with pytest.raises(UserError, match='a log in it is damaged'):
        load(tmp_path / 'a.pth', content)


SCHEDULE = dict(type='MultiStepLR', by_epoch=False, milestones=[1, 2])


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp('trained')
    make_runner(folder).train()
    return folder


def test_a_checkpoint_with_weights_that_are_not_finite_is_skipped(tmp_path):
    save(tmp_path, 1)
    save(tmp_path, 2, state_dict=dict(w=torch.tensor([1, float('nan')])))
    start = latest_valid_checkpoint(tmp_path)
    assert start.path.name == 'iter_1.pth' and 'iter_2.pth is spoiled' in start.skipped[0]


@pytest.mark.parametrize(
    'steps, end, said',
    [
        (12, {}, None),
        (12, dict(end=12), None),
        (20, {}, 'MultiStepLR ends with step 12, not 20 as in the config'),
        (20, dict(end=12), None),
        (12, dict(end=16), 'MultiStepLR ends with step 12, not 16'),
    ],
)
def test_a_schedule_that_the_checkpoint_keeps_is_said(trained, steps, end, said):
    """By itself MMEngine goes by the checkpoint's, silently."""
    cfg = Config(dict(train_cfg=dict(max_iters=steps), param_scheduler=dict(SCHEDULE, **end)))
    start = latest_valid_checkpoint(trained)
    kept = describe_kept_schedule(cfg, start)
    assert kept is None if said is None else said in kept
    # As of several optimizers, which have the same schedules or each its own.
    schedule, states = cfg.param_scheduler, start.content['param_schedulers']
    start.content['param_schedulers'] = dict(discriminator=states)
    for cfg.param_scheduler in schedule, dict(generator=[], discriminator=schedule):
        each = describe_kept_schedule(cfg, start)
        assert each == (kept and kept.replace('rate keeps', 'rate of the discriminator keeps'))
