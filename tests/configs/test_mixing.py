"""The mixing recipes train for real, on photographs, through tools/train.py."""

import re
from pathlib import Path

import pytest
import skimage.data
import torch
import torchvision
from forked_tool import run_tool
from short_training import TorchHome

from csnln_mm.checkpoints import load_checkpoint
from csnln_mm.images.degradation import downsample
from csnln_mm.images.image_file import write_image

ROOT = Path(__file__).parents[2]
RECIPES = ROOT / 'configs/mixing'
# Side of the two photographs: a multiple of 12, and more than the 400 that Real-ESRGAN crops.
SIZE = 408


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """data/ as MMagic's configs expect it: two photographs for training, a crop for testing."""
    root = tmp_path_factory.mktemp('mixing')
    data = root / 'data'
    for name, photograph in (('1', skimage.data.astronaut()), ('2', skimage.data.coffee())):
        gt = photograph[-SIZE:, -SIZE:]
        assert gt.shape[0] >= 400
        write_image(data / f'df2k_ost/GT_sub/{name}.png', gt)
        gt = gt[:288, :288]
        write_image(data / f'DIV2K/DIV2K_train_HR_sub/{name}.png', gt)
        for scale in 2, 4:
            write_image(
                data / f'DIV2K/DIV2K_train_LR_bicubic/X{scale}_sub/{name}.png',
                downsample(gt, scale),
            )
    for folder, meta in (('DIV2K', 'DIV2K800sub_GT'), ('df2k_ost', 'df2k_ost')):
        (data / folder / f'meta_info_{meta}.txt').write_text('1.png (1,1,3)\n2.png (1,1,3)\n')
    for benchmark in 'Set5', 'Set14':
        gt = skimage.data.chelsea()[100:148, 100:148]
        write_image(data / benchmark / 'GTmod12/1.png', gt)
        for scale in 2, 4:
            write_image(data / benchmark / f'LRbicx{scale}/1.png', downsample(gt, scale))
    save_random_vgg(root / 'torch/hub/checkpoints')
    return root


def save_random_vgg(folder):
    """Where torchvision keeps VGG19's weights once they are downloaded: others, that are small.

    Of the fully connected layers, which no loss uses, a single number is stored.
    """
    folder.mkdir(parents=True)
    torch.manual_seed(0)
    with torch.device('meta'):
        vgg = torchvision.models.vgg19()
    weights = vgg.state_dict()
    for key, value in weights.items():
        if key.startswith('classifier'):
            weights[key] = torch.zeros(1).expand(value.shape)
        else:
            weights[key] = torch.randn(value.shape) / value[0].numel() ** 0.5
    url = torchvision.models.VGG19_Weights.IMAGENET1K_V1.url
    torch.save(weights, folder / url.rpartition('/')[2])


TINY_CSNLN = dict(mid_channels=4, num_recurrences=1)
TINY_EDSR = dict(network=dict(mid_channels=4, num_blocks=1), module=dict(channels=4))
TINY_GAN = dict(
    generator=TINY_CSNLN,
    discriminator=dict(mid_channels=4),
    perceptual_loss=dict(layer_weights={'_delete_': True, '2': 1.0}),
)
GAN_LOSSES = ['loss_pix', 'loss_perceptual', 'loss_gan', 'loss_d_real', 'loss_d_fake']


@pytest.mark.slow
@pytest.mark.parametrize(
    'recipe, model, losses, part',
    [
        ('csnln_x2_mmagic', dict(generator=TINY_CSNLN), ['loss'], 'cell.stages.0'),
        ('edsr_cross_scale_x2', dict(generator=TINY_EDSR), ['loss'], 'body.1.attention'),
        ('edsr_sem_x2', dict(generator=TINY_EDSR), ['loss'], 'body.1.cell'),
        ('esrgan_csnln_x4', TINY_GAN, GAN_LOSSES, 'cell.stages.1'),
        ('realesrgan_csnln_x4', TINY_GAN, GAN_LOSSES, 'cell.stages.1'),
    ],
)
def test_recipe(recipe, model, losses, part, folder):
    """Only sizes and numbers of steps differ from the recipe."""
    config = folder / f'tiny_{recipe}.py'
    config.write_text(f"""
_base_ = {str(RECIPES / f'{recipe}.py')!r}
model = {model!r}
train_cfg = dict(max_iters=2, val_interval=2)
train_dataloader = dict(batch_size=2, num_workers=0)
val_dataloader = dict(num_workers=0)
default_hooks = dict(checkpoint=dict(interval=1), logger=dict(interval=1))
train_pipeline = _base_.train_pipeline
for step in train_pipeline:
    if step.type == 'PairedRandomCrop':
        step.gt_patch_size = min(step.gt_patch_size, 128)
del step
train_dataloader['dataset'] = dict(pipeline=train_pipeline)
""")
    output = run_tool(folder, 'train.py', config, fault=TorchHome(folder / 'torch'))

    steps = [line for line in output.splitlines() if 'Iter(train)' in line]
    assert len(steps) == 2
    for name in losses:
        values = [float(re.search(rf'\b{name}: (\S+)', line).group(1)) for line in steps]
        assert all(0 < value < 1e4 for value in values), steps
    assert 5 < float(re.search(r'Iter\(val\).*?PSNR: (\S+)', output).group(1)) < 60

    work_dir = folder / 'work_dirs' / config.stem
    before, after = (load_checkpoint(work_dir / f'iter_{i}.pth')['state_dict'] for i in (1, 2))
    # In two steps of so small a network a PReLU may not have received a negative input.
    keys = [key for key in after if key.startswith(f'generator.{part}.') and after[key].ndim == 4]
    assert keys
    for key in keys:
        assert not torch.equal(before[key], after[key]), f'{key} has not learnt'
