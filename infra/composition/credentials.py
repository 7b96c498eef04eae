"""The secret values of an environment: one encrypted JSON object of `stellwerk init`, typed by the services."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError
from pydantic.alias_generators import to_camel

from infra.composition.assumed import REMOVED
from infra.contract.problems import ConfigError

if TYPE_CHECKING:
    from infra.composition.service import Stack

KEY = "credentials"
Path = tuple[str, ...]
_TLS = "tls"


class CredentialsPart(BaseModel):
    """A group of secret values; keys of a newer command are left alone."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", alias_generator=to_camel, hide_input_in_errors=True, defer_build=True
    )


class KeyPair(CredentialsPart):
    """A TLS certificate and its key, PEM."""

    certificate: str
    key: SecretStr


Part = TypeVar("Part", bound=CredentialsPart)


@dataclass(frozen=True)
class Credentials:
    """The credentials that an environment needs: by type, and key pairs by the name of the certificate."""

    parts: Mapping[type[CredentialsPart], CredentialsPart]
    key_pairs: Mapping[str, KeyPair]

    def get(self, kind: type[Part]) -> Part:
        """Return the credentials of this type; raise KeyError where no service of the environment declares them."""
        part = self.parts[kind]
        assert isinstance(part, kind)  # noqa: S101 (for the type checker: `read` stores each under its own type)
        return part


def read(raw: str | None, stack: "Stack", file: str) -> Credentials:
    """Return the credentials that `stack` needs from their JSON text.

    Raise ConfigError naming absent keys, never a value.
    """
    action = f"run `stellwerk init {stack.environment.environment}`"
    if raw is None:
        raise _refused(file, "nothing", action)
    try:
        given = json.loads(raw)
    except ValueError:
        given = None
    if not isinstance(given, dict):
        raise _refused(file, "absent or malformed: (the whole text) (values are not shown)", action)
    wanted, pairs = _wanted(stack)
    parts, broken = _validate({**wanted, **pairs}, given)
    if broken:
        raise _refused(file, f"absent or malformed: {', '.join(broken)} (values are not shown)", action)
    return Credentials(
        {kind: parts[path] for path, kind in wanted.items()},
        {path[-1]: pair for path in pairs if isinstance(pair := parts[path], KeyPair)},
    )


def without_secrets(known: Mapping[str, Any], stack: "Stack") -> dict[str, Any]:
    """Return credentials of which `read` makes those that `stack` needs, every secret value replaced by `REMOVED`.

    What is no secret (names of users, certificates) is as it is known; where it is not it is replaced, too.
    """
    made: dict[str, Any] = {}
    wanted, pairs = _wanted(stack)
    for path, kind in {**wanted, **pairs}.items():
        node = made
        for step in path[:-1]:
            node = node.setdefault(step, {})
        node[path[-1]] = _replaced(kind, _at(known, path))
    return made


def _replaced(kind: type[BaseModel], known: Any) -> dict[str, Any]:
    """Return the values of a part; what it can do without is there where it is known."""
    made: dict[str, Any] = {}
    for name, field in kind.model_fields.items():
        key = field.alias or name
        value = known.get(key) if isinstance(known, Mapping) else None
        if value is None and not field.is_required():
            continue
        kinds = [each for each in get_args(field.annotation) or (field.annotation,) if each is not type(None)]
        inner = kinds[-1]
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            # One, or one of each name.
            made[key] = (
                _replaced(inner, value)
                if len(kinds) == 1
                else {each: _replaced(inner, part) for each, part in (value or {}).items()}
            )
        else:
            made[key] = value if kinds == [str] and isinstance(value, str) else REMOVED
    return made


def _wanted(stack: "Stack") -> tuple[dict[Path, type[CredentialsPart]], dict[Path, type[CredentialsPart]]]:
    """Return the types of what a stack needs by path: credentials of its services, and key pairs of certificates."""
    parts: dict[Path, type[CredentialsPart]] = {
        (key,): kind for service in stack.services for key, kind in service.credentials(stack.environment).items()
    }
    return parts, {(_TLS, certificate.key): KeyPair for certificate in stack.certificates()}


def _validate(
    wanted: Mapping[Path, type[CredentialsPart]], given: Mapping[str, Any]
) -> tuple[dict[Path, CredentialsPart], list[str]]:
    """Return the typed parts by path, and the paths of all that is absent or malformed."""
    parts: dict[Path, CredentialsPart] = {}
    broken: list[str] = []
    for path, kind in wanted.items():
        try:
            parts[path] = kind.model_validate(_at(given, path))
        except ValidationError as error:
            broken += list(_paths(path, error))
    return parts, broken


def _at(node: Any, path: Path) -> Any:
    for step in path:
        node = node.get(step) if isinstance(node, Mapping) else None
    return node


def _paths(path: Path, error: ValidationError) -> Iterator[str]:
    for detail in error.errors():
        yield ".".join(map(str, (*path, *detail["loc"])))


def _refused(file: str, given: str, action: str) -> ConfigError:
    return ConfigError(f"{file}: stellwerk:{KEY}\n  given:   {given}\n  allowed: a secret object\n  do:      {action}")
