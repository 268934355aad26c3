"""End a run that receives a signal after the step in progress, without losing a step."""

import mmap
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

import torch
from mmengine.dist import all_reduce, get_backend, is_distributed, is_main_process
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapperDict
from mmengine.runner import Runner
from torch import distributed
from torch.nn.modules.module import register_module_forward_pre_hook
from torch.utils.data._utils import signal_handling
from torch.utils.hooks import RemovableHandle

from csnln_mm.errors import RunInterrupted, UserError
from csnln_mm.mmagic.atomic_checkpoint import save_interrupted
from csnln_mm.mmagic.run_state import tell_job_script

# Control-C; of clusters and torchrun; of Slurm ahead of a job's end, as `--signal=USR1@120` asks.
SIGNALS = signal.SIGINT, signal.SIGTERM, signal.SIGUSR1

# Seconds in which a second signal repeats the first: a terminal and torchrun both signal a job.
_SAME_WISH = 1.0


@contextmanager
def graceful_shutdown(runner: Runner) -> Iterator[None]:
    """In this context, :data:`SIGNALS` end the run after the step in progress and save it.

    A signal to one of several processes ends all of them after the same step. A validation ends
    before the network's next layer, in the other processes before their next image; resuming
    repeats it. A second signal, more than a second later, ends the process at once. One of several
    processes whose run has ended with an exception ignores SIGTERM from then on, to say why.

    Python's own exception for SIGINT could be swallowed by a library's handlers, or leave a step
    half done. Dataloader workers, which a cluster signals too, live as long as they are needed.

    Signals that the process ignores stay ignored: this is how a shell keeps Control-C from its
    background jobs. Outside the main thread, which receives the signals, nothing happens.

    Args:
        runner: gets a hook that saves the checkpoint.

    Raises:
        RunInterrupted: after a signal; names the checkpoint. Its message is empty in all but the
            main process.
        OSError, UserError: in all processes, if the checkpoint cannot be written.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received = _Received()
    end = _EndHook(received)
    runner.register_hook(end, priority='LOWEST')
    try:
        with received.caught():
            yield
    except (RuntimeError, ConnectionError, EOFError) as error:
        # Other processes of the job have ended at once, and this step waited for them.
        if received.signal:
            raise RunInterrupted(
                f'received {received.signal.name} in step {runner.iter + 1}, which was not '
                'completed',
                received.signal,
            ) from error
        raise
    finally:
        end.stop_watching()


class _Received:
    """The first signal that came.

    Attributes:
        signal: None if none came.
        ending: all processes end; another signal is that of a launcher that has seen one of them.
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self.ending = False
        self._process = os.getpid()
        self._first: float | None = None

    @contextmanager
    def caught(self) -> Iterator[None]:
        """In this context, signals are only recorded."""
        before = {number: signal.getsignal(number) for number in SIGNALS}
        # None stands for a handler that Python cannot put back.
        before = {n: h for n, h in before.items() if h not in (signal.SIG_IGN, None)}
        read, write = os.pipe()
        os.set_blocking(write, False)
        watch = threading.Thread(target=self._watch, args=(read,), daemon=True)
        watch.start()
        _fds.append(signal.set_wakeup_fd(write, warn_on_full_buffer=False))
        for number in before:
            signal.signal(number, self._note)
        try:
            with self._workers_stay():
                yield
        except Exception:
            # The processes of a job do not end at the same moment. When the first has, torchrun or
            # Slurm tell the others to end, which they do, after the line that says why.
            if is_distributed() and signal.SIGTERM in before:
                before[signal.SIGTERM] = signal.SIG_IGN
            raise
        finally:
            if self._first is not None:
                # Repetitions may come while they are still known as such.
                time.sleep(max(0.0, self._first + _SAME_WISH - time.monotonic()))
            for number, handler in before.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(_fds.pop())
            os.write(write, b'\0')
            watch.join()
            os.close(write)
            os.close(read)

    def _note(self, number: int, frame: FrameType | None) -> None:
        """Handler, in this process and in those that are forked from it."""
        if os.getpid() == self._process:
            self.signal = self.signal or signal.Signals(number)

    def _watch(self, read: int) -> None:
        """Runs in a thread, since Python's handlers wait while C++ code runs, as in most steps."""
        while (number := os.read(read, 1)) != b'\0':
            if number[0] not in SIGNALS:
                continue
            if self._first is None:
                self._first = time.monotonic()
                with suppress(OSError):  # a pipe whose reader received the signal as well
                    os.write(2, b'\nending after this step; once more to end at once\n')
            elif not self.ending and time.monotonic() - self._first > _SAME_WISH:
                os._exit(128 + number[0])

    @contextmanager
    def _workers_stay(self) -> Iterator[None]:
        """Let dataloader workers ignore SIGTERM as long as they are needed."""
        over = mmap.mmap(-1, 1)  # shared with them
        set_handlers = signal_handling._set_worker_signal_handlers

        def on_sigterm(number: int, frame: FrameType | None) -> None:
            if over[0] or os.getppid() != self._process:
                os._exit(0)

        def set_handlers_and_this(*args: Any) -> None:
            set_handlers(*args)  # torch's for SIGTERM ends the worker
            signal.signal(signal.SIGTERM, on_sigterm)

        signal_handling._set_worker_signal_handlers = set_handlers_and_this
        try:
            yield
        finally:
            over[0] = 1
            if self.signal:  # at their own pace they would end after some seconds
                for worker in multiprocessing.active_children():
                    worker.terminate()
            signal_handling._set_worker_signal_handlers = set_handlers


# What set_wakeup_fd() replaced, while signals are caught.
_fds: list[int] = []


def _after_fork() -> None:
    """Detach a worker from the pipe, so that its signals do not reach its parent."""
    if _fds:
        signal.set_wakeup_fd(-1)


os.register_at_fork(after_in_child=_after_fork)


class _EndHook(Hook):
    """Ends all processes after the same step; the last hook in the step."""

    def __init__(self, received: _Received) -> None:
        self.received = received
        self.group = None
        if get_backend() not in (None, 'gloo'):
            # On CPUs, so that no step has to wait for the device.
            self.group = distributed.new_group(backend='gloo')
        self.first: int | None = None
        self.val_steps = 0
        self.layers: RemovableHandle | None = None

    def before_train(self, runner: Runner) -> None:
        """End the run here if a signal came before the first step."""
        self.first = runner.iter
        self._end_if_told(runner, runner.iter)
        tell_job_script('training', runner.iter)

    def after_train_iter(self, runner: Runner, *args: Any, **kwargs: Any) -> None:
        wrappers = runner.optim_wrapper
        wrappers = wrappers.values() if isinstance(wrappers, OptimWrapperDict) else [wrappers]
        # Checkpoints do not hold gradients that are accumulated over several steps.
        if all(wrapper.should_update() for wrapper in wrappers):
            self._end_if_told(runner, runner.iter + 1)

    def before_val(self, runner: Runner) -> None:
        loop = runner.val_loop
        loaders = getattr(loop, 'dataloaders', None) or [loop.dataloader]
        # With fewer images, a process does not ask as often as the others.
        self.val_steps = -self._max_of_all(-sum(len(loader) for loader in loaders))
        self.stop_watching()
        self.layers = register_module_forward_pre_hook(lambda *_: self._before_layer(runner))

    def after_val(self, runner: Runner) -> None:
        self.stop_watching()

    def stop_watching(self) -> None:
        """Let layers run without asking whether a signal came."""
        if self.layers:
            self.layers.remove()

    def _before_layer(self, runner: Runner) -> None:
        """End within an image, which may take minutes, if the other processes will ask as well."""
        if self.received.signal and (self.val_steps > 0 or not is_distributed()):
            self.stop_watching()
            self._end_if_told(runner, runner.iter, in_validation=True)

    def before_val_iter(self, runner: Runner, *args: Any, **kwargs: Any) -> None:
        if self.val_steps > 0:
            self.val_steps -= 1
            self._end_if_told(runner, runner.iter, in_validation=True)

    def _end_if_told(self, runner: Runner, steps: int, *, in_validation: bool = False) -> None:
        """Save and end the run after this step if any process received a signal."""
        number = self._max_of_all(self.received.signal or 0)
        if not number:
            return
        name = signal.Signals(number).name
        if self.first is None or steps == self.first:
            tell_job_script(name, steps)
            raise RunInterrupted(f'received {name} before the first step', number)
        error = None
        try:
            save_interrupted(runner, steps, in_validation=in_validation)
        except (OSError, UserError) as raised:
            error = raised
        self.received.ending = is_distributed()
        # A process that ended earlier would have torchrun or Slurm kill the one that saves.
        if self._max_of_all(error is not None):
            raise error or UserError('')  # the main process tells
        tell_job_script(name, steps)
        message = f'received {name}; step {steps} is completed and saved'
        raise RunInterrupted(message if is_main_process() else '', number)

    def _max_of_all(self, number: int) -> int:
        """The largest number among the processes."""
        largest = torch.tensor(int(number))
        all_reduce(largest, 'max', self.group)
        return int(largest)
