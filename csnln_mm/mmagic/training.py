"""Run training: validate the start, report the best checkpoint, and say why a run stopped."""

from pathlib import Path

from mmengine.hooks import CheckpointHook, Hook
from mmengine.runner import Runner
from torch import nn

from csnln_mm.errors import RunInterrupted, UserError
from csnln_mm.mmagic.graceful_shutdown import graceful_shutdown
from csnln_mm.mmagic.loaders import loaders
from csnln_mm.mmagic.processes import other_process_ended
from csnln_mm.mmagic.resume import checkpoint_folder, checkpoint_template, latest_valid_checkpoint
from csnln_mm.mmagic.run_state import tell_job_script
from csnln_mm.mmagic.run_token import TakenOver
from csnln_mm.mmagic.training_summary import TrainingSummaryHook
from csnln_mm.networks import CSNLNNet
from csnln_mm.networks.build import PARTS

# The score before the first step, in MMEngine's message hub and so in each checkpoint.
_START = 'start_score'
# Whose parts a checkpoint can name without its config.
_PACKAGES = {'csnln_mm', 'torch'}


def run_training(runner: Runner) -> None:
    """Train a model.

    The log begins with what the run will do, and says after ten steps when it will end. A run that
    starts from weights is validated first. The last lines name the best checkpoint.

    Args:
        runner: from :func:`~csnln_mm.mmagic.runner.build_train_runner`.

    Raises:
        UserError: if the disk is full, the work directory is gone, a loss is not finite, or another
            process has ended; says where training stopped, and which checkpoint is the newest.
        TakenOver: if another run was started in the work directory.
        RunInterrupted: on SIGINT, SIGTERM or SIGUSR1, after a step and its checkpoint; see
            :func:`~csnln_mm.mmagic.graceful_shutdown.graceful_shutdown`.
    """
    runner.register_hook(TrainingSummaryHook(), priority='HIGHEST')
    if runner._load_from and not runner._resume:
        runner.register_hook(_ValidateStartHook(), priority='LOWEST')
    try:
        with graceful_shutdown(runner):
            runner.train()
            tell_job_script('done', runner.iter)
        if result := describe_result(runner):
            runner.logger.info(result)
    except UserError as error:
        if not str(error) or isinstance(error, TakenOver):
            raise
        raise UserError(f'training stopped: {error}. {_kept(runner)}') from error
    except OSError as error:
        # Without errno it is not a failure of the system, but e.g. of a dataloader worker.
        if error.errno is None:
            raise
        where = f'{error.filename}: ' if error.filename else ''
        raise UserError(
            f'training stopped in step {runner.iter + 1}: {where}{error.strerror}. {_kept(runner)}'
        ) from error
    except RunInterrupted as error:
        if not str(error):
            raise
        raise RunInterrupted(f'{error}. {_kept(runner)}', error.signal) from error
    except RuntimeError as error:
        if not other_process_ended(error):
            raise
        raise UserError(
            f'training stopped in step {runner.iter + 1}, because another of its '
            f'processes has ended, or cannot be reached. {_kept(runner)}'
        ) from error


def describe_result(runner: Runner) -> str:
    """Name the best checkpoint of a run, and the command that upscales with it; '' without one."""
    hook = next((hook for hook in runner.hooks if isinstance(hook, CheckpointHook)), None)
    known = runner.message_hub.runtime_info
    best, score = known.get('best_ckpt'), known.get('best_score')
    if best is None or score is None:
        return ''
    step = int(Path(best).stem.rpartition('_')[2])
    name = hook.key_indicators[0]
    start = known.get(_START)
    if start is not None and step == 0:
        return (
            f'no step improved on the start, {name} {start:.3f}: train longer, at a lower learning '
            'rate, or on more images'
        )
    lines = [f'best: {name} {score:.3f} after step {step:,}, {best}']
    if start is not None:
        lines[0] += f' (at the start: {start:.3f})'
    generator = getattr(getattr(runner.model, 'module', runner.model), 'generator', None)
    if generator is not None:
        config: str | Path | None = runner.cfg.filename  # beside it lie parts of its own
        if not isinstance(generator, CSNLNNet):
            config = Path(runner.work_dir, Path(config or 'config.py').name)
        elif not has_foreign_parts(generator):
            config = None
        option = f' --config {config}' if config else ''
        option += _reading(runner)
        lines.append(f'upscale with it: csnln upscale IMAGE -n {best}{option}')
    return '\n'.join(lines)


def has_foreign_parts(network: nn.Module) -> bool:
    """Whether a network has parts that this package and torch do not define."""
    names = (type(part) for part in network.modules())
    # What MMagic builds is of a class of the package, derived from the one that is registered.
    kinds = {PARTS.get(kind.__name__, kind).__module__.split('.')[0] for kind in names}
    return not kinds <= _PACKAGES


def _reading(runner: Runner) -> str:
    """How images are read, where that was asked for."""
    options = ''
    for *_, dataset in loaders(runner.cfg, 'train_dataloader'):
        for step in dataset.get('pipeline', ()):
            wanted = step.get('value_range') if step.get('type') == 'LoadBands' else None
            if wanted is not None:
                numbers = wanted if isinstance(wanted, str) else ' '.join(f'{x:g}' for x in wanted)
                options += f' --range {numbers}'
            if step.get('type') == 'LoadBands' and step.get('bands'):
                options += f' --bands {step.bands}'
    return options


class _ValidateStartHook(Hook):
    """Validates before the first step, to compare the best checkpoint with the start."""

    def before_train(self, runner: Runner) -> None:
        if runner.val_loop is not None:
            runner.val_loop.run()
            # MMagic's loop returns no metrics; the checkpoint hook has the score.
            score = runner.message_hub.runtime_info.get('best_score')
            if score is not None:
                runner.message_hub.update_info(_START, float(score))


def _kept(runner: Runner) -> str:
    folder = checkpoint_folder(runner.cfg)
    try:
        newest = latest_valid_checkpoint(folder, checkpoint_template(runner.cfg))
    except UserError as error:
        return str(error)
    if newest.path is None:
        return f'There is no checkpoint in {folder} yet'
    return f'The newest checkpoint is {newest.path}; --resume continues from it'
