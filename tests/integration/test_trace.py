"""A prediction of prod leads to its commit, and the commit to the prediction, by the records of a real cluster."""

import re
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.project import MODEL, Project

pytestmark = [pytest.mark.integration, pytest.mark.lane("prod"), pytest.mark.timeout(3600)]


def ask(project: Project, *arguments: str) -> list[dict[str, dict[str, Any]]]:
    """Return the links of each chain of a trace by their kind; a contradiction fails the test."""
    began = time.monotonic()
    made = project.ask("trace", MODEL, *arguments)
    print(f"trace {' '.join(arguments)}: {time.monotonic() - began:.1f} s")
    return [{link["kind"]: link for link in chain["links"]} for chain in made["chains"]]


def names(link: dict[str, Any]) -> list[str]:
    return [item["name"] for item in link["items"]]


def test_a_prediction_leads_to_its_commit_and_back(project: Project, tmp_path: Path) -> None:
    release = project.served("prod")
    assert release.training is not None and release.run is not None
    # Those on their way out, too: they answer what the gateway still sends.
    pods = {each["metadata"]["name"] for each in project.objects("pods", "-n", "prod-serving")}
    (request,) = project.ask("predict", MODEL, "--env", "prod", "--rows", "3")["request_ids"]
    project.stellwerk("logs", "--request-id", request, "--wait")
    (chain,) = ask(project, "--prediction", request)
    assert names(chain["release"]) == [release.metadata.release]
    assert names(chain["commit"])[0] == release.training.commit[:12]
    assert names(chain["run"]) == [release.run.run_id]
    assert names(chain["images"]) == [release.serving.image, release.training.image]
    assert names(chain["prediction"]) == [request]
    # Without requirements nobody has to find one; all else is proved by the cluster's own records.
    assert {kind: link["state"] for kind, link in chain.items() if link["state"] != "proved"} in (
        {}, {"requirement": "none"},
    )  # fmt: skip
    (pod,) = names(chain["pod"])
    assert pod in pods
    back = {
        names(each["release"])[0]: each for each in ask(project, "--commit", release.training.commit, "--env", "prod")
    }[release.metadata.release]
    assert any("until now" in item["about"] for item in back["stack update"]["items"])
    # The newest one: another test may have asked meanwhile.
    (newest,) = names(back["prediction"])
    (chain,) = ask(project, "--prediction", newest)
    assert names(chain["release"]) == [release.metadata.release]


def test_what_prod_serves_is_a_page_with_its_chain(project: Project, tmp_path: Path) -> None:
    file = tmp_path / "chain.html"
    project.stellwerk("trace", MODEL, "--env", "prod", "--html", str(file))
    text = file.read_text()
    assert project.pointers("prod")[0] in text
    assert re.search(r'<svg [^>]*role="img"', text)
