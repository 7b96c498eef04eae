"""Secrets of the cluster, named by what is in them."""

import hashlib
import json
from collections.abc import Mapping

import pulumi

from components.kit.kubernetes import core, meta
from components.kit.options import child

# Hexadecimal digits: enough to tell two versions apart, too few to tell whether a guess of the content is right.
_DIGITS = 8


def declare_secret(
    name: str,
    namespace: pulumi.Input[str],
    data: Mapping[str, pulumi.Input[str]],
    parent: pulumi.Resource,
    kind: str | None = None,
) -> pulumi.Output[str]:
    """Declare a Secret with these texts by key, and return its name: `name` and the begin of the content's digest.

    Other content is another Secret, so that the pods that name it roll and the old ones keep theirs until then. The
    same content is the same one: an update that knows nothing of what a killed one has made takes it over.
    """
    digests = pulumi.Output.all(**data).apply(_digest)
    title = pulumi.Output.concat(name, "-", pulumi.Output.unsecret(digests))
    secret = core.v1.Secret(
        name,
        metadata=meta.v1.ObjectMetaArgs(name=title, namespace=namespace),
        type=kind,
        string_data=data,
        opts=child(parent),
    )
    return secret.metadata.name


def _digest(data: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:_DIGITS]
