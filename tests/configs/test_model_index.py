"""The model index: its configs exist; its figures are those of paper, models and docs."""

import re
from pathlib import Path

import pytest
import yaml
from mmengine.config import Config

from csnln_mm.checkpoints import list_pretrained
from csnln_mm.paper.published import BENCHMARKS, TABLE_1, published

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope='module')
def models():
    files = yaml.safe_load((ROOT / 'model-index.yml').read_text())['Import']
    return [
        model for file in files for model in yaml.safe_load((ROOT / file).read_text())['Models']
    ]


def scores(model):
    return {result['Dataset']: result['Metrics'] for result in model['Results']}


def test_the_index_is_well_formed():
    reader = pytest.importorskip(
        'modelindex.load_model_index', reason='the reader of the format is not installed'
    )
    index = reader.load(str(ROOT / 'model-index.yml'))
    index.build_models_with_collections()
    assert index.check(silent=True) is not False
    assert not index.check_errors


def test_every_config_loads_and_is_called_like_its_model(models):
    assert len(models) == 6 + len(list_pretrained())
    for model in models:
        path = ROOT / model['Config']
        assert path.stem == model['Name']
        assert Config.fromfile(path).model.generator.type


@pytest.mark.parametrize('scale', [2, 3, 4])
def test_figures_of_the_network_are_the_papers_and_say_so(models, scale):
    (row,) = (row for row in published(scale, TABLE_1) if row.name == 'CSNLN')
    (model,) = (model for model in models if model['Name'] == f'csnln_x{scale}_div2k')
    assert scores(model) == {
        name: {'PSNR (paper)': row.scores[name].psnr, 'SSIM (paper)': row.scores[name].ssim}
        for name in BENCHMARKS
    }


@pytest.mark.parametrize('shipped', list_pretrained(), ids=lambda model: model.name)
def test_figures_of_a_model_of_the_package_are_those_in_its_file(models, shipped):
    (model,) = (x for x in models if x['Name'] == shipped.name.replace('-', '_'))
    assert model['Config'] == f'configs/compact/{model["Name"]}.py'
    assert model['Metadata']['Parameters'] == shipped.parameters
    assert model['Metadata']['Training Data'] == shipped.training_data.split(', ')
    assert scores(model) == {
        name: {'PSNR': pytest.approx(psnr, abs=0.006), 'SSIM': pytest.approx(ssim, abs=1e-4)}
        for name, (psnr, ssim) in shipped.scores.items()
    }


@pytest.mark.parametrize('scale', [2, 3, 4])
def test_figures_of_bicubic_are_those_of_the_page_on_testing(models, scale):
    page = (ROOT / 'docs/testing.md').read_text()
    (line,) = re.findall(rf'^\| x{scale} \| (\d.*) \|$', page, flags=re.M)
    measured = [tuple(map(float, pair.split(' / '))) for pair in line.split(' | ')]
    (model,) = (model for model in models if model['Name'] == f'bicubic_x{scale}')
    assert [(m['PSNR'], m['SSIM']) for m in scores(model).values()] == measured
    assert list(scores(model)) == ['Set5', 'Set14', 'B100']
