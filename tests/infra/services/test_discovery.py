"""Services are discovered, put in the order of their needs, and one more of them is one more module."""

import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from infra import services as own
from infra.composition.service import Service
from infra.contract.problems import ConfigError
from infra.contract.schema import environment_schema
from infra.discovery import CompositionError, discover, known, ordered
from infra.values import Loaded, file_name, from_file
from tests.support import made_up
from tests.support.documents import TEAM, whole_values
from tests.support.made_up.feature_store import SECTION
from tests.support.models import copy_models

PORT = 30990


class One:
    """A hand-over."""


class Other:
    """Another one."""


def load(root: Path, **changed: object) -> Loaded:
    """The environment dev with a feature store."""
    yaml = YAML(typ="safe")
    config = {f"stellwerk:{key}": value for key, value in (whole_values("dev") | changed).items()}
    (root / "stacks").mkdir()
    copy_models(root)
    yaml.dump({"config": config}, root / file_name("dev"))
    return from_file("dev", root, services=discover(own, made_up))


def test_every_service_comes_after_those_it_needs() -> None:
    services = known().ordered
    given: set[type] = set()
    for service in services:
        assert set(service.needs) <= given, service.name
        given |= set(service.gives)
    assert len({service.name for service in services}) == len(services) > 8


def test_a_need_that_nobody_gives_is_named() -> None:
    with pytest.raises(CompositionError, match=r"the service a needs Other, which no service gives; given are: One;"):
        ordered([Service("a", needs=(Other,)), Service("b", gives=(One,))])


def test_services_that_need_one_another_are_named() -> None:
    circle = [Service("a", needs=(Other,), gives=(One,)), Service("b", needs=(One,), gives=(Other,))]
    with pytest.raises(CompositionError, match=r"services need one another: (a → b → a|b → a → b);"):
        ordered(circle)


def test_a_name_that_two_services_have_is_refused() -> None:
    with pytest.raises(CompositionError, match="two services are called a"):
        ordered([Service("a"), Service("a")])


def test_a_hand_over_that_two_services_give_is_refused() -> None:
    with pytest.raises(CompositionError, match="a and b both give One"):
        ordered([Service("a", gives=(One,)), Service("b", gives=(One,))])


def test_the_section_of_one_more_service_is_part_of_the_document(tmp_path: Path) -> None:
    loaded = load(tmp_path, featureStore={"nodePort": PORT})
    assert loaded.environment.section(SECTION).node_port == PORT
    assert {port.key for port in loaded.stack.node_ports()} >= {"featureStore.nodePort", "gateway.nodePort"}
    assert "featureStore" in {certificate.key for certificate in loaded.stack.certificates()}
    schema = environment_schema(discover(own, made_up).document)
    assert "stellwerk:featureStore" in schema["properties"]["config"]["properties"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"nodePort": 443}, "given:   443\n  allowed: a free node port, 30000 to 32767"),
        ({"nodePort": PORT, "port": 1}, "given:   the unknown key port\n  allowed: nodePort"),
        ({}, "given:   nothing\n  allowed: a free node port"),
    ],
)
def test_its_section_is_checked_with_file_and_line(value: object, expected: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        load(tmp_path, featureStore=value)
    message = str(raised.value)
    assert re.match(r"stacks/Pulumi\.dev\.yaml:\d+: stellwerk:featureStore\.\w+\n", message)
    assert expected in message


def test_its_node_port_is_its_own(tmp_path: Path) -> None:
    taken = from_file("dev", TEAM).stack.node_ports()[-1]
    with pytest.raises(ConfigError) as raised:
        load(tmp_path, featureStore={"nodePort": taken.port})
    message = str(raised.value)
    assert f"given:   {taken.port}" in message and "a port that featureStore.nodePort does not use" in message


def test_its_image_is_a_key_of_images(tmp_path: Path) -> None:
    reference = "registry.example.com/feature-store:1"
    loaded = load(
        tmp_path, featureStore={"nodePort": PORT}, images={"basePython": {"build": True}, "featureStore": reference}
    )
    (service,) = (service for service in loaded.stack.services if service.name == "feature-store")
    assert [loaded.environment.image(image) for image in service.images] == [reference]
