import pickle
from itertools import islice

import numpy as np
import pytest
import torch
from mmengine.dataset import InfiniteSampler
from tiny_runner import make_runner

from csnln_mm.mmagic import ResumableSampler, SeedPerSample
from csnln_mm.mmagic.resume import use_safe_loading

DATA = range(7)


def sampler(start=0, rank=0, world_size=1, seed=3):
    made = ResumableSampler(DATA, seed=seed)
    made.start, made.rank, made.world_size = start, rank, world_size
    return made


def drawn(one, count=20):
    """(index, seed) of the first samples."""
    return [(int(index), index.seed) for index in islice(one, count)]


def test_the_order_is_that_of_mmengine():
    theirs = list(islice(InfiniteSampler(DATA, seed=3), 20))
    assert [index for index, _ in drawn(sampler())] == theirs
    assert sorted(theirs[:7]) == list(DATA)


@pytest.mark.parametrize('start', [1, 7, 12])
def test_begins_anywhere(start):
    assert drawn(sampler(start), 5) == drawn(sampler())[start : start + 5]


def test_processes_share_one_sequence():
    whole = drawn(sampler(), 20)
    for rank in range(3):
        assert drawn(sampler(start=6, rank=rank, world_size=3), 4) == whole[6 + rank : 18 : 3]


def test_again_is_the_same_and_another_seed_is_not():
    one = sampler()
    assert drawn(one) == drawn(one)
    assert drawn(one) != drawn(sampler(seed=4))
    assert len({seed for _, seed in drawn(one, 1000)}) == 1000


def test_indices_reach_dataloader_workers_with_their_seed():
    index = next(iter(sampler()))
    copy = pickle.loads(pickle.dumps(index))
    assert (copy, copy.seed) == (index, index.seed)


def test_random_transforms_follow_the_sample():

    def random_numbers(index):
        results = SeedPerSample()(dict(sample_idx=index, other=1))
        assert type(results['sample_idx']) is int and results['other'] == 1
        return np.random.rand(), torch.rand(()).item()

    first, second = islice(sampler(), 2)
    numbers = random_numbers(first)
    assert random_numbers(second) != numbers
    assert random_numbers(first) == numbers


@pytest.mark.parametrize('results', [dict(sample_idx=3), dict()])
def test_samples_of_another_sampler_are_left_alone(results):
    np.random.seed(0)
    expected = np.random.rand()
    np.random.seed(0)
    assert SeedPerSample()(dict(results)) == results
    assert np.random.rand() == expected


def test_a_loop_of_epochs_resumes_as_mmengine_does_with_a_warning(tmp_path, monkeypatch):
    use_safe_loading()
    epochs = dict(by_epoch=True, max_epochs=3, val_interval=1)
    make_runner(tmp_path / 'a', train_cfg=epochs, interval=1, max_keep_ckpts=-1).train()
    path = tmp_path / 'a/epoch_2.pth'
    runner = make_runner(tmp_path / 'b', train_cfg=epochs, load_from=path)
    warnings = []
    monkeypatch.setattr(runner.logger, 'warning', warnings.append)
    runner.train()
    assert runner.epoch == 3 and runner.iter == 15
    (warning,) = warnings
    assert 'the order of the data differs' in warning
