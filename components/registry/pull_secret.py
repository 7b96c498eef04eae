"""The registry login of a namespace's pods."""

import base64
import json
from typing import TypedDict

import pulumi

from components.kit.access import LoginArgs
from components.kit.secrets import declare_secret


class PullSecretArgs(TypedDict):
    """Arguments of PullSecret."""

    namespace: pulumi.Input[str]
    """Namespace of the pods."""
    address: str
    """host:port of the registry."""
    login: LoginArgs
    """Login that may pull."""


class PullSecret(pulumi.ComponentResource):
    """A Secret of type `kubernetes.io/dockerconfigjson`."""

    secret_name: pulumi.Output[str]
    """What pods name in `imagePullSecrets`."""

    def __init__(self, name: str, args: PullSecretArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("stellwerk:index:PullSecret", name, None, opts)
        address = args["address"]

        def document(login: list[str]) -> str:
            auth = base64.b64encode(":".join(login).encode()).decode()
            entry = {"username": login[0], "password": login[1], "auth": auth}
            return json.dumps({"auths": {address: entry}})

        login = pulumi.Output.all(args["login"]["username"], args["login"]["password"]).apply(document)
        data = {".dockerconfigjson": login}
        self.secret_name = declare_secret(name, args["namespace"], data, self, "kubernetes.io/dockerconfigjson")
        self.register_outputs({"secret_name": self.secret_name})
