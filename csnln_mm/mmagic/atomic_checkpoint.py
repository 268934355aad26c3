"""A checkpoint hook that writes complete files or none."""

import errno
import os
import re
from collections import deque
from pathlib import Path
from typing import Any

from mmagic.registry import HOOKS
from mmengine.dist import is_main_process
from mmengine.fileio import LocalBackend, register_backend
from mmengine.hooks import CheckpointHook, EMAHook
from mmengine.runner import Runner

from csnln_mm.files import atomic_write
from csnln_mm.mmagic.resume import interrupted_template
from csnln_mm.mmagic.run_token import RunToken

_BACKEND = 'csnln_mm.atomic_files'


class _AtomicFiles(LocalBackend):
    """A storage backend that writes to a temporary name and moves the file into place.

    Args:
        token: of the run, which must still own its work directory when it writes.
    """

    def __init__(self, token: RunToken | None = None) -> None:
        self.token = token

    def put(self, obj: bytes, filepath: str) -> None:
        """Write a file.

        Raises:
            OSError: with the file's name, if it cannot be written, or its folder has vanished.
            TakenOver: if another run owns the work directory.
        """
        path = Path(filepath)
        if not path.parent.is_dir():
            # A new folder would look as if there had been no earlier checkpoints.
            raise FileNotFoundError(errno.ENOENT, 'the folder has vanished', str(path.parent))
        try:
            atomic_write(path, obj, durable=True, allowed=self.token and self.token.check)
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(path)) from error


register_backend(_BACKEND, _AtomicFiles)


@HOOKS.register_module()
class AtomicCheckpointHook(CheckpointHook):
    """MMEngine's CheckpointHook, for processes that may be killed at any moment.

    MMEngine removes outdated files first, then writes checkpoints and ``last_checkpoint`` in place.
    This hook moves each file into place once it is on the disk, and removes outdated ones after
    that. It writes nothing once another run has started in the work directory; see
    :class:`~csnln_mm.mmagic.run_token.RunToken`.

    Args:
        kwargs: of MMEngine's ``CheckpointHook``. With ``backend_args``, or an ``out_dir`` on a
            server, that storage writes the files in its own way.

    Attributes:
        saved_steps: the step after which this run saved last; None if it has not.
        token: of the run, in its main process; taken before the first step if nobody has set it.
    """

    def __init__(self, **kwargs: Any) -> None:
        if '://' not in str(kwargs.get('out_dir')) and not kwargs.get('backend_args'):
            kwargs['backend_args'] = dict(backend=_BACKEND)
        super().__init__(**kwargs)
        self.saved_steps: int | None = None
        self.token: RunToken | None = None

    def before_train(self, runner: Runner) -> None:
        """Hook of MMEngine: also takes the work directory over, unless that was done, and removes
        what an interrupted run left half-written."""
        if is_main_process():
            self.token = self.token or RunToken.take(Path(runner.work_dir))
            if self.backend_args and self.backend_args.get('backend') == _BACKEND:
                self.backend_args = dict(backend=_BACKEND, token=self.token)
        super().before_train(runner)
        if 'last_ckpt' in runner.message_hub.runtime_info:
            # MMEngine reads it when a resumed run saves a new best checkpoint.
            self.last_ckpt = runner.message_hub.get_info('last_ckpt')
        if is_main_process() and isinstance(self.file_backend, _AtomicFiles):
            folder = Path(self.out_dir)
            folder.mkdir(parents=True, exist_ok=True)
            for path in folder.glob('.*.partial'):
                path.unlink()

    def after_train(self, runner: Runner) -> None:
        """Raise TakenOver if another run owns the work directory: this one is not complete."""
        super().after_train(runner)
        if self.token:
            self.token.check()

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict[str, Any]) -> None:
        outdated = []
        if self.max_keep_ckpts > 0:
            kept = [*(other for other in self.keep_ckpt_ids if other != step), step]
            outdated = kept[: -self.max_keep_ckpts]
            self.keep_ckpt_ids = deque(kept, self.max_keep_ckpts)
            runner.message_hub.update_info('keep_ckpt_ids', list(self.keep_ckpt_ids))
        self.last_ckpt = self._path(step)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        runner.save_checkpoint(
            self.out_dir,
            self.filename_tmpl.format(step),
            self.file_client_args,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
            meta=meta,
            by_epoch=self.by_epoch,
            backend_args=self.backend_args,
            **self.args,
        )
        if is_main_process():
            _AtomicFiles(self.token).put(
                self.last_ckpt.encode(), os.path.join(runner.work_dir, 'last_checkpoint')
            )
            for path in map(self._path, outdated):
                if self.file_backend.isfile(path):
                    self.file_backend.remove(path)
            _remove_interrupted(self)
        self.saved_steps = meta['iter']

    def _save_best_checkpoint(self, runner: Runner, metrics: dict[str, float]) -> None:
        outdated: list[str] = []
        self.file_backend.remove = outdated.append  # the old file stays until the new one is there
        try:
            super()._save_best_checkpoint(runner, metrics)
        finally:
            del self.file_backend.remove
        best = [getattr(self, 'best_ckpt_path', None)]
        best += getattr(self, 'best_ckpt_path_dict', {}).values()
        # A repeated validation writes a file of the same name.
        outdated = [path for path in outdated if path not in best]
        if is_main_process() and isinstance(self.file_backend, _AtomicFiles):
            # Also those of killed runs, of which the checkpoints resumed from know nothing.
            kept = {Path(path).absolute() for path in best if path}
            others = {Path(path).absolute() for path in outdated}
            for path in filter(Path.is_file, kept):
                others.update(path.parent.glob(re.sub(r'\d+(?=\.pth$)', '*', path.name)))
            outdated = [str(path) for path in others - kept]
        for path in outdated:
            self.file_backend.remove(path)

    def _path(self, step: int) -> str:
        return self.file_backend.join_path(self.out_dir, self.filename_tmpl.format(step))


def save_interrupted(runner: Runner, steps: int, *, in_validation: bool = False) -> None:
    """Save a run that a signal ends, unless the hook has saved it after the same step.

    The file is called ``interrupted_iter_N.pth``: it does not count towards ``max_keep_ckpts``, and
    ``last_checkpoint`` stays as it is. The next regular checkpoint replaces it.

    Args:
        runner: of the run.
        steps: number of completed steps.
        in_validation: whether the signal came during the validation after that step.

    Raises:
        OSError: if the file cannot be written; earlier checkpoints stay.
        UserError: if a weight is not finite.
    """
    hook = next((hook for hook in runner.hooks if isinstance(hook, CheckpointHook)), None)
    if hook is None or getattr(hook, 'saved_steps', None) == steps:
        return
    if in_validation:
        for other in runner.hooks:
            if isinstance(other, EMAHook):
                other.after_val_epoch(runner)  # swaps the mean for the weights again
    template = interrupted_template(hook.filename_tmpl)
    name = template.format(runner.epoch if hook.by_epoch else steps)
    backend = hook.backend_args
    if '://' not in hook.out_dir:
        backend = backend or dict(backend=_BACKEND)  # of MMEngine's own hook
    runner.save_checkpoint(
        hook.out_dir,
        name,
        hook.file_client_args,
        meta=dict(epoch=runner.epoch, iter=steps),
        by_epoch=False,
        backend_args=backend,
    )
    if is_main_process():
        _remove_interrupted(hook, but=name)


def _remove_interrupted(hook: CheckpointHook, but: str = '') -> None:
    """Remove checkpoints of interrupted runs that a later one replaces."""
    for path in Path(hook.out_dir).glob(interrupted_template(hook.filename_tmpl).format('*')):
        if path.name != but:
            path.unlink()
