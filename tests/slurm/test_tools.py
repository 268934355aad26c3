"""Images shared by tasks and job arrays of real Slurm; slurm_train.sh and slurm_test.sh."""

import json
import sys
from pathlib import Path

import pytest
from command_line import ROOT, run
from PIL import Image
from short_training import CONFIG, make_data, settings
from tiny_network import names, photograph, save_checkpoint

SETTINGS = settings(4)
pytestmark = pytest.mark.timeout(900)  # as in test_training.py


@pytest.fixture(scope='module')
def images(tmp_path_factory):
    """A folder of which one image is bad, and what one process makes of it."""
    folder = tmp_path_factory.mktemp('images')
    save_checkpoint(folder / 'tiny.pth')
    (folder / 'in').mkdir()
    for number in range(6):
        Image.fromarray(photograph(30 + number, 40)).save(folder / f'in/{number}.png')
    (folder / 'in/cut.png').write_bytes(b'hello')
    run(*upscale('one'), cwd=folder, expect=1)
    assert len(names(folder / 'one')) == 6
    return folder


def upscale(out):
    words = 'upscale', 'in', '-o', out, '-n', 'tiny.pth', '-g', 'cpu'
    return sys.executable, '-m', 'csnln_mm', *words


def assert_same_images(one, other):
    assert names(one) == names(other)
    for name in names(one):
        assert Path(one, name).read_bytes() == Path(other, name).read_bytes()


@pytest.mark.slow
def test_an_array_shares_the_images(cluster, images):
    words = 'sbatch', '--wait', '--array=1-5:2', '--output=array-%a.log'
    command = ' '.join(upscale('array'))
    # The status is the highest of all jobs: one of them had the bad image.
    cluster.run(*words, f'--wrap={command}', cwd=images, fails=True, seconds=600)
    logs = [(images / f'array-{task}.log').read_text() for task in (1, 3, 5)]
    for number, log in enumerate(logs, start=1):
        assert f'share {number}/3 of 7 images, by SLURM_ARRAY_TASK_ID' in log
    assert sum(log.count('failed: in/cut.png') for log in logs) == 1
    assert_same_images(images / 'one', images / 'array')


@pytest.mark.slow
def test_tasks_of_a_step_share_the_images(cluster, images):
    """In the script itself Slurm tells as many tasks, and there is one process."""
    words = 'sbatch', '--wait', '--nodes=2', '--ntasks-per-node=1', '--output=step.log'
    script = images / 'step.sh'
    script.write_text(f'#!/bin/sh\nsrun {" ".join(upscale("step"))}\n{" ".join(upscale("step"))}\n')
    cluster.run(*words, script, cwd=images, fails=True, seconds=600)
    log = (images / 'step.log').read_text()
    for number in 1, 2:
        assert f'share {number}/2 of 7 images, by SLURM_PROCID' in log
    assert '0 done, 6 skipped because their results exist' in log  # all of them, in the script
    assert_same_images(images / 'one', images / 'step')


@pytest.mark.slow
def test_training_and_testing_without_a_job_file(cluster, tmp_path):
    folder = make_data(tmp_path)
    told = dict(GPUS='2', GPUS_PER_NODE='1', CPUS_PER_TASK='1')
    environment = cluster.environment | told
    words = ROOT / 'tools/slurm_train.sh', 'batch', 'job', CONFIG, 'run', *SETTINGS
    output = cluster.run('bash', *words, cwd=folder, seconds=600, env=environment)
    assert '2 in each of 2 processes' in output
    checkpoint = folder / 'run/iter_4.pth'
    metrics = '--out', 'metrics.json', '--cfg-options', 'model.generator.mid_channels=4'
    words = ROOT / 'tools/slurm_test.sh', 'batch', 'job', CONFIG, checkpoint, *metrics
    cluster.run('bash', *words, cwd=folder, seconds=600, env=environment)
    by_two = json.loads((folder / 'metrics.json').read_text())
    run(sys.executable, ROOT / 'tools/test.py', CONFIG, checkpoint, *metrics, cwd=folder)
    assert json.loads((folder / 'metrics.json').read_text()) == pytest.approx(by_two, abs=1e-6)
