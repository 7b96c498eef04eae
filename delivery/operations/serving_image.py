"""The serving image that a release names: who owns the cluster builds it, for all environments there."""

from delivery.errors import DeliveryError
from delivery.session import Session
from infra.composition import hooks
from infra.composition.handover import HOOKS
from infra.contract.candidate import Candidate


def image_of(session: Session, environment: str, candidate: Candidate) -> str:
    """Return the image that serves a candidate: with the hooks that it was measured with, or the one without any.

    Raise DeliveryError when the stack has built none, or the hooks have changed since.
    """
    model, own = candidate.model, hooks.image(candidate.model)
    outputs = session.engine.outputs(environment)
    known: str | None = outputs.get(HOOKS, {}).get(own)
    if candidate.hooks != known:
        measured = "one serve.py" if candidate.hooks else "no serve.py"
        served = "another serve.py" if known else "none"
        raise DeliveryError(
            f"candidate of {candidate.training.job}: it was measured with {measured}, and {environment} has built its "
            f"serving image with {served}; nothing is released: run `pulumi up --stack {environment}` and `stellwerk "
            f"train {model} --wait`, then release the new candidate"
        )
    if known is None:
        return serving_image(session, environment)
    image: str = outputs["images"][own]
    return image


def serving_image(session: Session, environment: str) -> str:
    """Return the serving image of the environment's cluster, by digest; raise DeliveryError where there is none."""
    project = session.project
    clusters = {name: project.environment(name).cluster for name in project.environments}
    context = clusters[environment].context
    owner = next(
        (name for name, cluster in clusters.items() if cluster.context == context and not cluster.shared), None
    )
    if owner is None:
        raise DeliveryError(
            f"{environment}: the image that models are served with is built by who owns the cluster, and no "
            "environment of this project does (cluster.shared: false); add it, or release in the project that has it"
        )
    images: dict[str, str] = session.engine.outputs(owner).get("images", {})
    if "serving" not in images:
        raise DeliveryError(f"{owner}: it has not built the serving image yet; run `pulumi up --stack {owner}`")
    return images["serving"]
