"""The environment with many models that the benchmark makes is one that the program takes."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import yaml

from benchmarks.errors import BenchmarkError
from benchmarks.made_models import ENVIRONMENT, grow, names, write_environment
from delivery.clients.store import Content, Store, content
from infra.contract.release import Releases
from infra.services.serving import models
from infra.values import file_name, from_file
from tests.support.checkout import FIRST, MODEL, Checkout, no_variables_of_this_machine, project, releases
from tests.support.stores import MemoryStores

__all__ = ["no_variables_of_this_machine", "project", "releases"]


class Putting:
    """An S3 client that writes into stores in memory."""

    def __init__(self, stores: MemoryStores) -> None:
        self.stores = stores

    def put_object(self, Bucket: str, Key: str, Body: bytes) -> None:
        self.stores.put(ENVIRONMENT, Key, Body)


@pytest.fixture
def stores() -> MemoryStores:
    return MemoryStores({ENVIRONMENT: {}})


@contextmanager
def writing(stores: MemoryStores) -> Iterator[Store]:
    client: Any = Putting(stores)
    yield Store(client, "models", "memory")


def serve(project: Checkout, release: str) -> None:
    """Have the file say what a promotion of the real model writes."""
    file = project.root / file_name(ENVIRONMENT)
    document = yaml.safe_load(file.read_text())
    document["config"]["stellwerk:models"][MODEL]["release"] = release
    file.write_text(yaml.safe_dump(document, sort_keys=False))


def test_every_model_has_a_release_whose_artefact_is_in_the_store(
    project: Checkout, releases: Releases, stores: MemoryStores
) -> None:
    write_environment(project.root, MODEL)
    serve(project, FIRST)
    for count in (3, 7):
        grow(project.root, count, lambda: writing(stores))
    loaded = from_file(ENVIRONMENT, project.root)
    assert list(models(loaded.environment)) == [MODEL, *names(6)]
    for name in names(6):
        release = models(loaded.environment)[name].release
        assert release
        with stores.open(ENVIRONMENT) as store:
            assert content(store, loaded.releases[name, release].artefact) is Content.INTACT
    assert models(loaded.environment)[MODEL].release == FIRST


def test_an_environment_that_serves_nothing_is_refused(project: Checkout, stores: MemoryStores) -> None:
    write_environment(project.root, MODEL)
    with pytest.raises(BenchmarkError, match="bench serves no release of digits to make others of"):
        grow(project.root, 3, lambda: writing(stores))
