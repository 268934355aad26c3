"""Running a test and keeping its figures."""
from typing import Dict, Optional

import mmengine
from mmengine.dist import is_main_process
from mmengine.runner import Runner

__all__ = ['run_test']


def run_test(runner: Runner, *, out: Optional[str] = None) -> Dict[str, float]:
    """Test, and write the metrics to a file if asked.

    Args:
        runner: from :func:`~csnln_mm.apis.runner.build_test_runner`.
        out: .json, .yaml or .pkl file.

    Returns:
        Metric by name, such as 'Set5/PSNR'.
    """
    metrics = runner.test()
    if out and is_main_process():
        mmengine.dump(metrics, out)
    return metrics
