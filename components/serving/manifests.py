"""The parts of KServe's custom resources that are used here, in the API's spelling."""

from collections.abc import Mapping, Sequence
from typing import Any, NotRequired, TypedDict

import pulumi

from components.kit.pods import Resources
from components.kit.security import ContainerSecurity, PodSecurity


class Variable(TypedDict):
    """An environment variable: a value, a key of a Secret, or a field of the pod."""

    name: str
    value: NotRequired[pulumi.Input[str]]
    valueFrom: NotRequired[Mapping[str, Mapping[str, pulumi.Input[str]]]]


class Mount(TypedDict):
    """Where a container sees a volume."""

    name: str
    mountPath: str
    readOnly: NotRequired[bool]


class SecretSource(TypedDict):
    """Keys of a Secret by their path in a volume."""

    secretName: pulumi.Input[str]
    items: Sequence[Mapping[str, str]]


class Volume(TypedDict):
    """A volume of a pod; one of its kinds."""

    name: str
    emptyDir: NotRequired[Mapping[str, str]]
    secret: NotRequired[SecretSource]


class Probe(TypedDict):
    """An HTTP probe; times in seconds."""

    httpGet: Mapping[str, str | int]
    periodSeconds: int
    timeoutSeconds: int
    failureThreshold: int
    terminationGracePeriodSeconds: NotRequired[int]


class RuntimeSecurity(ContainerSecurity):
    """securityContext of a container whose pod has none of its own."""

    seccompProfile: Mapping[str, str]


class Container(TypedDict):
    """A container of a pod."""

    name: str
    image: NotRequired[pulumi.Input[str]]
    command: NotRequired[Sequence[str]]
    env: Sequence[Variable]
    ports: NotRequired[Sequence[Mapping[str, str | int]]]
    startupProbe: NotRequired[Probe]
    readinessProbe: NotRequired[Probe]
    livenessProbe: NotRequired[Probe]
    resources: Resources
    securityContext: ContainerSecurity
    volumeMounts: Sequence[Mount]


class Model(TypedDict):
    """What an InferenceService serves: values for the runtime's container."""

    modelFormat: Mapping[str, str]
    protocolVersion: str
    runtime: pulumi.Input[str]
    storageUri: str
    image: str
    env: Sequence[Variable]
    resources: Resources
    volumeMounts: NotRequired[Sequence[Mount]]


class Strategy(TypedDict):
    """How pods of one revision follow those of another."""

    type: str
    rollingUpdate: Mapping[str, int]


class Predictor(TypedDict):
    """The pods of an InferenceService."""

    deploymentStrategy: Strategy
    terminationGracePeriodSeconds: int
    automountServiceAccountToken: bool
    serviceAccountName: NotRequired[pulumi.Input[str]]
    imagePullSecrets: NotRequired[Sequence[Mapping[str, pulumi.Input[str]]]]
    securityContext: PodSecurity
    model: Model
    initContainers: Sequence[Container]
    volumes: NotRequired[Sequence[Volume]]
    annotations: NotRequired[Mapping[str, str]]
    resourceClaims: NotRequired[Sequence[Mapping[str, Any]]]
    nodeSelector: NotRequired[Mapping[str, str]]
    tolerations: NotRequired[Sequence[Mapping[str, str]]]
    topologySpreadConstraints: Sequence[Mapping[str, Any]]
    priorityClassName: NotRequired[pulumi.Input[str]]


class Runtime(TypedDict):
    """Spec of a ClusterServingRuntime."""

    supportedModelFormats: Sequence[Mapping[str, str | bool | int]]
    protocolVersions: Sequence[str]
    multiModel: bool
    containers: Sequence[Container]
    volumes: Sequence[Volume]
