"""What a pod gets to reach a bucket: contents of its Secret, environment variables, trust bundle, service account."""

from collections.abc import Sequence

import pulumi
from pulumi_kubernetes import core, meta

from components.kit import pods
from components.kit.access import StoreAccessArgs

# Where a container finds the trust bundle, and under which keys of a Secret keys and bundle are kept.
TRUST_FOLDER = "/ca"
TRUST_VOLUME = "ca"
TRUST_KEY = "ca.crt"
KEY_VARIABLES = {"AWS_ACCESS_KEY_ID": "access", "AWS_SECRET_ACCESS_KEY": "secret"}
DEFAULT_REGION = "us-east-1"
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


def store_secret(
    name: str, namespace: pulumi.Input[str], store: StoreAccessArgs, opts: pulumi.ResourceOptions
) -> pulumi.Output[str] | None:
    """Declare the Secret of an access and return its name; None where the access keeps nothing in one."""
    data = secret_data(store)
    if not data:
        return None
    secret = core.v1.Secret(name, metadata=meta.v1.ObjectMetaArgs(namespace=namespace), string_data=data, opts=opts)
    title: pulumi.Output[str] = secret.metadata.name
    return title


def service_account(
    name: str, title: str, namespace: pulumi.Input[str], store: StoreAccessArgs, opts: pulumi.ResourceOptions
) -> pulumi.Output[str] | None:
    """Declare the service account `title` that carries the identity and return its name; None with static keys."""
    identity = store.get("identity")
    if identity is None:
        return None
    account = core.v1.ServiceAccount(
        name,
        metadata=meta.v1.ObjectMetaArgs(name=title, namespace=namespace, annotations=dict(identity["annotations"])),
        # The cloud mounts a token of its own for the store; nobody here talks to the API server.
        automount_service_account_token=False,
        opts=opts,
    )
    found: pulumi.Output[str] = account.metadata.name
    return found


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
    return values


def environment(
    store: StoreAccessArgs, secret: pulumi.Input[str] | None, endpoint_variables: Sequence[str] = ENDPOINT_VARIABLES
) -> list[core.v1.EnvVarArgs]:
    """Return the environment variables of a container; `secret` names the Secret with `secret_data`."""
    values = variables(store, endpoint_variables)
    found = [core.v1.EnvVarArgs(name=name, value=value) for name, value in values.items()]
    if store.get("keys") is not None and secret is not None:
        found += [pods.secret_env(name, secret, key) for name, key in KEY_VARIABLES.items()]
    return found


def trust_mounts(store: StoreAccessArgs) -> list[core.v1.VolumeMountArgs]:
    """Return where a container sees the trust bundle; nothing where the public authorities are enough."""
    return [] if store.get("trust_bundle") is None else [pods.mount(TRUST_VOLUME, TRUST_FOLDER, read_only=True)]


def trust_volumes(store: StoreAccessArgs, secret: pulumi.Input[str] | None) -> list[core.v1.VolumeArgs]:
    """Return the volume of the trust bundle; nothing where the public authorities are enough."""
    if store.get("trust_bundle") is None or secret is None:
        return []
    source = core.v1.SecretVolumeSourceArgs(
        secret_name=secret, default_mode=0o440, items=[core.v1.KeyToPathArgs(key=TRUST_KEY, path=TRUST_KEY)]
    )
    return [core.v1.VolumeArgs(name=TRUST_VOLUME, secret=source)]
