"""What a node pool may say: its kind with what that needs, its GPUs and how they are shared."""

from collections.abc import Callable, Iterator, Mapping

from infra.composition.service import Stack
from infra.contract.problems import KeyPath, Problem, show, suggest
from infra.services.node_pools.cards import Card, card, divisible
from infra.services.node_pools.section import KINDS, Kind, NodePool, Provider, Sharing, pools


def rules(stack: Stack) -> Iterator[Problem]:
    """Yield what is wrong with the pools themselves."""
    seen: set[str] = set()
    for index, pool in enumerate(pools(stack.environment)):
        path: KeyPath = ("nodePools", index)
        if pool.name in seen:
            yield Problem((*path, "name"), show(pool.name), "a name of its own", "rename one of the two")
        seen.add(pool.name)
        wrong = list(_kind(path, pool))
        yield from wrong
        if not wrong:
            for rule in (_owned(stack), _parts, _selected, _gpus, _sharing, _device_class, _elastic):
                yield from rule(path, pool)


def _kind(path: KeyPath, pool: NodePool) -> Iterator[Problem]:
    if pool.simulated and pool.external:
        yield Problem(
            path, "simulated: true and external: true", "one of simulated and external", "remove one of the two"
        )
    elif pool.kind is None and not (pool.simulated or pool.external):
        yield Problem(
            path,
            "no kind, and neither simulated nor external",
            "a kind: " + "; ".join(f"{kind} ({text})" for kind, text in KINDS.items()),
            "add kind",
        )
    elif pool.kind is not None:
        for flag, kind in ((pool.simulated, Kind.SIMULATED), (pool.external, Kind.EXTERNAL)):
            if flag and pool.kind is not kind:
                yield Problem(
                    (*path, "kind"), f"{pool.kind} beside {kind}: true", f"one kind, {kind} or {pool.kind}",
                    f"remove {kind}, or kind",
                )  # fmt: skip


def _owned(stack: Stack) -> Callable[[KeyPath, NodePool], Iterator[Problem]]:
    def rule(path: KeyPath, pool: NodePool) -> Iterator[Problem]:
        # Nodes that a stack makes or changes are the cluster's, whose owner's stack does that.
        if pool.owned and stack.environment.cluster.shared:
            said = "kind" if pool.kind else "simulated"
            yield Problem(
                (*path, said),
                pool.kind or "true",
                f"{'external or cloud' if pool.kind else 'false'}, because cluster.shared is true: the cluster's owner "
                "creates nodes",
                "set kind: external instead" if pool.kind else "set external: true instead",
            )

    return rule


def _parts(path: KeyPath, pool: NodePool) -> Iterator[Problem]:
    """Yield what a kind needs and is absent, and what only another kind has."""
    for key, value, kind, what in (
        ("select", pool.select, Kind.EXISTING, "{names: [<node>, …]} or {labels: {…}}: the nodes of the pool"),
        ("elastic", pool.elastic, Kind.ELASTIC, "{instanceTypes: […], …}: what Karpenter may make"),
    ):
        if value is None and pool.made_by is kind:
            yield Problem((*path, key), "nothing", f"{what}, because the kind is {kind}", "add the key")
        elif value is not None and pool.made_by is not kind:
            yield Problem(
                (*path, key), f"{key} in a pool of kind {pool.made_by}", f"only in one of kind {kind}",
                f"remove {key}, or set kind: {kind}",
            )  # fmt: skip
    named = pool.select is not None and bool(pool.select.names)
    if pool.nodes is None and not named and (pool.made_by is not Kind.EXISTING or pool.node_labels):
        yield Problem((*path, "nodes"), "nothing", "number of nodes, 1 to 1000; of elastic the most", "add the key")
    elif pool.nodes is not None and named and pool.nodes != pool.count:
        yield Problem(
            (*path, "nodes"), str(pool.nodes), f"{pool.count}, as many as select.names has, or nothing",
            "remove nodes",
        )  # fmt: skip
    if pool.price_per_hour is not None and pool.elastic:
        yield Problem(
            (*path, "pricePerHour"), show(pool.price_per_hour), "prices of elastic.instanceTypes, which differ",
            "write it to the instance types",
        )  # fmt: skip


def _selected(path: KeyPath, pool: NodePool) -> Iterator[Problem]:
    """Yield what is wrong with how nodes that are there are selected."""
    if pool.select is None:
        return
    if bool(pool.select.names) == bool(pool.select.labels):
        yield Problem(
            (*path, "select"), "names and labels" if pool.select.names else "neither names nor labels",
            "names (this stack labels and taints the nodes) or labels (which the nodes have already)",
            "keep one of the two" if pool.select.names else "add one of the two",
        )  # fmt: skip
    elif pool.node_labels and pool.labels:
        yield Problem(
            (*path, "labels"), f"labels beside select.labels: {', '.join(pool.labels)}",
            "none: this stack puts labels and taints on nodes that select.names names, and on no others",
            "remove labels, or name the nodes in select.names",
        )  # fmt: skip


def _gpus(path: KeyPath, pool: NodePool) -> Iterator[Problem]:
    if bool(pool.gpus) != bool(pool.accelerator):
        given = f"gpus: {pool.gpus} {'without' if pool.accelerator is None else 'with'} an accelerator"
        yield Problem(
            path, given, "accelerator and gpus together, or neither, of nodes without GPUs", "add or remove one of them"
        )


def _sharing(path: KeyPath, pool: NodePool) -> Iterator[Problem]:
    sharing, place = pool.sharing, (*path, "sharing")
    if sharing is None:
        return
    ways = [way for way in ("mig", "timeSlicing", "mps") if _said(sharing, way)]
    if len(ways) != 1:
        given = " and ".join(ways) or "none of them"
        yield Problem(place, given, "one of mig, timeSlicing and mps", "keep one, or remove sharing")
    elif not pool.gpus:
        yield Problem(place, f"{ways[0]} of nodes without GPUs", "sharing where gpus is 1 or more", "remove sharing")
    elif pool.made_by is Kind.ELASTIC:
        yield Problem(
            place, ways[0], "no sharing in an elastic pool, because Karpenter counts whole GPUs of instance types",
            "choose instance types with smaller GPUs, or share those of an existing pool",
        )  # fmt: skip
    elif sharing.mig:
        yield from _instances((*place, "mig"), pool, sharing.mig)
    elif sharing.mps and (known := card(pool.accelerator or "")) and float(known.compute) < 7:
        yield Problem(
            (*place, "mps"), pool.accelerator or "", "cards of Volta and later, which MPS shares memory safely on",
            "use timeSlicing",
        )  # fmt: skip


def _device_class(path: KeyPath, pool: NodePool) -> Iterator[Problem]:
    """Yield where pods cannot get their devices by a claim."""
    given, place = show(pool.device_class), (*path, "deviceClass")
    if pool.device_class is None:
        return
    if not pool.gpus:
        yield Problem(
            place, f"{given}, of nodes without GPUs", "a class where gpus is 1 or more", "remove it, or add gpus"
        )
    if pool.sharing:
        yield Problem(
            place, f"{given} beside sharing", "one of the two: sharing divides what the device plugin counts, and a "
            "pod with a claim gets whole devices of the class", "remove sharing, or deviceClass",
        )  # fmt: skip
    if pool.made_by in (Kind.SIMULATED, Kind.ELASTIC):
        kinds = "existing, external or cloud"
        yield Problem(
            place, f"{given} in a pool of kind {pool.made_by}",
            f"a class in a pool of kind {kinds}: a driver offers the devices of real nodes, and Karpenter makes none "
            "for a claim", f"remove deviceClass, or set kind to {kinds}",
        )  # fmt: skip


def _said(sharing: Sharing, way: str) -> bool:
    # An empty layout divides nothing.
    return bool(sharing.model_dump(by_alias=True).get(way))


def _instances(path: KeyPath, pool: NodePool, wanted: Mapping[str, int]) -> Iterator[Problem]:
    """Yield why a card cannot be divided this way, with what is possible."""
    known = card(pool.accelerator or "")
    if known is None or not known.profiles:
        what = "is not one of the cards that are known" if known is None else "cannot be divided"
        yield Problem(
            path,
            f"instances of {pool.accelerator}, which {what}",
            f"a card with MIG: {', '.join(divisible())}",
            "name the card, or use timeSlicing" if known is None else "use timeSlicing or mps",
        )
        return
    unknown = [name for name in wanted if name not in known.profiles]
    for name in unknown:
        yield Problem(
            (*path, name), f"the profile {name}", f"what {pool.accelerator} has, with the most of each: {known.shown}",
            suggest(name, known.profiles, "choose one of them"),
        )  # fmt: skip
    if not unknown:
        yield from _too_many(path, pool, known, wanted)


def _too_many(path: KeyPath, pool: NodePool, known: Card, wanted: Mapping[str, int]) -> Iterator[Problem]:
    beyond = [name for name, count in wanted.items() if not 1 <= count <= known.profiles[name].most]
    for name in beyond:
        most = known.profiles[name].most
        yield Problem(
            (*path, name), str(wanted[name]), f"1 to {most}, as many as a {pool.accelerator} has of {name}",
            "correct the number",
        )  # fmt: skip
    if not beyond and not known.fits(wanted):
        given = ", ".join(f"{name}: {count}" for name, count in wanted.items())
        yield Problem(
            path, f"{{{given}}}",
            f"instances that fit on one {pool.accelerator} together; alone there is room for {known.shown}",
            "take fewer, or smaller ones",
        )  # fmt: skip


def _elastic(path: KeyPath, pool: NodePool) -> Iterator[Problem]:
    elastic, place = pool.elastic, (*path, "elastic")
    if elastic is None:
        return
    if elastic.provider is Provider.EC2 and elastic.node_class is None:
        yield Problem(
            (*place, "nodeClass"), "nothing", "{role, amiAlias, subnets, securityGroups}, because the provider is ec2",
            "add the key, or set provider: kwok",
        )  # fmt: skip
    if elastic.provider is Provider.KWOK and elastic.node_class is not None:
        yield Problem(
            (*place, "nodeClass"), "nodeClass with provider: kwok", "nothing: nodes without hardware have no EC2 side",
            "remove it, or set provider: ec2",
        )  # fmt: skip
    seen: set[str] = set()
    for index, each in enumerate(elastic.instance_types):
        where = (*place, "instanceTypes", index)
        if each.name in seen:
            yield Problem((*where, "name"), show(each.name), "a name of its own", "remove one of the two")
        seen.add(each.name)
        if each.gpus is not None and (each.gpus > pool.gpus or (each.gpus == 0) != (pool.gpus == 0)):
            yield Problem(
                (*where, "gpus"), str(each.gpus),
                f"1 to {pool.gpus}, the gpus of the pool" if pool.gpus else "0: the pool has no GPUs",
                "correct the number, or gpus of the pool",
            )  # fmt: skip
