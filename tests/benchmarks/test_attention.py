"""What the benchmark of the operators compares: the same results, and memory of each side."""

import attention
import pytest
import torch
from attention import Case, cells, measure, peak_memory, prepare, profile, reference_operators, rise

from csnln_mm import ops

SMALL = [
    Case('cross-scale', 6, 2, channels=4),
    Case('cross-scale', 7, 3, training=True, channels=4),
    Case('in-scale', 6, training=True, channels=4),
    Case('in-scale', 6, training=True, channels=4, torch=True),
    Case('network', 6, 4, channels=4, recurrences=1),
    Case('network', 6, 2, training=True, channels=4, recurrences=2, with_cp=True),
]
CPU = torch.device('cpu')


@pytest.mark.parametrize('case', SMALL, ids=lambda case: case.name)
def test_both_sides_compute_the_same(case, monkeypatch):
    """And the reference side takes the reference implementation, in every pass."""
    calls = []
    convolutional, in_scale = (attention.convolutional_attention, ops.in_scale_attention_reference)
    monkeypatch.setattr(
        attention,
        'convolutional_attention',
        lambda *args, **options: calls.append(1) or convolutional(*args, **options),
    )
    monkeypatch.setattr(
        ops, 'in_scale_attention_reference', lambda *args: calls.append(1) or in_scale(*args)
    )
    torchs = attention.torch_attention
    monkeypatch.setattr(
        attention, 'torch_attention', lambda *args: calls.append(1) or torchs(*args)
    )
    fast = prepare(case, CPU)[0]()
    assert not calls
    with reference_operators(case):
        expected = prepare(case, CPU)[0]()
    assert calls and ops.cross_scale_attention.__name__ == 'cross_scale_attention'
    torch.testing.assert_close(fast, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.slow
def test_figures(monkeypatch):
    monkeypatch.setattr(attention, '_SECONDS', 0.01)
    row = measure(SMALL[0], rounds=1)
    assert row['time'] > 0 and row['reference'] > 0
    assert len(cells(row)) == 7 and cells(row)[:2] == ['cross-scale attention x2, forward', '6x6']
    alone = measure(SMALL[0]._replace(reference=False), rounds=1)
    assert alone['reference'] is None and cells(alone)[3:5] == ['', '']


def test_peak_is_of_what_a_function_takes_for_a_while():
    """Roughly: memory that earlier tests freed may be there to be used again."""

    def work():
        torch.ones(2**26)
        return torch.ones(2**20)

    assert 0.5 * 2**28 < rise(work, CPU) < 1.5 * 2**28


def test_memory_of_the_reference_is_told_apart():
    """At 64x64 its matrix alone has 16 million elements."""
    case = Case('in-scale', 64, channels=8)
    fast, reference = (peak_memory(case, 'cpu', side) for side in (False, True))
    assert reference > 2**26 > fast


def test_a_process_that_dies_is_reported():
    with pytest.raises(RuntimeError, match='its process ended with 1'):
        peak_memory(Case('cross-scale', 6, scale=0, channels=4), 'cpu', False)


def test_shares_of_a_training_step():
    title, *lines = profile(SMALL[-1], shares=500).splitlines()
    assert title == 'network x2, depth 2, training step, with_cp, 6x6'
    shares = [float(line.split('%')[0]) for line in lines]
    assert shares == sorted(shares, reverse=True)
    assert abs(sum(shares) - 100) <= 0.051 * len(shares)  # each is rounded to 0.1
    assert len(profile(SMALL[-1]).splitlines()) == 9  # the eight largest
    assert any('convolution' in line for line in lines)
