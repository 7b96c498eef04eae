"""The gateway's pods: replaced under load, they lose no request."""

import time

import pytest

from tests.support.load import load_on
from tests.support.project import Project

pytestmark = [pytest.mark.integration, pytest.mark.lane("test"), pytest.mark.timeout(3600)]


def test_no_request_is_lost_when_pods_of_a_gateway_are_deleted_and_rolled_out(project: Project) -> None:
    def kubectl(*arguments: str) -> str:
        return project.kubectl("-n", "test-platform", *arguments)

    with load_on(project, "test", clients=4) as load:
        first, *_ = kubectl("get", "pods", "-l", "app=gateway", "-o", "name").split()
        kubectl("delete", first, "--wait=false")
        kubectl("rollout", "status", "deployment/gateway", "--timeout=300s")
        kubectl("rollout", "restart", "deployment/gateway")
        kubectl("rollout", "status", "deployment/gateway", "--timeout=300s")
        # The last of the old pods drains still.
        time.sleep(10)
    assert load.failures == []
    assert load.answered > 100
