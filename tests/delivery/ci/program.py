"""The project's own program, whose Kubernetes objects are written as files where a variable says so."""

import os
from pathlib import Path

import pulumi

from infra.program import main


def _rendered(args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult:
    """Let the provider write files, and nothing wait for pods: nobody runs them."""
    folder, props = os.environ.get("RENDERED"), args.props
    if folder and args.type_ == "pulumi:providers:kubernetes":
        # It takes a cluster or a folder.
        kept = {key: value for key, value in props.items() if key not in ("context", "kubeconfig")}
        props = {**kept, "renderYamlToDirectory": folder}
    if folder:
        args.opts.hooks = None
    return pulumi.ResourceTransformationResult(props, args.opts)


if __name__ == "__main__":
    pulumi.runtime.register_stack_transformation(_rendered)
    main(Path(__file__).parent)
