"""The environment with many models that the benchmark makes is one that the program takes."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from benchmarks.errors import BenchmarkError
from benchmarks.made_models import Prod, names
from delivery.clients.store import Content, Store, content
from infra.contract.release import Releases
from infra.services.serving import models
from infra.values import from_file
from tests.support.checkout import FIRST, MODEL, Checkout, no_variables_of_this_machine, project, releases
from tests.support.stores import MemoryStores

__all__ = ["no_variables_of_this_machine", "project", "releases"]


class Putting:
    """An S3 client that writes into stores in memory."""

    def __init__(self, stores: MemoryStores) -> None:
        self.stores = stores

    def put_object(self, Bucket: str, Key: str, Body: bytes) -> None:
        self.stores.put("prod", Key, Body)


@pytest.fixture
def stores() -> MemoryStores:
    return MemoryStores({"prod": {}})


@pytest.fixture
def prod(project: Checkout, releases: Releases, stores: MemoryStores) -> Prod:
    @contextmanager
    def store() -> Iterator[Store]:
        client: Any = Putting(stores)
        yield Store(client, "models", "memory")

    project.point("prod", FIRST)
    return Prod(project.root, {}, project.file("prod").read_text(), "gpu-sim", store)


def test_every_model_has_a_release_whose_artefact_is_in_the_store(
    prod: Prod, project: Checkout, releases: Releases, stores: MemoryStores
) -> None:
    for count in (3, 7):
        prod.grow(count)
        loaded = from_file("prod", project.root)
        assert list(models(loaded.environment)) == [MODEL, *names(count - 1)]
    for name in names(6):
        release = models(loaded.environment)[name].release
        assert release
        with stores.open("prod") as store:
            assert content(store, loaded.releases[name, release].artefact) is Content.INTACT
    assert models(loaded.environment)[MODEL].release == FIRST


def test_fewer_models_than_prod_has_are_refused(prod: Prod) -> None:
    with pytest.raises(BenchmarkError, match="prod has 1 models of its own"):
        prod.grow(1)


def test_an_environment_that_serves_nothing_is_refused(prod: Prod, project: Checkout) -> None:
    project.point("prod", None)
    with pytest.raises(BenchmarkError, match="prod serves no release; run `make demo` first"):
        prod.grow(3)
