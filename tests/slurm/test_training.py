"""tools/train.sbatch as a job of real Slurm: whatever ends it, no completed step is lost."""

import re
from contextlib import suppress
from pathlib import Path

import pytest
from forked_job import run_job
from short_training import CONFIG, ROOT, assert_same_training, checkpoint, make_data, settings
from slurm_cluster import eventually

from csnln_mm.mmagic.resume import list_checkpoints

STEPS = 60
OPTIONS = settings(
    STEPS,
    **{
        'train_dataloader.num_workers': 1,
        'default_hooks.checkpoint.interval': 1000,
        'default_hooks.logger.interval': 1,
    },
)
# Machines whose cores are busy take minutes to start two processes.
pytestmark = pytest.mark.timeout(900)
TASKS = '--nodes=2', '--ntasks-per-node=1', '--cpus-per-task=1', '--gres=gpu:1'


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = make_data(tmp_path_factory.mktemp('slurm'))
    for name in 'tools', 'configs':
        (folder / name).symlink_to(ROOT / name)
    write_config(folder, 'slow.py')
    return folder


@pytest.fixture(scope='module')
def uninterrupted(folder):
    """The checkpoint of a run without Slurm, of two processes as well."""
    run_job(folder, 'train.py', 'slow.py', '--work-dir', 'whole', *OPTIONS)
    return checkpoint(folder / 'whole', STEPS)


def write_config(folder, name, *hooks, pause=3):
    """The demo's config, whose first run takes its time."""
    hooks = [dict(type='PauseHook', seconds=pause), *hooks]
    (folder / name).write_text(f"""
_base_ = {str(CONFIG)!r}
custom_imports = dict(imports=['csnln_mm.mmagic', 'faulty_process'])
custom_hooks = {hooks!r}
""")


def first_run_in(folder):
    """The processes of jobs' trainings that Slurm has started once, by their folders in /proc."""
    found = []
    for process in Path('/proc').glob('[0-9]*'):
        with suppress(OSError):
            training = b'tools/train.py' in (process / 'cmdline').read_bytes().split(b'\0')
            again = b'SLURM_RESTART_COUNT=' in (process / 'environ').read_bytes()
            if training and not again and (process / 'cwd').resolve() == folder:
                found.append(process)
    return found


class Job:
    """tools/train.sbatch, submitted as the page on clusters says."""

    def __init__(self, cluster, folder, name, *options, config='slow.py', tasks=TASKS, settings=()):
        self.cluster, self.work_dir = cluster, folder / name
        self.log = folder / f'{name}.log'
        words = f'--job-name={name}', f'--output={self.log}', '--time=30', *tasks, *options
        words += 'tools/train.sbatch', config, name, *OPTIONS, *settings
        self.number = cluster.submit(*words, cwd=folder)

    def output(self):
        return self.log.read_text() if self.log.exists() else ''

    def wait_for_step(self, step, seconds=400):
        eventually(
            lambda: f'[{step}/{STEPS}]' in self.output().replace(' ', ''), seconds, self.output
        )

    def ends(self, state, seconds=400, **wanted):
        wanted = dict(JobState=state, **wanted)
        try:
            return self.cluster.wait_for(self.number, seconds, **wanted)
        except AssertionError as error:
            raise AssertionError(f'{error}\n{self.output()[-10000:]}') from None

    def limit(self, minutes):
        self.cluster.run('scontrol', 'update', f'JobId={self.number}', f'TimeLimit={minutes}')

    def steps(self):
        """The steps of each run that its log shows, as (first, last)."""
        runs = []
        for step in map(int, re.findall(rf'\[ *(\d+)/{STEPS}\]', self.output())):
            if runs and step == runs[-1][1] + 1:
                runs[-1][1] = step
            else:
                runs.append([step, step])
        return runs

    def was_completed(self, uninterrupted, restarts='1'):
        """Done, after a restart: no step was computed twice, and the result is the same."""
        self.ends('COMPLETED', Restarts=restarts)
        assert self.steps() == [[1, STEPS]], self.output()[-10000:]
        assert_same_training(uninterrupted, checkpoint(self.work_dir, STEPS))
        assert [path.name for path in list_checkpoints(self.work_dir)] == [f'iter_{STEPS}.pth']
        assert not list(self.work_dir.glob('.slurm-*'))


@pytest.mark.slow
def test_near_its_time_limit_it_is_queued_again(cluster, folder, uninterrupted):
    job = Job(cluster, folder, 'limit')
    job.wait_for_step(3)
    minutes = int(job.ends('RUNNING')['RunTime'].split(':')[1])
    job.limit(minutes + 3)  # Slurm is told to signal two minutes before
    job.ends('(PENDING|RUNNING|COMPLETED)', Restarts='1')
    job.limit(30)
    assert 'received SIGUSR1; step ' in job.output()
    job.was_completed(uninterrupted)


def test_preempted_with_time_to_save_it_is_queued_again(cluster, folder, uninterrupted):
    """Slurm itself would call it failed, since it ends in time."""
    job = Job(cluster, folder, 'grace', '--partition=grace')
    job.wait_for_step(3)
    cluster.preempt(job.number)
    assert 'received SIGTERM; step ' in job.output()
    job.was_completed(uninterrupted)


@pytest.mark.slow
def test_preempted_without_it_is_queued_again(cluster, folder, uninterrupted):
    job = Job(cluster, folder, 'preempted')
    job.wait_for_step(3)
    cluster.preempt(job.number)
    job.was_completed(uninterrupted)


def test_requeued(cluster, folder, uninterrupted):
    job = Job(cluster, folder, 'requeued')
    job.wait_for_step(3)
    cluster.run('scontrol', 'requeue', job.number)
    job.was_completed(uninterrupted)


def test_cancelled_it_ends_for_good(cluster, folder):
    job = Job(cluster, folder, 'cancelled')
    job.wait_for_step(3)
    cluster.run('scancel', job.number)
    assert job.ends('CANCELLED')['Restarts'] == '0'
    assert 'queueing the job again' not in job.output()
    (saved,) = list_checkpoints(job.work_dir)
    assert saved.name == f'interrupted_iter_{job.steps()[-1][1]}.pth'


@pytest.mark.slow
def test_a_signal_after_the_last_step_is_no_failure(cluster, folder):
    write_config(folder, 'ends.py', dict(type='DieAtExitHook'), pause=0)
    job = Job(cluster, folder, 'ends', config='ends.py')
    assert job.ends('COMPLETED')['Restarts'] == '0'
    assert 'User defined signal 1' in job.output()
    assert checkpoint(job.work_dir, STEPS)


@pytest.mark.slow
def test_a_failure_is_not_queued_again(cluster, folder):
    """Slurm ends the other task by SIGTERM, which the job's exit status tells."""
    write_config(folder, 'dies.py', dict(type='DieOnceHook', rank=1, step=3, mark='died'))
    job = Job(cluster, folder, 'dies', config='dies.py')
    assert job.ends('FAILED')['Restarts'] == '0'


@pytest.mark.slow
def test_a_mistake_is_not_queued_again(cluster, folder):
    job = Job(cluster, folder, 'mistake', config='missing.py')
    ended = job.ends('FAILED')
    assert (ended['Restarts'], ended['ExitCode']) == ('0', '2:0')
    assert 'Traceback' not in job.output()


@pytest.mark.slow
def test_without_progress_it_ends(cluster, folder):
    """Three runs in a row are told to end before their first step."""
    job = Job(cluster, folder, 'stuck')
    for restart in range(3):
        job.ends('RUNNING', Restarts=str(restart))
        # The step that checks, from its first moment on.
        eventually(
            lambda: cluster.run('squeue', '-h', '-s', '-j', job.number).count('python'),
            30,
            job.output,
        )
        cluster.run('scancel', '--signal=USR1', job.number)
    assert job.ends('FAILED')['Restarts'] == '2'
    assert job.output().endswith(
        'train.sbatch: two restarts of this job completed no step; it is not queued again\n'
    )


@pytest.mark.slow
def test_a_node_that_lost_its_daemon_goes_on_and_writes_nothing(cluster, folder, uninterrupted):
    """Slurm starts the job on the other one, beside processes that it does not reach."""
    write_config(folder, 'slower.py', pause=4)
    tasks = '--nodes=1', '--ntasks-per-node=2', '--cpus-per-task=1', '--gres=gpu:2'
    saving = 'default_hooks.checkpoint.interval=5', 'default_hooks.checkpoint.max_keep_ckpts=1'
    job = Job(cluster, folder, 'lost', config='slower.py', tasks=tasks, settings=saving)
    job.wait_for_step(3)
    assert first_run_in(folder)
    node = cluster.job(job.number)['NodeList']
    cluster.kill_node(node)
    try:
        job.ends('COMPLETED', Restarts='1')
        # What they print reaches nobody. They would go on for some minutes.
        eventually(lambda: not first_run_in(folder), 60, 'the first run goes on')
    finally:
        cluster.start_node(node)
    assert_same_training(uninterrupted, checkpoint(job.work_dir, STEPS))
