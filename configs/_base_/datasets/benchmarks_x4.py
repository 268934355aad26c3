_base_ = './benchmarks_x2.py'

test_scale = 4
test_dataloader = _base_.test_dataloader
test_evaluator = _base_.test_evaluator
val_dataloader = _base_.val_dataloader
val_evaluator = _base_.val_evaluator
for loader in test_dataloader + [val_dataloader]:
    loader.dataset.data_prefix.img = f'LRbicx{test_scale}'
for evaluator in test_evaluator + [val_evaluator]:
    for metric in evaluator.metrics:
        metric.crop_border = test_scale
del loader, evaluator, metric
