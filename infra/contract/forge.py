"""Where the checkout's repository is hosted, for an address that does not say it: section `forge` of the base."""

from enum import StrEnum

from pydantic import Field, ValidationError

from infra.contract.fields import Section
from infra.contract.problems import problems
from infra.contract.reading import positioned
from infra.contract.stacks import BASE, NAMESPACE, StackFiles

KEY = "forge"


class ForgeKind(StrEnum):
    """A kind of host that commands can speak to."""

    GITHUB = "github"
    GITLAB = "gitlab"
    BITBUCKET = "bitbucket"


class ForgeValues(Section):
    """The forge of the checkout."""

    kind: ForgeKind = Field(description="github, gitlab or bitbucket")
    url: str = Field(
        # A token goes there: in clear to this machine alone.
        pattern=r"^(https://[^\s/@?#]+|http://(localhost|127\.0\.0\.1)(:[0-9]+)?)(/[^\s/@?#]+)*/?$",
        description="the address of the forge as a browser has it, https:// and without a login: https://git.example.com",
    )
    repository: str = Field(
        pattern=r"^[^\s/@]+(/[^\s/@]+)+$",
        description="the repository's path: owner/name, group/subgroup/name, or PROJECT/name of Bitbucket Data Center",
    )
    token_variable: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        description="the variable that has the token; null: GITHUB_TOKEN, GITLAB_TOKEN or BITBUCKET_TOKEN",
    )


class _Shared(Section):
    """As much of what environments share as is about the forge."""

    forge: ForgeValues | None = None


def forge_values(files: StackFiles) -> ForgeValues | None:
    """Return what the base says of the forge; raise ConfigError where that is wrong.

    Environments may be wrong meanwhile: a pull request that breaks one has to hear of it.
    """
    try:
        return _Shared.model_validate({"forge": files.merged({}).get(KEY)}, strict=False).forge
    except ValidationError as error:
        source = positioned(files.base, BASE, NAMESPACE)
        raise source.error(problems(error, _Shared)) from None
