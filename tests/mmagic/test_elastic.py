"""A run resumed with another number of processes continues with the data where it was."""

import pytest
from forked_job import run_job
from record_batches import read_batches
from short_training import CONFIG, make_data, settings

BATCH = 4  # of all processes together


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = make_data(tmp_path_factory.mktemp('elastic'))
    (folder / 'record.py').write_text(f"""
_base_ = {str(CONFIG)!r}
custom_imports = dict(imports=['csnln_mm.mmagic', 'record_batches'])
custom_hooks = [dict(type='RecordBatchesHook', folder='.')]
""")
    return folder


def train(folder, work_dir, processes, steps):
    """Resumed, if there is something to resume; what each step got."""
    options = settings(
        steps,
        **{
            'train_dataloader.batch_size': BATCH // processes,
            'train_dataloader.num_workers': 0,
            'train_dataloader.persistent_workers': False,
            'custom_hooks.0.folder': work_dir,
            # MMEngine ends a schedule where the run ends, which here is not the same for all.
            'param_scheduler.end': 1000,
        },
    )
    arguments = 'record.py', '--work-dir', work_dir, '--resume', *options
    (folder / work_dir).mkdir(exist_ok=True)
    run_job(folder, 'train.py', *arguments, processes=processes)
    return read_batches(folder / work_dir, processes)


@pytest.mark.slow
def test_processes_may_change(folder):
    """Two, then one, then four: samples, crops, order and losses are those of one all along."""
    whole = train(folder, 'whole', 1, 4)
    parts = [train(folder, 'parts', *job) for job in ((2, 2), (1, 3), (4, 4))]
    changed = {step: batch for part in parts for step, batch in part.items()}
    assert [sorted(part) for part in parts] == [[1, 2], [3], [4]]
    assert len({tuple(sample) for samples, _ in whole.values() for sample in samples}) == 4 * BATCH
    for step, (samples, loss) in whole.items():
        assert changed[step][0] == samples, step
        assert abs(changed[step][1] - loss) < 1e-6, step
