"""The steps of generated workflows, each as its CI gives it to a shell: the script, the shell, and the variables."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

_EXPRESSION = re.compile(r"\$\{\{ (.+?) \}\}")


@dataclass(frozen=True)
class Step:
    """A script with the command that runs it."""

    script: str
    shell: tuple[str, ...]
    variables: Mapping[str, str]


def github(root: Path, workflow: str, job: str, expressions: Mapping[str, str]) -> list[Step]:
    """Return the `run` steps of a job whose conditions hold; an expression that is not in the table is an error."""
    given = yaml.safe_load((root / ".github" / "workflows" / f"{workflow}.yaml").read_text())["jobs"][job]
    filled = [
        {
            name: _EXPRESSION.sub(lambda match: expressions[match[1]], value)
            for name, value in (step.get("env") or {}).items()
        }
        for step in given["steps"]
    ]
    return [
        Step(step["run"], ("bash", "-e"), variables)
        for step, variables in zip(given["steps"], filled, strict=True)
        if "run" in step and expressions.get(step.get("if", ""), "true")
    ]


def gitlab(root: Path, job: str) -> list[Step]:
    """Return the script of a job as the one that it is there, with the variables of what it extends."""
    jobs = yaml.safe_load((root / ".gitlab" / "stellwerk.yml").read_text())
    given = jobs[job]
    variables = {**jobs[given["extends"]]["variables"], **given.get("variables", {})}
    return [Step("\n".join(given["script"]), ("bash", "-eo", "pipefail"), variables)]


def bitbucket(root: Path, kind: str, name: str) -> list[Step]:
    """Return the script of each step of a pipeline."""
    pipeline = yaml.safe_load((root / "bitbucket-pipelines.yml").read_text())["pipelines"][kind][name]
    return [Step("\n".join(each["step"]["script"]), ("bash", "-e"), {}) for each in pipeline]


def bamboo(root: Path, job: str) -> list[Step]:
    """Return the script tasks of a job, or of an environment."""
    documents = yaml.safe_load_all((root / "bamboo-specs" / "bamboo.yaml").read_text())
    [given] = [each[job] for each in documents if isinstance(each.get(job), dict)]
    scripts = [task["script"] for task in given["tasks"] if isinstance(task, dict) and "script" in task]
    return [Step(_text(script), ("sh",), {}) for script in scripts]


def _text(script: Any) -> str:
    return script if isinstance(script, str) else "\n".join(script["scripts"])
