"""`stellwerk runs`: the tracking server's runs of a model, newest first."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from components.kit import names, ports
from delivery.clients.kubectl import Kubectl
from delivery.errors import DeliveryError
from infra.values import PLATFORM


@dataclass(frozen=True)
class Tracking:
    """The tracking server, by a client whose addresses are those of its REST interface."""

    client: httpx.Client
    namespace: str

    def runs(self, model: str, limit: int) -> list[dict[str, Any]]:
        """Return run id, status, start (ms since 1970), metrics, parameters and tags of each run.

        Raise DeliveryError when the server does not answer or knows no such experiment.
        """
        try:
            return [_run(run) for run in self._search(model, limit)]
        except httpx.HTTPError as error:
            raise DeliveryError(
                f"tracking server: {error}; see `kubectl -n {self.namespace} logs statefulset/{names.TRACKING}`"
            ) from error

    def _search(self, model: str, limit: int) -> list[dict[str, Any]]:
        experiment = self.client.get("/experiments/get-by-name", params={"experiment_name": model})
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
def tracking(kubectl: Kubectl) -> Iterator[Tracking]:
    """Yield the tracking server of an environment, reached through the cluster as long as the context lasts."""
    namespace = f"{kubectl.environment}-{PLATFORM}"
    with kubectl.forwarded(namespace, names.TRACKING, ports.TRACKING) as port:
        url = f"http://127.0.0.1:{port}/api/2.0/mlflow"
        with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
            yield Tracking(client, namespace)


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
