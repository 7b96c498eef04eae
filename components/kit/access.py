"""What components hand to one another to reach a service: values with names, no loose strings."""

from collections.abc import Mapping
from typing import NotRequired, TypedDict

import pulumi


class PodResourcesArgs(TypedDict):
    """What a pod asks for."""

    cpu: str
    """CPU cores that it requests, as text."""
    memory: str
    """Memory, in bytes with a binary unit: request and limit."""


class LoginArgs(TypedDict):
    """A login of a service."""

    username: pulumi.Input[str]
    """Name of the user."""
    password: pulumi.Input[str]
    """Password of the user, a secret."""


class KeyPairArgs(TypedDict):
    """What a server proves its name with."""

    certificate: pulumi.Input[str]
    """Certificate, PEM."""
    key: pulumi.Input[str]
    """Private key of the certificate, PEM, a secret."""


def key_pair_files(pair: KeyPairArgs) -> dict[str, pulumi.Input[str]]:
    """Return a key pair as the files of a Secret of type `kubernetes.io/tls`."""
    return {"tls.crt": pair["certificate"], "tls.key": pair["key"]}


class TrackingAccessArgs(TypedDict):
    """How a pod reaches a tracking server."""

    uri: pulumi.Input[str]
    """MLFLOW_TRACKING_URI."""
    login: NotRequired[LoginArgs | None]
    """Login of the server; absent where it has none."""
    private: NotRequired[bool]
    """Whether its certificate comes from an authority of the pod's trust bundle, and not from a public one."""


class LogStoreAccessArgs(TypedDict):
    """How a pod ships its own lines; exactly one of `index` and `data_stream`."""

    url: pulumi.Input[str]
    """https URL of Elasticsearch, as pods reach it."""
    login: LoginArgs
    """User that may create documents."""
    trust_bundle: pulumi.Input[str]
    """Certificates of the authorities that the store's own may come from, PEM."""
    environment: str
    """Name of the environment, for the log."""
    index: NotRequired[str | None]
    """What the names of the environment's daily indices begin with."""
    data_stream: NotRequired[str | None]
    """Data stream that takes all lines."""


class StaticKeysArgs(TypedDict):
    """An S3 login that stays the same until somebody changes it."""

    access_key: pulumi.Input[str]
    """Access key."""
    secret_key: pulumi.Input[str]
    """Secret key, a secret."""


class WorkloadIdentityArgs(TypedDict):
    """An identity that the cloud gives to a pod by its service account: IRSA, GKE workload identity and the like."""

    annotations: Mapping[str, pulumi.Input[str]]
    """Annotations of the pod's service account, such as eks.amazonaws.com/role-arn; none where the cloud knows it."""


class StoreAccessArgs(TypedDict):
    """How a pod reaches a bucket of an S3 store; exactly one of `keys` and `identity`."""

    bucket: str
    """Name of the bucket."""
    region: NotRequired[str | None]
    """Region of the store, such as eu-central-1; absent, us-east-1, which stores without regions take."""
    endpoint: NotRequired[pulumi.Input[str] | None]
    """URL of the store; absent, it is the cloud's own for the region."""
    keys: NotRequired[StaticKeysArgs | None]
    """Static keys."""
    identity: NotRequired[WorkloadIdentityArgs | None]
    """Identity of the pod."""
    virtual_hosts: NotRequired[bool]
    """Whether the bucket is a part of the host's name; absent, of the path, which stores of one's own know."""
    trust_bundle: NotRequired[pulumi.Input[str] | None]
    """Certificates of the authorities that the store's own may come from, PEM; absent, the public ones."""
