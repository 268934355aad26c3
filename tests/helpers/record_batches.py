"""A hook that writes down what a process was given in each step, and what the loss was."""

import hashlib
import json
from pathlib import Path

from mmagic.registry import HOOKS
from mmengine.dist import get_rank, get_world_size
from mmengine.hooks import Hook


@HOOKS.register_module()
class RecordBatchesHook(Hook):
    """Appends a line a step to ``FOLDER/RANK_of_PROCESSES.jsonl``."""

    def __init__(self, folder):
        self.folder = Path(folder)

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        images = zip(data_batch['inputs'], data_batch['data_samples'], strict=True)
        self.samples = [
            [Path(sample.gt_path).name, _digest(image), _digest(sample.gt_img)]
            for image, sample in images
        ]

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        line = dict(step=runner.iter + 1, samples=self.samples, loss=outputs['loss'].item())
        with open(self.folder / f'{get_rank()}_of_{get_world_size()}.jsonl', 'a') as file:
            print(json.dumps(line), file=file)


def read_batches(folder, processes):
    """Of each step: the samples of all processes in their common order, and the mean loss."""
    files = [Path(folder, f'{rank}_of_{processes}.jsonl') for rank in range(processes)]
    steps = {}
    for lines in zip(*(map(json.loads, path.read_text().splitlines()) for path in files)):
        samples = [one for turn in zip(*(line['samples'] for line in lines)) for one in turn]
        steps[lines[0]['step']] = samples, sum(line['loss'] for line in lines) / processes
    return steps


def _digest(image):
    return hashlib.sha256(image.numpy().tobytes()).hexdigest()
