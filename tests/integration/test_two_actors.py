"""Two people change one environment at the same time, by the command and by plain pulumi."""

import os
import random
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from ruamel.yaml import YAML

from infra.contract.release import Releases
from tests.integration.conftest import MODEL, Project
from tests.integration.test_delivery import copy_release

pytestmark = [pytest.mark.integration, pytest.mark.timeout(3600)]
ENVIRONMENT = "test"
SECOND = "letters"
CHANGED = "the environment changed since the preview, look again; nothing was changed"
INTERLEAVINGS = 10


def asking(project: Project, *arguments: str) -> subprocess.Popen[str]:
    """The command, waiting at its question."""
    process = subprocess.Popen(
        [str(project.root / ".venv/bin/stellwerk"), *arguments],
        cwd=project.root, env={**project.base, **project.environment}, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stderr is not None
    said = ""
    while not said.endswith("[y/N]:"):
        letter = process.stderr.read(1)
        assert letter, said
        said += letter
    return process


def test_an_answer_to_an_old_preview_changes_nothing(project: Project) -> None:
    file = project.stack_file(ENVIRONMENT)
    before = file.read_text()
    process = asking(project, "rollback", MODEL, "--env", ENVIRONMENT)
    # As another checkout's pull request would: the quota, and nothing of the model.
    other = before.replace("    pods: 40\n", "    pods: 41\n", 1)
    assert other != before
    file.write_text(other)
    try:
        _, said = process.communicate("y\n", timeout=120)
        assert process.returncode == 1
        assert "this would also change what is not digits's: ResourceQuota" in said
        assert file.read_text() == other
        refused = project.stellwerk("rollback", MODEL, "--env", ENVIRONMENT, "--yes", ok=False)
        assert refused.returncode == 1
        assert "--allow-other-changes" in refused.stderr
        assert file.read_text() == other
    finally:
        file.write_text(before)
    project.pulumi("preview", "--stack", ENVIRONMENT, "--expect-no-changes")


@pytest.fixture
def two_models(project: Project, restored: Callable[[str], None]) -> Iterator[None]:
    """A second model with two releases, the digits' own files under another name."""
    restored(ENVIRONMENT)
    copied = "\n".join([
        "import io", "from delivery import store", "from delivery.operations.release import RELEASES",
        f"with store.connect({ENVIRONMENT!r}) as there:",
        f"    for release in RELEASES.ids({MODEL!r}):",
        f"        key = RELEASES.load({MODEL!r}, release).artefact.key",
        f"        copied = key.replace({MODEL!r}, {SECOND!r}, 1)",
        "        content = there.client.get_object(Bucket=there.bucket, Key=key)['Body'].read()",
        "        there.client.put_object(Bucket=there.bucket, Key=copied, Body=content)",
    ])  # fmt: skip
    assert project.run(str(project.root / ".venv/bin/python"), "-c", copied).returncode == 0
    for identity in Releases(project.root / "stacks" / "releases").ids(MODEL):
        copy_release(project, SECOND, identity)
    file, yaml = project.stack_file(ENVIRONMENT), YAML(typ="rt")
    yaml.width = 1 << 20
    document = yaml.load(file)
    models = document["config"]["stellwerk:models"]
    models[SECOND] = {key: models[MODEL][key] for key in ("release", "previous")}
    yaml.dump(document, file)
    project.pulumi("up", "--stack", ENVIRONMENT, "--yes", "--skip-preview")
    yield


@pytest.mark.long
def test_ten_interleavings_lose_no_update(project: Project, two_models: None) -> None:
    """Rollbacks, promotions, plain updates and aborted questions: each move that says it is done is there."""
    seed = int(os.environ.get("STELLWERK_TEST_SEED", "1"))
    chance = random.Random(seed)  # noqa: S311
    swaps = {MODEL: 0, SECOND: 0}
    first = {model: pointer(project, model) for model in swaps}
    for number in range(INTERLEAVINGS):
        actions = [chance.choice([roll_back, bring_back, abort, plain_update]), roll_back]
        models = [chance.choice([MODEL, SECOND]) for _ in actions]
        if actions[0] is bring_back:
            # dev serves no other; and moved by two, a model is where it was or not, as the one or the other came first.
            models = [MODEL, SECOND]
        with ThreadPoolExecutor(2) as pool:
            ended = list(pool.map(lambda act, model: act(project, model), actions, models))
        story = f"seed {seed}, interleaving {number}: {[act.__name__ for act in actions]} of {models}: {ended}"
        for act, model, (code, _) in zip(actions, models, ended, strict=True):
            swaps[model] += act in (roll_back, bring_back) and code == 0
        for model, swapped in swaps.items():
            release, previous = first[model]
            assert pointer(project, model) == ((previous, release) if swapped % 2 else (release, previous)), story
        project.pulumi("preview", "--stack", ENVIRONMENT, "--expect-no-changes")
    assert sum(swaps.values()) >= INTERLEAVINGS, "hardly anything succeeded: nothing was proven"


def pointer(project: Project, model: str) -> tuple[str, str]:
    found = YAML(typ="safe").load(project.stack_file(ENVIRONMENT))["config"]["stellwerk:models"][model]
    return found["release"], found["previous"]


def roll_back(project: Project, model: str) -> tuple[int, str]:
    done = project.stellwerk("rollback", model, "--env", ENVIRONMENT, "--yes", ok=False)
    return done.returncode, done.stderr[-300:]


def bring_back(project: Project, model: str) -> tuple[int, str]:
    previous = pointer(project, model)[1]
    done = project.stellwerk("promote", model, "--to", ENVIRONMENT, "--release", previous, "--yes", ok=False)
    return done.returncode, done.stderr[-300:]


def abort(project: Project, model: str) -> tuple[int, str]:
    process = asking(project, "rollback", model, "--env", ENVIRONMENT)
    _, said = process.communicate("n\n", timeout=300)
    return process.returncode, said[-300:]


def plain_update(project: Project, _: str) -> tuple[int, str]:
    done = project.pulumi("up", "--stack", ENVIRONMENT, "--yes", "--skip-preview", ok=False)
    return done.returncode, done.stderr[-300:]
