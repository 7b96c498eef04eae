"""Base objects and made-up models, written as files instead of into a cluster; what there is stands in variables."""

import json
import os

import pulumi

from infra.targets.target import Target


def declare(values: dict[str, dict[str, str]], moved: str | None) -> None:
    """Declare the base objects, and each model's two, or those of the moved one alone."""
    if moved is None or "ASKS" in os.environ:
        # Has the engine's own provider in the state: the SDK asks where the program hands on the cluster's, too.
        pulumi.runtime.invoke("pulumi:pulumi:readStackOutputs", {"name": "organization/stellwerk/prod"})
    settings = {"renderYamlToDirectory": os.environ["RENDERED"], "enableConfigMapMutable": True}
    opts = pulumi.ResourceOptions(provider=pulumi.ProviderResource("kubernetes", "cluster", settings))
    first = None
    for name, content in values["base"].items():
        first = _config(name, content, opts)
    for name, content in values["models"].items():
        if moved in (None, name):
            model = pulumi.ComponentResource("stellwerk:index:InferenceService", name, None, None)
            inside = pulumi.ResourceOptions(provider=opts.provider, parent=model, depends_on=[first] if first else None)
            _config(name, content, inside)
            _config(f"{name}-more", content, inside)
    pulumi.export("models", values["models"])


def _config(name: str, content: str, opts: pulumi.ResourceOptions) -> pulumi.CustomResource:
    inputs = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}}
    return pulumi.CustomResource("kubernetes:core/v1:ConfigMap", name, {**inputs, "data": {"content": content}}, opts)


if __name__ == "__main__":
    declare(json.loads(os.environ["VALUES"]), Target().moved())
