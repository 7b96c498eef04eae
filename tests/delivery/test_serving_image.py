"""The serving image of a release is that of the cluster, whoever trains there."""

from collections.abc import Callable
from typing import Any

import pytest

from delivery.errors import DeliveryError
from delivery.operations.serving_image import serving_image
from tests.support.checkout import Checkout
from tests.support.engine import FakeEngine
from tests.support.session import Bench

IMAGE = f"registry.example/serving@sha256:{'ab' * 32}"


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_who_owns_the_cluster_has_built_it(environment: str, pulumi: FakeEngine, bench: Bench) -> None:
    pulumi.known.add("dev")
    pulumi.stack_outputs = {"images": {"serving": IMAGE}}
    assert serving_image(bench.session(), environment) == IMAGE
    assert ("stack", "output", "--stack", "dev", "--json") in pulumi.commands


@pytest.mark.parametrize(
    ("change", "outputs", "message"),
    [
        (lambda config: config["cluster"].update(context="other"), {}, "^prod: the image .* is built by who owns"),
        (lambda config: None, {"gateway": "https://x"}, "^dev: it has not built the serving image yet; run `pulumi up"),
    ],
)
def test_where_there_is_none_it_is_said(
    change: Callable[[Any], None], outputs: dict[str, Any], message: str, project: Checkout, pulumi: FakeEngine,
    bench: Bench,
) -> None:  # fmt: skip
    pulumi.known.add("dev")
    pulumi.stack_outputs = outputs
    project.edit("prod", change)
    with pytest.raises(DeliveryError, match=message):
        serving_image(bench.session(), "prod")
