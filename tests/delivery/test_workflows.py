"""`stellwerk ci setup`: workflows for what a checkout has; what somebody has edited stays theirs."""

import json
import re
import shutil
import subprocess
import sys
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from delivery.operations.workflows import generated, kinds
from tests.support.checkout import Checkout
from tests.support.session import Command

SCHEMAS = {
    ".github/": "github-workflows",
    ".gitlab": "gitlab-ci",
    "bitbucket-": "bitbucket-pipelines",
    "bamboo-": "bamboo-spec",
}
DRIFT, APPLY = ".github/workflows/stellwerk-drift.yaml", ".github/workflows/stellwerk-apply.yaml"


def files(project: Checkout) -> dict[str, str]:
    """The files of the checkout that a forge's CI reads."""
    return {
        name: file.read_text()
        for file in project.root.rglob("*")
        if file.is_file() and (name := file.relative_to(project.root).as_posix()).startswith(tuple(SCHEMAS))
    }


def documents(text: str) -> list[Any]:
    return list(yaml.safe_load_all(text))


@pytest.mark.parametrize("kind", kinds())
def test_every_file_holds_the_schema_of_its_ci(kind: str, project: Checkout, stellwerk: Command) -> None:
    assert stellwerk("ci", "setup", kind)[0] == 0
    written = files(project)
    assert written
    for name, text in written.items():
        schema = next(word for start, word in SCHEMAS.items() if name.startswith(start))
        place = resources.files("check_jsonschema") / "builtin_schemas" / "vendor" / f"{schema}.json"
        for document in documents(text):
            # `on` is a truth value to YAML 1.1, and a word to the schema.
            value = {"on" if key is True else key: each for key, each in document.items()}
            jsonschema.validate(value, json.loads(place.read_text()))


@pytest.mark.parametrize("kind", kinds())
def test_a_second_run_changes_nothing(kind: str, project: Checkout, stellwerk: Command) -> None:
    stellwerk("ci", "setup", kind)
    before = files(project)
    code, out, _ = stellwerk("ci", "setup", kind)
    assert code == 0 and {line.rpartition(": ")[2] for line in out.splitlines()} == {"unchanged"}
    assert files(project) == before


@pytest.mark.parametrize("kind", kinds())
def test_environments_and_models_that_come_later_are_taken_in(kind: str, project: Checkout, stellwerk: Command) -> None:
    stellwerk("ci", "setup", kind)
    text = project.file("prod").read_text().replace("stellwerk:environment: prod", "stellwerk:environment: staging-eu")
    project.file("prod").unlink()
    project.file("staging-eu").write_text(text)
    project.edit("dev", lambda config: config["training"].update(churn={}))
    stellwerk("model", "new", "churn", "--template", "sklearn")
    assert "staging-eu" not in str(files(project)) and "churn" not in str(files(project))
    code, _, err = stellwerk("ci", "setup", kind)
    assert code == 0, err
    assert "staging-eu" in str(files(project)) and "churn" in str(files(project))


def test_environments_are_applied_in_the_order_of_promotion(project: Checkout, stellwerk: Command) -> None:
    stellwerk("ci", "setup", "github")
    jobs = documents(files(project)[APPLY])[0]["jobs"]
    assert [(name, job.get("needs")) for name, job in jobs.items()] == [
        ("apply-dev", None),
        ("apply-test", "apply-dev"),
        ("apply-prod", "apply-test"),
        ("train", ["apply-dev"]),
    ]
    assert {job["environment"] for name, job in jobs.items() if name != "train"} == {"dev", "test", "prod"}
    assert jobs["train"]["strategy"]["matrix"]["include"] == [{"model": "digits", "environment": "dev"}]


def test_the_owner_of_the_cluster_comes_first(project: Checkout) -> None:
    """Where releases enter anew, as with another team's environment: what it uses is there by then."""
    project.edit("test", lambda config: config.update(releasesFrom=None))
    made = generated(project.project(), "github")
    assert documents(made[APPLY])[0]["jobs"]["apply-test"]["needs"] == "apply-dev"


def test_without_models_nothing_is_trained(project: Checkout, stellwerk: Command) -> None:
    project.edit("dev", lambda config: config.update(training={}))
    for kind in kinds():
        assert stellwerk("ci", "setup", kind)[0] == 0
    assert "train" not in "".join(files(project).values()).replace("training", "")
    assert not (project.root / ".github/workflows/stellwerk-train.yaml").exists()


def test_what_was_edited_is_not_overwritten(project: Checkout, stellwerk: Command) -> None:
    stellwerk("ci", "setup", "github")
    file = project.root / DRIFT
    file.write_text(edited := file.read_text().replace("17 2 * * *", "5 5 * * *"))
    code, out, _ = stellwerk("ci", "setup", "github")
    assert code == 0 and f"{DRIFT}: kept as edited" in out, "there is nothing new in it"
    (project.root / "stacks" / "Pulumi.prod.yaml").unlink()
    code, out, err = stellwerk("ci", "setup", "github")
    assert code == 1 and f"{DRIFT}: edited by hand" in out and f"{APPLY}: written" in out
    assert "-          - prod" in err and '-    - cron: "5 5 * * *"' in err and "--force" in err
    assert file.read_text() == edited and "prod" not in (project.root / APPLY).read_text()
    assert stellwerk("ci", "setup", "github", "--force")[0] == 0
    assert "5 5" not in file.read_text() and "prod" not in file.read_text()


def test_what_was_taken_in_by_hand_is_asked_for_no_more(project: Checkout, stellwerk: Command) -> None:
    stellwerk("ci", "setup", "github")
    file = project.root / DRIFT
    file.write_text(file.read_text().replace("17 2 * * *", "5 5 * * *"))
    (project.root / "stacks" / "Pulumi.prod.yaml").unlink()
    new = generated(project.project(), "github")[DRIFT]
    file.write_text(new.replace("17 2 * * *", "5 5 * * *"))
    code, out, _ = stellwerk("ci", "setup", "github")
    assert code == 0 and f"{DRIFT}: kept as edited" in out


def test_a_file_of_the_teams_own_stays(project: Checkout, stellwerk: Command) -> None:
    own = project.root / "bitbucket-pipelines.yml"
    own.write_text("pipelines: {}\n")
    code, out, err = stellwerk("ci", "setup", "bitbucket")
    assert code == 1 and "bitbucket-pipelines.yml: not written by this command" in out and "-pipelines: {}" in err
    assert own.read_text() == "pipelines: {}\n"


def test_a_pipeline_of_the_teams_own_may_include_the_file(project: Checkout, stellwerk: Command) -> None:
    own = project.root / ".gitlab-ci.yml"
    own.write_text("include:\n  - local: ours.yml\n  - local: .gitlab/stellwerk.yml\n")
    assert stellwerk("ci", "setup", "gitlab")[0] == 0
    assert "ours.yml" in own.read_text()
    own.write_text("include:\n  - local: ours.yml\n")
    code, _, err = stellwerk("ci", "setup", "gitlab")
    assert code == 1 and "+  - local: .gitlab/stellwerk.yml" in err


def test_line_endings_of_a_checkout_are_no_edit(project: Checkout, stellwerk: Command) -> None:
    stellwerk("ci", "setup", "bamboo")
    file = project.root / "bamboo-specs" / "bamboo.yaml"
    file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    code, out, _ = stellwerk("ci", "setup", "bamboo")
    assert code == 0 and out == "bamboo-specs/bamboo.yaml: unchanged\n"


def test_what_can_not_be_set_up_is_said(project: Checkout, stellwerk: Command) -> None:
    code, _, err = stellwerk("ci", "setup", "jenkins")
    assert code == 1 and "jenkins: there are no workflows for it; allowed: bamboo, bitbucket, github, gitlab" in err
    for name in project.project().environments:
        project.file(name).unlink()
    code, _, err = stellwerk("ci", "setup", "github")
    assert code == 1 and "this checkout has no environment" in err


def test_the_branch_is_the_remotes_own(project: Checkout, tmp_path: Path) -> None:
    def git(*words: str, at: Path = project.root) -> None:
        identity = ("-c", "user.name=test", "-c", "user.email=test@localhost", "-c", "commit.gpgsign=false")
        subprocess.run(["git", *identity, *words], cwd=at, check=True, capture_output=True)

    git("init", "--quiet", "--initial-branch", "trunk")
    git("add", "--all")
    git("commit", "--quiet", "--message", "checkout")
    git("clone", "--quiet", str(project.root), str(tmp_path / "clone"))
    made = generated(Checkout(tmp_path / "clone").project(), "github")
    assert "branches: [trunk]" in made[APPLY]
    git("branch", "--move", "master")
    assert "branches: [master]" in generated(project.project(), "github")[APPLY]


def test_github_gives_no_job_more_than_it_needs(project: Checkout, stellwerk: Command) -> None:
    stellwerk("ci", "setup", "github")
    for name, text in files(project).items():
        [workflow] = documents(text)
        assert workflow["permissions"] == {} and "pull_request_target" not in text, name
        assert all(
            re.fullmatch(r"\S+@[0-9a-f]{40} # v\d+\.\d+\.\d+", each) for each in re.findall(r"- uses: (.+)", text)
        )
        for job in workflow["jobs"].values():
            assert job["permissions"].get("contents") and job["timeout-minutes"]
            checkout = job["steps"][0]
            assert checkout["uses"].startswith("actions/checkout@") and "ref" not in checkout["with"]
            assert checkout["with"]["persist-credentials"] is False
            # A script takes what others write from variables: an expression in it would be part of the code.
            assert all("${{" not in step.get("run", "") for step in job["steps"])
    jobs = documents(files(project)[".github/workflows/stellwerk-preview.yaml"])[0]["jobs"]
    assert "secrets." not in str(jobs["fork"]) and "write" not in jobs["fork"]["permissions"].values()
    assert jobs["fork"]["runs-on"] == "ubuntu-24.04", "a fork's code runs on no runner of ours"


def test_zizmor_finds_nothing(project: Checkout, stellwerk: Command) -> None:
    stellwerk("ci", "setup", "github")
    command = [Path(sys.executable).parent / "zizmor", "--offline", "--no-progress", "--no-config", "--persona=regular"]
    done = subprocess.run([*command, project.root], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No findings to report" in done.stdout, done.stdout


@pytest.mark.long
def test_actionlint_finds_nothing(project: Checkout, stellwerk: Command) -> None:
    """Compiled here: its wheel is a download of a binary."""
    stellwerk("ci", "setup", "github")
    go = shutil.which("go") or pytest.skip("there is no Go; the toolchain gets it where it compiles")
    command = [go, "run", "github.com/rhysd/actionlint/cmd/actionlint@v1.7.12", "-shellcheck=", "-pyflakes="]
    workflows = sorted((project.root / ".github" / "workflows").iterdir())
    done = subprocess.run([*command, *workflows], cwd=project.root, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr
