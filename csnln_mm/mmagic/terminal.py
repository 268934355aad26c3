"""Print what users need on the terminal, and write everything to the log file."""

import contextlib
import io
import logging
from pathlib import Path
from typing import Any

import mmengine
from mmengine.logging import MMLogger
from mmengine.runner import Runner

# Of OpenMMLab's messages, users need those of these hooks: progress, metrics, saved files.
_PACKAGES = {'mmengine', 'mmagic', 'mmcv'}
_FOR_USERS = {'logger_hook.py', 'checkpoint_hook.py'}
_SITE = Path(mmengine.__file__).parents[1]


class _ForUsers(logging.Filter):
    """Passes errors, our messages, those of a user's modules, and OpenMMLab's progress."""

    def filter(self, record: logging.LogRecord) -> bool:
        path = Path(record.pathname)
        of_openmmlab = path.is_relative_to(_SITE) and path.relative_to(_SITE).parts[0] in _PACKAGES
        return record.levelno >= logging.ERROR or not of_openmmlab or path.name in _FOR_USERS


class _Plain(logging.Formatter):
    """The message alone, after its level if that is above INFO."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        if record.levelno <= logging.INFO:
            return text
        return f'{record.levelname.lower()}: {text}'


def quiet(logger: MMLogger | None = None) -> None:
    """Print only what users need, and send Python's warnings to the log file.

    Args:
        logger: of a run; by default the current one.
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
    """MMEngine's runner, printing only what users need."""

    def build_logger(self, *args: Any, **kwargs: Any) -> MMLogger:
        """Build MMEngine's logger, and quiet it."""
        logger = super().build_logger(*args, **kwargs)
        quiet(logger)
        return logger

    def load_or_resume(self) -> None:
        """Load weights without MMEngine's printed line on the storage backend."""
        with contextlib.redirect_stdout(io.StringIO()):
            super().load_or_resume()
