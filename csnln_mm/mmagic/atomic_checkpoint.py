"""Checkpoints that are whole or not there."""

import errno
import os
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
    """Files are written under another name, and moved into place once they are on the disk.

    Args:
        token: of the run that writes, which must still own its work directory.
    """

    def __init__(self, token: RunToken | None = None) -> None:
        self.token = token

    def put(self, obj: bytes, filepath: str) -> None:
        """Write a file.

        Raises:
            OSError: with the file's name, if it cannot be written, or its folder has vanished.
            TakenOver: if another run has been started in the work directory.
        """
        path = Path(filepath)
        if not path.parent.is_dir():
            # Made anew, it would look as if the earlier checkpoints had never been.
            raise FileNotFoundError(errno.ENOENT, 'the folder has vanished', str(path.parent))
        try:
            atomic_write(path, obj, durable=True, allowed=self.token and self.token.check)
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(path)) from error


register_backend(_BACKEND, _AtomicFiles)


@HOOKS.register_module(name=['AtomicCheckpointHook', 'WholeCheckpointHook'])
class AtomicCheckpointHook(CheckpointHook):
    """MMEngine's CheckpointHook, safe against an end at any moment.

    MMEngine writes checkpoints, and ``last_checkpoint``, in place, and before that removes what
    they replace. Here each is written under another name and moved into place once it is on the
    disk, and what is outdated is removed after that. Nothing is written once another run has been
    started in the work directory; see :class:`~csnln_mm.mmagic.run_token.RunToken`.

    Args:
        kwargs: as for MMEngine's ``CheckpointHook``. With ``backend_args``, or an ``out_dir`` on
            a server, files are written as that storage does it.

    Attributes:
        saved_steps: number of steps after which it saved last, since the run was started.
    """

    def __init__(self, **kwargs: Any) -> None:
        if '://' not in str(kwargs.get('out_dir')) and not kwargs.get('backend_args'):
            kwargs['backend_args'] = dict(backend=_BACKEND)
        super().__init__(**kwargs)
        self.saved_steps: int | None = None
        self.token: RunToken | None = None

    def before_train(self, runner: Runner) -> None:
        """Hook of MMEngine: besides, take the work directory over, and remove what an interrupted
        training left half-written."""
        if is_main_process():
            self.token = RunToken.take(Path(runner.work_dir))
            if self.backend_args and self.backend_args.get('backend') == _BACKEND:
                self.backend_args = dict(backend=_BACKEND, token=self.token)
        super().before_train(runner)
        if 'last_ckpt' in runner.message_hub.runtime_info:
            # Of a run that is resumed: MMEngine asks for it when it has saved a new best.
            self.last_ckpt = runner.message_hub.get_info('last_ckpt')
        if is_main_process() and isinstance(self.file_backend, _AtomicFiles):
            folder = Path(self.out_dir)
            folder.mkdir(parents=True, exist_ok=True)
            for path in folder.glob('.*.partial'):
                path.unlink()

    def after_train(self, runner: Runner) -> None:
        """Hook of MMEngine: a run that another has replaced does not end as if it were done."""
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
        self.file_backend.remove = outdated.append  # it stays until its successor is there
        try:
            super()._save_best_checkpoint(runner, metrics)
        finally:
            del self.file_backend.remove
        best = [getattr(self, 'best_ckpt_path', None)]
        best += getattr(self, 'best_ckpt_path_dict', {}).values()
        for path in outdated:
            # A validation that is done again replaces the file by one of the same name.
            if path not in best:
                self.file_backend.remove(path)

    def _path(self, step: int) -> str:
        return self.file_backend.join_path(self.out_dir, self.filename_tmpl.format(step))


def save_interrupted(runner: Runner, steps: int, *, in_validation: bool = False) -> None:
    """Save a run that a signal ends, unless that was done after the same step.

    The checkpoint has a name of its own, ``interrupted_iter_N.pth``. So it takes no place among
    the ``max_keep_ckpts``, and ``last_checkpoint`` stays as it is. The next checkpoint of the
    interval replaces it.

    Args:
        runner: of the run.
        steps: how many were completed.
        in_validation: after that step.

    Raises:
        OSError: if it cannot be written; what there was is still there.
        UserError: if a weight is not finite.
    """
    hook = next((hook for hook in runner.hooks if isinstance(hook, CheckpointHook)), None)
    if hook is None or getattr(hook, 'saved_steps', None) == steps:
        return
    if in_validation:
        for other in runner.hooks:
            if isinstance(other, EMAHook):
                other.after_val_epoch(runner)  # it has exchanged the weights for their mean
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
    """Remove the checkpoint of an interrupted run, now that there is a later one."""
    for path in Path(hook.out_dir).glob(interrupted_template(hook.filename_tmpl).format('*')):
        if path.name != but:
            path.unlink()
