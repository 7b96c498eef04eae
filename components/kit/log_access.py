"""What a pod gets to ship its own lines: contents of a Secret, environment variables, where the Secret is mounted."""

import pulumi

from components.kit.access import LogStoreAccessArgs

FOLDER = "/log-store"
VOLUME = "log-store"
KEYS = ("username", "password", "ca.crt")
# What a pod knows of itself, by the variable that says it.
FIELDS = {"POD_NAMESPACE": "metadata.namespace", "POD_NAME": "metadata.name", "POD_UID": "metadata.uid"}


def secret_data(access: LogStoreAccessArgs) -> dict[str, pulumi.Input[str]]:
    """Return what of the access belongs into a Secret."""
    login = access["login"]
    values = (login["username"], pulumi.Output.secret(login["password"]), access["trust_bundle"])
    return dict(zip(KEYS, values, strict=True))


def variables(access: LogStoreAccessArgs, container: str) -> dict[str, pulumi.Input[str]]:
    """Return the environment variables of the container that are known before it runs.

    Raises ValueError unless the access has either a data stream or what daily indices are called by.
    """
    index, stream = access.get("index"), access.get("data_stream")
    if (index is None) == (stream is None):
        given = "neither" if index is None else "both"
        raise ValueError(f"log store {access['url']}: one of `index` and `data_stream` is needed, {given} is given")
    return {
        "LOG_STORE": access["url"],
        **({"LOG_INDEX": index} if index else {}),
        **({"LOG_DATA_STREAM": stream} if stream else {}),
        "LOG_SECRETS": FOLDER,
        "LOG_CONTAINER": container,
    }
