#!/usr/bin/env bash
# nibabel 5.4.2 (numpy 2.4.6, Python 3.11)
#
# The usual way to save a processed volume, Nifti1Image(result, scan.affine, scan.header), stores
# float32 results as the 16-bit integers of the scan's header, with one scale for the volume: they come
# back as floating point, rounded to steps of 1/65536 of the whole range. One bright voxel makes the
# steps coarse for all others. Without the header, float32 is kept.
#
# A guess: float32 goes in, the same float32 comes out. Seen, largest errors of values of about 1:
#   with the header 0.00005; with one voxel of 10,000 as well 0.076; without the header 0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/pip" install -q nibabel==5.4.2 numpy==2.4.6
cd "$folder"
env/bin/python - <<'PYTHON'
import nibabel
import numpy as np

rng = np.random.default_rng(0)
counts = rng.integers(0, 1000, (8, 8, 8)).astype(np.int16)
nibabel.save(nibabel.Nifti1Image(counts, np.eye(4)), 'scan.nii.gz')
scan = nibabel.load('scan.nii.gz')
result = rng.normal(size=(8, 8, 8)).astype(np.float32)
bright = result.copy()
bright[0, 0, 0] = 10_000


def error(volume, *header):
    nibabel.save(nibabel.Nifti1Image(volume, scan.affine, *header), 'result.nii.gz')
    read = nibabel.load('result.nii.gz')
    assert read.get_data_dtype() == (np.int16 if header else np.float32)
    return np.abs(read.get_fdata() - volume).max()


errors = error(result, scan.header), error(bright, scan.header), error(bright)
print('with the header {:.5f}; with one voxel of 10,000 as well {:.3f}; '.format(*errors), end='')
print(f'without the header {errors[2]:.0f}')
assert 1e-5 < errors[0] < 1e-3 and 0.05 < errors[1] < 0.1 and errors[2] == 0
PYTHON
