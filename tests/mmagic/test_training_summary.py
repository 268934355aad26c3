"""What the log of a run says before its first step and after its tenth; of two processes, one's.

test_two_processes has that only one of them says it.
"""

import logging
import re
import resource
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from tiny_runner import make_runner
from torch import nn

from csnln_mm.mmagic.resume import use_safe_loading
from csnln_mm.mmagic.training import describe_result, run_training
from csnln_mm.mmagic.training_summary import describe_lack, describe_rest
from csnln_mm.networks import CSNLNNet, build_network


class Messages(logging.Handler):
    """The messages of a run that is trained."""

    def __init__(self, runner):
        super().__init__()
        self.said = []
        runner.logger.setLevel(logging.INFO)
        runner.logger.addHandler(self)
        run_training(runner)

    def emit(self, record):
        self.said.append(record.getMessage())


def test_before_the_first_step_and_after_the_tenth(tmp_path):
    said = Messages(make_runner(tmp_path / 'a')).said
    (before,) = (text for text in said if text.startswith('training:'))
    before = re.sub(r'\d+ threads?', 'n threads', before)
    assert re.sub(r'[\d.]+ GB free', 'n GB free', before).splitlines() == [
        'training:',
        '  model    Model, 5 parameters',
        '  images   10 to train on, 10 to validate on',
        '  batch    2 samples per step',
        '  steps    12, each image 2.4 times',
        '  rate     0.01',
        '  device   cpu, n threads',
        '  memory   0.0 MB for weights, gradients and optimizer; activations in addition, '
        'measured in the first 10 steps; n GB free',
        f'  results  {tmp_path / "a"}',
    ]
    (after,) = (text for text in said if ' s per step; ' in text)
    assert re.fullmatch(
        r'[\d.e-]+ s per step; 2 steps left: done on \d{4}-\d\d-\d\d at \d\d:\d\d, '
        r'not counting validations; at most [\d.]+ [GM]B of memory at a time in this process',
        after,
    )


def test_of_a_resumed_run_what_is_left(tmp_path):
    use_safe_loading()
    run_training(make_runner(tmp_path / 'a', max_keep_ckpts=-1))
    said = Messages(make_runner(tmp_path / 'b', load_from=tmp_path / 'a/iter_8.pth')).said
    (before,) = (text for text in said if text.startswith('training:'))
    assert '  steps    4, from step 9 to 12, each image 0.8 times\n' in before
    assert not any(' s per step; ' in text for text in said)  # it has not had ten steps


@contextmanager
def limit(count):
    """This process may take so many bytes more."""
    pages = int(Path('/proc/self/statm').read_text().split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + count, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def test_a_step_that_takes_more_memory_than_is_free_is_told_before_it():
    network = build_network(dict(type='CSNLNNet', mid_channels=4, num_recurrences=1))
    wrapper = OptimWrapper(torch.optim.SGD(network.parameters(), 0.1))
    runner = SimpleNamespace(model=SimpleNamespace(generator=network), optim_wrapper=wrapper)
    image = torch.zeros(3, 16, 16, dtype=torch.uint8)
    with limit(2**30):
        assert not describe_lack(runner, dict(inputs=[image]))
        assert re.fullmatch(
            r'a step takes at least [\d.]+ GB for activations, and [\d.]+ [MG]B are free: reduce '
            r'train_dataloader.batch_size, set model.generator.with_cp=True, or raise the limit',
            describe_lack(runner, dict(inputs=[image] * 10_000)),
        )
        network.with_cp = True
        assert not describe_lack(runner, dict(inputs=[image] * 10_000))


def test_what_is_left_of_a_limit_is_told_if_it_is_little():
    assert not describe_rest()
    with limit(2**20):
        assert describe_rest().startswith('that is nearly all of the ')


@pytest.mark.parametrize('own', [False, True])
def test_the_last_line_names_the_config_of_a_network_with_parts_of_ones_own(tmp_path, own):
    runner = make_runner(tmp_path / 'a')
    run_training(runner)
    runner.message_hub.update_info('best_ckpt', 'best_PSNR_iter_4.pth')
    runner.message_hub.update_info('best_score', 30.0)
    (tmp_path / 'mine.py').touch()
    runner.cfg = Config(filename=str(tmp_path / 'mine.py'))
    runner.model.generator = CSNLNNet(mid_channels=4, num_recurrences=1)
    if own:
        runner.model.generator.part = type('Mine', (nn.Module,), dict(__module__='mine'))()
    *_, last = describe_result(runner).splitlines()
    config = f' --config {tmp_path}/mine.py' if own else ''
    assert last == f'upscale with it: csnln upscale IMAGE -n best_PSNR_iter_4.pth{config}'
