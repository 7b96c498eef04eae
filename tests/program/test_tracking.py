"""The tracking server of a stack: what happens before it starts, and where backups stay."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.program.harness import Recording


@pytest.fixture
def pod(programs: Mapping[str, Recording]) -> Any:
    return programs["dev"].of_kind("StatefulSet")["tracking"]["spec"]["template"]["spec"]


def test_schema_backup_upgrade_come_before_the_server(pod: Any) -> None:
    check, backup, upgrade = pod["initContainers"]
    (server,) = pod["containers"]
    # The versions that decide are the server's own.
    assert check["image"] == upgrade["image"] == server["image"] != backup["image"]
    assert (check["command"][2], backup["command"][1], upgrade["command"][2]) == ("check", "save", "upgrade")
    assert check["command"][-1] == backup["command"][-1] == upgrade["command"][-1]


def test_backups_lie_on_a_volume_of_their_own(programs: Mapping[str, Recording], pod: Any) -> None:
    claims = {
        volume["name"]: volume["persistentVolumeClaim"]["claimName"]
        for volume in pod["volumes"]
        if "persistentVolumeClaim" in volume
    }
    assert claims == {"backups": "tracking-backups"}
    job = programs["dev"].of_kind("CronJob")["tracking-restore"]["spec"]
    assert job["suspend"] is True
    volumes = job["jobTemplate"]["spec"]["template"]["spec"]["volumes"]
    assert {"claimName": "tracking-backups"} in [volume.get("persistentVolumeClaim") for volume in volumes]


def test_server_and_restore_reach_the_database_and_nobody_else(programs: Mapping[str, Recording]) -> None:
    policy = programs["dev"].of_kind("NetworkPolicy")["tracking-database-ingress"]["spec"]
    peers = {peer["podSelector"]["matchLabels"]["app"] for rule in policy["ingress"] for peer in rule["from"]}
    assert peers == {"tracking", "tracking-restore"}
