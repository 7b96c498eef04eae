"""Writes a plain typed pulumi-kubernetes program that declares given resources, as a user would without components."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, get_args, get_origin

import pulumi_kubernetes as k8s

# What the SDK itself uses to translate names; there is no public way to ask for an argument class's fields.
from pulumi._types import input_type_py_to_pulumi_names, input_type_types, is_input_type, unwrap_type

_SIGNATURE = "4dabf18193072939515e22adb298388d"
_PROVIDER = "pulumi:providers:kubernetes"
_CUSTOM = "apiextensions.CustomResource"
Resources = Mapping[str, Mapping[str, Any]]
"""Inputs as the wire carries them, by `type::name`, in the order of their registration."""


def program(resources: Resources) -> str:
    """Return the source: imports, the provider, then one constructor per resource."""
    lines = ["import pulumi", "import pulumi_kubernetes as k8s", ""]
    for key, inputs in resources.items():
        kind, name = key.split("::")
        if kind == _PROVIDER:
            lines.append(f"provider = k8s.Provider({name!r}, {', '.join(_fields(k8s.ProviderArgs, inputs))})")
            lines.append("opts = pulumi.ResourceOptions(provider=provider)")
        else:
            lines.append(_constructor(kind, name, inputs))
    return "\n".join(lines) + "\n"


def imports(resources: Resources) -> str:
    """Return the source that only loads the modules which `program` uses: it touches every resource class."""
    classes = sorted({_class_of(key.split("::")[0]) for key in resources if key.startswith("kubernetes:")})
    return "\n".join(["import pulumi_kubernetes as k8s", "", *(f"k8s.{name}" for name in classes)]) + "\n"


def _class_of(kind: str) -> str:
    """Return `core.v1.Secret` of `kubernetes:core/v1:Secret`; kinds that the SDK does not know are custom resources."""
    _, module, name = kind.split(":")
    group, _, version = module.partition("/")
    path = f"{group.split('.')[0]}.{version}.{name}"
    return path if _find(path) is not None else _CUSTOM


def _find(path: str) -> Any:
    part: Any = k8s
    for step in path.split("."):
        part = getattr(part, step, None)
    return part


def _constructor(kind: str, name: str, inputs: Mapping[str, Any]) -> str:
    path = _class_of(kind)
    arguments: Any = _find(f"{path}InitArgs") or _find(f"{path}Args")
    given = dict(inputs) if path == _CUSTOM else {k: v for k, v in inputs.items() if k not in ("apiVersion", "kind")}
    fields = ", ".join(_fields(arguments, given))
    return f"k8s.{path}({name!r}, {fields}, opts=opts)"


def _fields(arguments: type, inputs: Mapping[str, Any]) -> Iterator[str]:
    """Return keyword arguments of an argument class."""
    types = input_type_types(arguments)
    for python, wire in input_type_py_to_pulumi_names(arguments).items():
        if wire in inputs:
            yield f"{python}={_value(types[wire], inputs[wire])}"


def _value(given: Any, value: Any) -> str:
    """Return the expression of a value whose declared type is `given`."""
    kind: Any = unwrap_type(given)
    if isinstance(value, dict):
        if _SIGNATURE in value:
            return f"pulumi.Output.secret({_value(given, value['value'])})"
        if isinstance(kind, type) and is_input_type(kind):
            module = kind.__module__.removeprefix("pulumi_kubernetes.").removesuffix("._inputs")
            return f"k8s.{module}.{kind.__name__}({', '.join(_fields(kind, value))})"
        item = get_args(kind)[1] if len(get_args(kind)) == 2 else Any
        return "{" + ", ".join(f"{key!r}: {_value(item, inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        item = get_args(kind)[0] if get_origin(kind) is not None and get_args(kind) else Any
        return "[" + ", ".join(_value(item, inner) for inner in value) + "]"
    if kind is bool and isinstance(value, str):
        # Inputs of a provider are JSON texts on the wire.
        return repr(bool(json.loads(value)))
    if isinstance(value, float) and value.is_integer():
        return repr(int(value))
    return repr(value)
