"""Add CSNLN to a clone of spandrel, as a pull request there would: one folder, and one line.

usage: python spandrel_upstream.py CLONE/libs/spandrel/spandrel

The folder has the network, which needs torch alone, and reads files of ``csnln export``.
"""

import re
import shutil
import sys
from pathlib import Path

import csnln_mm

ARCHITECTURE = """
import json

from typing_extensions import override

from spandrel.util import KeyCondition

from ...__helpers.model_descriptor import (
    Architecture,
    ImageModelDescriptor,
    ModelTiling,
    StateDict,
)
from .__arch.networks import CSNLNNet


class CSNLNArch(Architecture[CSNLNNet]):
    def __init__(self) -> None:
        super().__init__(
            id="CSNLN",
            detect=KeyCondition.has_all("csnln_architecture", "head.0.0.weight"),
        )

    @override
    def load(self, state_dict: StateDict) -> ImageModelDescriptor[CSNLNNet]:
        # The settings of the network, as JSON in a tensor of bytes.
        settings = json.loads(bytes(state_dict.pop("csnln_architecture").tolist()))
        settings.pop("type", None)
        model = CSNLNNet(**settings)
        return ImageModelDescriptor(
            model,
            state_dict,
            architecture=self,
            purpose="SR",
            tags=[f"{model.mid_channels}nf", f"{model.num_recurrences} recurrences"],
            supports_half=True,
            supports_bfloat16=True,
            scale=model.upscale_factor,
            input_channels=model.in_channels,
            output_channels=model.in_channels,
            # With attention, time grows with the square of the pixels.
            tiling=ModelTiling.SUPPORTED,
        )


__all__ = ["CSNLNArch", "CSNLNNet"]
"""


def main(spandrel: Path) -> None:
    """Write the folder and the line."""
    package = Path(csnln_mm.__file__).parent
    folder = spandrel / 'architectures/CSNLN'
    folder.mkdir()
    (folder / '__init__.py').write_text(ARCHITECTURE.lstrip())
    for name in 'networks', 'ops', 'scales.py', 'errors.py':
        for path in [package / name] if name.endswith('.py') else (package / name).glob('*.py'):
            target = folder / '__arch' / path.relative_to(package)
            target.parent.mkdir(parents=True, exist_ok=True)
            imports = 'spandrel.architectures.CSNLN.__arch'
            target.write_text(re.sub(r'\bcsnln_mm\b', imports, path.read_text()))
    shutil.copy(package.parent / 'LICENSE', folder / '__arch/LICENSE')
    registry = spandrel / '__helpers/main_registry.py'
    text = registry.read_text().replace('    CRAFT,\n', '    CRAFT,\n    CSNLN,\n')
    line = '    ArchSupport.from_architecture(CSNLN.CSNLNArch()),\n'
    registry.write_text(text.rstrip().removesuffix(')') + line + ')\n')


if __name__ == '__main__':
    main(Path(sys.argv[1]))
