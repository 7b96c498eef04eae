"""Whose an object is: the marks that each carries (`marks`), and the policy by which the cluster's owner keeps them."""

from infra.composition.context import Composition
from infra.composition.service import Service


def _compose(context: Composition) -> None:
    from components.cluster.ownership import OwnershipPolicy

    OwnershipPolicy("ownership", {"policy": "stellwerk-ownership"}, context.opts)


SERVICE = Service("ownership", runs=lambda environment: not environment.cluster.shared, compose=_compose)
