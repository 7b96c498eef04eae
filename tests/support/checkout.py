"""A checkout with nothing in it but `stacks/`: copies of this project's stack files, before anything was promoted."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from delivery.project import Project
from infra.contract.release import Releases
from infra.values import file_name
from tests.support.documents import ENVIRONMENTS, write_stacks, yaml
from tests.support.documents import MODEL as MODEL
from tests.support.models import copy_models

# The artefacts of two releases; a release's id has the beginning of its artefact's digest.
ARTEFACTS = {f"v{number}-{sha256(content).hexdigest()[:8]}": content for number, content in
             enumerate((b"1" * 12345, b"2" * 12345), 1)}  # fmt: skip
FIRST, SECOND = ARTEFACTS
FIXTURES = Path(__file__).parents[1] / "infra" / "contract" / "releases"


@cache
def config(text: str) -> dict[str, Any]:
    """Return the values of a stack file, by their keys without namespace; what is returned is shared."""
    document = YAML(typ="safe").load(text)
    return {key.removeprefix("stellwerk:"): value for key, value in document["config"].items()}


@dataclass(frozen=True)
class Checkout:
    """The files of a project, for a test to read and edit; `project` is what a command makes of them."""

    root: Path

    def project(self) -> Project:
        return Project(self.root)

    def file(self, environment: str) -> Path:
        return self.root / file_name(environment)

    def text(self, environment: str) -> bytes:
        return self.file(environment).read_bytes()

    def edit(self, environment: str, change: Callable[[Any], None]) -> None:
        """Change values, by their keys without namespace."""
        document = yaml().load(self.file(environment))
        values = {key.removeprefix("stellwerk:"): value for key, value in document["config"].items()}
        change(values)
        document["config"] = {f"stellwerk:{key}": value for key, value in values.items()}
        yaml().dump(document, self.file(environment))

    def config(self, environment: str) -> dict[str, Any]:
        """Return the values, by their keys without namespace."""
        return config(self.file(environment).read_text())

    def point(self, environment: str, current: str | None, previous: str | None = None) -> None:
        text = self.file(environment).read_text()
        for key, value in (("release", current), ("previous", previous)):
            text = re.sub(rf"^      {key}: \S+$", f"      {key}: {value or 'null'}", text, flags=re.MULTILINE)
        self.file(environment).write_text(text)

    def trust(self, certificate: str) -> None:
        """Write the CA into each stack file, as `stellwerk init` does."""
        block = "".join(f"    {line}\n" for line in certificate.splitlines())
        for name in ENVIRONMENTS:
            with self.file(name).open("a") as file:
                file.write(f"  stellwerk:caCertificate: |\n{block}")

    def pointers(self, environment: str) -> tuple[str | None, str | None]:
        model = self.config(environment)["models"][MODEL]
        return model["release"], model["previous"]


@pytest.fixture
def project(tmp_path: Path) -> Checkout:
    """A copy of the stack files without releases, and of the models."""
    made = Checkout(tmp_path / "checkout")
    write_stacks(made.root)
    copy_models(made.root)
    return made


@pytest.fixture
def releases(project: Checkout) -> Releases:
    """The two releases of the configuration's fixtures, with digests of artefacts that exist."""
    releases = Releases(project.root / "stacks" / "releases")
    for identity in ARTEFACTS:
        write_release(releases, MODEL, identity)
    return releases


def write_release(releases: Releases, model: str, release: str) -> None:
    """Write one of the two releases, as `model`'s."""
    fixture = next((FIXTURES / MODEL).glob(f"{release.partition('-')[0]}-*.yaml"))
    text = fixture.read_text().replace(fixture.stem, release)
    text = re.sub(rf"{fixture.stem.partition('-')[2]}[0-9a-f]{{56}}", sha256(ARTEFACTS[release]).hexdigest(), text)
    file = releases.file(model, release)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text.replace(f"model: {MODEL}", f"model: {model}").replace(f"key: {MODEL}/", f"key: {model}/"))


@pytest.fixture(autouse=True)
def no_variables_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No state, login or repository of the machine that runs the tests."""
    for name in os.environ:
        if name.startswith(("AWS_", "GIT_", "PULUMI_", "STELLWERK_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("STELLWERK_STATE", str(tmp_path / "state"))
