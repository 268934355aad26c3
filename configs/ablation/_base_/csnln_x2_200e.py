# The ablation studies of section 5.4: x2, 200 epochs of 1,000 steps.
_base_ = '../../csnln_x2_div2k.py'

train_cfg = dict(max_iters=200_000)
