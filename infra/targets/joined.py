"""What an environment takes of the stack that its cluster is made by."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pulumi


class Outputs:
    """The names of the outputs of a cluster's stack."""

    KUBECONFIG = "kubeconfig"
    ENVIRONMENTS = "environments"
    NODE_ROLE = "nodeRole"
    DISK_KEY = "diskKey"
    REGISTRY = "registry"


@dataclass(frozen=True)
class JoinedCluster:
    """The outputs of the cluster's stack, as one of its environments sees them."""

    stack: str
    environment: str
    _reference: "pulumi.StackReference"

    @classmethod
    def of(cls, stack: str, environment: str) -> "JoinedCluster":
        """Return the outputs of `stack`, which is organization/project/name."""
        import pulumi

        return cls(stack, environment, pulumi.StackReference(stack))

    @property
    def kubeconfig(self) -> "pulumi.Output[str]":
        """Return the kubeconfig of the cluster; its login is that of whoever runs the engine."""
        return self._reference.require_output(Outputs.KUBECONFIG)

    def role(self, use: str) -> "pulumi.Output[str]":
        """Return the ARN of the role of the environment that a pod takes for a use: writer or reader.

        The program ends with an error where the cluster's stack has no such environment.
        """

        def find(environments: Any) -> str:
            try:
                return str(environments[self.environment][use])
            except (KeyError, TypeError):
                raise LookupError(
                    f"the stack {self.stack} has no environment {self.environment}; add it to `environments` of that "
                    "stack, and run `pulumi up` there"
                ) from None

        arn: pulumi.Output[str] = self._reference.require_output(Outputs.ENVIRONMENTS).apply(find)
        return arn
