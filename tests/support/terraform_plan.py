"""Resources of AWS as a plan of Terraform, which checkov reads: Pulumi's provider is Terraform's, field by field."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

# Types are called `aws_<service>_<resource>` but in these services, which have no name in theirs.
_UNNAMED = {"ec2"}
_SPELT = {"open_id_connect_provider": "openid_connect_provider"}
# Pulumi calls in the plural what may be there several times; Terraform calls the block of one in the singular.
_SINGULAR = {
    "rules": "rule",
    "transitions": "transition",
    "noncurrent_version_transitions": "noncurrent_version_transition",
    "encryption_configurations": "encryption_configuration",
    "taints": "taint",
    "filters": "filter",
    "repository_filters": "repository_filter",
}
# Fields that are not called like the resource whose id they have.
_OTHERWISE = {"allocation_id": "eip"}
# Mappings that are values, not blocks.
_MAPPINGS = {"tags", "labels", "resource_tags", "variables"}


def terraform_type(token: str) -> str:
    """Return what Terraform calls the type of a resource, such as `aws_s3_bucket` of `aws:s3/bucket:Bucket`."""
    service, _, resource = token.removeprefix("aws:").partition(":")[0].partition("/")
    name = _snake(resource)
    name = _SPELT.get(name, name)
    return f"aws_{name}" if service in _UNNAMED else f"aws_{service}_{name}"


def plan(inputs: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the creation of all resources of AWS among `inputs` (by `type::name`) as a plan's JSON."""
    resources = {key: each for key, each in inputs.items() if key.startswith("aws:")}
    planned, changes, configured = [], [], []
    for key, given in resources.items():
        kind, name = terraform_type(key.partition("::")[0]), key.partition("::")[2]
        values = _block(given)
        about = {"address": f"{kind}.{name}", "mode": "managed", "type": kind, "name": name}
        planned.append({**about, "values": values})
        changes.append({**about, "change": {"actions": ["create"], "before": None, "after": values}})
        configured.append({**about, "expressions": dict(_expressions(given, resources))})
    return {
        "format_version": "1.2",
        "terraform_version": "1.9.0",
        "planned_values": {"root_module": {"resources": planned}},
        "resource_changes": changes,
        "configuration": {"root_module": {"resources": configured}},
    }


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


def _block(given: Mapping[str, Any]) -> dict[str, Any]:
    made = {}
    for key, value in given.items():
        name = _snake(key)
        made[_SINGULAR.get(name, name)] = dict(value) if name in _MAPPINGS else _value(value)
    return made


def _value(value: Any) -> Any:
    """Return a value; a mapping is a block, and Terraform has blocks in lists."""
    if isinstance(value, Mapping):
        return [_block(value)]
    if isinstance(value, list):
        return [_block(each) if isinstance(each, Mapping) else each for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _expressions(given: Mapping[str, Any], resources: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, list[str]]]]:
    """Yield each field that names other resources: by the ids and ARNs that mocks give (tests/program/harness.py)."""
    for key, value in given.items():
        field = _snake(key)
        named = [
            address
            for text in _texts(value)
            for other in resources
            if _names(field, text, other)
            for address in [f"{terraform_type(other.partition('::')[0])}.{other.partition('::')[2]}"]
        ]
        if named:
            yield field, {"references": [each for address in named for each in (f"{address}.id", address)]}


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from _texts(each)
    elif isinstance(value, str):
        yield value


def _names(field: str, text: str, other: str) -> bool:
    """Return whether a text in a field is the id, or the ARN, of another resource. Ids do not say of which type."""
    token, _, name = other.partition("::")
    service, _, resource = token.removeprefix("aws:").partition(":")[0].partition("/")
    if text == f"arn:aws:{service}:::{name}":
        return True
    return text == f"{name}-id" and _snake(resource) in _OTHERWISE.get(field, field)
