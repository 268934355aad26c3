_base_ = '_base_/csnln_x2_200e.py'

model = dict(generator=dict(cell=dict(branches=['local', 'in_scale'])))
