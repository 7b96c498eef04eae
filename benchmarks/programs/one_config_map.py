"""The smallest program that has something to say: what every run of the engine costs at least."""

import pulumi
import pulumi_kubernetes as k8s

config = pulumi.Config()
run = config.require("run")
provider = k8s.Provider("cluster", context=config.require("context"), kubeconfig="")
opts = pulumi.ResourceOptions(provider=provider)
namespace = k8s.core.v1.Namespace(
    "namespace",
    metadata=k8s.meta.v1.ObjectMetaArgs(name=f"{run}-trivial", labels={"stellwerk.dev/environment": run}),
    opts=opts,
)
k8s.core.v1.ConfigMap(
    "config-map",
    metadata=k8s.meta.v1.ObjectMetaArgs(name="hello", namespace=namespace.metadata.name),
    data={"hello": "world"},
    opts=opts,
)
