"""MMEngine's runner of a model of a few weights, with the hooks of our configs; steps take 1 ms."""

import copy
import itertools

import torch
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner

from csnln_mm.mmagic import SeedPerSample

# MMEngine keeps what it knows of a run by this name, and an id() is given to many.
_NUMBERS = itertools.count()

HOOKS = dict(
    logger=None,
    timer=None,
    checkpoint=dict(type='AtomicCheckpointHook', interval=4, max_keep_ckpts=2, save_best='error'),
    check_invalid_loss=dict(type='CheckInvalidLossHook'),
    exact_resume=dict(type='ExactResumeHook'),
)


class Model(BaseModel):
    """Weights of four numbers; random in every step."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 1)
        torch.nn.init.constant_(self.layer.weight, 0.5)
        torch.nn.init.zeros_(self.layer.bias)

    def forward(self, inputs, mode='tensor'):
        output = self.layer(torch.nn.functional.dropout(inputs, training=mode == 'loss'))
        return dict(loss=(output - 1).square().mean()) if mode == 'loss' else [output]


class Data(torch.utils.data.Dataset):
    """Ten samples; to train on, random in each draw of them."""

    def __init__(self, random):
        self.random = random

    def __len__(self):
        return 10

    def __getitem__(self, index):
        index = SeedPerSample()(dict(sample_idx=index))['sample_idx']
        return dict(inputs=index / 10 + self.random * torch.rand(4))


class Error(BaseMetric):
    def process(self, data_batch, data_samples):
        self.results.append(float(data_samples[0].mean() - 1) ** 2)

    def compute_metrics(self, results):
        return dict(error=sum(results) / len(results))


def make_runner(work_dir, *hooks, load_from=None, train_cfg=None, **changed):
    """A runner of twelve steps, or as ``train_cfg`` says.

    ``load_from`` is resumed from, ``changed`` are settings of the checkpoint hook.
    """
    train_cfg = train_cfg or dict(by_epoch=False, max_iters=12, val_interval=5)
    by_epoch = train_cfg['by_epoch']
    checkpoint = dict(HOOKS['checkpoint'], by_epoch=by_epoch, rule='less', **changed)
    sampler = 'DefaultSampler' if by_epoch else 'ResumableSampler'
    collate = dict(type='default_collate')
    loader = dict(num_workers=0, collate_fn=collate)
    return Runner(
        model=Model(),
        work_dir=str(work_dir),
        train_dataloader=dict(loader, batch_size=2, dataset=Data(True), sampler=dict(type=sampler)),
        val_dataloader=dict(
            loader, batch_size=1, dataset=Data(False), sampler=dict(type='DefaultSampler')
        ),
        train_cfg=train_cfg,
        val_cfg=dict(),
        val_evaluator=[Error()],
        optim_wrapper=dict(optimizer=dict(type='Adam', lr=0.01)),
        param_scheduler=dict(type='MultiStepLR', by_epoch=by_epoch, milestones=[1, 2]),
        default_hooks=copy.deepcopy(dict(HOOKS, checkpoint=checkpoint)),
        custom_hooks=list(hooks),
        randomness=dict(seed=1),
        default_scope='mmagic',
        load_from=load_from and str(load_from),
        resume=load_from is not None,
        log_level='ERROR',
        experiment_name=f'{work_dir.name}_{next(_NUMBERS)}',
    )


class At(Hook):
    """Calls something at a place: the name of a hook's method, and how often it has come by."""

    def __init__(self, method, count, function):
        self.left = count

        def count_down(*args, **kwargs):
            self.left -= 1
            if self.left == 0:
                function()

        setattr(self, method, count_down)
