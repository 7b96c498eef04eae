"""What a pod gets to reach a bucket: contents of its Secret, environment variables, trust bundle, service account."""

from collections.abc import Sequence

import pulumi

from components.kit import pods
from components.kit.access import StoreAccessArgs
from components.kit.kubernetes import core
from components.kit.volumes import secret_volume
from components.kit.workload import Workload

# Where a container finds the trust bundle, and under which keys of a Secret keys and bundle are kept.
TRUST_FOLDER = "/ca"
TRUST_VOLUME = "ca"
TRUST_KEY = "ca.crt"
KEY_VARIABLES = {"AWS_ACCESS_KEY_ID": "access", "AWS_SECRET_ACCESS_KEY": "secret"}
DEFAULT_REGION = "us-east-1"
# Of training and serving; without it the bucket stands in the path.
ADDRESSING_VARIABLE = "S3_ADDRESSING_STYLE"
ENDPOINT_VARIABLES = ("AWS_ENDPOINT_URL_S3",)


def secret_data(store: StoreAccessArgs) -> dict[str, pulumi.Input[str]]:
    """Return what of the access belongs into a Secret: static keys and trust bundle; empty where it has neither.

    Raises ValueError unless the access has either static keys or an identity.
    """
    keys = store.get("keys")
    if (keys is None) == (store.get("identity") is None):
        given = "neither" if keys is None else "both"
        raise ValueError(f"store {store['bucket']}: exactly one of `keys` and `identity` is needed, {given} is given")
    data: dict[str, pulumi.Input[str]] = {}
    if keys is not None:
        data |= {"access": keys["access_key"], "secret": keys["secret_key"]}
    bundle = store.get("trust_bundle")
    return data if bundle is None else {**data, TRUST_KEY: bundle}


def store_secret(workload: Workload, store: StoreAccessArgs) -> pulumi.Output[str] | None:
    """Declare the Secret of an access and return its name; None where the access keeps nothing in one."""
    data = secret_data(store)
    return workload.secret(data) if data else None


def store_account(workload: Workload, title: str, store: StoreAccessArgs) -> pulumi.Output[str] | None:
    """Declare the service account `title` that carries the identity and return its name; None with static keys.

    It has no token of the API server: the cloud mounts one of its own for the store.
    """
    identity = store.get("identity")
    return None if identity is None else workload.account(title, identity["annotations"])


def variables(
    store: StoreAccessArgs, endpoint_variables: Sequence[str] = ENDPOINT_VARIABLES
) -> dict[str, pulumi.Input[str]]:
    """Return the environment variables that are no secret, by name."""
    endpoint, region = store.get("endpoint"), store.get("region")
    values: dict[str, pulumi.Input[str]] = {}
    if endpoint is not None:
        values |= dict.fromkeys(endpoint_variables, endpoint)
    if store.get("trust_bundle") is not None:
        values["AWS_CA_BUNDLE"] = f"{TRUST_FOLDER}/{TRUST_KEY}"
    if region is not None:
        values["AWS_REGION"] = region
    if store.get("virtual_hosts"):
        values[ADDRESSING_VARIABLE] = "virtual"
    return values


def environment(
    store: StoreAccessArgs, secret: pulumi.Input[str] | None, endpoint_variables: Sequence[str] = ENDPOINT_VARIABLES
) -> list[core.v1.EnvVarArgs]:
    """Return the environment variables of a container; `secret` names the Secret with `secret_data`."""
    entries = pods.env(variables(store, endpoint_variables))
    if store.get("keys") is not None and secret is not None:
        entries += [pods.secret_env(name, secret, key) for name, key in KEY_VARIABLES.items()]
    return entries


def trust_mounts(store: StoreAccessArgs) -> list[core.v1.VolumeMountArgs]:
    """Return where a container sees the trust bundle; nothing where the public authorities are enough."""
    return [] if store.get("trust_bundle") is None else [pods.mount(TRUST_VOLUME, TRUST_FOLDER, read_only=True)]


def trust_volumes(store: StoreAccessArgs, secret: pulumi.Input[str] | None) -> list[core.v1.VolumeArgs]:
    """Return the volume of the trust bundle; nothing where the public authorities are enough."""
    if store.get("trust_bundle") is None or secret is None:
        return []
    return [secret_volume(TRUST_VOLUME, secret, [TRUST_KEY])]
