"""Who has to approve before a pipeline of the forge may change an environment."""

from delivery.clients.forges.forge import Forge
from delivery.clients.forges.github import GitHub
from delivery.clients.forges.gitlab import GitLab
from delivery.errors import DeliveryError

_READS = "actions: read"
_SEES = "the scope `read_api` and the role Maintainer"


def protection(forge: Forge, environment: str) -> tuple[tuple[str, ...], ...]:
    """Return the rules, each of which has to be approved by one of its teams and users (`@name`); none: nobody has to.

    Raise DeliveryError where the forge has no such thing, or refuses.
    """
    if isinstance(forge, GitHub):
        return _github(forge, environment)
    if isinstance(forge, GitLab):
        return _gitlab(forge, environment)
    raise DeliveryError(f"{forge.name} does not say who approves updates of an environment")


def _github(forge: GitHub, environment: str) -> tuple[tuple[str, ...], ...]:
    from github.GithubException import UnknownObjectException
    from github.Team import Team

    with forge.access.to(f"reading the protection of {environment}", _READS):
        try:
            rules = forge.repository.get_environment(environment).protection_rules
        except UnknownObjectException:
            return ()
        reviewers = [rule.reviewers for rule in rules if rule.type == "required_reviewers"]
        return tuple(
            tuple(f"@{who.slug if isinstance(who := each.reviewer, Team) else who.login}" for each in rule)
            for rule in reviewers
        )


def _gitlab(forge: GitLab, environment: str) -> tuple[tuple[str, ...], ...]:
    from gitlab.exceptions import GitlabGetError

    with forge.access.to(f"reading the protection of {environment}", _SEES):
        try:
            given = forge.project.protected_environments.get(environment)
        except GitlabGetError as error:
            if error.response_code == 404:
                return ()
            raise
        client = forge.project.manager.gitlab
        rules = given.attributes.get("approval_rules") or ()
        return tuple((_approver(client, rule),) for rule in rules if rule.get("required_approvals") != 0)


def _approver(client: object, rule: dict[str, object]) -> str:
    """Return a group or a user by its name in the address; else, as GitLab calls it, the role that approves."""
    if rule.get("group_id"):
        return f"@{client.groups.get(rule['group_id']).path}"  # type: ignore[attr-defined]
    if rule.get("user_id"):
        return f"@{client.users.get(rule['user_id']).username}"  # type: ignore[attr-defined]
    return str(rule.get("access_level_description") or "somebody")
