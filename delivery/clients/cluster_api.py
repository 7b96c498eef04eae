"""What a cluster is asked before anything is put there: its API by path, rights, and its clock. Nothing is changed."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from delivery.clients.kubectl import Kubectl
from delivery.errors import DeliveryError

Object = dict[str, Any]

_REVIEWS = "authorization.k8s.io/v1"


@dataclass(frozen=True)
class Right:
    """A verb on a resource of an API group, or on one of a name, in a namespace or, without one, cluster-wide."""

    verb: str
    group: str
    resource: str
    namespace: str = ""
    name: str = ""

    def __str__(self) -> str:
        """Return it as kubectl writes it."""
        place = f" in {self.namespace}" if self.namespace else ""
        one = f" {self.name}" if self.name else ""
        return f"{self.verb} {self.resource}{'.' if self.group else ''}{self.group}{one}{place}"


class ClusterApi(Protocol):
    """A cluster's answers, from itself or recorded."""

    def read(self, path: str) -> Object | None:
        """Return what is at a path, None where it is not; raise DeliveryError where it may not be read."""

    def denied(self, rights: Sequence[Right]) -> list[Right]:
        """Return those of the rights that whoever asks does not have."""

    def now(self) -> datetime | None:
        """Return the time on the API server, None where it does not say it."""


@dataclass(frozen=True)
class AskedCluster:
    """The cluster itself."""

    kubectl: Kubectl

    def read(self, path: str) -> Object | None:
        """Return what is at a path, None where it is not; raise DeliveryError where it may not be read."""
        try:
            answer: Object = json.loads(self.kubectl.run("get", "--raw", path, "--request-timeout=20s"))
        except DeliveryError as error:
            if "NotFound" in str(error) or "could not find the requested resource" in str(error):
                return None
            raise
        return answer

    def denied(self, rights: Sequence[Right]) -> list[Right]:
        """Return those of the rights that whoever asks does not have: all in one call."""
        reviews = [
            {
                "apiVersion": _REVIEWS,
                "kind": "SelfSubjectAccessReview",
                "spec": {
                    "resourceAttributes": {
                        "verb": right.verb, "group": right.group, "resource": right.resource,
                        "namespace": right.namespace, "name": right.name,
                    }
                },
            }
            for right in rights
        ]  # fmt: skip
        body = json.dumps({"apiVersion": "v1", "kind": "List", "items": reviews})
        answers = _documents(self.kubectl.run("create", "-f", "-", "-o", "json", stdin=body))
        return [right for right, answer in zip(rights, answers, strict=True) if not answer["status"]["allowed"]]

    def now(self) -> datetime | None:
        """Return when the API server would have made an object just now; it makes none."""
        name = "stellwerk-clock"
        body = json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        try:
            made: Object = json.loads(
                self.kubectl.run("create", "--dry-run=server", "-f", "-", "-o", "json", stdin=body)
            )
        except DeliveryError:
            return None
        return datetime.fromisoformat(made["metadata"]["creationTimestamp"])


def _documents(text: str) -> Iterator[Object]:
    """Yield the documents that kubectl prints one after another."""
    decoder, rest = json.JSONDecoder(), text.strip()
    while rest:
        document, end = decoder.raw_decode(rest)
        yield document
        rest = rest[end:].lstrip()
