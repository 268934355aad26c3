"""A training, and what is said when something outside stops it."""

from mmengine.runner import Runner

from csnln_mm.errors import RunInterrupted, UserError
from csnln_mm.mmagic.graceful_shutdown import graceful_shutdown
from csnln_mm.mmagic.resume import checkpoint_folder, checkpoint_template, latest_valid_checkpoint
from csnln_mm.mmagic.run_token import TakenOver
from csnln_mm.mmagic.training_summary import TrainingSummaryHook


def run_training(runner: Runner) -> None:
    """Train; the log says before what will be done, and after ten steps when it will be.

    Args:
        runner: from :func:`~csnln_mm.mmagic.runner.build_train_runner`.

    Raises:
        UserError: if the disk is full, the work directory is gone, a loss is not finite, or another
            process has ended. Says where the training stopped, and what is kept.
        TakenOver: if another run was started in the work directory; this one left it alone since.
        RunInterrupted: after a step and its checkpoint, if it receives SIGINT, SIGTERM or SIGUSR1;
            see :func:`~csnln_mm.mmagic.graceful_shutdown.graceful_shutdown`.
    """
    runner.register_hook(TrainingSummaryHook(), priority='HIGHEST')
    try:
        with graceful_shutdown(runner):
            runner.train()
    except UserError as error:
        if not str(error) or isinstance(error, TakenOver):
            raise
        raise UserError(f'training stopped: {error}. {_kept(runner)}') from error
    except OSError as error:
        # Without a number it is no failure of the system, but e.g. that of a dataloader worker.
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
        if 'gloo/transport' not in str(error):
            raise
        raise UserError(
            f'training stopped in step {runner.iter + 1}, because another of its '
            f'processes has ended. {_kept(runner)}'
        ) from error


def _kept(runner: Runner) -> str:
    folder = checkpoint_folder(runner.cfg)
    try:
        newest = latest_valid_checkpoint(folder, checkpoint_template(runner.cfg))
    except UserError as error:
        return str(error)
    if newest.path is None:
        return f'There is no checkpoint in {folder} yet'
    return f'The newest checkpoint is {newest.path}; --resume continues from it'
