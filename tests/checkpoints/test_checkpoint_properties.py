"""Whatever a checkpoint file holds: its content, or one clear line."""

import io
import random
import zipfile
from collections import Counter, OrderedDict

import numpy as np
import pytest
import torch
from fuzz import mutate
from history_buffer import HistoryBuffer
from hypothesis import given
from hypothesis import strategies as st

from csnln_mm.checkpoints import load_checkpoint
from csnln_mm.checkpoints.safe_pickle import TrainingLog
from csnln_mm.errors import UserError


def encode(new_format):
    content = dict(
        state_dict=OrderedDict(weight=torch.arange(6.0).view(2, 3).t(), step=torch.tensor(3)),
        parameter=torch.nn.Parameter(torch.ones(2, dtype=torch.bfloat16)),
        meta=dict(cfg='a = 1', seed=1),
        optimizer=torch.optim.Adam([torch.nn.Parameter(torch.ones(2))]).state_dict(),
    )
    if new_format:  # what MMEngine saves, which is later than the older format
        log = HistoryBuffer()
        log.update(0.5)
        content.update(
            milestones=Counter([3, 4]),
            message_hub=dict(loss=log),
            random=('MT19937', np.arange(4, dtype=np.uint32)),
            time=np.float64(1.5),
        )
    file = io.BytesIO()
    torch.save(content, file, _use_new_zipfile_serialization=new_format)
    return file.getvalue()


REAL = {new_format: encode(new_format) for new_format in (True, False)}


def plain(value):
    """Something to compare by ==."""
    if isinstance(value, torch.Tensor):
        return str(value.dtype), value.shape, value.stride(), value.tolist()
    if isinstance(value, HistoryBuffer):
        return plain([value._log_history, value._count_history, value.max_length])
    if isinstance(value, TrainingLog):
        return plain([value.values, value.counts, value.max_length])
    if isinstance(value, np.ndarray):
        return str(value.dtype), value.tolist()
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value


@pytest.fixture(scope='module')
def path(tmp_path_factory):
    return tmp_path_factory.mktemp('files') / 'file.pth'


def attempt(path):
    try:
        return load_checkpoint(path)
    except UserError as error:
        assert str(path) in str(error) and '\n' not in str(error)
        return None


@pytest.mark.parametrize('new_format', [True, False])
def test_reads_what_torch_reads(path, new_format):
    path.write_bytes(REAL[new_format])
    ours, theirs = load_checkpoint(path), torch.load(path, weights_only=False)
    assert plain(ours) == plain(theirs)
    assert isinstance(ours['parameter'], torch.nn.Parameter)


@given(content=st.binary(max_size=100))
def test_random_bytes_are_no_checkpoint(path, content):
    path.write_bytes(content)
    assert attempt(path) is None


@given(seed=st.integers())
def test_a_changed_archive_has_its_content_or_none(path, seed):
    path.write_bytes(mutate(REAL[True], random.Random(seed)))
    content = attempt(path)
    path.write_bytes(REAL[True])
    assert content is None or plain(content) == plain(load_checkpoint(path))


@given(program=st.binary(max_size=60))
def test_random_programs(path, program):
    """Bytes where the pickle is, which are instructions."""
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr('archive/data.pkl', program + b'.')
    attempt(path)
