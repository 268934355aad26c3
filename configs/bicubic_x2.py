_base_ = ['_base_/models/bicubic.py', '_base_/datasets/benchmarks_x2.py', '_base_/runtime.py']
