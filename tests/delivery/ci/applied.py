"""A checkout with environments that were applied by the real engine, without a cluster: objects are files."""

import json
from dataclasses import dataclass
from pathlib import Path

from delivery.clients.engine import KEY, Engine
from tests.program.harness import stack_values
from tests.support.checkout import Checkout
from tests.support.documents import write_stacks
from tests.support.models import copy_models
from tests.support.rendered import rendered


@dataclass
class Applied:
    """The checkout, and the engine that has applied it."""

    checkout: Checkout
    variables: dict[str, str]

    @property
    def root(self) -> Path:
        return self.checkout.root

    @property
    def engine(self) -> Engine:
        return Engine(self.root, {name: value for name, value in self.variables.items() if name != "RENDERED"})

    def apply(self, environment: str) -> None:
        """Make a stack with credentials, apply it, and let its state be one of a cluster."""
        values = stack_values(environment)
        self.checkout.edit(environment, lambda given: given.update(caCertificate=values["caCertificate"]))
        engine = Engine(self.root, self.variables)
        engine.run("stack", "init", environment, "--no-select")
        secret = json.dumps(values["credentials"])
        engine.run("config", "set", KEY, "--secret", "--stack", environment, stdin=secret)
        assert engine.show("up", "--stack", environment, "--yes", "--skip-preview"), "the output of the engine says why"
        state = engine.export(environment)
        for item in state["deployment"]["resources"]:
            if item["type"] == "pulumi:providers:kubernetes":
                for side in (item["inputs"], item["outputs"]):
                    del side["renderYamlToDirectory"]
                    side.update(context=values["cluster"]["context"], kubeconfig="")
        engine.run("stack", "import", "--stack", environment, stdin=json.dumps(state))


def applied(folder: Path) -> Applied:
    """Make the checkout, with an engine whose stacks are applied to files."""
    made = rendered(folder, Path(__file__).parent / "program.py")
    write_stacks(made.root)
    copy_models(made.root)
    (made.root / "Pulumi.yaml").write_text("name: stellwerk\nruntime: python\nstackConfigDir: stacks\n")
    kubeconfig = folder / "kubeconfig"
    clusters = [{"name": "none", "cluster": {"server": "http://127.0.0.1:1"}}]
    contexts = [{"name": "stellwerk", "context": {"cluster": "none", "user": "nobody"}}]
    users = [{"name": "nobody", "user": {"token": "none"}}]
    kubeconfig.write_text(json.dumps({"clusters": clusters, "contexts": contexts, "users": users}))
    return Applied(Checkout(made.root), {**made.variables, "KUBECONFIG": str(kubeconfig)})
