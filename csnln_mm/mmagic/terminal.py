"""What a run prints: what the user needs on the terminal, everything in the log file."""

import contextlib
import io
import logging
from pathlib import Path
from typing import Any

import mmengine
from mmengine.logging import MMLogger
from mmengine.runner import Runner

# Messages of OpenMMLab are not for users, but for these hooks': progress, metrics, what was saved.
_PACKAGES = {'mmengine', 'mmagic', 'mmcv'}
_FOR_USERS = {'logger_hook.py', 'checkpoint_hook.py'}
_SITE = Path(mmengine.__file__).parents[1]


class _ForUsers(logging.Filter):
    """Passes our messages, a user's own, OpenMMLab's progress, and errors."""

    def filter(self, record: logging.LogRecord) -> bool:
        path = Path(record.pathname)
        of_openmmlab = path.is_relative_to(_SITE) and path.relative_to(_SITE).parts[0] in _PACKAGES
        return record.levelno >= logging.ERROR or not of_openmmlab or path.name in _FOR_USERS


class _Plain(logging.Formatter):
    """The message alone; what is no mere information begins with its level."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        if record.levelno <= logging.INFO:
            return text
        return f'{record.levelname.lower()}: {text}'


def quiet(logger: MMLogger | None = None) -> None:
    """Print only what users need; the log file, and ``-v``, have everything.

    Python's warnings go to the log file as well.

    Args:
        logger: of a run; by default the one that messages go to before there is a run.
    """
    logger = logger or MMLogger.get_current_instance()
    logging.captureWarnings(True)
    python = logging.getLogger('py.warnings')
    python.propagate = False
    for handler in logger.handlers:
        if isinstance(handler, logging.FileHandler):
            python.addHandler(handler)
        elif isinstance(handler, logging.StreamHandler):
            handler.addFilter(_ForUsers())
            handler.setFormatter(_Plain())


class QuietRunner(Runner):
    """MMEngine's runner, of whose messages the terminal gets those for users."""

    def build_logger(self, *args: Any, **kwargs: Any) -> MMLogger:
        """Build the logger as MMEngine does, and quiet it."""
        logger = super().build_logger(*args, **kwargs)
        quiet(logger)
        return logger

    def load_or_resume(self) -> None:
        """Load weights as MMEngine does, without its line on the storage backend."""
        with contextlib.redirect_stdout(io.StringIO()):  # of print; the log is as before
            super().load_or_resume()
