"""`stellwerk train`: makes a training Job of the environment's template, once per image and parameters."""

import dataclasses
import json
import subprocess
import time
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from rich.console import Console

from delivery.clients.kube import get, kubectl
from delivery.errors import DeliveryError
from delivery.operations.events import refuse_beyond_quota
from delivery.operations.waiting import Waiting
from infra.services.training import pipelines
from infra.values import ROOT, TRAINING, file_name, from_file
from training import settings

ENVIRONMENT = "dev"
NAMESPACE = f"{ENVIRONMENT}-{TRAINING}"


def train(model: str, parameters: Sequence[str], requirements: Sequence[str], console: Console) -> str:
    """Starts the Job, or finds the one that already trains or has trained this; returns its name.

    A Job that failed is made again. Raises DeliveryError naming a parameter that is not known.
    """
    known = pipelines(from_file(ENVIRONMENT).environment)
    if model not in known:
        raise DeliveryError(
            f"{file_name(ENVIRONMENT)}: stellwerk:training has no {model!r}; models there: {', '.join(known) or 'none'}"
        )
    arguments = _arguments(model, parameters, requirements)
    template = get(ENVIRONMENT, NAMESPACE, "cronjob", f"train-{model}")
    if template is None:
        raise DeliveryError(f"{NAMESPACE}: there is no template train-{model}; run `pulumi up --stack {ENVIRONMENT}`")
    job = _job(template, model, arguments)
    name: str = job["metadata"]["name"]
    there = get(ENVIRONMENT, NAMESPACE, "job", name)
    if there and condition(there, "Failed"):
        console.print(f"job {name} failed before; making it again", highlight=False)
        kubectl(ENVIRONMENT, "--namespace", NAMESPACE, "delete", "job", name, "--wait")
        there = None
    if there is None:
        action = f"raise stellwerk:quota, or lower stellwerk:training.{model}.resources in {file_name(ENVIRONMENT)}"
        refuse_beyond_quota(ENVIRONMENT, NAMESPACE, job["spec"]["template"]["spec"], action)
        kubectl(ENVIRONMENT, "--namespace", NAMESPACE, "create", "-f", "-", stdin=json.dumps(job))
        console.print(f"job {name}: started", highlight=False)
    else:
        console.print(f"job {name}: is there already, same image, parameters and nodes", highlight=False)
    return name


def _arguments(model: str, parameters: Sequence[str], requirements: Sequence[str]) -> list[str]:
    fields = [field.name for field in dataclasses.fields(settings.Hyperparameters)]
    arguments = [model]
    # Sorted: another order is not another model.
    for parameter in sorted(parameters):
        key, equals, value = parameter.partition("=")
        if not equals or key.replace("-", "_") not in fields:
            raise DeliveryError(f"--param {parameter}: not known; allowed: {', '.join(f'{key}=…' for key in fields)}")
        arguments += [f"--{key.replace('_', '-')}", value]
    for requirement in sorted(requirements):
        arguments += ["--requirement", requirement]
    try:
        settings.parse(arguments)
    except SystemExit:
        raise DeliveryError("the training command does not understand these parameters, see above") from None
    return arguments


def _job(template: dict[str, Any], model: str, arguments: list[str]) -> dict[str, Any]:
    """The Job's manifest."""
    body = template["spec"]["jobTemplate"]
    pod = body["spec"]["template"]["spec"]
    container = pod["containers"][0]
    container["args"] = arguments
    for variable in container["env"]:
        if variable["name"] == "GIT_COMMIT":
            variable["value"] = commit()
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": job_name(model, pod), "labels": body["metadata"]["labels"]},
        "spec": body["spec"],
    }


def job_name(model: str, pod: dict[str, Any]) -> str:
    """The name of the Job with this pod: it says image, parameters and nodes, so that the same is trained once."""
    container = pod["containers"][0]
    # Other nodes have another device, and another device gives other weights.
    seed = json.dumps([container["image"], container.get("args", []), pod.get("nodeSelector")])
    return f"train-{model}-{sha256(seed.encode()).hexdigest()[:8]}"


def commit() -> str:
    """The checkout's commit, or `uncommitted` when what goes into training differs from it."""
    try:
        changed = _git("status", "--porcelain", "--", "training", "components")
        return _git("rev-parse", "HEAD") if not changed else "uncommitted"
    except (OSError, subprocess.CalledProcessError):
        return "uncommitted"


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def wait(name: str, console: Console) -> None:
    """Follows a Job to its end, showing its log and what it waits for.

    Raises DeliveryError with the reason when it fails, or when it is clear that it can never run.
    """
    shown = 0
    waiting = Waiting(name)
    while True:
        job = get(ENVIRONMENT, NAMESPACE, "job", name)
        if job is None:
            raise DeliveryError(f"job {name} was deleted")
        lines = _log(name)
        for line in lines[shown:]:
            console.print(f"  {line}", highlight=False, markup=False, soft_wrap=True)
        shown = len(lines)
        if condition(job, "Complete"):
            return
        failed = condition(job, "Failed")
        if failed:
            raise DeliveryError(f"job {name} failed: {waiting.reason(failed, lines)}")
        for line in waiting.look(job) if not lines else ():
            console.print(f"  {line}", style="dim", highlight=False, markup=False, soft_wrap=True)
        time.sleep(1)


def condition(job: dict[str, Any], kind: str) -> dict[str, Any] | None:
    """A condition of a Job, None unless it holds."""
    conditions = job.get("status", {}).get("conditions", [])
    return next((item for item in conditions if item["type"] == kind and item["status"] == "True"), None)


def _log(name: str) -> list[str]:
    """Messages of the Job's ECS lines; other lines as they are. Empty while there is no log."""
    try:
        text = kubectl(ENVIRONMENT, "--namespace", NAMESPACE, "logs", f"job/{name}", "--tail=-1")
    except DeliveryError:
        return []
    return [_message(line) for line in text.splitlines()]


def _message(line: str) -> str:
    try:
        return str(json.loads(line)["message"])
    except (json.JSONDecodeError, TypeError, KeyError):
        return line
