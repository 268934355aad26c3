_base_ = [
    '_base_/models/csnln.py',
    '_base_/datasets/div2k_x3.py',
    '_base_/datasets/benchmarks_x3.py',
    '_base_/schedules/csnln_500e.py',
    '_base_/runtime.py',
]

model = dict(generator=dict(upscale_factor=3))
