from pathlib import Path

import pytest
from mmagic.registry import HOOKS, MODELS
from mmengine.hooks import Hook
from tiny_data import make_benchmark

from csnln_mm.checkpoints import load_checkpoint
from csnln_mm.errors import UserError
from csnln_mm.mmagic.config import load_config
from csnln_mm.paper.ablation import (
    Budget,
    VariantResult,
    ablation_table,
    run_ablation,
    variant_config,
)
from csnln_mm.paper.published import ABLATIONS

CONFIGS = Path(__file__).parents[2] / 'configs/ablation'
VARIANTS = [(table, name) for table in ABLATIONS for name in ABLATIONS[table].variants]


@pytest.mark.parametrize('table, name', VARIANTS)
def test_every_variant_is_what_its_name_says(table, name):
    """What Tables 3, 4 and 5 vary, from the built cell."""
    cfg = load_config(str(CONFIGS / f'{name}.py'))
    assert cfg.train_cfg.max_iters == 200_000 and cfg.param_scheduler.milestones[0] == 150_000
    assert (cfg.model.generator.mid_channels, cfg.model.generator.num_recurrences) == (128, 12)
    cfg.model.generator.update(mid_channels=4, num_recurrences=1)
    cell = MODELS.build(cfg.model.generator).cell
    if name == 'branches_none':
        convolutions = [m for m in cell.plain if type(m).__name__ == 'ConvPReLU']
        assert len(convolutions) == 10 and len(cell.stages) == 0
        return
    (stage,) = cell.stages
    branches = name if name.startswith('branches_') and name != 'branches_all' else 'local_all'
    named = branches.replace('all', 'in_scale_cross_scale')
    for branch in 'local', 'in_scale', 'cross_scale':
        assert getattr(stage, f'use_{branch}') == (branch in named), branch
    if stage.use_cross_scale:
        patch = {'patch_1': 1, 'patch_5': 5}.get(name, 3)
        assert stage.cross_scale_attention.patch_size == patch
    fusion = dict(fusion_addition='Addition', fusion_concatenation='Concatenation')
    assert type(stage.fusion).__name__ == fusion.get(name, 'MutualProjected') + 'Fusion'


@pytest.fixture
def data(tmp_path):
    make_benchmark(tmp_path / 'train', 2, size=(48, 48))
    make_benchmark(tmp_path / 'test', 1, size=(36, 36))
    return tmp_path


def tiny_budget(data, **changes):
    return Budget(
        max_iters=4,
        channels=4,
        recurrences=1,
        batch_size=1,
        patch_size=12,
        train_data=str(data / 'train'),
        test_data=str(data / 'test'),
    )._replace(**changes)


def test_the_budget_reaches_the_config(data):
    options = {'model.generator.image_skip': True}
    budget = tiny_budget(data, max_iters=400, seed=7, cfg_options=options)
    cfg = variant_config('patch_1', data / 'work', budget)
    assert cfg.param_scheduler.milestones[0] == 300 and cfg.train_cfg.max_iters == 400
    generator = cfg.model.generator
    assert (generator.mid_channels, generator.num_recurrences) == (4, 1)
    assert generator.image_skip and generator.cell.patch_size == 1
    assert cfg.train_dataloader.batch_size == 1 and cfg.randomness.seed == 7
    (crop,) = (s for s in cfg.train_dataloader.dataset.pipeline if s.type == 'PairedRandomCrop')
    assert crop.gt_patch_size == 24
    with pytest.raises(UserError, match='channels must be at least 1'):
        variant_config('patch_1', data / 'work', tiny_budget(data, channels=0))


def test_mistakes_show_before_the_first_step(data):
    with pytest.raises(UserError, match="no variant 'patch_7'"):
        run_ablation(4, tiny_budget(data), data / 'work', variants=['patch_7'])
    for changes, match in (
        (dict(test_data=str(data / 'none')), 'does not exist; prepare it'),
        (dict(cfg_options={'modell.x': 1}), "has no 'modell'"),
        (dict(cfg_options={'model.generator.x': 1}), 'CSNLNNet has no such argument'),
        (dict(seed=-1), 'seed must be an integer of at least 0, got -1'),
        (dict(patch_size=100), 'smaller than the training patch of 200'),
    ):
        with pytest.raises(UserError, match=match):
            run_ablation(4, tiny_budget(data, **changes), data / 'work')
    assert not (data / 'work').exists()


@HOOKS.register_module()
class StepsHook(Hook):
    """Counts steps, and interrupts as Ctrl-C does."""

    steps = 0

    def __init__(self, stop=None):
        self.stop = stop

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        StepsHook.steps += 1
        if runner.iter + 1 == self.stop:
            raise KeyboardInterrupt


@pytest.mark.slow
def test_a_table_is_trained_tested_and_resumed(data):
    work = data / 'work'

    def run(stop=None, **changes):
        StepsHook.steps = 0
        hook = dict(type='StepsHook', stop=stop, priority='LOWEST')
        options = {'custom_hooks': [hook], 'train_dataloader.num_workers': 0}
        options |= {'train_dataloader.persistent_workers': False}
        budget = tiny_budget(data, cfg_options=options, **changes)
        return run_ablation(5, budget, work, variants=names)

    names = ['fusion_addition', 'fusion_concatenation']
    with pytest.raises(KeyboardInterrupt):
        run(stop=3)
    assert StepsHook.steps == 3 and not list(work.glob('*/result.json'))
    results = run()
    assert StepsHook.steps == 2 + 4  # the first from its checkpoint of step 2, and the second
    assert results['branches_all'] is None
    for name in names:
        result = results[name]
        assert 0 < result.psnr < 60 and result.parameters > 100
        assert 0 < result.diffusion_index < 100
        checkpoint = load_checkpoint(work / name / 'iter_4.pth')
        assert checkpoint['meta']['iter'] == 4
    assert run() == results and StepsHook.steps == 0
    with pytest.raises(UserError, match='another train_dataloader'):
        run(batch_size=2)


def test_the_table_stands_beside_the_papers(data):
    results = dict.fromkeys(['patch_1', 'branches_all', 'patch_5'])
    results['branches_all'] = VariantResult(30.126, 0.87654, 12345, 7.891)
    budget = tiny_budget(data)
    lines = ablation_table(4, results, budget).splitlines()
    assert 'steps 4' in lines[0]
    assert [len(ABLATIONS[i].variants) for i in (3, 4, 5)] == [8, 3, 3]
    assert lines[-2].split() == ['3x3', '12,345', '30.13', '0.8765', '7.89', '33.74']
    assert lines[-1].split() == ['5x5', '-', '-', '-', '-', '33.61']
    results['branches_all'] = VariantResult(30.126, 0.87654, 12345)  # of an earlier version
    earlier = ablation_table(4, results, budget).splitlines()[-2]
    assert earlier.split() == ['3x3', '12,345', '30.13', '0.8765', '-', '33.74']


@pytest.mark.parametrize(
    'name, content',
    [
        ('result.json', '{"psnr": 1}'),
        ('result.json', '{"psnr": 1, "ssim": "a", "parameters": 1}'),
        ('result.json', '[['),
        ('settings.json', '[]'),
    ],
)
def test_files_of_something_else_are_named(data, name, content):
    folder = data / 'work/branches_all'
    folder.mkdir(parents=True)
    (folder / name).write_text(content)
    with pytest.raises(UserError, match=f'branches_all/{name}'):
        run_ablation(4, tiny_budget(data), data / 'work', variants=['branches_all'])
