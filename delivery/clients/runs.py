"""`stellwerk runs`: the tracking server's runs of a model, newest first."""

from typing import Any

import httpx

from delivery.clients.kube import forwarded
from delivery.errors import DeliveryError
from delivery.operations.train import ENVIRONMENT
from infra.values import PLATFORM

PORT = 5000


def runs(model: str, limit: int) -> list[dict[str, Any]]:
    """Run id, status, start (ms since 1970), metrics, parameters and tags of each run.

    Raises DeliveryError when the server is not reached or knows no such experiment.
    """
    with forwarded(ENVIRONMENT, f"{ENVIRONMENT}-{PLATFORM}", "tracking", PORT) as port:
        try:
            found = _search(f"http://127.0.0.1:{port}/api/2.0/mlflow", model, limit)
        except httpx.HTTPError as error:
            raise DeliveryError(
                f"tracking server: {error}; see `kubectl -n dev-platform logs statefulset/tracking`"
            ) from error
    return [_run(run) for run in found]


def _search(url: str, model: str, limit: int) -> list[dict[str, Any]]:
    with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
        experiment = client.get("/experiments/get-by-name", params={"experiment_name": model})
        if experiment.status_code == 404:
            raise DeliveryError(f"the tracking server has no run of {model} yet; run `stellwerk train {model}`")
        experiment.raise_for_status()
        query = {
            "experiment_ids": [experiment.json()["experiment"]["experiment_id"]],
            "max_results": limit,
            "order_by": ["attributes.start_time DESC"],
        }
        answer = client.post("/runs/search", json=query)
        answer.raise_for_status()
        found: list[dict[str, Any]] = answer.json().get("runs", [])
        return found


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
