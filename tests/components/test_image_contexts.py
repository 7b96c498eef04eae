"""What of a checkout gets into an image: modes are set by the Dockerfile, files are chosen by the .dockerignore."""

import re
from pathlib import Path

import pytest

from components.kit import ports

ROOT = Path(__file__).parents[2]
DOCKERFILES = sorted(
    path for room in ("components", "serving", "training") for path in (ROOT / room).rglob("Dockerfile")
)
PORTS = {
    "components/logging/images/elasticsearch": [ports.LOG_STORE],
    "components/tracking/images": [ports.TRACKING, ports.TENSORBOARD],
    "components/tracking/images/postgres": [ports.TRACKING_DATABASE],
    "serving": [ports.MODEL],
}
IDENTITIES = [str(path.parent.relative_to(ROOT)) for path in DOCKERFILES]


def test_all_dockerfiles_are_looked_at() -> None:
    assert {"serving", "training", "components/tracking/images"} <= set(IDENTITIES)


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=IDENTITIES)
def test_no_copy_takes_the_modes_of_the_checkout(dockerfile: Path) -> None:
    copies = re.findall(r"^(?:COPY|ADD)\b.*", dockerfile.read_text(), re.MULTILINE)
    assert [line for line in copies if "--from=" not in line and "--chmod=" not in line] == []


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=IDENTITIES)
def test_a_context_is_a_list_of_what_may_come_in(dockerfile: Path) -> None:
    lines = (dockerfile.parent / ".dockerignore").read_text().splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    assert patterns[0] == "*"


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=IDENTITIES)
def test_an_image_exposes_the_port_that_its_component_connects_to(dockerfile: Path) -> None:
    exposed = re.findall(r"^EXPOSE (.*)", dockerfile.read_text(), re.MULTILINE)
    expected = PORTS.get(str(dockerfile.parent.relative_to(ROOT)), [])
    assert exposed == [str(port) for port in expected]
