"""`stellwerk images`: each platform image that the program runs, where to get it, and how a mirror gets it."""

import json
import subprocess
from pathlib import Path

import yaml

from infra.contract.versions import public_image, version
from tests.support.checkout import Checkout
from tests.support.documents import ENVIRONMENTS
from tests.support.session import Command

# What stands in for the tool that asks registries.
SKOPEO = """#!/bin/sh
echo "$@" >> "$CALLS"
case $1 in
    inspect) echo sha256:0123;;
    copy) case $4 in *refused*) exit 1;; esac;;
esac
"""


def test_each_image_once_with_its_users(stellwerk: Command) -> None:
    images = {each["name"]: each for each in json.loads(stellwerk("images", "--json")[1])}
    traefik = images["traefik"]
    assert traefik["public"] == f"docker.io/library/traefik:v{version('traefik')}"
    assert (traefik["key"], traefik["local"], traefik["by_digest"]) == ("traefik", True, False)
    assert set(traefik["environments"]) == set(ENVIRONMENTS)
    assert images["kserve-manager"]["environments"] == ["dev"], "the owner of the cluster alone runs it"
    assert images["kserve-manager"]["key"] == "kserveManager"
    text = stellwerk("images", "prod")[1]
    assert "published nowhere" not in text and "kserve-manager" not in text


def run_script(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    (folder / "skopeo").write_text(SKOPEO)
    (folder / "skopeo").chmod(0o755)
    variables = {"PATH": f"{folder}:/usr/bin:/bin", "CALLS": str(folder / "calls")}
    return subprocess.run(["sh"], input=text, env=variables, capture_output=True, text=True, check=False)


def test_the_script_copies_each_and_prints_values_by_digest(stellwerk: Command, tmp_path: Path) -> None:
    script = stellwerk("images", "--mirror", "registry.example.com/platform/")[1]
    done = run_script(script, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[:3] == [
        "stellwerk:images:",
        "  mirror: registry.example.com/platform",
        "  digests:",
    ]
    assert f"    kserve-manager:{version('kserve-manager')}: sha256:0123" in done.stdout.splitlines()
    copied = [line.split()[3:] for line in (tmp_path / "calls").read_text().splitlines() if line.startswith("copy")]
    target = f"docker://registry.example.com/platform/traefik:{version('traefik')}"
    assert [f"docker://{public_image('traefik')}", target] in copied
    assert "# log-shipper: published nowhere" in script


def test_values_that_name_a_mirror_and_lack_a_digest_are_mirrored_none_the_less(
    stellwerk: Command, project: Checkout, tmp_path: Path
) -> None:
    """As after an update of this checkout: another command refuses them and names this one."""
    own = "ghcr.io/example/kserve:1"
    images = {"basePython": {"build": True}, "mirror": "registry.example.com/platform", "kserveManager": own}
    project.edit("dev", lambda config: config.update(images=images))
    code, _, err = stellwerk("diff", "dev", "prod")
    said = " ".join(err.split())
    assert code == 1 and f"images.digests.traefik:{version('traefik')}" in said
    assert "stellwerk images --mirror registry.example.com/platform" in said
    script = stellwerk("images", "dev", "--mirror", "registry.example.com/platform")[1]
    done = run_script(script, tmp_path)
    assert done.returncode == 0, done.stderr
    written = yaml.safe_load(done.stdout)["stellwerk:images"]
    assert written.pop("kserveManager") == "registry.example.com/platform/kserve-manager@sha256:0123"
    assert f"docker://{own}" in (tmp_path / "calls").read_text()
    assert f"docker://{public_image('traefik')}" in (tmp_path / "calls").read_text()
    assert written["digests"][f"traefik:{version('traefik')}"] == "sha256:0123"


def test_a_refused_copy_ends_the_script(stellwerk: Command, tmp_path: Path) -> None:
    script = stellwerk("images", "--mirror", "registry.example.com/refused")[1]
    script = script.replace("docker.io/library/busybox", "docker.io/refused/busybox")
    done = run_script(script, tmp_path)
    assert done.returncode != 0
    assert "sha256" not in done.stdout, "no value names an image that is not there"
