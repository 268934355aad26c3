"""Read the config of a run, and change its settings by name."""

import ast
import inspect
import os.path as osp
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from mmengine.config import Config
from mmengine.runner import Runner

from csnln_mm.errors import UserError
from csnln_mm.installed_configs import config_path

# Settings that MMEngine reads beside the arguments of its runner.
_OTHER_SETTINGS = (
    'activation_checkpointing',
    'compile',
    'custom_imports',
    'efficient_conv_bn_eval',
    'find_unused_parameters',
    'model_wrapper_cfg',
    'sync_bn',
)


def load_config(
    path: str, *, options: dict | None = None, work_dir: str | None = None, launcher: str = 'none'
) -> Config:
    """Read the config of a run.

    Args:
        path: config file, or the name of one that comes with the package.
        options: settings to change, by dotted name.
        work_dir: folder for results; by default the file's own (not that of its bases), else
            ``work_dirs/NAME``.
        launcher: 'none', 'pytorch', 'slurm' or 'mpi'.

    Raises:
        UserError: if the file is missing or is not a config, or has no such settings.

    Examples:
        >>> cfg = load_config('csnln_x2_demo.py', options={'train_cfg.max_iters': 100})
        >>> cfg.train_cfg.max_iters, cfg.work_dir
        (100, 'work_dirs/csnln_x2_demo')
    """
    if not osp.isfile(path):
        try:
            path = config_path(path)
        except UserError as error:
            raise UserError(
                f'config {path} does not exist, and no config of the package has that name'
            ) from error
    # Modules beside a config can be named in its custom_imports; installed ones take precedence.
    if (folder := osp.dirname(osp.abspath(path))) not in sys.path:
        sys.path.append(folder)
    try:
        cfg = Config.fromfile(path)
    except Exception as error:
        # A config is a program and may raise anything. MMEngine reports sys.path for a failed
        # custom_imports; the first exception is the one to report.
        first: BaseException = error
        while isinstance(error, ImportError) and first.__context__:
            first = first.__context__
        raise UserError(f'config {path}: {type(first).__name__}: {first}') from error
    _use_own_name(cfg, path)
    apply_cfg_options(cfg, options or {})
    cfg.launcher = launcher
    if work_dir:
        cfg.work_dir = work_dir
    elif not cfg.get('work_dir'):
        cfg.work_dir = osp.join('work_dirs', osp.splitext(osp.basename(path))[0])
    return cfg


def _use_own_name(cfg: Config, path: str) -> None:
    """Remove a work directory and an experiment name that a config inherits from its bases."""
    if not path.endswith('.py'):
        return
    statements = ast.parse(Path(path).read_text()).body
    targets = [x for statement in statements for x in getattr(statement, 'targets', ())]
    own = {target.id for target in targets if isinstance(target, ast.Name)}
    for name in {'work_dir', 'experiment_name'} - own:
        cfg.pop(name, None)


def apply_cfg_options(cfg: Config, options: dict) -> None:
    """Change settings of a config in place, by dotted name.

    Raises:
        UserError: if neither the config nor MMEngine has a setting of that name.
    """
    known = {*cfg.keys(), *inspect.signature(Runner.__init__).parameters, *_OTHER_SETTINGS}
    for name in options:
        first = name.partition('.')[0]
        if first not in known:
            raise UserError(
                f'config {cfg.filename} has no {first!r}, to set {name}'
                + suggest(first, sorted(known))
            )
        try:
            cfg.merge_from_dict({name: options[name]})
        except (IndexError, KeyError, TypeError, ValueError) as error:
            raise UserError(
                f'config {cfg.filename}: {name} cannot be set: {error}; items of a '
                'list are named by their numbers, as in test_dataloader.0'
            ) from error


def suggest(name: str, known: Sequence[str]) -> str:
    """Suggest the known name that is most like an unknown one; ends a message."""
    close = get_close_matches(name, known, n=1)
    return f'; did you mean {close[0]!r}?' if close else ''
