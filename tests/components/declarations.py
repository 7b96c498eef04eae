"""Arguments of components that tests declare, with a store of one's own or a cloud's."""

import pulumi

from components.kit.access import StoreAccessArgs
from components.serving.arguments import InferenceServiceArgs
from components.tracking.tracking_server import TrackingServerArgs
from components.training.training_pipeline import TrainingPipelineArgs
from tests.program.harness import SENTINEL

ROLE = {"eks.amazonaws.com/role-arn": "arn:aws:iam::123456789012:role/models"}
DIGEST = "sha256:" + "ab" * 32


def static() -> StoreAccessArgs:
    """A store of one's own."""
    keys = {name: pulumi.Output.secret(f"{SENTINEL}-{name}") for name in ("access", "secret")}
    return {
        "bucket": "models",
        "endpoint": "https://store.example",
        "keys": {"access_key": keys["access"], "secret_key": keys["secret"]},
        "trust_bundle": "authorities",
    }


def cloud() -> StoreAccessArgs:
    """A store of a cloud, which knows pods by their service account."""
    return {"bucket": "models", "region": "eu-central-1", "identity": {"annotations": ROLE}}


def inference_args(store: StoreAccessArgs) -> InferenceServiceArgs:
    """A small model."""
    return {
        "namespace": "prod-serving",
        "environment": "prod",
        "model": "digits",
        "release": "v1-abababab",
        "run_id": "1",
        "image": f"registry/serving@{DIGEST}",
        "pull_secret": "pull",
        "runtime": "stellwerk-onnx",
        "store": store,
        "artefact_key": "digits/1.onnx",
        "artefact_digest": DIGEST,
        "artefact_size": 1,
        "clients": "prod-platform",
        "replicas": 1,
        "cpu": "1",
        "memory": "1Gi",
        "context": "stellwerk",
    }


def training_args(store: StoreAccessArgs) -> TrainingPipelineArgs:
    """Training on any node."""
    return {
        "namespace": "dev-training",
        "model": "digits",
        "image": f"registry/training@{DIGEST}",
        "revision": "0123456",
        "pull_secret": "pull",
        "tracking": {"uri": "http://tracking"},
        "store": store,
        "cpu": "1",
        "memory": "1Gi",
    }


def tracking_args(store: StoreAccessArgs) -> TrackingServerArgs:
    """A tracking server."""
    return {
        "namespace": "dev-platform",
        "image": f"registry/mlflow@{DIGEST}",
        "database_image": f"registry/postgres@{DIGEST}",
        "pull_secret": "pull",
        "database_password": pulumi.Output.secret(f"{SENTINEL}-postgres"),
        "storage": "1Gi",
        "store": store,
        "clients": "dev-training",
    }
