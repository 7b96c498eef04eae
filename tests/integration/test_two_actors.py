"""Two people change one environment at the same time, by the command and by plain pulumi."""

import os
import random
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support.object_store import BUCKET, client
from tests.support.project import MODEL, Project, copy_release

pytestmark = [pytest.mark.integration, pytest.mark.lane("test"), pytest.mark.timeout(3600)]
ENVIRONMENT = "test"
SECOND = "letters"
CHANGED = "the environment changed since the preview, look again; nothing was changed"
INTERLEAVINGS = 10


def asking(project: Project, *arguments: str) -> subprocess.Popen[str]:
    """The command, waiting at its question."""
    process = project.start(project.command, *arguments, stdin=subprocess.PIPE)
    assert process.stdout is not None
    output = ""
    while not output.endswith("[y/N]:"):
        letter = process.stdout.read(1)
        assert letter, output
        output += letter
    return process


def test_an_answer_to_an_old_preview_changes_nothing(project: Project, edited: Callable[[str, str], None]) -> None:
    process = asking(project, "rollback", MODEL, "--env", ENVIRONMENT)
    # As another checkout's pull request would: the quota, and nothing of the model.
    file, section = project.stack_file(ENVIRONMENT), "  stellwerk:gateway:\n"
    other = project.expected[ENVIRONMENT].replace(section, f"  stellwerk:quota: {{pods: 41}}\n{section}")
    assert other != file.read_text()
    edited(ENVIRONMENT, other)
    output, _ = process.communicate("y\n", timeout=300)
    assert process.returncode == 1
    assert "this would also change what is not digits's: ResourceQuota" in output
    assert file.read_text() == other
    refused = project.stellwerk("rollback", MODEL, "--env", ENVIRONMENT, "--yes", ok=False)
    assert refused.returncode == 1
    assert "--allow-other-changes" in refused.stderr
    assert file.read_text() == other
    project.write(ENVIRONMENT, project.expected[ENVIRONMENT])
    project.assert_no_changes(ENVIRONMENT)


@pytest.fixture
def two_models(
    project: Project, restored: Callable[[str], None], service_names: None, tmp_path: Path
) -> Iterator[None]:
    """A second model with two releases, the digits' own files under another name."""
    restored(ENVIRONMENT)
    login = project.credentials(ENVIRONMENT)["objectStore"]
    store = client(project, ENVIRONMENT, "object-store", login, tmp_path)
    for release in project.releases.ids(MODEL):
        key = project.releases.load(MODEL, release).artefact.key
        content = store.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        store.put_object(Bucket=BUCKET, Key=key.replace(MODEL, SECOND, 1), Body=content)
        copy_release(project, SECOND, release)

    def add(config: Any) -> None:
        models = config["stellwerk:models"]
        models[SECOND] = {key: models[MODEL][key] for key in ("release", "previous")}

    project.edit(ENVIRONMENT, add)
    project.up(ENVIRONMENT)
    yield


@pytest.mark.long
def test_ten_interleavings_lose_no_update(project: Project, two_models: None) -> None:
    """Rollbacks, promotions, plain updates and aborted questions: each move that says it is done is there."""
    seed = int(os.environ.get("STELLWERK_TEST_SEED", "1"))
    chance = random.Random(seed)  # noqa: S311
    swaps = {MODEL: 0, SECOND: 0}
    first = {model: project.pointers(ENVIRONMENT, model) for model in swaps}
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
            assert project.pointers(ENVIRONMENT, model) == (
                (previous, release) if swapped % 2 else (release, previous)
            ), story
        project.assert_no_changes(ENVIRONMENT)
    assert sum(swaps.values()) >= INTERLEAVINGS, "hardly anything succeeded: nothing was proven"


def roll_back(project: Project, model: str) -> tuple[int, str]:
    done = project.stellwerk("rollback", model, "--env", ENVIRONMENT, "--yes", ok=False)
    return done.returncode, done.stderr[-300:]


def bring_back(project: Project, model: str) -> tuple[int, str]:
    previous = project.pointers(ENVIRONMENT, model)[1]
    done = project.stellwerk("promote", model, "--to", ENVIRONMENT, "--release", previous, "--yes", ok=False)
    return done.returncode, done.stderr[-300:]


def abort(project: Project, model: str) -> tuple[int, str]:
    process = asking(project, "rollback", model, "--env", ENVIRONMENT)
    output, _ = process.communicate("n\n", timeout=300)
    return process.returncode, output[-300:]


def plain_update(project: Project, _: str) -> tuple[int, str]:
    done = project.pulumi("up", "--stack", ENVIRONMENT, "--yes", "--skip-preview", ok=False)
    return done.returncode, done.stderr[-300:]
