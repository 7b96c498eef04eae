"""Composes one environment of the components, by its values."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pulumi
import pulumi_kubernetes as kubernetes

from components.cluster.node_pool import NodePool
from components.cluster.ownership import OwnershipPolicy
from components.cluster.tenant import Tenant
from components.gateway.gateway import Gateway
from components.gateway.traefik import RouteArgs
from components.kit.access import KeyPairArgs, StaticKeysArgs, StoreAccessArgs
from components.logging.log_stack import LogStack
from components.registry.image_build import ImageBuild
from components.registry.image_registry import ImageRegistry
from components.registry.pull_secret import PullSecret
from components.serving.inference_service import InferenceService, url
from components.serving.kserve import RUNTIME, KServe
from components.storage.object_store import ObjectStore
from components.tracking.tracking_server import TrackingServer
from components.training.training_pipeline import TrainingPipeline
from infra.contexts import stage, stage_documents
from infra.contract.environment import Environment, Mode
from infra.contract.model import Models
from infra.contract.problems import ConfigError
from infra.credentials import Credentials, KeyPair, S3Keys, secret
from infra.local.base_image import EPOCH
from infra.machine import Machine
from infra.ownership import mark_objects
from infra.revision import TRAINING_SOURCES, revision
from infra.values import KSERVE, PLATFORM, ROOT, SERVING, TRAINING, Loaded

Value = TypeVar("Value")
_STORAGE = {"registry": "15Gi", "object-store": "10Gi", "tracking": "5Gi", "log-store": "5Gi"}


@dataclass(frozen=True)
class _Build:
    """An image of this stack: its folder, the named contexts it copies from, the image before it that it builds on."""

    folder: str
    # What of this checkout goes into it: the last commit that touched it is its revision.
    sources: tuple[str, ...] = ()
    contexts: Mapping[str, str] = field(default_factory=dict)
    base: str | None = None
    sets_times: bool = False


@dataclass(frozen=True)
class _Store:
    """URLs of the object store: inside the cluster, there for those who only read, and outside."""

    endpoint: pulumi.Input[str]
    reader: pulumi.Input[str]
    external: pulumi.Input[str]


@dataclass
class Program:
    """One environment while it is being composed."""

    loaded: Loaded
    credentials: Credentials
    machine: Machine

    def __post_init__(self) -> None:
        # ConfigMaps change in place: what reads them carries their digest and rolls by itself.
        # The kubeconfig is what KUBECONFIG names when the engine runs. Its path in the state would be taken for another
        # cluster on another machine, and everything for replaced.
        provider = kubernetes.Provider(
            "cluster", context=self.environment.cluster.context, kubeconfig="", enable_config_map_mutable=True
        )
        self._opts = pulumi.ResourceOptions(providers=[provider])
        mark_objects()

    @property
    def environment(self) -> Environment:
        """The values."""
        return self.loaded.environment

    def compose(self) -> None:
        """Declares every resource of the environment and exports what the command reads."""
        if not self.environment.cluster.shared:
            OwnershipPolicy("ownership", {"policy": "stellwerk-ownership"}, self._opts)
        purposes = [PLATFORM, SERVING, *([TRAINING] if self.environment.training else [])]
        controllers = [] if self.environment.cluster.shared else [KSERVE]
        self._namespaces = self._tenant([*purposes, *controllers])
        registry = self._registry()
        self._pull_secrets = {purpose: self._pull_secret(purpose) for purpose in purposes}
        images = self._images(registry)
        store = self._object_store()
        for pool in self.environment.node_pools:
            if pool.simulated:
                opts = self._opts
                NodePool(pool.name, {"accelerator": pool.accelerator, "gpus": pool.gpus, "nodes": pool.nodes}, opts)
        self._log_stack(images)
        self._training(images, store.endpoint, self._tracking(images, store.endpoint))
        gateway = self._gateway()
        self._serving(store.reader, self._kserve(images))
        pulumi.export("gateway", gateway.url)
        pulumi.export("objectStore", store.external)
        pulumi.export("images", images)
        pulumi.export("models", {name: model.release for name, model in self.environment.models.items()})

    def _tenant(self, purposes: list[str]) -> Mapping[str, pulumi.Output[str]]:
        values = self.environment
        tenant = Tenant(
            "tenant",
            {
                "environment": values.environment.value,
                "namespaces": purposes,
                "quota": {
                    "cpu": values.quota.cpu,
                    "memory": values.quota.memory,
                    "pods": values.quota.pods,
                    "storage": values.quota.storage,
                },
                "node_ports": {PLATFORM: self._node_ports()},
                "developers": values.roles.developers,
                "operators": values.roles.operators,
            },
            self._opts,
        )
        return tenant.namespaces

    def _node_ports(self) -> int:
        """The gateway's, and one for each service that this stack runs and clients outside reach."""
        values = self.environment
        modes = (values.registry.mode, values.object_store.mode, values.logging.mode)
        return 1 + sum(mode is Mode.EMBEDDED for mode in modes)

    def _registry(self) -> pulumi.Input[str]:
        """The registry's address, known once it answers."""
        values = self.environment
        if values.registry.mode is Mode.EXTERNAL:
            return values.registry.address
        pair = _present(self.credentials.tls.registry)
        registry = ImageRegistry(
            "registry",
            {
                "namespace": self._namespaces[PLATFORM],
                "image": values.images.registry,
                "address": values.registry.address,
                "tls": _pair(pair),
                "proxy_image": values.images.traefik,
                "readers": secret(self.credentials.registry.htpasswd),
                "writers": secret(_present(self.credentials.registry.push).htpasswd),
                "storage": _STORAGE["registry"],
            },
            self._opts,
        )
        return registry.address

    def _pull_secret(self, purpose: str) -> pulumi.Output[str]:
        login = self.credentials.registry
        args = PullSecret(
            f"pull-{purpose}",
            {
                "namespace": self._namespaces[purpose],
                "address": self.environment.registry.address,
                "login": {"username": login.username, "password": secret(login.password)},
            },
            self._opts,
        )
        return args.secret_name

    def _builds(self) -> dict[str, _Build]:
        """The images that this environment needs and builds itself."""
        values, builds = self.environment, {}
        if not values.cluster.shared:
            builds["serving"] = _Build(_staged("serving", "serving"), ("serving",))
        if values.training:
            torch = "training/torch"
            builds["training-torch"] = _Build(_staged("training-torch", torch), (torch,), sets_times=True)
            models = stage_documents(Models(ROOT / "models").documents(), "model.json", ROOT / ".contexts/models")
            contexts = {"models": _relative(models)}
            builds["training"] = _Build(
                _staged("training", "training"), TRAINING_SOURCES, contexts, base="training-torch"
            )
        if values.tracking.enabled:
            folder = "components/tracking/images"
            builds |= {
                name: _Build(_staged(name, f"{folder}/{name}"), (f"{folder}/{name}",))
                for name in ("mlflow", "postgres")
            }
        if self.machine.elasticsearch:
            server = {"elasticsearch": _relative(self.machine.elasticsearch)}
            folder = "components/logging/images/elasticsearch"
            builds["elasticsearch"] = _Build(_staged("elasticsearch", folder), (folder,), server)
        return builds

    def _images(self, registry: pulumi.Input[str]) -> dict[str, pulumi.Output[str]]:
        """The image references by digest."""
        python = self.environment.images.base_python
        if python is None:
            return {}
        base: pulumi.Input[str] | None = python.image
        if self.machine.base_python:
            base = self._image("base-python", _Build(_relative(self.machine.base_python)), registry, None)
        images: dict[str, pulumi.Output[str]] = {}
        for name, build in self._builds().items():
            below = images[build.base] if build.base else base
            images[name] = self._image(name, build, registry, below)
        return images

    def _image(
        self, name: str, build: _Build, registry: pulumi.Input[str], base: pulumi.Input[str] | None
    ) -> pulumi.Output[str]:
        login = self.credentials.registry.builder
        image = ImageBuild(
            name,
            {
                "repository": name,
                "registry": registry,
                "login": {"username": login.username, "password": secret(login.password)},
                "context": build.folder,
                "epoch": EPOCH,
                "base_image": base,
                "contexts": build.contexts,
                "sets_times": build.sets_times,
                "revision": revision(ROOT, build.sources) if build.sources else None,
                "secrets": self.machine.build_secrets,
            },
        )
        return image.reference

    def _object_store(self) -> _Store:
        store, keys = self.environment.object_store, self.credentials.object_store
        if store.mode is Mode.EXTERNAL:
            endpoint = _present(store.endpoint)
            return _Store(endpoint, endpoint, endpoint)
        pair, reader = _present(self.credentials.tls.object_store), _present(keys.reader)
        embedded = ObjectStore(
            "object-store",
            {
                "namespace": self._namespaces[PLATFORM],
                "image": self.environment.images.versitygw,
                "tool_image": self.environment.images.busybox,
                "buckets": [store.bucket],
                "owner": _keys(keys),
                "reader": _keys(reader),
                "tls": _pair(pair),
                "address": self.environment.cluster.address,
                "node_port": _present(store.node_port),
                "storage": _STORAGE["object-store"],
            },
            self._opts,
        )
        return _Store(embedded.endpoint, embedded.reader_endpoint, embedded.external_endpoint)

    def _tracking(
        self, images: Mapping[str, pulumi.Output[str]], endpoint: pulumi.Input[str]
    ) -> pulumi.Output[str] | None:
        if not self.environment.tracking.enabled:
            return None
        server = TrackingServer(
            "tracking",
            {
                "namespace": self._namespaces[PLATFORM],
                "image": images["mlflow"],
                "database_image": images["postgres"],
                "pull_secret": self._pull_secrets[PLATFORM],
                "database_password": secret(_present(self.credentials.tracking).postgres_password),
                "storage": _STORAGE["tracking"],
                "store": self._store_access(endpoint, self.credentials.object_store),
                "clients": self._namespaces.get(TRAINING, self._namespaces[PLATFORM]),
            },
            self._opts,
        )
        return server.uri

    def _training(
        self,
        images: Mapping[str, pulumi.Output[str]],
        endpoint: pulumi.Input[str],
        tracking: pulumi.Output[str] | None,
    ) -> None:
        for model, training in self.environment.training.items():
            TrainingPipeline(
                f"train-{model}",
                {
                    "namespace": self._namespaces[TRAINING],
                    "model": model,
                    "image": images["training"],
                    "revision": revision(ROOT, TRAINING_SOURCES),
                    "pull_secret": self._pull_secrets[TRAINING],
                    "tracking_uri": _present(tracking),
                    "store": self._store_access(endpoint, self.credentials.object_store),
                    "cpu": training.resources.cpu,
                    "memory": training.resources.memory,
                    "node_pool": training.node_pool,
                },
                self._opts,
            )

    def _log_stack(self, images: Mapping[str, pulumi.Output[str]]) -> None:
        logging = self.environment.logging
        if logging.mode is Mode.EXTERNAL:
            return
        pair = _present(self.credentials.tls.log_store)
        users = _present(self.credentials.log_store).users
        stack = LogStack(
            "logs",
            {
                "environment": self.environment.environment.value,
                "namespace": self._namespaces[PLATFORM],
                "image": images["elasticsearch"],
                "shipper_image": self.environment.images.log_shipper,
                "pull_secret": self._pull_secrets[PLATFORM],
                "tls": _pair(pair),
                "trust_bundle": self._authority(),
                "users": {
                    name: {"password": secret(user.password), "hash": secret(user.hash)} for name, user in users.items()
                },
                "heap": _present(logging.heap),
                "storage": _STORAGE["log-store"],
                "address": self.environment.cluster.address,
                "node_port": _present(logging.node_port),
                "pod_logs_path": _present(self.machine.pod_logs),
            },
            self._opts,
        )
        pulumi.export("logStore", stack.url)

    def _kserve(self, images: Mapping[str, pulumi.Output[str]]) -> pulumi.Input[str]:
        """The serving runtime's name; on a shared cluster its owner has put it there."""
        if self.environment.cluster.shared:
            return RUNTIME
        pair = _present(self.credentials.tls.kserve_webhook)
        serving = KServe(
            "kserve",
            {
                "namespace": self._namespaces[KSERVE],
                "image": self.environment.images.kserve_manager,
                "manifests": _relative(_present(self.machine.kserve)),
                "runtime_image": images["serving"],
                "tls": _pair(pair),
                "authority": self._authority(),
            },
            self._opts,
        )
        return serving.runtime

    def _gateway(self) -> Gateway:
        values, pair = self.environment, self.credentials.tls.gateway
        limits = values.gateway.limits
        namespace = f"{values.environment}-{SERVING}"
        # Every model has its route before it has a release: the entry does not change when the first one comes.
        routes: list[RouteArgs] = [
            {"name": model, "path_prefix": f"/v2/models/{model}", "url": url(namespace, model)}
            for model in values.models
        ]
        return Gateway(
            "gateway",
            {
                "namespace": self._namespaces[PLATFORM],
                "image": values.images.traefik,
                "tls": _pair(pair),
                "address": values.cluster.address,
                "node_port": values.gateway.node_port,
                "replicas": values.gateway.replicas,
                "routes": routes,
                "limits": {
                    "max_body_bytes": limits.max_body_bytes,
                    "in_flight": limits.in_flight,
                    "requests_per_second": limits.requests_per_second,
                },
            },
            self._opts,
        )

    def _serving(self, endpoint: pulumi.Input[str], runtime: pulumi.Input[str]) -> None:
        values = self.environment
        for name, model in values.models.items():
            release = self.loaded.serving(name)
            if release is None:
                continue
            InferenceService(
                name,
                {
                    "namespace": self._namespaces[SERVING],
                    "environment": values.environment.value,
                    "model": name,
                    "release": release.metadata.release,
                    "run_id": release.run.run_id,
                    "image": release.serving.image,
                    "pull_secret": self._pull_secrets[SERVING],
                    "runtime": runtime,
                    "store": self._store_access(endpoint, self.credentials.object_store.for_models),
                    "artefact_key": release.artefact.key,
                    "artefact_digest": release.artefact.digest,
                    "artefact_size": release.artefact.size,
                    "clients": self._namespaces[PLATFORM],
                    "replicas": model.replicas,
                    "cpu": model.resources.cpu,
                    "memory": model.resources.memory,
                    "context": values.cluster.context,
                    "deadline": self.machine.deadline,
                    "node_pool": model.node_pool,
                },
                self._opts,
            )

    def _store_access(self, endpoint: pulumi.Input[str], keys: S3Keys) -> StoreAccessArgs:
        """The bucket of this environment, for pods that have these keys."""
        return {
            "bucket": self.environment.object_store.bucket,
            "endpoint": endpoint,
            "keys": _keys(keys),
            "trust_bundle": self._authority(),
        }

    def _authority(self) -> str:
        found = self.environment.ca_certificate
        if found is None:
            name = self.environment.environment
            raise ConfigError(f"stellwerk:caCertificate: absent; run `stellwerk init {name}`, which writes it")
        return found


def _present(value: Value | None) -> Value:
    """A value that the checks of `infra.values` and `infra.credentials` have found to be there."""
    if value is None:
        raise ConfigError("a value is absent that this environment needs; `stellwerk init` writes what is missing")
    return value


def _pair(pair: KeyPair) -> KeyPairArgs:
    return {"certificate": pair.certificate, "key": secret(pair.key)}


def _keys(keys: S3Keys) -> StaticKeysArgs:
    return {"access_key": secret(keys.access_key), "secret_key": secret(keys.secret_key)}


def _relative(folder: str | Path) -> str:
    """A folder as seen from the program's: the state then names no folder of this machine."""
    return os.path.relpath(ROOT / folder, ROOT / "infra")


def _staged(image: str, folder: str) -> str:
    """A folder of this checkout as an image's build context, as seen from the program's."""
    return _relative(stage(ROOT / folder, ROOT / ".contexts" / image))
