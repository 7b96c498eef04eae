"""A Secret is named by what is in it, and its name tells nothing of that."""

import json
from collections.abc import Mapping
from typing import Any

import pulumi

from components.kit.secrets import declare_secret
from tests.components.mocks import declared
from tests.program.harness import SIGNATURE


def named(data: Mapping[str, str], name: str = "login") -> str:
    """The name of the Secret with this content."""
    return str(metadata(data, name)["name"])


def metadata(data: Mapping[str, str], name: str = "login") -> Any:
    """The metadata of the Secret with this content, as the engine gets it."""

    def declare() -> None:
        parent = pulumi.ComponentResource("stellwerk:index:Any", "any")
        declare_secret(name, "somewhere", {key: pulumi.Output.secret(value) for key, value in data.items()}, parent)

    return declared(declare).inputs[f"kubernetes:core/v1:Secret::{name}"]["metadata"]


def test_the_same_content_is_called_the_same() -> None:
    """What a killed update has made is what the next one asks for."""
    assert named({"a": "1", "b": "2"}) == named({"b": "2", "a": "1"})


def test_other_content_is_another_secret() -> None:
    """Otherwise no pod would roll, and a pod of before would start with what is for the next."""
    names = [named(data) for data in ({"a": "1"}, {"a": "2"}, {"b": "1"}, {"a": "1", "b": ""})]
    assert len(set(names)) == len(names)
    assert all(name.startswith("login-") for name in names)


def test_the_name_is_shown() -> None:
    """A name that is a secret would hide what names it: the pods' whole specification."""
    given = metadata({"password": "sentinel"})
    assert SIGNATURE not in json.dumps(given) and "sentinel" not in json.dumps(given)
