"""One cluster for all of these tests."""

import pytest
from slurm_cluster import SlurmCluster, why_not


@pytest.fixture(scope='session')
def cluster():
    if reason := why_not():
        pytest.skip(reason)
    with SlurmCluster() as cluster:
        yield cluster
