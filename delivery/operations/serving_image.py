"""The serving image that a release names: who owns the cluster builds it, for all environments there."""

from delivery.errors import DeliveryError
from delivery.session import Session


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
