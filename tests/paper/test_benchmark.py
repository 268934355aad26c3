import json

import pytest
import torch

from csnln_mm import ops
from csnln_mm.cli import main
from csnln_mm.errors import UserError
from csnln_mm.paper.benchmark import benchmark_table, measure_peak, peak_memory, run_benchmark
from csnln_mm.paper.benchmark_cases import Case, make_workload, reference_operators

SMALL = [
    Case('cross-scale', 6, 2, channels=4),
    Case('cross-scale', 7, 3, training=True, channels=4),
    Case('in-scale', 6, training=True, channels=4),
    Case('network', 6, 4, channels=4, recurrences=1),
    Case('network', 6, 2, training=True, reference=False, channels=4, recurrences=2, with_cp=True),
]


def test_figures():
    lines, cases = [], [SMALL[1], *SMALL[3:]]
    rows = run_benchmark(cases, runs=2, progress=lines.append)
    assert len(lines) == 2 * len(cases)
    assert [row['what'] for row in rows] == [case.name for case in cases]
    for case, row in zip(cases, rows):
        assert row['runs'] == 2
        assert row['time'] > 0
        assert (row['reference'] is None) == (not case.reference)
        assert (row['reference_memory'] is None) == (not case.reference)
        assert (row['matmul_time'] is None) == (case.what == 'network')
        if case.reference:
            assert row['ratio'] == pytest.approx(row['reference'] / row['time'])
    table = benchmark_table(rows).splitlines()
    assert len(table) == len(rows) + 2
    assert len({len(line) for line in table}) == 1


@pytest.mark.parametrize('case', SMALL[:4], ids=lambda case: case.name)
def test_both_sides_compute_the_same(case, monkeypatch):
    """The reference column is computed by the reference implementation, in every pass."""
    calls = []
    for name in ('cross_scale_attention_reference', 'in_scale_attention_reference'):
        function = getattr(ops, name)
        monkeypatch.setattr(
            ops,
            name,
            lambda *args, function=function, **kw: calls.append(1) or function(*args, **kw),
        )
    workload = make_workload(case, torch.device('cpu'))
    fast = workload.run()
    assert not calls
    with reference_operators():
        direct = make_workload(case, torch.device('cpu')).run()
    assert calls
    assert ops.cross_scale_attention.__name__ == 'cross_scale_attention'
    if fast is not None:
        assert torch.allclose(fast, direct, atol=1e-5)


def test_an_error_leaves_the_fast_operators_in_place():
    fast = ops.in_scale_attention
    with pytest.raises(KeyError), reference_operators():
        assert ops.in_scale_attention is not fast
        raise KeyError
    assert ops.in_scale_attention is fast


def test_peak_is_of_what_a_function_takes_for_a_while():
    """Roughly, because memory that earlier tests freed may be reused."""

    def work():
        torch.ones(2**26)
        return torch.ones(2**20)

    assert 0.5 * 2**28 < measure_peak(work, torch.device('cpu')) < 1.5 * 2**28


def test_memory_of_the_reference_is_told_apart():
    """At 64 x 64 its matrix alone has 16 million elements."""
    case = Case('in-scale', 64, channels=8)
    fast, direct = (peak_memory(case, side, 'cpu', threads=1) for side in (False, True))
    assert direct > 2**26 > fast


def test_a_process_that_dies_is_reported():
    case = Case('cross-scale', 6, scale=0, channels=4)
    with pytest.raises(RuntimeError, match='ended with status 1'):
        peak_memory(case, False, 'cpu', threads=1)


def test_tool(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = '--quick --only in-scale --runs 1 --json out.json'.split()
    assert main(['benchmark', *words]) == 0
    assert 'in-scale attention, forward + backward | 48x48' in capsys.readouterr().out
    figures = json.loads((tmp_path / 'out.json').read_text())
    assert len(figures['rows']) == 2
    assert figures['machine']['threads'] >= 1


@pytest.mark.parametrize('name', ['runs', 'threads'])
def test_refuses_less_than_one(name):
    with pytest.raises(UserError, match=f'{name} must be at least 1, got 0'):
        run_benchmark([], **{name: 0})


def test_refuses_a_device_that_does_not_compute():
    with pytest.raises(UserError, match='^device meta: '):
        run_benchmark([], device='meta')
