"""Composes one environment: its services, each after those that it needs; or the cluster that a stack's file is of."""

from pathlib import Path

import pulumi

from infra.clusters import eks
from infra.composition.assumed import assume
from infra.composition.context import Composition
from infra.composition.credentials import Credentials
from infra.composition.kinds import absent
from infra.configuration import cluster, from_program, makes_cluster
from infra.contract.errors import StellwerkError
from infra.discovery import Services, known
from infra.services.ownership.marks import mark_objects
from infra.targets.api_groups import api_groups
from infra.targets.joined import JoinedCluster
from infra.targets.kubeconfig import require_context
from infra.targets.target import Target
from infra.values import ROOT, Loaded


def main(root: Path = ROOT, services: Services | None = None, target: Target | None = None) -> None:
    """Compose the stack's environment, or its cluster; an expected error is one message without a traceback."""
    try:
        if makes_cluster():
            eks.compose(cluster(root))
            return
        run(root, services or known(), target or Target())
    except StellwerkError as error:
        raise pulumi.RunError(str(error)) from None


def run(root: Path, services: Services, target: Target) -> None:
    """Compose the stack of the running program; raise ConfigError before anything is declared that cannot be."""
    loaded, credentials = from_program(target.documents(root), services, target.moved())
    if loaded.environment.cluster.stack is None:
        require_context(loaded.environment.cluster.context, loaded.source, target.variables)
        _require_kinds(loaded, target)
    target.deadline()
    for folder in loaded.stack.folders():
        target.folder(folder)
    compose(loaded, credentials, target, root)


def _require_kinds(loaded: Loaded, target: Target) -> None:
    """Raise ConfigError where values stand on a kind that the cluster lacks: the engine would try for a minute.

    Only values that do so cost the request. A cluster that does not answer is the engine's to tell of.
    """
    needs, values = loaded.stack.kinds(), loaded.environment
    # What moves one model comes after all else, and a preview of an exported state has no cluster.
    if not needs or target.moved() is not None or target.assumed() is not None:
        return
    served = api_groups(values.cluster.context, target.variables)
    if served is None:
        return
    if problems := list(absent(needs, served, values.cluster.context, values.environment)):
        raise loaded.source.error(problems)


def compose(loaded: Loaded, credentials: Credentials, target: Target, root: Path) -> None:
    """Declare every resource of the environment and export what the command reads."""
    from components.kit import kubernetes
    from components.kit.claims import claim_from
    from components.kit.deletion import delete_with_namespaces

    # ConfigMaps change in place: what reads them carries their digest and rolls by itself.
    values = loaded.environment
    joined = JoinedCluster.of(values.cluster.stack, values.environment) if values.cluster.stack else None
    # The kubeconfig is what KUBECONFIG names when the engine runs. Its path in the state would be taken for another
    # cluster on another machine, and everything for replaced. A stack that makes the cluster says it itself.
    provider = kubernetes.Provider(
        "cluster",
        context=None if joined else values.cluster.context,
        kubeconfig=joined.kubeconfig if joined else "",
        enable_config_map_mutable=True,
    )
    mark_objects()
    if (assumed := target.assumed()) is not None:
        assume(assumed)
    delete_with_namespaces()
    if (storage_class := values.cluster.storage_class) is not None:
        claim_from(storage_class)
    opts = pulumi.ResourceOptions(providers=[provider])
    first, *_ = loaded.stack.services
    composition = Composition(loaded.stack, loaded.releases, credentials, target, root, opts, first, joined)
    for service in loaded.stack.services:
        step = service.compose if service.runs(values) else service.connect if service.elsewhere(values) else None
        if step is not None:
            step(composition.of(service))
