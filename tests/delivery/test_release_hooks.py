"""`stellwerk release` of a model with `serve.py`: the image with the very code that it was measured with."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from delivery.errors import DeliveryError
from infra.contract.release import Releases
from tests.support.checkout import MODEL
from tests.support.engine import FakeEngine
from tests.support.session import Command
from tests.support.training_jobs import SERVING, Jobs, artefact, jobs, refusal, store, stores

__all__ = ["jobs", "store", "stores"]

OWN = SERVING.replace("/serving@", f"/serve-{MODEL}@")
CODE, OTHER = f"sha256:{'c' * 64}", f"sha256:{'d' * 64}"
Forge = Callable[[dict[str, Any]], None]


def measured_with(digest: str | None, edit: Forge = lambda _: None) -> Forge:
    def forge(document: dict[str, Any]) -> None:
        if digest:
            document["hooks"] = digest
        edit(document)

    return forge


def built_with(pulumi: FakeEngine, digest: str | None) -> None:
    if digest:
        pulumi.stack_outputs["images"][f"serve-{MODEL}"] = OWN
        pulumi.stack_outputs["hooks"] = {f"serve-{MODEL}": digest}


def test_a_release_has_the_models_own_image(jobs: Jobs, store: Releases, pulumi: FakeEngine) -> None:
    built_with(pulumi, CODE)
    identity = jobs.release(jobs.done(1, forge=measured_with(CODE)))
    serving = store.load(MODEL, identity).serving
    assert (serving.image, serving.hooks) == (OWN, CODE)
    assert jobs.release(jobs.done(1, forge=measured_with(CODE))) == identity


def test_without_hooks_it_says_nothing_of_them(jobs: Jobs, store: Releases) -> None:
    identity = jobs.release(jobs.done(1))
    assert "hooks" not in store.file(MODEL, identity).read_text()


def test_the_jobs_answers_are_taken_for_the_models(jobs: Jobs, store: Releases, pulumi: FakeEngine) -> None:
    """The command runs no model's code, so what the file alone answers says nothing."""
    built_with(pulumi, CODE)
    assert jobs.release(jobs.done(1, content=artefact(2), forge=measured_with(CODE)))


def worse(document: dict[str, Any]) -> None:
    document["evaluation"]["metrics"]["accuracy"] += 0.01


def wider(document: dict[str, Any]) -> None:
    document["interface"]["inputs"][0]["shape"] = [-1, 63]


@pytest.mark.parametrize(("edit", "named"), [(worse, "evaluation.metrics: "), (wider, "interface.inputs: ")])
def test_metrics_and_interface_are_verified_all_the_same(
    edit: Forge, named: str, jobs: Jobs, store: Releases, pulumi: FakeEngine
) -> None:
    built_with(pulumi, CODE)
    assert f"\n  {named}" in refusal(jobs.done(1, forge=measured_with(CODE, edit)), jobs, store)


@pytest.mark.parametrize(
    ("measured", "built", "words"),
    [
        (CODE, OTHER, "measured with one serve.py, and dev has built its serving image with another serve.py"),
        (None, CODE, "measured with no serve.py, and dev has built its serving image with another serve.py"),
        (CODE, None, "measured with one serve.py, and dev has built its serving image with none"),
    ],
)
def test_hooks_that_have_changed_since_are_refused(
    measured: str | None, built: str | None, words: str, jobs: Jobs, store: Releases, pulumi: FakeEngine
) -> None:
    built_with(pulumi, built)
    message = refusal(jobs.done(1, forge=measured_with(measured)), jobs, store)
    assert words in message
    assert f"stellwerk train {MODEL} --wait" in message


def test_a_stack_without_the_servers_image_is_named(jobs: Jobs, pulumi: FakeEngine) -> None:
    del pulumi.stack_outputs["images"]["serving"]
    with pytest.raises(DeliveryError, match="dev: its stack builds no image serving; releases are made"):
        jobs.release(jobs.done(1))


def test_a_file_is_not_imported_for_a_model_with_hooks(stellwerk: Command, project: Any, tmp_path: Path) -> None:
    (project.root / "models" / MODEL / "serve.py").write_text("def encode(outputs, folder):\n    return outputs\n")
    file = tmp_path / "model.onnx"
    file.write_bytes(artefact(1))
    code, _, err = stellwerk("model", "import", MODEL, "--file", str(file))
    assert code == 1
    assert f"models/{MODEL}/serve.py: a file is imported as it answers by itself" in err
