"""What a CI gives to each step: GitHub's variables and expressions, Bamboo's variables."""

from tests.support.flows.machine import Machine
from tests.support.forges.server import TOKEN, ForgeServer
from tests.support.forges.state import REPOSITORY

SECRETS = ("PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE", "STELLWERK_KUBECONFIG")
_BAMBOO = ("pulumi_backend_url", "pulumi_passphrase_secret", "kubeconfig_secret")


def variables(server: ForgeServer, **more: str) -> dict[str, str]:
    """What GitHub sets in every step."""
    return {"GITHUB_SERVER_URL": server.url, "GITHUB_REPOSITORY": REPOSITORY, **more}


def expressions(machine: Machine, **more: str) -> dict[str, str]:
    """What GitHub puts in the place of its expressions."""
    secrets = {f"secrets.{name}": value for name, value in machine.secrets.items()}
    nothing = ("secrets.AWS_ACCESS_KEY_ID", "secrets.AWS_SECRET_ACCESS_KEY", "vars.AWS_REGION")
    tokens = ("github.token", "secrets.STELLWERK_TOKEN || github.token")
    return {**secrets, **dict.fromkeys(nothing, ""), **dict.fromkeys(tokens, TOKEN), **more}


def of_bamboo(machine: Machine, **more: str) -> dict[str, str]:
    """What Bamboo makes of a plan's variables."""
    given = zip(_BAMBOO, machine.secrets.values(), strict=True)
    return {**{f"bamboo_{name}": value for name, value in given}, "bamboo_bitbucket_token_secret": "", **more}
