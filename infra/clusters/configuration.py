"""A cluster's values, from its file or from what the engine has."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from infra.contract.cluster import EksCluster, violations
from infra.contract.problems import Problem, problems, show
from infra.contract.stacks import StackFiles


def validate(values: Mapping[str, Any], name: str, files: StackFiles) -> EksCluster:
    """Return the values of the cluster's stack `name`; raise ConfigError with one message for all that is wrong."""
    source = files.source(name)
    try:
        cluster = EksCluster.model_validate_json(json.dumps(values, default=str))
    except ValidationError as error:
        raise source.error(problems(error, EksCluster)) from None
    broken = list(violations(cluster))
    if cluster.name != name:
        broken.append(Problem(("name",), show(cluster.name), f"{name}, the stack's name", f"set it to {name}"))
    if broken:
        raise source.error(broken)
    return cluster


def from_file(name: str, root: Path) -> EksCluster:
    """Return a cluster as its file says; raise ConfigError as `validate` does."""
    files = StackFiles(root)
    return validate(files.own(files.require_cluster(name)), name, files)
