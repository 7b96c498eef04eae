"""The runtime of an environment's models, on a cluster whose KServe somebody else runs."""

from typing import TypedDict

import pulumi

from components.kit.custom import CustomResource
from components.kit.kubernetes import meta
from components.kit.names import SERVING_RUNTIME
from components.kit.options import child
from components.serving.runtime import runtime


class ModelRuntimeArgs(TypedDict):
    """Arguments of ModelRuntime."""

    namespace: pulumi.Input[str]
    """Namespace of the models that are served by it."""


class ModelRuntime(pulumi.ComponentResource):
    """The ServingRuntime `stellwerk-onnx` of one namespace; each inference service names its release's image."""

    runtime: pulumi.Output[str]
    """Name of the runtime."""

    def __init__(self, name: str, args: ModelRuntimeArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("stellwerk:index:ModelRuntime", name, None, opts)
        served = CustomResource(
            name,
            api_version="serving.kserve.io/v1alpha1",
            kind="ServingRuntime",
            metadata=meta.v1.ObjectMetaArgs(name=SERVING_RUNTIME, namespace=args["namespace"]),
            spec=runtime(None),
            opts=child(self),
        )
        self.runtime = served.metadata["name"]
        self.register_outputs({"runtime": self.runtime})
