"""`stellwerk runs`: the tracking server's runs of a model, newest first."""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from delivery.clients.endpoint import trust
from delivery.clients.engine import Engine
from delivery.clients.kubectl import Kubectl
from delivery.errors import DeliveryError
from infra.contract.environment import Environment
from infra.services import tracking as service

# Service, namespace, port and path of a URL that only the cluster knows.
_INSIDE = re.compile(r"http://([a-z0-9-]+)\.([a-z0-9-]+)\.svc(?:\.cluster\.local)?:([0-9]+)(/\S*)?")


@dataclass(frozen=True)
class Tracking:
    """The tracking server, by a client whose addresses are those of its REST interface.

    `where` says to people where to look when it does not answer; `called` returns what it calls a model.
    """

    client: httpx.Client
    where: str
    called: Callable[[str], str] = str

    def runs(self, model: str, limit: int) -> list[dict[str, Any]]:
        """Return run id, status, start (ms since 1970), metrics, parameters and tags of each run.

        Raise DeliveryError when the server does not answer or knows no such experiment.
        """
        try:
            return [_run(run) for run in self._search(model, limit)]
        except httpx.HTTPError as error:
            raise DeliveryError(f"tracking server: {error}; {self.where}") from error

    def run(self, identity: str) -> dict[str, Any] | None:
        """Return a run by its id, None where the server has no such one; raise DeliveryError where it fails."""
        try:
            answer = self.client.get("/runs/get", params={"run_id": identity})
            if answer.status_code == 404:
                return None
            answer.raise_for_status()
            return _run(answer.json()["run"])
        except httpx.HTTPError as error:
            raise DeliveryError(f"tracking server: {error}; {self.where}") from error

    def _search(self, model: str, limit: int) -> list[dict[str, Any]]:
        experiment = self.client.get("/experiments/get-by-name", params={"experiment_name": self.called(model)})
        if experiment.status_code == 404:
            raise DeliveryError(f"the tracking server has no run of {model} yet; run `stellwerk train {model}`")
        experiment.raise_for_status()
        query = {
            "experiment_ids": [experiment.json()["experiment"]["experiment_id"]],
            "max_results": limit,
            "order_by": ["attributes.start_time DESC"],
        }
        answer = self.client.post("/runs/search", json=query)
        answer.raise_for_status()
        runs: list[dict[str, Any]] = answer.json().get("runs", [])
        return runs


@contextmanager
def tracking(values: Environment, kubectl: Kubectl, engine: Engine) -> Iterator[Tracking]:
    """Yield the tracking server of an environment, as long as the context lasts.

    One inside the cluster is reached through the API server, another one by its URL with its login.
    """
    url = service.external_url(values) or service.url_inside(values)
    inside = _INSIDE.fullmatch(url)
    with ExitStack() as ending:
        login, where = None, "ask who runs it"
        if inside:
            name, namespace, port, path = inside.groups(default="")
            where = f"see `kubectl -n {namespace} logs statefulset/{name}`"
            url = f"http://127.0.0.1:{ending.enter_context(kubectl.forwarded(namespace, name, int(port)))}{path}"
        else:
            login = _login(engine, values.environment)
        verified = trust(values) if url.startswith("https://") else True
        base = f"{url.rstrip('/')}/api/2.0/mlflow"
        client = httpx.Client(base_url=base, auth=login, verify=verified, timeout=60, trust_env=False)
        yield Tracking(ending.enter_context(client), where, values.shared_name)


def _login(engine: Engine, environment: str) -> tuple[str, str] | None:
    """Return the login of a tracking server that runs elsewhere; None where it has none."""
    keys = engine.credentials(environment).get("tracking", {})
    return (keys["username"], keys["password"]) if "username" in keys else None


def _run(run: dict[str, Any]) -> dict[str, Any]:
    data = run["data"]
    tags = {tag["key"]: tag["value"] for tag in data.get("tags", [])}
    return {
        "run_id": run["info"]["run_id"],
        "status": run["info"]["status"],
        "start_time": run["info"]["start_time"],
        "commit": tags.get("mlflow.source.git.commit"),
        "job": tags.get("stellwerk.job"),
        "data_digest": tags.get("stellwerk.data.digest"),
        "metrics": {metric["key"]: metric["value"] for metric in data.get("metrics", [])},
        "parameters": {parameter["key"]: parameter["value"] for parameter in data.get("params", [])},
    }
