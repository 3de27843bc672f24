"""A scheduler in this process and two real worker processes, heard on loopback only."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from distributed import Client, SpecCluster

from ultrares.cluster.client import local_cluster


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SpecCluster]:
    with local_cluster(2, None, str(tmp_path_factory.mktemp("workers"))) as cluster:
        yield cluster


@pytest.fixture
def client(cluster: SpecCluster) -> Iterator[Client]:
    with Client(cluster, set_as_default=False) as client:
        # A test before this one may have killed one.
        client.wait_for_workers(2)
        yield client
