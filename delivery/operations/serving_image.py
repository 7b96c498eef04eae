"""The serving image that a release names: a model's own, or the one that who owns the cluster builds for all there."""

from delivery.errors import DeliveryError
from delivery.session import Session
from infra.composition import hooks
from infra.composition.handover import HOOKS
from infra.contract.candidate import Candidate


def serving_image(session: Session, environment: str, candidate: Candidate | None = None) -> str:
    """Return by digest the image that serves a candidate: with the hooks it was measured with, or the one without any.

    Without a candidate it is the latter. Raise DeliveryError when nobody has built it, or the hooks have changed since.
    """
    if candidate is None:
        return _of_all(session, environment)
    outputs, own = session.engine.outputs(environment), hooks.image(candidate.model)
    known: str | None = outputs.get(HOOKS, {}).get(own)
    if candidate.hooks != known:
        measured = "one serve.py" if candidate.hooks else "no serve.py"
        served = "another serve.py" if known else "none"
        raise DeliveryError(
            f"candidate of {candidate.training.job}: it was measured with {measured}, and {environment} has built its "
            f"serving image with {served}; nothing is released: run `pulumi up --stack {environment}` and `stellwerk "
            f"train {candidate.model} --wait`, then release the new candidate"
        )
    return str(outputs["images"][own]) if known else _of_all(session, environment)


def _of_all(session: Session, environment: str) -> str:
    """Return the image of the environment's cluster that serves models without hooks."""
    project = session.project
    clusters = {name: project.environment(name).cluster for name in project.environments}
    context = clusters[environment].context
    owners = [name for name, cluster in clusters.items() if cluster.context == context and not cluster.shared]
    # An environment with a runtime of its own builds the image for it, too.
    owner = environment if clusters[environment].own_runtime else next(iter(owners), None)
    if owner is None:
        raise DeliveryError(
            f"{environment}: the image that models are served with is built by who owns the cluster, and no "
            "environment of this project does (cluster.shared: false); add it, release in the project that has it, or "
            f"set cluster.ownRuntime in {environment}: its own stack builds the image then"
        )
    images: dict[str, str] = session.engine.outputs(owner).get("images", {})
    if hooks.SERVING not in images:
        raise DeliveryError(f"{owner}: it has not built the serving image yet; run `pulumi up --stack {owner}`")
    return images[hooks.SERVING]
