"""What a training Job waits for, by the Job's, its pods' and their events' own words."""

import json
import re
from dataclasses import dataclass, field
from typing import Any

from delivery.clients.kubectl import Kubectl
from delivery.clock import Clock
from delivery.errors import DeliveryError
from delivery.operations.events import events, largest_node, refuse_beyond_quota, requested, room, scaling, shown
from delivery.operations.pool_room import pool_lines, unscheduled

# A second try often succeeds; after so many seconds it counts.
_PATIENCE = 60
_LASTING = ("ErrImagePull", "ImagePullBackOff", "CreateContainerConfigError", "CreateContainerError")
_FINAL = ("InvalidImageName", "ErrImageNeverPull")
# Refusals that stay until somebody changes something; others come and go.
_REFUSED = re.compile(r"violates PodSecurity|failed quota|(maximum|minimum) \w+ usage per|denied the request")
_INSUFFICIENT = re.compile(r"Insufficient (cpu|memory)")


@dataclass
class Waiting:
    """Follow what a Job waits for; each reason is said once."""

    name: str
    namespace: str
    kubectl: Kubectl
    clock: Clock
    _said: set[str] = field(default_factory=set)
    _last: str = ""
    _since: tuple[str, float] = ("", 0.0)

    def look(self, job: dict[str, Any]) -> list[str]:
        """Return lines that were not said yet; raise DeliveryError when waiting makes no sense."""
        lines = self._lines(job)
        if not lines or lines[0] in self._said:
            return []
        self._said.add(lines[0])
        self._last = lines[0]
        return lines

    def reason(self, failed: dict[str, Any], log: list[str]) -> str:
        """Return why the Job failed: what killed it, else its last words, else what it has waited for."""
        for pod in self._pods():
            for container in pod["status"].get("containerStatuses", []):
                if container["state"].get("terminated", {}).get("reason") == "OOMKilled":
                    limit = pod["spec"]["containers"][0].get("resources", {}).get("limits", {}).get("memory", "none")
                    return f"OOMKilled: it needs more memory than its limit of {limit}; raise its resources.memory"
            if pod["status"].get("reason") == "Evicted":
                return f"Evicted: {pod['status'].get('message', '')}"
        if log:
            return log[-1]
        message = failed.get("message", "no reason given")
        return f"{message}; it waited: {self._last}" if self._last else message

    def _lines(self, job: dict[str, Any]) -> list[str]:
        if job.get("spec", {}).get("suspend"):
            patch = f"""kubectl -n {self.namespace} patch job {self.name} -p '{{"spec":{{"suspend":false}}}}'"""
            return [f"suspended: somebody stopped it; `{patch}` lets it run"]
        pods = self._pods()
        return self._of_pods(pods) if pods else self._refused(job)

    def _refused(self, job: dict[str, Any]) -> list[str]:
        """Return why there is no pod."""
        # A Job of this name may have been there before.
        uid = job["metadata"].get("uid", "")
        said = events(self.kubectl, self.namespace, "Job", self.name)
        warnings = [event for event in said if event.warning and event.uid == uid]
        if not warnings:
            return []
        message = f"{warnings[-1].reason}: {warnings[-1].message}"
        if _REFUSED.search(message):
            raise DeliveryError(f"job {self.name}: its pods are refused: {message}")
        # The pod's name in it is another one each time.
        text = re.sub(r'pods "[^"]*"', "its pod", message)
        if "exceeded quota" not in text:
            return [text]
        action = f"raise stellwerk:quota, `pulumi up`, or `kubectl -n {self.namespace} delete job {self.name}`"
        refuse_beyond_quota(self.kubectl, self.namespace, job["spec"]["template"]["spec"], action)
        resource = "memory" if "memory=" in text.partition("used:")[0] else "cpu"
        # What is used changes while others come and go: the first words are what is said once.
        first, _, numbers = text.partition(", used:")
        return [f"waits for room in the quota: {first}", f"  used:{numbers}", *self._room(resource, self.namespace)]

    def _of_pods(self, pods: list[dict[str, Any]]) -> list[str]:
        for pod in pods:
            for container in pod["status"].get("containerStatuses", []):
                state = container["state"].get("waiting", {})
                if state:
                    return self._container(pod, state.get("reason", ""), state.get("message", ""))
            for item in pod["status"].get("conditions", []):
                if item["type"] == "PodScheduled" and item["status"] == "False":
                    return self._unscheduled(pod, unscheduled(pod, item.get("message", "")))
        return []

    def _unscheduled(self, pod: dict[str, Any], text: str) -> list[str]:
        """Return why the pod has no node; what an autoscaler says of it comes first: only that is said later."""
        said = scaling(self.kubectl, self.namespace, pod.get("metadata", {}).get("name", ""))
        pool, short = pool_lines(self.kubectl, pod), _INSUFFICIENT.search(text)
        more = self._short(pod, short[1]) if short and not said and not pool else [f"  {line}" for line in pool]
        return [said, f"  {text}", *more] if said else [text, *more]

    def _short(self, pod: dict[str, Any], resource: str) -> list[str]:
        """Return what takes the room, and whether there could be enough of it."""
        needs, most = requested(pod, resource), largest_node(self.kubectl, resource)
        if 0 < most < needs:
            size = f"and the largest node has {shown(most, resource)}: it fits on none of them"
            return [f"  it requests {shown(needs, resource)} {resource}, {size}"]
        return self._room(resource, None)

    def _container(self, pod: dict[str, Any], reason: str, message: str) -> list[str]:
        text = f"{reason} {message}".strip()
        if self._since[0] != reason.replace("ErrImagePull", "ImagePullBackOff"):
            self._since = (reason.replace("ErrImagePull", "ImagePullBackOff"), self.clock.monotonic())
        lasts = reason in _LASTING and self.clock.monotonic() - self._since[1] >= _PATIENCE
        if reason in _FINAL or lasts:
            raise DeliveryError(f"job {self.name} cannot start: {text}")
        if reason != "ContainerCreating":
            return [text]
        # A volume that cannot be mounted is an event, and nothing else.
        name = pod.get("metadata", {}).get("name", "")
        warnings = (
            [event for event in events(self.kubectl, self.namespace, "Pod", name) if event.warning] if name else []
        )
        return [f"{warnings[-1].reason}: {warnings[-1].message}"] if warnings else [text]

    def _room(self, resource: str, namespace: str | None) -> list[str]:
        return [f"  {line}" for line in room(self.kubectl, resource, namespace)]

    def _pods(self) -> list[dict[str, Any]]:
        selector = f"batch.kubernetes.io/job-name={self.name}"
        place = ("--namespace", self.namespace, "get", "pods", "--selector", selector, "-o", "json")
        pods: list[dict[str, Any]] = json.loads(self.kubectl.run(*place))["items"]
        return pods
