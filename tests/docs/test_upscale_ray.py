"""docs/examples/upscale_ray.py on a local Ray of two nodes, where Ray is installed."""

import json
import sys
from pathlib import Path

import pytest
from command_line import ROOT, run
from PIL import Image
from tiny_network import names, photograph

SCRIPT = """
import json, runpy, sys
import ray
from ray.cluster_utils import Cluster
cluster = Cluster()
for _ in range(2):
    cluster.add_node(num_cpus=2, object_store_memory=100 * 2**20)
sys.argv[1:] = ['in', 'out', 'csnln-x2-fast']
import os
os.environ['RAY_ADDRESS'] = cluster.address
try:
    runpy.run_path({example!r}, run_name='__main__')
finally:
    print(json.dumps([len(ray.nodes()), ray.cluster_resources()['CPU']]))
    ray.shutdown()
    cluster.shutdown()
"""


@pytest.mark.slow
def test_a_folder_on_two_nodes(tmp_path):
    pytest.importorskip('ray')
    for number in range(6):
        path = tmp_path / f'in/sub{number % 2}/{number}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(photograph(30 + number, 40)).save(path)
    (tmp_path / 'in/cut.png').write_bytes(path.read_bytes()[:-200])
    script = SCRIPT.format(example=str(ROOT / 'docs/examples/upscale_ray.py'))
    output = run(sys.executable, '-c', script, cwd=tmp_path, expect=1)
    assert '6 done, 1 failed' in output and 'cut.png: ' in output
    assert json.loads(output.splitlines()[-1]) == [2, 4.0]
    words = ['-m', 'csnln_mm', 'upscale', 'in', '-r', '-n', 'csnln-x2-fast']
    run(sys.executable, *words, '-o', 'one', cwd=tmp_path, expect=1)
    assert names(tmp_path / 'out') == names(tmp_path / 'one') != []
    for name in names(tmp_path / 'out'):
        assert Path(tmp_path, 'out', name).read_bytes() == Path(tmp_path, 'one', name).read_bytes()
