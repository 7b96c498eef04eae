"""The images that dev built (by ImageBuild), as they lie in the registry."""

import tarfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import zstandard

from infra.contract.model import Framework
from infra.contract.versions import EPOCH
from infra.local.cluster.layout import Layout
from infra.revision import revision
from infra.services.training import sources
from tests.support import images
from tests.support.project import MODEL, ROOT, Project

pytestmark = [pytest.mark.integration, pytest.mark.timeout(3600)]


@pytest.fixture
def registry(project: Project) -> Iterator[httpx.Client]:
    """The registry's own interface, as the login of the builds."""
    with images.registry(project) as client:
        yield client


class Body:
    """A response's body as a file."""

    def __init__(self, response: httpx.Response) -> None:
        self._chunks, self._rest = response.iter_raw(1 << 20), b""

    def read(self, size: int) -> bytes:
        self._rest = self._rest or next(self._chunks, b"")
        piece, self._rest = self._rest[:size], self._rest[size:]
        return piece


# A layer of PyTorch takes half a minute.
@pytest.mark.parametrize("largest", [1 << 29, pytest.param(1 << 40, marks=pytest.mark.long)])
def test_layers_have_no_time_of_their_build_and_no_code_without_bytecode(
    project: Project, registry: httpx.Client, largest: int
) -> None:
    """Another build of the same input, on another day, has the same digest; what runs compiles nothing at its start."""
    built = project.output("images", "dev")
    late: dict[str, set[str]] = {}
    code, bare = 0, set[str]()
    seen: set[str] = set()
    for name, reference in built.items():
        url = images.repository(reference)
        for layer in images.manifest(registry, reference)["layers"]:
            if layer["digest"] in seen or layer["size"] > largest:
                continue
            seen.add(layer["digest"])
            with registry.stream("GET", f"{url}/blobs/{layer['digest']}") as response:
                plain = zstandard.ZstdDecompressor().stream_reader(Body(response.raise_for_status()))
                with tarfile.open(fileobj=plain, mode="r|") as tar:
                    times = {entry.name: entry.mtime for entry in tar}
            late.setdefault(name, set()).update(file for file, time in times.items() if time > EPOCH)
            sources, without = images.bytecode(times)
            code, bare = code + sources, bare | without
    assert {name: sorted(files)[:5] for name, files in late.items() if files} == {}
    assert len(seen) > len(built), "hardly any layer was looked at"
    # Of some thousand files of a package, one may be in the language of another version.
    assert code > 1000
    assert len(bare) < code / 1000, sorted(bare)[:5]


def test_an_image_says_what_it_was_built_from(project: Project, registry: httpx.Client) -> None:
    built = project.output("images", "dev")
    made_of = {
        "serving": ("serving", "!serving/model-image", "shipping"),
        f"model-{MODEL}": sources(MODEL, Framework.PYTORCH),
    }
    for name, parts in made_of.items():
        url = images.repository(built[name])
        config = images.manifest(registry, built[name])["config"]["digest"]
        labels = registry.get(f"{url}/blobs/{config}").raise_for_status().json()["config"]["Labels"]
        assert labels["org.opencontainers.image.revision"] == revision(project.root, parts), name


@pytest.mark.parametrize(
    "folder", ["serving", "training", "components/tracking/images", "components/tracking/images/postgres",
               "components/logging/images/elasticsearch"]
)  # fmt: skip
def test_modes_and_stray_files_of_a_checkout_do_not_change_an_image(
    project: Project, folder: str, tmp_path: Path
) -> None:
    mine, others = ROOT / folder, tmp_path / "others"
    images.checkout_of_another(mine, others)
    lines = images.copies((mine / "Dockerfile").read_text())
    buildctl, socket = project.root / ".toolchain/bin/buildctl", Layout(project.state).buildkit_socket
    digests = {
        images.build(buildctl, socket, context, lines, tmp_path / name)
        for name, context in (("mine", mine), ("theirs", others))
    }
    assert len(digests) == 1
