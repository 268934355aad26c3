_base_ = [
    '_base_/models/csnln.py',
    '_base_/datasets/div2k_x2.py',
    '_base_/datasets/benchmarks_x2.py',
    '_base_/schedules/csnln_500e.py',
    '_base_/runtime.py',
]
