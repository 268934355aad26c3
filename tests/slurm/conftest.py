"""One cluster for all of these tests."""

from contextlib import ExitStack

import pytest
from slurm_cluster import SlurmCluster, why_not


@pytest.fixture(scope='session')
def cluster():
    if reason := why_not():
        pytest.skip(reason)
    with ExitStack() as stack:
        try:
            cluster = stack.enter_context(SlurmCluster())
        except AssertionError as error:  # a machine that lets no daemons run
            pytest.skip(f'no cluster starts here: {error}')
        yield cluster
