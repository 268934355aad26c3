"""Upscale a folder with Ray Data: an actor for each device of a cluster, or of this machine.

usage: python upscale_ray.py IMAGES UPSCALED [MODEL]

Both folders must be the same on all machines. RAY_ADDRESS names the cluster; else this machine is
one. Needs ray[data].
"""

import sys
from pathlib import Path

import numpy as np
import ray

from csnln_mm.upscaling import Upscaler, upscale
from csnln_mm.upscaling.plan import plan_jobs


class UpscaleFiles:
    """An actor: it loads the network once, and reads and writes the images itself.

    One that cannot be read is a row of the result. As an exception it would end the whole job.
    """

    def __init__(self, model: str) -> None:
        self.network = Upscaler(model).network

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        results = [
            upscale([source], target, checkpoint=self.network)[0]
            for source, target in zip(batch['source'], batch['target'])
        ]
        columns = 'source', 'status', 'reason'
        return {name: np.array([getattr(result, name) for result in results]) for name in columns}


def main(images: str, upscaled: str, model: str = 'csnln-x2-fast') -> int:
    jobs = plan_jobs(
        [Path(images).resolve()], Path(upscaled).resolve(), recursive=True, suffix='.png'
    )
    todo = [dict(source=job.source, target=str(job.target)) for job in jobs.jobs if not job.refusal]
    failed = [(job.source, job.refusal) for job in jobs.jobs if job.refusal]
    ray.init(logging_level='ERROR')
    there = ray.cluster_resources()
    gpus, cpus = int(there.get('GPU', 0)), int(there.get('CPU', 1))
    if todo:
        rows = ray.data.from_items(todo, override_num_blocks=min(len(todo), 1000)).map_batches(
            UpscaleFiles,
            fn_constructor_args=(model,),
            batch_size=1,
            num_cpus=1,
            num_gpus=1 if gpus else 0,
            # Ray's own tasks need processors too: actors that ask for all of them wait forever.
            compute=ray.data.ActorPoolStrategy(size=gpus or max(1, cpus // 2)),
        )
        failed += [(r['source'], r['reason']) for r in rows.take_all() if r['status'] == 'failed']
    for source, reason in failed:
        print(f'failed: {source}: {reason}', file=sys.stderr)
    print(f'{len(jobs.jobs) - len(failed)} done, {len(failed)} failed')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:]))
