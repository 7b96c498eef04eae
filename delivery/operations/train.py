"""`stellwerk train`: makes a training Job of the environment's template, once per image and parameters."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from rich.console import Console

from components.kit.names import RUNTIME_LABEL
from delivery.clients.jobs import INDEX_LABEL, TrainingJobs, job_of
from delivery.errors import DeliveryError
from delivery.operations.events import refuse_beyond_quota
from delivery.operations.waiting import Waiting
from delivery.session import Session
from infra.contract.model import FILE, Model
from infra.values import file_name

_REQUIREMENT = "--requirement"
# Seconds within which its controllers make a Job of a TrainJob; they take two.
_TRAINER_SECONDS = 30


@dataclass(frozen=True)
class Request:
    """The arguments of a training Job: the value of each parameter, and the requirements."""

    parameters: dict[str, int | float]
    requirements: tuple[str, ...]


def train(
    session: Session,
    environment: str,
    model: str,
    parameters: Sequence[str],
    requirements: Sequence[str],
    console: Console,
) -> str:
    """Start the Job in an environment, or find the one that already trains or has trained this; return its name.

    A Job that failed is made again. Raise DeliveryError naming a parameter that is not known or not allowed.
    """
    session.project.trainer(model, environment)
    document = session.project.models.load(model)
    arguments = _arguments(document, parameters, requirements)
    if document.data.source is not None:
        # boto3 takes long to import.
        from delivery.operations import data

        data.require(session, environment, document)
    jobs = session.jobs(environment)
    kubectl, namespace, template = jobs.kubectl, jobs.namespace, jobs.template(model)
    if template is None:
        raise DeliveryError(f"{namespace}: there is no template train-{model}; run `pulumi up --stack {environment}`")
    job = _job(template, model, arguments)
    name, made = _made(job)
    existing = jobs.job(name) or jobs.train_job(name)
    if existing and condition(existing, "Failed"):
        console.print(f"job {name} failed before; making it again", highlight=False)
        jobs.remove(name)
        existing = None
    if existing is None:
        action = (
            f"raise stellwerk:quota, or lower stellwerk:training.{model}.resources in {file_name(environment)} "
            f"(without it, training.resources in {session.project.models.file(model)})"
        )
        refuse_beyond_quota(kubectl, namespace, job["spec"]["template"]["spec"], action)
        kubectl.run("--namespace", namespace, "create", "-f", "-", stdin=json.dumps(made))
        console.print(f"job {name}: started", highlight=False)
    else:
        console.print(f"job {name}: exists already, same image, parameters and nodes", highlight=False)
    return name


def _arguments(model: Model, parameters: Sequence[str], requirements: Sequence[str]) -> list[str]:
    arguments = [model.name]
    # Sorted: another order is not another model.
    for given in sorted(parameters):
        key, equals, value = given.partition("=")
        name = key.replace("-", "_")
        if not equals or name not in model.parameters:
            allowed = ", ".join(f"{known}=…" for known in model.parameters) or "none"
            raise DeliveryError(f"--param {given}: not known; allowed: {allowed}")
        _value(model, name, value, f"--param {given}")
        arguments += [_option(name), value]
    for requirement in sorted(requirements):
        arguments += [_REQUIREMENT, requirement]
    return arguments


def _option(parameter: str) -> str:
    return f"--{parameter.replace('_', '-')}"


def _value(model: Model, name: str, text: str, place: str) -> int | float:
    """Return a parameter's value; raise DeliveryError with what models/<name>/model.yaml allows."""
    try:
        return model.parameters[name].read(text)
    except ValueError as error:
        about = model.parameters[name].description
        raise DeliveryError(
            f"{place}: {text!r} is not allowed for {name} ({about}); give {error}, as models/{model.name}/{FILE} says"
        ) from None


def read_arguments(job: str, model: Model, arguments: Sequence[str]) -> Request:
    """Return what a Job's arguments ask for; raise DeliveryError when `stellwerk train` does not make such."""
    names = {_option(name): name for name in model.parameters}
    options = list(zip(arguments[1::2], arguments[2::2], strict=False))
    unknown = [option for option, _ in options if option not in names and option != _REQUIREMENT]
    if list(arguments[:1]) != [model.name] or len(arguments) % 2 == 0 or unknown:
        raise DeliveryError(f"job {job}: its arguments are not those of `stellwerk train`: {' '.join(arguments)}")
    parameters = {name: parameter.default for name, parameter in model.parameters.items()}
    for option, value in options:
        if option in names:
            parameters[names[option]] = _value(model, names[option], value, f"job {job}: its arguments")
    asked = (value for option, value in options if option == _REQUIREMENT)
    # Those of the document first, and none twice: as the Job itself has it.
    return Request(parameters, tuple(dict.fromkeys((*model.requirements, *asked))))


def _job(template: dict[str, Any], model: str, arguments: list[str]) -> dict[str, Any]:
    """Return the Job's manifest."""
    body = template["spec"]["jobTemplate"]
    pod = body["spec"]["template"]["spec"]
    container = pod["containers"][0]
    container["args"] = arguments
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": job_name(model, pod), "labels": body["metadata"]["labels"]},
        "spec": body["spec"],
    }


def _made(job: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the name of the Job that is to run, and the manifest to create: itself, or the TrainJob that makes it."""
    metadata = job["metadata"]
    runtime = metadata["labels"].get(RUNTIME_LABEL)
    if runtime is None:
        return metadata["name"], job
    (container,) = job["spec"]["template"]["spec"]["containers"]
    # An image that the stack has changed since is not the one of the name.
    trainer = {"image": container["image"], "command": container["command"], "args": container["args"]}
    return job_of(metadata["name"]), {
        "apiVersion": "trainer.kubeflow.org/v1alpha1",
        "kind": "TrainJob",
        "metadata": metadata,
        "spec": {
            "runtimeRef": {"apiGroup": "trainer.kubeflow.org", "kind": "TrainingRuntime", "name": runtime},
            "trainer": trainer,
        },
    }


def job_name(model: str, pod: dict[str, Any]) -> str:
    """Return the name of the Job with this pod: made of image, parameters and nodes, so the same is trained once."""
    container = pod["containers"][0]
    # Other nodes have another device, and another device gives other weights.
    seed = json.dumps(
        [container["image"], container.get("args", []), pod.get("nodeSelector")]
        # Another number of workers gives other weights; a single one is the image's own command.
        + ([container["command"]] if "command" in container else [])
    )
    return f"train-{model}-{sha256(seed.encode()).hexdigest()[:8]}"


def wait(session: Session, environment: str, name: str, console: Console) -> None:
    """Follow an environment's Job to its end, showing its log and what it waits for.

    Raise DeliveryError with the reason when it fails, or when it is clear that it can never run.
    """
    shown = 0
    jobs = session.jobs(environment)
    waiting = Waiting(name, jobs.namespace, jobs.kubectl, session.clock)
    while True:
        job = jobs.job(name) or _awaited(jobs, name, session.clock.sleep, console)
        lines = _log(jobs, name, job)
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
        session.clock.sleep(1)


def _awaited(
    jobs: TrainingJobs, name: str, sleep: Callable[[float], None], console: Console
) -> dict[str, Any]:  # fmt: skip
    """Return a Job that Kubeflow Trainer is yet to make of its TrainJob; raise DeliveryError where it does not."""
    for second in range(_TRAINER_SECONDS):
        train_job = jobs.train_job(name)
        if train_job is None:
            raise DeliveryError(f"job {name} was deleted")
        failed = condition(train_job, "Failed")
        if failed:
            raise DeliveryError(f"job {name} failed: {failed.get('message', 'Kubeflow Trainer says no reason')}")
        if second == 0:
            console.print("  waiting for Kubeflow Trainer", style="dim")
        job = jobs.job(name)
        if job is not None:
            return job
        sleep(1)
    raise DeliveryError(
        f"Kubeflow Trainer has not made job {name} within {_TRAINER_SECONDS} s; see that its controller and JobSet's "
        "run, or set cluster.trainer: false and apply the environment"
    )


def condition(job: dict[str, Any], kind: str) -> dict[str, Any] | None:
    """Return a condition of a Job, None unless it holds."""
    conditions = job.get("status", {}).get("conditions", [])
    return next((item for item in conditions if item["type"] == kind and item["status"] == "True"), None)


def _log(jobs: TrainingJobs, name: str, job: dict[str, Any]) -> list[str]:
    """Return messages of the Job's ECS lines, of several workers the first's; others as they are. Empty: no log yet."""
    several = job.get("spec", {}).get("completionMode") == "Indexed"
    selector = f"batch.kubernetes.io/job-name={name},{INDEX_LABEL}=0"
    which = ("--selector", selector) if several else (f"job/{name}",)
    try:
        text = jobs.kubectl.run("--namespace", jobs.namespace, "logs", *which, "--tail=-1")
    except DeliveryError:
        return []
    return [_message(line) for line in text.splitlines()]


def _message(line: str) -> str:
    try:
        return str(json.loads(line)["message"])
    except (json.JSONDecodeError, TypeError, KeyError):
        return line
