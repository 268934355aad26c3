"""The class of the logs in MMEngine's checkpoints; its name alone where MMEngine is missing."""

import sys
import types

try:
    from mmengine.logging import HistoryBuffer
except ModuleNotFoundError:

    class HistoryBuffer:
        """What the name stands for in a pickle."""

        def __init__(self):
            self._log_history, self._count_history, self.max_length = [], [], 1000000

        def update(self, value, count=1):
            self._log_history.append(value)
            self._count_history.append(count)

    HistoryBuffer.__module__ = 'mmengine.logging.history_buffer'
    _modules = [types.ModuleType(HistoryBuffer.__module__.rsplit('.', n)[0]) for n in (2, 1)]
    _modules.append(types.ModuleType(HistoryBuffer.__module__))
    _modules[-1].HistoryBuffer = HistoryBuffer
    sys.modules.update({module.__name__: module for module in _modules})
