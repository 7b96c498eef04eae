"""What other programs get: the components, and the provider that serves them."""

from collections.abc import Mapping
from typing import Any

import pulumi
from pulumi.provider import ConstructResult, main
from pulumi.provider.experimental.component import ComponentProvider

from components.cluster.elastic_pool import ElasticPool
from components.cluster.existing_nodes import ExistingNodes
from components.cluster.gpu_operator import GpuOperator
from components.cluster.node_pool import NodePool
from components.cluster.ownership import OwnershipPolicy
from components.cluster.priority_classes import PriorityClasses
from components.cluster.tenant import Tenant
from components.gateway.gateway import Gateway
from components.gateway.routes import GatewayRoutes, IngressRoutes
from components.logging.eck_stack import EckStack
from components.logging.log_keeper import LogKeeper
from components.logging.log_shippers import LogShippers
from components.logging.log_stack import LogStack
from components.registry.image_build import ImageBuild
from components.registry.image_registry import ImageRegistry
from components.registry.pull_secret import PullSecret
from components.registry.renewed_login import RenewedLogin
from components.serving.inference_service import InferenceService
from components.serving.kserve import KServe
from components.serving.model_runtime import ModelRuntime
from components.storage.object_store import ObjectStore
from components.tracking.tensorboard import TensorBoard
from components.tracking.tracking_server import TrackingServer
from components.training.training_pipeline import TrainingPipeline

NAME = "stellwerk"

COMPONENTS: tuple[type[pulumi.ComponentResource], ...] = (
    ElasticPool,
    ExistingNodes,
    EckStack,
    Gateway,
    GpuOperator,
    GatewayRoutes,
    ImageBuild,
    ImageRegistry,
    InferenceService,
    IngressRoutes,
    KServe,
    LogKeeper,
    LogShippers,
    LogStack,
    ModelRuntime,
    NodePool,
    ObjectStore,
    OwnershipPolicy,
    PriorityClasses,
    PullSecret,
    RenewedLogin,
    Tenant,
    TensorBoard,
    TrackingServer,
    TrainingPipeline,
)


class _Provider(ComponentProvider):
    def construct(
        self,
        name: str,
        resource_type: str,
        inputs: Mapping[str, pulumi.Input[Any]],
        options: pulumi.ResourceOptions | None = None,
    ) -> ConstructResult:
        return super().construct(name, resource_type, whole(inputs), options)


def whole(value: Any) -> Any:
    """Return the value with its whole numbers as integers: on their way through the engine all become floats."""
    match value:
        case float() if value.is_integer():
            return int(value)
        case Mapping():
            return {key: whole(each) for key, each in value.items()}
        case list():
            return [whole(each) for each in value]
    return value


def serve(arguments: list[str]) -> None:
    """Serve the components to the engine that has started this process with these arguments."""
    main(_Provider(list(COMPONENTS), NAME), arguments)
