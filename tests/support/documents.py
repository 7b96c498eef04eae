"""The environments of a team, as tests of the framework have them: for a checkout that a test makes."""

import copy
import io
from functools import cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.representer import RoundTripRepresenter

from infra.contract.stacks import NAMESPACE, StackFiles, file_name

# A checkout's folders that are the team's: what this checkout has of its own is no matter of the framework's tests.
TEAM = Path(__file__).parent / "team"
ENVIRONMENTS = StackFiles(TEAM).ordered()
# What the demo of the Makefile trains, too.
MODEL = "digits"


class _Representer(RoundTripRepresenter):
    """Writes null as the stack files do."""


_Representer.add_representer(type(None), lambda dumper, _: dumper.represent_scalar("tag:yaml.org,2002:null", "null"))


def yaml() -> YAML:
    """Return YAML as Pulumi writes it, comments kept."""
    made = YAML(typ="rt")
    made.Representer = _Representer
    made.preserve_quotes = True
    made.indent(mapping=2, sequence=4, offset=2)
    made.width = 1 << 20
    return made


def whole_values(environment: str) -> dict[str, Any]:
    """Return all values of an environment as before anything was made or promoted with it, by their keys."""
    # What was read is shared, and tests change it.
    values = copy.deepcopy(StackFiles(TEAM).values(environment))
    values.pop("caCertificate", None)
    models = {name: {**model, "release": None, "previous": None} for name, model in values["models"].items()}
    return {**values, "models": models}


@cache
def whole_text(environment: str) -> str:
    """Return a stack file that says all these values by itself."""
    stream = io.StringIO()
    config = {f"{NAMESPACE}:{key}": value for key, value in whole_values(environment).items()}
    yaml().dump({"config": config}, stream)
    return stream.getvalue()


def write_stacks(root: Path) -> None:
    """Give the checkout at `root` the environments, each with all its values in its stack file."""
    (root / "stacks").mkdir(parents=True, exist_ok=True)
    for name in ENVIRONMENTS:
        (root / file_name(name)).write_text(whole_text(name))
