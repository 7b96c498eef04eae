"""Waits, after an update of KServe's controller, until its webhooks are those of the new pods alone.

Its Deployment is complete while pods of before still end, and the API server reaches one of those, too: it refuses the
connection, or judges by the rules of its version.
"""

import asyncio
import json
import time
from collections.abc import Callable

from components.serving.looks import Kubectl, UnansweredError, beside

# So many times in a row the webhooks agree: each question may reach another pod.
_AGREED = 3
# A pod has ten seconds to end; on a node that is lost it never does.
_SECONDS = 120
# It is never made.
_SERVICE = {
    "apiVersion": "serving.kserve.io/v1beta1",
    "kind": "InferenceService",
    "metadata": {"name": "dry-run"},
    "spec": {"predictor": {"containers": [{"name": "kserve-container", "image": "none"}]}},
}


async def until_replaced(
    app: str, run: Kubectl, report: Callable[[str], None], seconds: float = _SECONDS, rest: float = 1
) -> None:
    """Return once no pod labelled `app` is ending, and the webhooks take an inference service.

    `run` is kubectl in the controller's namespace. After `seconds` `report` gets what is still amiss, and the wait is
    over: what comes next says for itself why it fails. Raise NotServingError where the cluster cannot be asked.
    """
    began, agreed = time.monotonic(), 0
    while True:
        amiss = await beside(_amiss, app, run)
        agreed = 0 if amiss else agreed + 1
        if agreed == _AGREED:
            return
        if time.monotonic() - began > seconds:
            report(f"KServe's webhooks may refuse what follows; then apply again: {amiss or 'they have just begun'}")
            return
        await asyncio.sleep(rest)


def _amiss(app: str, run: Kubectl) -> str:
    """Return which pods of before are left, or why the webhooks refuse an inference service; "" if neither."""
    ending = "jsonpath={.items[?(@.metadata.deletionTimestamp)].metadata.name}"
    try:
        if left := run("get", "pods", "--selector", f"app={app}", "--output", ending):
            return f"still ending: {left}"
        run("create", "--dry-run=server", "--filename=-", stdin=json.dumps(_SERVICE))
    except UnansweredError as error:
        return str(error)
    return ""
