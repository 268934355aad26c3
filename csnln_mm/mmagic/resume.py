"""Choose where a run starts: the latest valid checkpoint, given weights, or scratch."""

import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from mmengine.config import Config
from mmengine.logging import HistoryBuffer
from mmengine.runner.checkpoint import CheckpointLoader
from torch import nn

from csnln_mm.checkpoints import check_fit, load_checkpoint
from csnln_mm.checkpoints.architecture import (
    PREFIX,
    carries_architecture,
    check_settings,
    get_all_weights,
    get_state_dict,
)
from csnln_mm.checkpoints.from_tensors import is_csnln
from csnln_mm.checkpoints.network import check_finite
from csnln_mm.checkpoints.released import is_released
from csnln_mm.checkpoints.safe_pickle import TrainingLog
from csnln_mm.errors import UserError
from csnln_mm.mmagic.loaders import parts

_NEEDED = 'meta', 'state_dict', 'optimizer', 'message_hub'


class Start(NamedTuple):
    """A checkpoint to resume from.

    Attributes:
        path: the file; None if there is no checkpoint.
        content: of the file.
        skipped: what is wrong with each newer file.
    """

    path: Path | None
    content: dict[str, Any] | None
    skipped: list[str]

    @property
    def seed(self) -> int | None:
        """The seed of the run to resume, or None."""
        return (self.content or {}).get('meta', {}).get('seed')


def find_start(cfg: Config, model: nn.Module, *, resume: bool = False) -> Start:
    """Find where a training run starts, and set ``load_from`` and ``resume`` in its config.

    Args:
        cfg: of the run; changed in place.
        model: of the config, which a checkpoint must fit.
        resume: from the latest valid checkpoint in the work directory, if any.

    Raises:
        UserError: if the checkpoint does not fit the config, no checkpoint is valid, or the run
            would overwrite checkpoints.
    """
    if cfg.get('load_from'):
        _check_weights(cfg, model, cfg.load_from)
    folder, template = checkpoint_folder(cfg), checkpoint_template(cfg)
    if resume or (cfg.get('resume') and not cfg.get('load_from')):
        start = latest_valid_checkpoint(folder, template)
        cfg.resume = start.path is not None
        if start.path:
            check_settings(start.content, cfg.model.get('generator', {}), str(start.path))
            check_fit(model, start.content, str(start.path))
            cfg.load_from = str(start.path)
        return start
    there = list_checkpoints(folder, template)
    if there and not cfg.get('resume'):
        raise UserError(
            f'{folder} already has checkpoints (the newest is '
            f'{there[0].name}): resume with --resume, or name another folder '
            'with --work-dir'
        )
    return Start(None, None, [])


def describe_kept_schedule(cfg: Config, start: Start) -> str | None:
    """Say which schedule of the config a resumed run ignores; None if there is none.

    MMEngine restores schedules from the checkpoint with all their settings, such as their end.
    """
    kept = (start.content or {}).get('param_schedulers') or []
    for name, states in kept.items() if isinstance(kept, dict) else [('', kept)]:
        schedules = cfg.get('param_scheduler')
        if name and isinstance(schedules, dict) and 'type' not in schedules:
            schedules = schedules.get(name)  # else all optimizers share the schedules
        for (_, schedule), state in zip(parts(schedules), states):
            by_epoch = schedule.get('by_epoch', True)
            unit = 'epoch' if by_epoch else 'step'
            last = cfg.train_cfg.get('max_epochs' if by_epoch else 'max_iters')
            end = schedule.get('end', last)
            if by_epoch == state.get('by_epoch') and end is not None and end != state.get('end'):
                whose = f' of the {name}' if name else ''
                return (
                    f'the learning rate{whose} keeps the schedule of {start.path}, where '
                    f'{schedule.type} ends with {unit} {state.get("end")}, not {end} as in the '
                    'config; for another one begin a new run from its weights (--weights)'
                )
    return None


def check_checkpoint(cfg: Config, model: nn.Module, path: str) -> None:
    """Raise UserError unless a checkpoint fits a config; name the config beside it, if any."""
    try:
        check_fit(model, _load_and_check_settings(cfg, path), path)
    except UserError as error:
        # MMEngine writes the config of a run into its work directory.
        beside = sorted(Path(path).parent.glob('*.py'))
        if 'does not fit the config' not in str(error) or not beside:
            raise
        raise UserError(f'{error}; the config beside it is {beside[0]}') from error


def _check_weights(cfg: Config, model: nn.Module, path: str) -> None:
    """Like :func:`check_checkpoint`, but a GAN also accepts weights of the generator alone."""
    checkpoint = _load_and_check_settings(cfg, path)
    weights = checkpoint.get('state_dict', checkpoint) if isinstance(checkpoint, dict) else {}
    others = [key for key in model.state_dict() if not key.startswith(PREFIX)]
    alone = isinstance(weights, dict) and all(str(key).startswith(PREFIX) for key in weights)
    if not others or not alone:
        check_fit(model, checkpoint, path)
        return
    check_fit(nn.ModuleDict(dict(generator=model.generator)), checkpoint, path)
    if getattr(model, 'generator_ema', None) is not None:
        model._register_load_state_dict_pre_hook(_begin_average)


def _begin_average(state_dict: dict, prefix: str, *_: Any) -> None:
    """Start the moving average of the generator's weights at these weights."""
    for key in [key for key in state_dict if key.startswith(PREFIX)]:
        state_dict.setdefault(f'generator_ema.{key[len(PREFIX) :]}', state_dict[key])


def _load_and_check_settings(cfg: Config, path: str) -> Any:
    if '://' in path:
        raise UserError(f'checkpoint {path}: download it first, and name the file')
    checkpoint = load_for_model(path)
    check_settings(checkpoint, cfg.model.get('generator', {}), path)
    return checkpoint


def load_for_model(path: str) -> Any:
    """Read a checkpoint, and rename the weights of a bare network as in a model.

    Raises:
        UserError: if it cannot be read, or was not converted from the released code.
    """
    checkpoint = load_checkpoint(path)
    if not isinstance(checkpoint, dict):
        return checkpoint
    weights = get_state_dict(checkpoint, path)
    if is_released(weights):
        raise UserError(
            f'{path} is a checkpoint of the released code; convert it first: '
            f'csnln convert {path} NEW.pth'
        )
    everything = get_all_weights(checkpoint, path)
    whole = any(str(key).startswith(PREFIX) for key in everything)
    if whole or not (is_csnln(weights) or carries_architecture(checkpoint)):
        return checkpoint if everything is checkpoint else dict(checkpoint, state_dict=everything)
    return dict(checkpoint, state_dict={f'{PREFIX}{key}': x for key, x in weights.items()})


def checkpoint_folder(cfg: Config) -> Path:
    """The folder that MMEngine's hook writes checkpoints to."""
    out_dir = _checkpoint_hook(cfg).get('out_dir')
    return Path(out_dir, Path(cfg.work_dir).name) if out_dir else Path(cfg.work_dir)


def checkpoint_template(cfg: Config) -> str:
    """The names of these checkpoints, with {} for the number of steps or epochs."""
    hook = _checkpoint_hook(cfg)
    by_epoch = hook.get('by_epoch', True)
    return hook.get('filename_tmpl') or ('epoch_{}.pth' if by_epoch else 'iter_{}.pth')


def interrupted_template(template: str) -> str:
    """The name of the checkpoint of a run that a signal ended."""
    return f'interrupted_{template}'


def _checkpoint_hook(cfg: Config) -> dict:
    return (cfg.get('default_hooks') or {}).get('checkpoint') or {}


def list_checkpoints(folder: Path, template: str = 'iter_{}.pth') -> list[Path]:
    """List all checkpoints of a run, newest first, valid or not.

    ``template`` is that of the file names, with {} for the number of steps or epochs.
    """
    found = []
    for kind in template, interrupted_template(template):
        before, after = (re.escape(part) for part in kind.split('{}'))
        for path in folder.glob(kind.replace('{}', '*')):
            if number := re.fullmatch(f'{before}(\\d+){after}', path.name):
                # Of the same epoch, the interrupted checkpoint is the later one.
                found.append((int(number[1]), kind != template, path))
    return [path for *_, path in sorted(found, reverse=True)]


def latest_valid_checkpoint(folder: Path, template: str = 'iter_{}.pth') -> Start:
    """Find the newest checkpoint to resume from; UserError if there are some, but none is valid."""
    skipped = []
    for path in list_checkpoints(folder, template):
        try:
            return Start(path, load_valid_checkpoint(path), skipped)
        except UserError as error:
            skipped.append(str(error))
    if skipped:
        raise UserError(
            f'no checkpoint in {folder} is valid: '
            + '; '.join(skipped)
            + '; delete them to start from scratch'
        )
    return Start(None, None, skipped)


def load_valid_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint of MMEngine to resume from.

    Raises:
        UserError: if :func:`csnln_mm.checkpoints.load_checkpoint` refuses it, it has weights alone,
            or a weight is not finite.
    """
    checkpoint = load_checkpoint(path)
    missing = [key for key in _NEEDED if not isinstance(checkpoint, dict) or key not in checkpoint]
    if missing:
        raise UserError(f'{path} cannot be resumed from: it lacks {", ".join(missing)}')
    check_finite(get_all_weights(checkpoint, str(path)), path)
    return checkpoint


def use_safe_loading(load_from: str | None = None) -> None:
    """Let MMEngine read local checkpoints with our :func:`load_checkpoint`, and safetensors files.

    MMEngine's own reader calls ``torch.load`` without ``weights_only``: by the version of torch, it
    runs code in the file, or cannot read the checkpoints of MMEngine's own runner.

    Args:
        load_from: file with the weights of a whole model, see :func:`load_for_model`. Other files,
            such as those of ``init_cfg``, may be for a part of a model, and keep their names.
    """

    def load(filename: str, map_location: Any = None) -> Any:
        whole = filename == load_from or filename.endswith('.safetensors')
        read = load_for_model if whole else load_checkpoint
        return _for_mmengine(read(filename), filename)

    CheckpointLoader.register_scheme('', load, force=True)


def _for_mmengine(checkpoint: Any, filename: str) -> Any:
    if isinstance(checkpoint, dict):
        if isinstance(checkpoint.get('meta'), dict):
            # Runner.resume would run it as Python.
            checkpoint['meta'].pop('config', None)
        hub = checkpoint.get('message_hub')
        if isinstance(hub, dict) and isinstance(hub.get('log_scalars'), dict):
            hub['log_scalars'] = {
                name: _to_buffer(log, filename) for name, log in hub['log_scalars'].items()
            }
    return checkpoint


def _to_buffer(log: Any, filename: str) -> Any:
    if not isinstance(log, TrainingLog):
        return log
    if (
        not isinstance(log.max_length, int)
        or np.ndim(log.values) != 1
        or np.shape(log.values) != np.shape(log.counts)
    ):
        raise UserError(f'{filename} is refused: a log in it is damaged')
    return HistoryBuffer(log.values, log.counts, log.max_length)
