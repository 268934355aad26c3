"""Run the paper's ablation studies (Tables 3, 4, 5) at any budget."""

import gc
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from mmengine.config import Config
from torch import nn

from csnln_mm.datasets.benchmarks import GT_FOLDER, lr_folder
from csnln_mm.errors import UserError
from csnln_mm.files import atomic_write, read_json
from csnln_mm.images.image_file import list_images, read_image
from csnln_mm.installed_configs import config_path
from csnln_mm.mmagic.check_config import build_parts
from csnln_mm.mmagic.config import apply_cfg_options, load_config
from csnln_mm.mmagic.loaders import check_images
from csnln_mm.mmagic.own_images import set_steps
from csnln_mm.mmagic.runner import build_test_runner, build_train_runner
from csnln_mm.mmagic.testing import run_test
from csnln_mm.mmagic.training import run_training
from csnln_mm.paper.published import ABLATIONS, published_variant
from csnln_mm.tables import format_table
from csnln_mm.upscaling.upscaler import Upscaler
from csnln_mm.visualization.attribution import extract_attribution

_SCALE = 2
# Of the attribution, which takes about a minute with small budgets on a CPU.
_WINDOW, _STEPS = 64, 8
# A resumed run must have the same settings as its beginning.
_DECISIVE = (
    'model train_cfg param_scheduler optim_wrapper train_dataloader test_dataloader randomness'
).split()


class Budget(NamedTuple):
    """Settings of all variants, named as the options of ``csnln ablation``; None: the paper's.

    Attributes:
        max_iters: training steps; the schedule is scaled to them.
        channels: C.
        recurrences: of the cell.
        batch_size: samples per step.
        patch_size: side of training patches, in LR pixels.
        train_data: folder with GTmod12 and LRbicx2, or in the layout of data/DIV2K.
        test_data: folder with GTmod12 and LRbicx2.
        seed: of weights and samples.
        cfg_options: further settings, by dotted name.
    """

    max_iters: int | None = None
    channels: int | None = None
    recurrences: int | None = None
    batch_size: int | None = None
    patch_size: int | None = None
    train_data: str = 'data/DIV2K'
    test_data: str = 'data/Set14'
    seed: int = 0
    cfg_options: dict | None = None


class VariantResult(NamedTuple):
    """The result of a variant.

    Attributes:
        psnr: in dB, on Y.
        ssim: on Y.
        parameters: their number.
        diffusion_index: mean DI of the middle of the test images, in a window of 64 LR pixels; None
            in results of earlier versions.
    """

    psnr: float
    ssim: float
    parameters: float
    diffusion_index: float | None = None


def run_ablation(
    table: int, budget: Budget, work_dir: Path, *, variants: Sequence[str] | None = None
) -> dict[str, VariantResult | None]:
    """Train and test the variants of a table one after another.

    Each has a folder, ``work_dir/NAME``. Finished variants are not run again; an interrupted one
    resumes from its latest checkpoint.

    Args:
        table: 3, 4 or 5.
        budget: settings of all variants.
        work_dir: folder for results.
        variants: names of configs; all of the table by default.

    Returns:
        Results by name of config, for the whole table; None for variants without a result.

    Raises:
        UserError: if a variant is unknown, a setting is wrong, data is missing, or ``work_dir``
            holds runs with other settings.
    """
    names = list(ABLATIONS[table].variants)
    for name in variants or ():
        if name not in names:
            raise UserError(f'table {table} has no variant {name!r}, but {", ".join(names)}')
    chosen = [name for name in names if not variants or name in variants]
    # All variants before the first run: a mistake should not show hours later.
    for name in chosen:
        cfg = variant_config(name, work_dir / name, budget)
        _check_settings(cfg)
        check_images(
            cfg, build_parts(cfg), dict(train_dataloader='training', test_dataloader='test')
        )
    for i, name in enumerate(chosen, start=1):
        if _read_result(work_dir / name) is None:
            print(f'table {table}, variant {i} of {len(chosen)}: {name}', flush=True)
            _run_variant(name, work_dir / name, budget)
    return {name: _read_result(work_dir / name) for name in names}


def variant_config(name: str, work_dir: Path, budget: Budget) -> Config:
    """Load a variant's config from configs/ablation, with the settings of a budget.

    Raises:
        UserError: if a number is not positive, or the config has no such setting.
    """
    for setting in 'max_iters', 'channels', 'recurrences', 'batch_size', 'patch_size':
        value = getattr(budget, setting)
        if value is not None and value < 1:
            raise UserError(f'{setting} must be at least 1, got {value}')
    cfg = load_config(config_path(f'ablation/{name}.py'), work_dir=str(work_dir))
    generator, loader = cfg.model.generator, cfg.train_dataloader
    generator.mid_channels = budget.channels or generator.mid_channels
    generator.num_recurrences = budget.recurrences or generator.num_recurrences
    loader.batch_size = budget.batch_size or loader.batch_size
    if budget.max_iters:
        set_steps(cfg, budget.max_iters)
    loader.dataset.data_root = budget.train_data
    if (Path(budget.train_data) / GT_FOLDER).is_dir():
        loader.dataset.ann_file = ''
        loader.dataset.data_prefix = dict(img=lr_folder(_SCALE), gt=GT_FOLDER)
    for step in loader.dataset.pipeline:
        if step.type == 'PairedRandomCrop' and budget.patch_size:
            step.gt_patch_size = _SCALE * budget.patch_size
    _test_only(cfg, budget.test_data)
    cfg.randomness = dict(seed=budget.seed)
    apply_cfg_options(cfg, budget.cfg_options or {})
    return cfg


def ablation_table(
    table: int, results: dict[str, VariantResult | None], budget: Budget, style: str = 'text'
) -> str:
    """Format the results of :func:`run_ablation` beside the paper's."""
    title, variants = ABLATIONS[table]
    psnr = f'PSNR on {Path(budget.test_data).name}'
    header = title, 'parameters', psnr, 'SSIM', 'DI', 'paper: PSNR on Set14'
    rows = []
    for name, variant in variants.items():
        psnr, ssim, parameters, index = results[name] or [None] * 4
        cells = (parameters, ',.0f'), (psnr, '.2f'), (ssim, '.4f'), (index, '.2f')
        measured = ['-' if value is None else f'{value:{form}}' for value, form in cells]
        rows.append([variant, *measured, f'{published_variant(name):.2f}'])
    return f'{_describe(budget)}\n\n{format_table(header, rows, style)}'


def _describe(budget: Budget) -> str:
    said = {
        'steps': budget.max_iters or 200_000,
        'samples per step': budget.batch_size or 2,
        'LR patches': budget.patch_size or 48,
        'channels': budget.channels or 128,
        'recurrences': budget.recurrences or 12,
        'seed': budget.seed,
    }
    text = ', '.join(f'{name} {value}' for name, value in said.items())
    options = ''.join(f', {key}={value}' for key, value in (budget.cfg_options or {}).items())
    return f'x2, trained on {budget.train_data}: {text}{options}'


def _test_only(cfg: Config, test_data: str) -> None:
    """Test one set at the end, and validate nothing before."""
    loader, evaluator = cfg.test_dataloader[0], cfg.test_evaluator[0]
    loader.dataset.data_root = test_data
    for metric in evaluator.metrics:
        metric.prefix = 'test'
    cfg.test_dataloader, cfg.test_evaluator = [loader], [evaluator]
    cfg.val_dataloader = cfg.val_evaluator = cfg.val_cfg = None
    cfg.default_hooks.checkpoint.save_best = None
    cfg.custom_hooks = [hook for hook in cfg.custom_hooks if hook.type != 'BasicVisualizationHook']


def _run_variant(name: str, work_dir: Path, budget: Budget) -> None:
    cfg = variant_config(name, work_dir, budget)
    settings, checkpoint = _settings(cfg), work_dir / f'iter_{cfg.train_cfg.max_iters}.pth'
    runner = build_train_runner(cfg, resume=True)
    # Not earlier: a run that was refused must not claim the folder.
    atomic_write(work_dir / 'settings.json', settings.encode())
    run_training(runner)
    del runner  # ends its dataloader workers
    gc.collect()
    runner = build_test_runner(variant_config(name, work_dir, budget), str(checkpoint))
    metrics = run_test(runner)
    network = runner.model.generator
    index = _diffusion_index(network, Path(budget.test_data) / lr_folder(_SCALE))
    parameters = sum(p.numel() for p in network.parameters())
    result = VariantResult(metrics['test/PSNR'], metrics['test/SSIM'], parameters, index)
    atomic_write(work_dir / 'result.json', json.dumps(result._asdict()).encode())


def _diffusion_index(network: nn.Module, folder: Path) -> float:
    upscaler = Upscaler(network, device=str(next(network.parameters()).device))
    indices = []
    for path in list_images(folder):
        image = read_image(path)
        width, height = image.size
        found = extract_attribution(
            upscaler, image, (width // 2, height // 2), steps=_STEPS, window=_WINDOW
        )
        indices.append(found.attribution.diffusion_index)
    return sum(indices) / len(indices)


def _read_result(work_dir: Path) -> VariantResult | None:
    path = work_dir / 'result.json'
    if not path.exists():
        return None
    try:
        return VariantResult(**{key: float(value) for key, value in read_json(path).items()})
    except (AttributeError, OverflowError, TypeError, ValueError) as error:
        raise UserError(
            f'{path} is no result of an ablation study; remove it to run it again'
        ) from error


def _settings(cfg: Config) -> str:
    return json.dumps({name: cfg.get(name) for name in _DECISIVE}, indent=1)


def _check_settings(cfg: Config) -> None:
    """Raise UserError if the work directory has a run with other settings."""
    path = Path(cfg.work_dir) / 'settings.json'
    if path.exists():
        before, now = read_json(path), json.loads(_settings(cfg))
        if not isinstance(before, dict):
            raise UserError(f'{path} does not hold the settings of a run')
        if changed := [name for name in _DECISIVE if before.get(name) != now[name]]:
            raise UserError(
                f'{cfg.work_dir} holds a run with another {" and ".join(changed)}; '
                'use the same options, or another --work-dir'
            )
