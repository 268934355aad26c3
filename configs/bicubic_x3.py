_base_ = ['_base_/models/bicubic.py', '_base_/datasets/benchmarks_x3.py', '_base_/runtime.py']

model = dict(generator=dict(upscale_factor=3))
