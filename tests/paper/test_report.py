import json

import pytest
from command_line import ROOT, refusal
from tiny_data import make_benchmark

from csnln_mm.cli import main
from csnln_mm.errors import UserError
from csnln_mm.mmagic.config import load_config
from csnln_mm.mmagic.runner import build_test_runner
from csnln_mm.mmagic.testing import run_test
from csnln_mm.paper.published import BENCHMARKS
from csnln_mm.paper.results import read_scores

METRICS = {'Set5/PSNR': 33.6609, 'Set5/SSIM': 0.93091, 'Other/PSNR': 1.0}


@pytest.mark.parametrize('scale', [2, 3])
def test_the_row_stands_under_the_papers_with_dashes(scale, tmp_path, capsys):
    (tmp_path / 'mine.json').write_text(json.dumps(METRICS))
    config = str(ROOT / f'configs/csnln_x{scale}_div2k.py')
    assert main(['report', config, '--results', str(tmp_path / 'mine.json')]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == [f'x{scale},', 'PSNR', '/', 'SSIM', *BENCHMARKS]
    assert len(lines) == 2 + (11 if scale == 3 else 12) + 1
    assert lines[-1].split() == ['mine', '33.66', '/', '0.9309', '-', '-', '-', '-']
    assert lines[-2].startswith('CSNLN ')
    assert len({len(line) for line in lines[1:-1]}) == 1


@pytest.mark.parametrize('content', ['', '[]', '{"PSNR": 1}', '{"Set5/PSNR": 1}', None])
def test_results_that_are_none_are_refused(tmp_path, content):
    if content is not None:
        (tmp_path / 'results.json').write_text(content)
    with pytest.raises(UserError, match='results.json'):
        read_scores(str(tmp_path / 'results.json'))


def test_a_config_is_tested_on_the_benchmarks_that_are_there(tmp_path, monkeypatch, capsys):
    make_benchmark(tmp_path / 'data/Set5', count=2)
    make_benchmark(tmp_path / 'data/B100', count=1)
    monkeypatch.chdir(tmp_path)
    config = str(ROOT / 'configs/bicubic_x2.py')
    assert main(['report', config, '--work-dir', 'work', '--out', 'table.txt', '--name', 'b']) == 0
    *_, paper, mine = (tmp_path / 'table.txt').read_text().splitlines()
    assert paper.startswith('CSNLN ')
    name, psnr, _, ssim, *others = mine.split()
    assert name == 'b' and 0 < float(psnr) < 60 and 0 < float(ssim) < 1
    assert others[0] == '-' and others[2] == '/' and others[4:] == ['-', '-']
    # Bicubic interpolation has no weights; the network has.
    words = 'report', ROOT / 'configs/csnln_x2_div2k.py', '--work-dir', 'work'
    assert 'name a checkpoint' in refusal(capsys, *words)


def test_model_size_of_a_config(capsys):
    config = str(ROOT / 'configs/csnln_x2_demo.py')
    assert main(['report', config, '--model-size', '4', '6']) == 0
    assert 'LR 4x6' in capsys.readouterr().out
    with pytest.raises(SystemExit, match='2'):
        main(['report', config, 'x.pth', '--model-size', '4', '6'])


def test_a_config_of_another_scale_is_refused(tmp_path, capsys):
    (tmp_path / 'c.py').write_text("model = dict(generator=dict(type='SRCNNNet'))")
    words = 'report', tmp_path / 'c.py', '--results', 'r.json'
    assert 'upscale_factor=None' in refusal(capsys, *words)


def test_the_metrics_of_each_image(tmp_path, monkeypatch):
    make_benchmark(tmp_path / 'data/Set5', count=2)
    monkeypatch.chdir(tmp_path)
    cfg = load_config(str(ROOT / 'configs/bicubic_x2.py'), work_dir=str(tmp_path / 'work'))
    metrics = run_test(build_test_runner(cfg), per_image=tmp_path / 'images.json')
    images = json.loads((tmp_path / 'images.json').read_text())
    assert [(i['benchmark'], i['image']) for i in images] == [('Set5', '0'), ('Set5', '1')]
    for metric in 'PSNR', 'SSIM':
        mean = sum(i[metric] for i in images) / 2
        assert mean == pytest.approx(metrics[f'Set5/{metric}'])
