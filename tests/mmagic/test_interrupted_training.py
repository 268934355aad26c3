"""A training that is killed and resumed ends as one that was not, to the bit."""

import os
import random
import shutil
import signal
import time
from pathlib import Path

import pytest
import torch
from command_line import error_in
from short_training import (
    CONFIG,
    DieAt,
    DieHalfWritten,
    assert_same_training,
    checkpoint,
    make_data,
    output_of,
    settings,
    start,
    train,
)

from csnln_mm.checkpoints import load_checkpoint

pytestmark = pytest.mark.slow

STEPS = 8
OLD_CHECKPOINT = Path(__file__).parents[1] / 'data/version_0.1.0_iter_4.pth'
KILLED = -signal.SIGKILL
KILLS = int(os.environ.get('CSNLN_TEST_KILLS', 6))


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return make_data(tmp_path_factory.mktemp('interrupted'))


@pytest.fixture(scope='module')
def uninterrupted(folder):
    options = settings(STEPS, **{'default_hooks.checkpoint.max_keep_ckpts': -1})
    train(folder, 'uninterrupted', *options)
    return folder / 'uninterrupted'


@pytest.mark.parametrize(
    'fault, resumed',
    [
        (DieAt('open', '.iter_5.pth'), 4),
        (DieAt('os.rename', 'iter_5.pth'), 4),
        (DieAt('os.rename', 'last_checkpoint'), 1),
        (DieAt('os.remove', '/iter_3.pth'), 5),
    ],
    ids=['nothing written', 'not in place', 'last', 'outdated'],
)
def test_killed_while_a_checkpoint_is_written(folder, uninterrupted, tmp_path, fault, resumed):
    options = settings(STEPS, **{'default_hooks.checkpoint.max_keep_ckpts': 2})
    train(folder, tmp_path, *options, expect=KILLED, fault=fault)
    output = train(folder, tmp_path, '--resume', *options)
    assert f'resuming from {tmp_path}/iter_{resumed}.pth' in output
    assert_same_training(checkpoint(uninterrupted, STEPS), checkpoint(tmp_path, STEPS))
    assert (tmp_path / 'last_checkpoint').read_text() == str(tmp_path / f'iter_{STEPS}.pth')
    assert not list(tmp_path.glob('.*.partial'))


def test_a_checkpoint_of_version_0_1_is_resumed(folder, uninterrupted, tmp_path):
    """Written by the same training run before the package was rearranged, with torch 2.14."""
    shutil.copy(OLD_CHECKPOINT, tmp_path / 'iter_4.pth')
    output = train(folder, tmp_path, '--resume', *settings(STEPS))
    assert f'resuming from {tmp_path}/iter_4.pth' in output
    expected, resumed = checkpoint(uninterrupted, STEPS), checkpoint(tmp_path, STEPS)
    for key in 'iter', 'data_order':
        assert resumed['meta'][key] == expected['meta'][key]
    # Other versions of torch round otherwise.
    torch.testing.assert_close(resumed['state_dict'], expected['state_dict'], rtol=0, atol=1e-4)


def test_killed_when_half_of_a_checkpoint_is_written(folder, uninterrupted, tmp_path):
    half = (uninterrupted / 'iter_5.pth').stat().st_size // 2
    options, fault = settings(STEPS), DieHalfWritten('.iter_5.pth', half)
    train(folder, tmp_path, *options, expect=-signal.SIGXFSZ, fault=fault)
    (partial,) = tmp_path.glob('.iter_5.pth.*.partial')
    assert partial.stat().st_size == half
    output = train(folder, tmp_path, '--resume', *options)
    assert f'resuming from {tmp_path}/iter_4.pth' in output
    assert_same_training(checkpoint(uninterrupted, STEPS), checkpoint(tmp_path, STEPS))


def test_killed_at_random_moments(folder, uninterrupted, tmp_path):
    """Also in the first step, in a validation, and while it resumes."""
    steps = 2 * STEPS
    options = settings(steps, **{'train_cfg.val_interval': 4})
    began = time.monotonic()
    train(folder, tmp_path / 'whole', *options)
    seconds = time.monotonic() - began
    moments = random.Random(0)
    killed = 0
    while killed < KILLS:
        process = start(folder, CONFIG, '--work-dir', tmp_path / 'killed', '--resume', *options)
        process.join(moments.uniform(0.2, 1) * seconds)
        if process.exitcode is not None:
            assert process.exitcode == 0, output_of(folder)
            assert_same_training(
                checkpoint(tmp_path / 'whole', steps), checkpoint(tmp_path / 'killed', steps)
            )
            shutil.rmtree(tmp_path / 'killed')
            continue
        process.kill()
        process.join()
        killed += 1
    train(folder, tmp_path / 'killed', '--resume', *options)
    whole, resumed = (checkpoint(tmp_path / name, steps) for name in ('whole', 'killed'))
    assert_same_training(whole, resumed)
    (best,) = (tmp_path / 'whole').glob('best_*.pth')
    assert [path.name for path in (tmp_path / 'killed').glob('best_*.pth')] == [best.name]


def test_no_seed_and_other_dataloader_workers(folder, tmp_path):
    """What a seed decides is in the checkpoint; who loads the samples decides nothing."""
    options = {'randomness.seed': '', 'train_dataloader.persistent_workers': False}
    words = {n: settings(STEPS, **options, **{'train_dataloader.num_workers': n}) for n in (0, 2)}
    train(folder, tmp_path / 'whole', *words[0])
    (tmp_path / 'resumed').mkdir()
    shutil.copy(tmp_path / f'whole/iter_{STEPS - 2}.pth', tmp_path / 'resumed')
    train(folder, tmp_path / 'resumed', '--resume', *words[2])
    whole, resumed = (checkpoint(tmp_path / name, STEPS) for name in ('whole', 'resumed'))
    assert_same_training(whole, resumed)


def test_a_damaged_newest_checkpoint_is_skipped_and_said(folder, uninterrupted, tmp_path):
    for step in STEPS - 2, STEPS - 1:
        shutil.copy(uninterrupted / f'iter_{step}.pth', tmp_path)
    newest = tmp_path / f'iter_{STEPS - 1}.pth'
    os.truncate(newest, newest.stat().st_size // 2)
    output = train(folder, tmp_path, '--resume', *settings(STEPS))
    assert f'skipped: {newest} is cut off' in output
    assert f'resuming from {tmp_path}/iter_{STEPS - 2}.pth' in output
    assert_same_training(checkpoint(uninterrupted, STEPS), checkpoint(tmp_path, STEPS))


def test_killed_in_the_last_validation(folder, tmp_path):
    options = settings(2, **{'train_cfg.val_interval': 2})
    train(folder, tmp_path, *options, expect=KILLED, fault=DieAt('open', '.best_PSNR'))
    assert not list(tmp_path.glob('best_*.pth'))
    train(folder, tmp_path, '--resume', *options)
    assert [path.name for path in tmp_path.glob('best_*.pth')] == ['best_PSNR_iter_2.pth']


def test_the_best_checkpoint_stays_until_a_better_is_whole(folder, tmp_path):
    options = settings(STEPS, **{'train_cfg.val_interval': 1})
    fault = DieAt('os.rename', '.best_PSNR', after=1)
    train(folder, tmp_path, *options, expect=KILLED, fault=fault)
    (best,) = tmp_path.glob('best_*.pth')
    assert load_checkpoint(best)['meta']['iter'] == int(best.stem.split('_')[-1])
    # What a run leaves that is killed after it saved a better one, before it saved its own state.
    shutil.copy(best, tmp_path / 'best_PSNR_iter_99.pth')
    train(folder, tmp_path, '--resume', *options)
    (better,) = tmp_path.glob('best_*.pth')
    assert better != best


def test_what_would_spoil_another_training_is_refused(folder, uninterrupted, tmp_path):
    """A fresh start among checkpoints; and resuming from those of another network."""
    shutil.copy(uninterrupted / 'iter_8.pth', tmp_path)
    before = (tmp_path / 'iter_8.pth').read_bytes()
    output = train(folder, tmp_path, *settings(STEPS), expect=2)
    assert 'resume with --resume' in error_in(output)
    changed = settings(9, **{'model.generator.mid_channels': 6})
    output = train(folder, tmp_path, '--resume', *changed, expect=2)
    assert 'does not fit the config: it was trained with mid_channels=' in error_in(output)
    assert (tmp_path / 'iter_8.pth').read_bytes() == before
