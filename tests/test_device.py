import pytest
import torch

from csnln_mm.device import free_memory, select_device, set_malloc_thresholds
from csnln_mm.errors import UserError


@pytest.mark.parametrize(
    'name, cuda, mps, wanted',
    [(None, True, True, 'cuda'), ('auto', False, True, 'mps'), (None, False, False, 'cpu')],
)
def test_the_fastest_device_is_chosen(monkeypatch, name, cuda, mps, wanted):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, 'is_available', lambda: mps)
    monkeypatch.setattr(torch, 'zeros', lambda *size, device: torch.ones(size))
    assert select_device(name) == torch.device(wanted)


@pytest.mark.parametrize('name', ['cuda:99', 'meta', 'toaster', ''])
def test_a_device_that_cannot_compute_is_refused_in_one_line(name):
    with pytest.raises(UserError, match=f'^device {name}: .') as caught:
        select_device(name)
    assert '\n' not in str(caught.value)


def test_free_memory_of_the_cpu_is_known():
    assert free_memory(torch.device('cpu')) > 2**20
    assert free_memory(torch.device('meta')) is None


def test_malloc_thresholds_are_set_without_a_word(capfd):
    set_malloc_thresholds(mmap=None, trim=2047)
    set_malloc_thresholds(mmap=4)
    assert capfd.readouterr() == ('', '')
