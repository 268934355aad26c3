"""A folder as the Hugging Face hub has one for each model, with the entry for OpenModelDB."""

import hashlib
import json
import os
import re
import shlex
import shutil
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

from torch import nn

from csnln_mm.checkpoints.load import FILE_IN_FOLDER
from csnln_mm.checkpoints.network import load_network
from csnln_mm.errors import UserError
from csnln_mm.integrations.safetensors import export_safetensors


class _Model(NamedTuple):
    """What is said of a model.

    ``scores`` are (PSNR in dB, SSIM) on Y by test set.
    """

    name: str
    network: nn.Module
    metadata: dict[str, str]
    scores: dict[str, tuple[float, float]]


def export_hub(
    checkpoint: str | Path,
    folder: str | Path,
    *,
    architecture: Mapping[str, Any] | None = None,
    half: bool = False,
    metadata: Mapping[str, str] | None = None,
) -> Path:
    """Write a model as a folder that can be uploaded to the Hugging Face hub as it is.

    ``model.safetensors`` is that of :func:`~csnln_mm.integrations.safetensors.export_safetensors`,
    ``config.json`` has type and arguments of the network, ``README.md`` is the model card, and
    ``<scale>x-<name>.json`` the entry by which OpenModelDB lists a model. Every command that takes
    a checkpoint takes the folder.

    Args:
        checkpoint: what :func:`~csnln_mm.checkpoints.load_network` takes.
        folder: made; its name is that of the model.
        architecture: the network's config, for files that carry none.
        half: write float16.
        metadata: further entries of the weights' metadata. The card and the entry show
            ``license`` (of SPDX, such as Apache-2.0), ``author``, ``description``,
            ``training_data``, ``training``, and ``scores``: JSON of [PSNR in dB, SSIM] on Y by
            test set, which ``csnln measure --record`` writes.

    Returns:
        The folder.

    Raises:
        UserError: if the folder holds something, the metadata's ``scores`` are something else,
            or for the reasons of ``export_safetensors``. Nothing is written then.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f'{folder} exists already; name a new folder')
    partial = folder.with_name(f'.{folder.name}.{os.getpid()}.partial')
    try:
        weights = partial / FILE_IN_FOLDER
        written = export_safetensors(
            checkpoint, weights, architecture=architecture, half=half, metadata=metadata
        )
        name = folder.absolute().name
        model = _Model(name, load_network(weights), written, _scores(written))
        # Flat, so that PyTorchModelHubMixin finds the network's arguments.
        config = dict(
            model_type='csnln',
            csnln_mm_version=written['csnln_mm_version'],
            **json.loads(written['architecture']),
        )
        (partial / 'config.json').write_text(_json(config))
        (partial / 'README.md').write_text(_card(model))
        entry = f'{model.network.upscale_factor}x-{_identifier(name)}.json'
        (partial / entry).write_text(_json(_openmodeldb(model, weights.read_bytes())))
        os.replace(partial, folder)
    except OSError as error:
        raise UserError(f'cannot write {folder}: {error.strerror or error}') from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def _card(model: _Model) -> str:
    network, metadata = model.network, model.metadata
    scale = network.upscale_factor
    front: dict[str, Any] = dict(
        library_name='csnln-mm',
        pipeline_tag='image-to-image',
        tags=['super-resolution', 'image-super-resolution', 'csnln'],
    )
    if 'license' in metadata:
        front['license'] = metadata['license'].lower()
    if model.scores:
        results = [_result(test_set, *score) for test_set, score in model.scores.items()]
        front['model-index'] = [dict(name=model.name, results=results)]
    # JSON is YAML.
    lines = ['---', *(f'{key}: {json.dumps(value)}' for key, value in front.items()), '---']
    parameters = sum(parameter.numel() for parameter in network.parameters())
    lines += [
        '',
        f'# {model.name}',
        '',
        f'Upscales RGB images by {scale}: a CSNLN of {network.mid_channels} channels and '
        f'{network.num_recurrences} recurrences, {parameters:,} parameters.',
    ]
    if 'description' in metadata:
        lines += ['', metadata['description']]
    facts = (
        ('trained on', metadata.get('training_data')),
        ('training', metadata.get('training')),
        ('iterations', metadata.get('iteration')),
        ('made from', metadata.get('source')),
        ('by', metadata.get('author')),
        ('licence', metadata.get('license', 'not stated')),
    )
    lines += ['', '| | |', '| --- | --- |']
    lines += [f'| {title} | {text} |' for title, text in facts if text]
    if model.scores:
        lines += ['', 'PSNR in dB and SSIM, both on Y:', '', '| test set | PSNR | SSIM |']
        lines += ['| --- | --- | --- |']
        lines += [
            f'| {name} | {psnr:.2f} | {ssim:.4f} |' for name, (psnr, ssim) in model.scores.items()
        ]
    lines += [
        '',
        '## Use',
        '',
        'With `csnln-mm` installed, and this folder downloaded:',
        '',
        '```bash',
        f'csnln upscale photo.jpg -n {shlex.quote(model.name + "/")}',
        '```',
        '',
        '```python',
        'from csnln_mm.upscaling import Upscaler',
        '',
        f'upscaler = Upscaler({model.name + "/"!r})',
        f'upscaled = upscaler(image)  # uint8 [H, W, 3] -> [{scale} H, {scale} W, 3]',
        '```',
        '',
        'Programs that load models with spandrel, such as chaiNNer and ComfyUI, load',
        f'`{FILE_IN_FOLDER}` once `csnln_mm.integrations.spandrel.register()` was called.',
        '',
        'The network: Mei et al., [Image Super-Resolution with Cross-Scale Non-Local Attention and',
        'Exhaustive Self-Exemplars Mining](https://arxiv.org/abs/2006.01424), CVPR 2020.',
    ]
    return '\n'.join(lines) + '\n'


def _result(test_set: str, psnr: float, ssim: float) -> dict[str, Any]:
    """An entry of a card's ``model-index``."""
    return dict(
        task=dict(type='image-to-image', name='Image Super-Resolution'),
        dataset=dict(name=test_set, type=test_set.lower()),
        metrics=[
            dict(type='psnr', name='PSNR (Y)', value=round(psnr, 2)),
            dict(type='ssim', name='SSIM (Y)', value=round(ssim, 4)),
        ],
    )


def _openmodeldb(model: _Model, weights: bytes) -> dict[str, Any]:
    """A file of OpenModelDB's data/models, but for images and where the weights are."""
    network, metadata = model.network, model.metadata
    entry = dict(
        name=model.name,
        author=[_identifier(metadata['author'])] if 'author' in metadata else [],
        license=metadata.get('license'),
        tags=['general-upscaler'],
        description=metadata.get(
            'description', f'Upscales RGB images by {network.upscale_factor}.'
        ),
        date=date.today().isoformat(),
        architecture='csnln',
        size=[f'{network.mid_channels}nf', f'{network.num_recurrences} recurrences'],
        scale=network.upscale_factor,
        inputChannels=network.head[0][0].in_channels,
        outputChannels=network.reconstruct.out_channels,
        resources=[
            dict(
                platform='pytorch',
                type='safetensors',
                size=len(weights),
                sha256=hashlib.sha256(weights).hexdigest(),
                urls=[],
            )
        ],
        images=[],
    )
    if 'training_data' in metadata:
        entry['dataset'] = metadata['training_data']
    if metadata.get('iteration', '').isdecimal():
        entry['trainingIterations'] = int(metadata['iteration'])
    return entry


def _scores(metadata: Mapping[str, str]) -> dict[str, tuple[float, float]]:
    try:
        scores = json.loads(metadata.get('scores', '{}'))
        return {name: (float(psnr), float(ssim)) for name, (psnr, ssim) in scores.items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise UserError(
            'the metadata scores must be JSON such as {"Set5": [37.1, 0.958]}, not '
            f'{metadata["scores"]:.100}'
        ) from error


def _identifier(name: str) -> str:
    """As OpenModelDB names models and people: words of letters and digits, with hyphens."""
    return '-'.join(re.findall(r'[A-Za-z0-9]+', name)) or 'csnln'


def _json(content: Any) -> str:
    return json.dumps(content, indent=2) + '\n'
