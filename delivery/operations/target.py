"""`stellwerk doctor --target`: whether a cluster has what an environment's values ask of it, before it is applied."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from delivery.clients.cluster_api import ClusterApi
from delivery.errors import DeliveryError
from delivery.operations import target_nodes, target_rights
from delivery.operations.target_findings import Finding, Verdict
from delivery.operations.target_kinds import definitions, kserve, optional
from infra.contract.environment import PLATFORM, SERVING, TRAINING, Environment
from infra.services import object_store, registry

# Admission policies, by which models keep their owner, are in the API from this version on.
OLDEST = (1, 30)
# Seconds: tokens and certificates that are younger than a clock are refused.
_SKEW = 30
_LEVEL = "pod-security.kubernetes.io/enforce"
_DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
# Returns why an address cannot be reached from here, nothing where it answers.
Reach = Callable[[str], str]


@dataclass(frozen=True)
class Look:
    """A look at one cluster for one environment; `clock` says what time it is here."""

    api: ClusterApi
    environment: Environment
    reach: Reach
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    def findings(self) -> list[Finding]:
        """Return what was found; raise DeliveryError where the cluster does not answer at all."""
        version = self.api.read("/version") or {}
        findings = [_version(version)]
        parts: list[tuple[str, Callable[[], Iterator[Finding]]]] = [
            ("definitions", self._definitions),
            ("storage", self._storage),
            ("ways in", self._ways_in),
            ("admission", self._admission),
            ("rights", lambda: target_rights.check(self.api, self.environment)),
            ("nodes", lambda: target_nodes.check(self.api, self.environment)),
            ("services", self._services),
            ("clock", self._clock),
        ]
        for name, part in parts:
            try:
                findings += part()
            except DeliveryError as error:
                findings.append(
                    Finding(name, Verdict.UNKNOWN, _short(error), "ask the cluster's owner for the right to read it")
                )
        return findings

    def _definitions(self) -> Iterator[Finding]:
        known = definitions(self.api)
        yield kserve(self.api, self.environment, known)
        yield from optional(self.environment, known)

    def _storage(self) -> Iterator[Finding]:
        classes = _items(self.api, "/apis/storage.k8s.io/v1/storageclasses")
        default = [
            each["metadata"]["name"]
            for each in classes
            if each["metadata"].get("annotations", {}).get(_DEFAULT_CLASS) == "true"
        ]
        names = ", ".join(each["metadata"]["name"] for each in classes) or "none"
        wanted = self.environment.cluster.storage_class
        if wanted is not None:
            known = wanted in {each["metadata"]["name"] for each in classes}
            fix = "" if known else "name one of them in cluster.storageClass, or make this one"
            detail = wanted if known else f"no {wanted}; classes: {names}"
            yield Finding("storage class", Verdict.OK if known else Verdict.MISSING, detail, fix)
        elif len(default) == 1:
            yield Finding("default storage class", Verdict.OK, default[0])
        elif default:
            fix = f"leave the annotation {_DEFAULT_CLASS} on one of them"
            yield Finding("default storage class", Verdict.BLOCKED, f"several: {', '.join(default)}", fix)
        else:
            fix = f"set the annotation {_DEFAULT_CLASS}=true on one: volume claims name none"
            yield Finding("default storage class", Verdict.MISSING, f"classes: {names}", fix)

    def _ways_in(self) -> Iterator[Finding]:
        for name, path in (
            ("ingress classes", "/apis/networking.k8s.io/v1/ingressclasses"),
            ("Gateway classes", "/apis/gateway.networking.k8s.io/v1/gatewayclasses"),
        ):
            names = ", ".join(each["metadata"]["name"] for each in _items(self.api, path))
            yield Finding(name, Verdict.OK if names else Verdict.ABSENT, names or "none")
        balanced = [
            each["metadata"]["name"]
            for each in _items(self.api, "/api/v1/services")
            if each["spec"].get("type") == "LoadBalancer"
            and each.get("status", {}).get("loadBalancer", {}).get("ingress")
        ]
        text = f"gives addresses: {', '.join(balanced)}" if balanced else "no Service has an address of one"
        yield Finding("load balancer", Verdict.OK if balanced else Verdict.ABSENT, text)

    def _admission(self) -> Iterator[Finding]:
        path = "/apis/admissionregistration.k8s.io/v1/{}webhookconfigurations"
        strict = sorted(
            each["metadata"]["name"]
            for kind in ("mutating", "validating")
            for each in _items(self.api, path.format(kind))
            if any(_judges_pods(webhook) for webhook in each.get("webhooks", []))
        )
        if strict:
            fix = "pods are 'restricted' by Pod Security; see that its policies take those, and that it answers"
            yield Finding("webhooks on pods", Verdict.NOTE, ", ".join(strict), fix)
        for each in _items(self.api, "/api/v1/namespaces"):
            namespace, labels = each["metadata"]["name"], each["metadata"].get("labels", {})
            if namespace in map(self.environment.namespace, (PLATFORM, TRAINING, SERVING)):
                level = labels.get(_LEVEL)
                verdict = Verdict.OK if level else Verdict.BLOCKED
                fix = "" if level else "somebody else made it: delete it, or choose another name of the environment"
                yield Finding(f"namespace {namespace}", verdict, f"Pod Security: {level or 'no level'}", fix)

    def _services(self) -> Iterator[Finding]:
        if not registry.runs(self.environment):
            address = registry.address(self.environment).partition("/")[0]
            yield self._reached("registry", f"https://{address}/v2/")
        store = object_store.external_url(self.environment)
        if not object_store.runs(self.environment) and store is not None:
            yield self._reached("object store", store)

    def _reached(self, name: str, url: str) -> Finding:
        problem = self.reach(url)
        if problem:
            return Finding(name, Verdict.MISSING, f"{url}: {problem}", "correct the address, or open the way to it")
        return Finding(name, Verdict.OK, f"{url} answers from here")

    def _clock(self) -> Iterator[Finding]:
        server_time = self.api.now()
        if server_time is None:
            yield Finding("clock", Verdict.UNKNOWN, "the API server did not say its time", "compare it by hand")
            return
        skew = abs((server_time - self.clock()).total_seconds())
        if skew <= _SKEW:
            yield Finding("clock", Verdict.OK, f"{skew:.0f} s from this machine's")
        else:
            yield Finding("clock", Verdict.BLOCKED, f"{skew:.0f} s from this machine's", "synchronise both by NTP")


def _version(answer: dict[str, Any]) -> Finding:
    text = str(answer.get("gitVersion", ""))
    numbers = text.lstrip("v").split(".")[:2]
    wanted = ".".join(map(str, OLDEST))
    if len(numbers) < 2 or not all(number.isdigit() for number in numbers):
        return Finding("Kubernetes", Verdict.UNKNOWN, text or "no version", f"see that it is {wanted} or newer")
    if tuple(map(int, numbers)) < OLDEST:
        return Finding("Kubernetes", Verdict.OLD, text, f"upgrade it to {wanted} or newer")
    return Finding("Kubernetes", Verdict.OK, text)


def _judges_pods(webhook: dict[str, Any]) -> bool:
    rules = webhook.get("rules", [])
    return webhook.get("failurePolicy") == "Fail" and any(
        {"pods", "*", "*/*"} & set(rule["resources"]) for rule in rules
    )


def _items(api: ClusterApi, path: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (api.read(path) or {}).get("items", [])
    return items


def _short(error: DeliveryError) -> str:
    return str(error).splitlines()[0][:300]
