"""The secret values of an environment: one encrypted JSON object, written by `stellwerk init`."""

import pulumi
from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError
from pydantic.alias_generators import to_camel

from infra.contract.environment import Environment, Mode
from infra.contract.problems import ConfigError

KEY = "credentials"


class _Section(BaseModel):
    # Keys of a newer command are left alone: this program reads what it needs.
    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel, hide_input_in_errors=True)


class KeyPair(_Section):
    """A TLS certificate and its key, PEM."""

    certificate: str
    key: SecretStr


class Tls(_Section):
    """Key pairs by service."""

    gateway: KeyPair
    object_store: KeyPair | None = None
    registry: KeyPair | None = None
    log_store: KeyPair | None = None
    kserve_webhook: KeyPair | None = None


class S3Keys(_Section):
    """An S3 login."""

    access_key: SecretStr
    secret_key: SecretStr


class ObjectStoreKeys(S3Keys):
    """The login that writes, for training, tracking and the command; models get the reader's, where there is one."""

    reader: S3Keys | None = None

    @property
    def for_models(self) -> S3Keys:
        """The login of those who only read; an external store may have one login for all."""
        return self.reader or self


class PushLogin(_Section):
    """A login that may push, and its htpasswd line where this stack runs the registry."""

    username: str
    password: SecretStr
    htpasswd: SecretStr | None = None


class RegistryLogin(_Section):
    """The login pods pull images with; the one that builds push with; htpasswd lines of all that may pull only."""

    username: str
    password: SecretStr
    htpasswd: SecretStr | None = None
    push: PushLogin | None = None

    @property
    def builder(self) -> "RegistryLogin | PushLogin":
        """The login of image builds: a registry that runs elsewhere may have one for both."""
        return self.push or self


class TrackingKeys(_Section):
    """Password of the tracking database."""

    postgres_password: SecretStr


class LogStoreUser(_Section):
    """A log store user: its password and the bcrypt hash of it."""

    password: SecretStr
    hash: SecretStr


class LogStoreKeys(_Section):
    """Log store users by name."""

    users: dict[str, LogStoreUser]


class Credentials(_Section):
    """All secret values of one environment."""

    tls: Tls
    object_store: ObjectStoreKeys
    registry: RegistryLogin
    tracking: TrackingKeys | None = None
    log_store: LogStoreKeys | None = None


def secret(value: SecretStr | None) -> pulumi.Output[str]:
    """The value as a Pulumi secret: encrypted in the state, hidden in previews.

    Raises ConfigError on None, which `read` has refused before.
    """
    if value is None:
        raise ConfigError(f"stellwerk:{KEY}: a value is absent; run `stellwerk init` for this environment again")
    return pulumi.Output.secret(value.get_secret_value())


def read(raw: str | None, environment: Environment, file: str) -> Credentials:
    """The credentials of `environment` from their JSON text.

    Raises ConfigError naming absent keys, never a value.
    """
    action = f"run `stellwerk init {environment.environment}`"
    if raw is None:
        raise _refused(file, "nothing", action)
    try:
        credentials = Credentials.model_validate_json(raw)
    except ValidationError as error:
        keys = [".".join(map(str, detail["loc"])) or "(the whole text)" for detail in error.errors()]
        raise _refused(file, f"absent or malformed: {', '.join(keys)} (values are not shown)", action) from None
    absent = [key for key, value in _needed(environment, credentials).items() if value is None]
    if absent:
        raise _refused(file, f"absent: {', '.join(absent)}", action)
    return credentials


def _refused(file: str, given: str, action: str) -> ConfigError:
    return ConfigError(f"{file}: stellwerk:{KEY}\n  given:   {given}\n  allowed: a secret object\n  do:      {action}")


def _needed(environment: Environment, credentials: Credentials) -> dict[str, object]:
    """The optional keys that this environment cannot do without."""
    tls, users = credentials.tls, credentials.log_store.users if credentials.log_store else {}
    needed: dict[str, object] = {}
    if environment.object_store.mode is Mode.EMBEDDED:
        needed |= {"tls.objectStore": tls.object_store, "objectStore.reader": credentials.object_store.reader}
    if environment.registry.mode is Mode.EMBEDDED:
        needed |= {"tls.registry": tls.registry, "registry.htpasswd": credentials.registry.htpasswd}
        needed["registry.push"] = credentials.registry.push
    if not environment.cluster.shared:
        needed["tls.kserveWebhook"] = tls.kserve_webhook
    if environment.tracking.enabled:
        needed["tracking.postgresPassword"] = credentials.tracking
    if environment.logging.mode is Mode.EMBEDDED:
        needed["tls.logStore"] = tls.log_store
        needed |= {f"logStore.users.{user}": users.get(user) for user in ("shipper", "reader")}
    return needed
