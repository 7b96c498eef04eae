"""Users and roles of Elasticsearch as the files of its file realm: nothing is set up through the API."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pulumi

from components.kit.names import LOG_INDEX, LOG_INDEX_PATTERN, LOG_ROLES
from components.logging.arguments import LogUserArgs

# What the keeper does: it deletes old lines, or has the server do it, and brings saved objects into Kibana.
_KEEPER = {
    "cluster": ["manage_ilm", "manage_index_templates", "monitor"],
    "indices": [{"names": [LOG_INDEX, f"{LOG_INDEX}-*"], "privileges": ["view_index_metadata", "delete_index"]}],
    "applications": [
        {
            "application": "kibana-.kibana",
            "privileges": ["feature_savedObjectsManagement.all", "feature_discover.all", "feature_dashboard.all"],
            "resources": ["*"],
        }
    ],
}
_ROLES: Mapping[str, Mapping[str, Any]] = {
    "shipper": {"indices": [{"names": [LOG_INDEX_PATTERN], "privileges": ["create_doc", "auto_configure"]}]},
    "reader": {"indices": [{"names": [LOG_INDEX_PATTERN], "privileges": ["read"]}]},
}


def environment_indices(environment: str) -> str:
    """Return the pattern of the daily indices of an environment's lines; those of no other environment fit it."""
    return f"{LOG_INDEX}-{environment}-????.??.??"


def realm_files(
    users: Mapping[str, LogUserArgs], readers: Mapping[str, Sequence[str]], environment: str
) -> dict[str, pulumi.Input[str]]:
    """Return the files `users`, `users_roles` and `roles.yml`; `readers` are the environments that a user may read.

    What ships its own lines in `environment` writes into that environment's indices alone.
    """
    names = sorted(users)
    hashes: pulumi.Output[list[str]] = pulumi.Output.all(*(pulumi.Output.secret(users[name]["hash"]) for name in names))
    roles = dict(_ROLES)
    if "keeper" in users:
        roles["keeper"] = _KEEPER
    if "application" in users:
        names_of = [environment_indices(environment)]
        roles["application"] = {"indices": [{"names": names_of, "privileges": ["create_doc", "auto_configure"]}]}
    for name, environments in readers.items():
        patterns = [environment_indices(environment) for environment in environments]
        roles[f"reader-{name}"] = {"indices": [{"names": patterns, "privileges": ["read"]}]}
    return {
        "users": hashes.apply(lambda known: "".join(f"{n}:{h}\n" for n, h in zip(names, known, strict=True))),
        "users_roles": "".join(f"{LOG_ROLES.get(name, f'reader-{name}')}:{name}\n" for name in names),
        # One role per line: the server cuts the file at lines that are not indented.
        "roles.yml": "".join(f"{role}: {json.dumps(rights)}\n" for role, rights in roles.items()),
    }
