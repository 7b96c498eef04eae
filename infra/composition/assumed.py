"""A preview without credentials: what the state has of Secrets is taken for what the program would declare."""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

# What stands for a secret value: in an exported state, in the credentials of its preview, and in what is declared.
REMOVED = "removed"
SECRET = "kubernetes:core/v1:Secret"  # noqa: S105 (a type)
# What each value of a Secret is replaced by, in the field where it stands.
_VALUES = {"stringData": REMOVED, "data": base64.b64encode(REMOVED.encode()).decode()}


def replaced(secret: Mapping[str, Any]) -> dict[str, Any]:
    """Return the inputs or outputs of a Secret without its values."""
    return {key: dict.fromkeys(each, _VALUES[key]) if key in _VALUES else each for key, each in secret.items()}


@dataclass(frozen=True)
class KnownSecret:
    """A Secret in a state: its name in the cluster, which says what is in it, and the keys of what it holds."""

    title: str
    keys: tuple[str, ...]


def write(file: Path, known: Mapping[str, KnownSecret]) -> None:
    """Write the Secrets of a state, by the names of their resources, for `assume`."""
    file.write_text(json.dumps({name: [each.title, each.keys] for name, each in known.items()}), encoding="utf-8")


def assume(file: Path) -> None:
    """Let all Secrets declared from now on have the values and the names that the state of `file` has.

    One whose keys are others than in the state, or which is new, has a name of its own: its change is seen.
    """
    import pulumi

    given: Mapping[str, tuple[str, list[str]]] = json.loads(file.read_text(encoding="utf-8"))
    known = {name: KnownSecret(title, tuple(keys)) for name, (title, keys) in given.items()}

    def declare(args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult | None:
        if args.type_ != SECRET:
            return None
        props, keys = dict(args.props), []
        for field, value in _VALUES.items():
            if props.get(field) is not None:
                held = pulumi.Output.from_input(props[field])
                props[field] = pulumi.Output.secret(held.apply(partial(_every, value)))
                keys.append(pulumi.Output.unsecret(held.apply(sorted)))
        metadata, before = props.get("metadata"), known.get(args.name)
        if before is not None and isinstance(metadata, Mapping):
            title = pulumi.Output.all(metadata.get("name"), *keys).apply(partial(_title, before))
            props["metadata"] = {**metadata, "name": title}
        return pulumi.ResourceTransformationResult(props, args.opts)

    pulumi.runtime.register_stack_transformation(declare)


def _every(value: str, data: Mapping[str, Any]) -> dict[str, str]:
    return dict.fromkeys(data, value)


def _title(before: KnownSecret, declared: Sequence[Any]) -> Any:
    """Return the name of a Secret in the state, the one that is declared where it has other keys."""
    own, *keys = declared
    return before.title if sorted(before.keys) == sorted(key for each in keys for key in each) else own
