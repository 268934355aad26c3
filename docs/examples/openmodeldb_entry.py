"""Write the entry of a model for OpenModelDB's data/models, but for images and the URL of weights.

usage: python openmodeldb_entry.py FOLDER ENTRY.json

FOLDER is what ``csnln export --hub`` wrote.
"""

import hashlib
import json
import re
import sys
from datetime import date
from pathlib import Path

from safetensors import safe_open


def entry(folder: Path) -> dict:
    """The entry of the model in a folder, which has the model's name."""
    path = folder / 'model.safetensors'
    weights = path.read_bytes()
    with safe_open(path, 'pt') as file:
        metadata = file.metadata()
        channels = file.get_slice('head.0.0.weight').get_shape()[1]
    architecture = json.loads(metadata['architecture'])
    scale = int(metadata['upscale_factor'])
    found = dict(
        name=folder.name,
        author=[identifier(metadata['author'])] if 'author' in metadata else [],
        license=metadata.get('license'),
        tags=['general-upscaler'],
        description=metadata.get('description', f'Upscales RGB images by {scale}.'),
        date=date.today().isoformat(),
        architecture='csnln',
        size=[
            f'{architecture["mid_channels"]}nf',
            f'{architecture["num_recurrences"]} recurrences',
        ],
        scale=scale,
        inputChannels=channels,
        outputChannels=channels,
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
        found['dataset'] = metadata['training_data']
    if metadata.get('iteration', '').isdecimal():
        found['trainingIterations'] = int(metadata['iteration'])
    return found


def identifier(name: str) -> str:
    """As OpenModelDB names people: words of letters and digits, with hyphens."""
    return '-'.join(re.findall(r'[A-Za-z0-9]+', name))


def main(folder: str, target: str) -> None:
    text = json.dumps(entry(Path(folder)), indent=2)
    Path(target).write_text(f'{text}\n')


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:]))
