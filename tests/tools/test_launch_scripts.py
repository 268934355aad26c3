"""What the scripts for several processes refuse before any of them starts."""

import subprocess
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[2] / 'tools'


def run(script, *arguments):
    return subprocess.run(['bash', TOOLS / script, *arguments], capture_output=True, text=True)


@pytest.mark.parametrize(
    'script, needed',
    [('dist_train.sh', 2), ('dist_test.sh', 3), ('slurm_train.sh', 4), ('slurm_test.sh', 4)],
)
def test_too_few_arguments(script, needed):
    for count in 0, needed - 1:
        done = run(script, *['word'] * count)
        assert done.returncode == 2 and done.stderr.startswith(f'usage: tools/{script} ')


@pytest.mark.parametrize('processes', ['0', '-2', 'two', '1.5', ''])
def test_a_number_of_processes_that_is_none(processes):
    for script, arguments in (('dist_train.sh', ['a.py']), ('dist_test.sh', ['a.py', 'a.pth'])):
        done = run(script, *arguments, processes)
        assert done.returncode == 2
        assert done.stderr == (
            f"error: PROCESSES must be a number of at least 1, got '{processes}'\n"
        )
