"""The log store, and the shipper of logs on every node."""

from collections.abc import Iterator, Mapping
from functools import partial

from pydantic import Field, SecretStr

from components.kit.names import LOG_STORE
from infra.composition.context import Composition, secret
from infra.composition.credentials import CredentialsPart
from infra.composition.draft import Draft, hashed, password
from infra.composition.handover import BuiltImages, Namespaces, PullSecrets
from infra.composition.service import Build, Certificate, NodePort, Service, Stack, Switch
from infra.contract.environment import PLATFORM, Environment, Mode, PlatformImage, RunBy, SectionField
from infra.contract.fields import NodePort as NodePortNumber
from infra.contract.fields import Section
from infra.contract.problems import Problem, proved, required
from infra.targets.target import Folder
from infra.targets.variables import BUILD_CONTEXTS

_SHIPPER = PlatformImage("log-shipper")
_SERVER = Folder(BUILD_CONTEXTS, "elasticsearch")
_STORAGE = "5Gi"
_KEY = "logStore"
_VARIABLES = {"username": "STELLWERK_LOG_STORE_USERNAME", "password": "STELLWERK_LOG_STORE_PASSWORD"}


class LoggingSection(Section):
    """The log store and the shipper on every node."""

    mode: RunBy
    node_port: NodePortNumber | None = None
    pod_logs_path: str | None = Field(
        default=None, pattern=r"^/", description="the absolute folder of pod logs on the nodes"
    )
    heap: str | None = Field(
        default=None, pattern=r"^[1-9][0-9]*[mg]$", description="the log store's Java heap: 512m or 2g"
    )
    url: str | None = Field(
        default=None,
        pattern=r"^https://[^/\s]+$",
        description="an https URL without a path, of one that runs elsewhere",
    )


class LogStoreUser(CredentialsPart):
    """A user of the log store: its password and the bcrypt hash of it."""

    password: SecretStr
    hash: SecretStr


class LogStoreUsers(CredentialsPart):
    """The users of the log store: what ships, what reads, and the administrator."""

    shipper: LogStoreUser
    reader: LogStoreUser
    elastic: LogStoreUser | None = None


class LogStoreLogin(CredentialsPart):
    """The login that reads a log store which runs elsewhere."""

    username: str
    password: SecretStr


class LogStoreKeys(CredentialsPart):
    """The log store's users by name."""

    users: LogStoreUsers


SECTION: SectionField[LoggingSection] = SectionField("logging", LoggingSection)


def runs(environment: Environment) -> bool:
    """Return whether the environment's own stack runs the log store."""
    return _section(environment).mode is Mode.EMBEDDED


def url(environment: Environment) -> str | None:
    """Return the URL of the log store for clients outside the cluster; None where the environment does not say it."""
    section = _section(environment)
    if section.mode is Mode.EMBEDDED:
        return f"https://{environment.cluster.address}:{proved(section.node_port)}"
    return section.url


def _section(environment: Environment) -> LoggingSection:
    return environment.section(SECTION)


def _rules(stack: Stack) -> Iterator[Problem]:
    if not runs(stack.environment):
        return
    section = _section(stack.environment)
    yield from required(("logging", "nodePort"), section.node_port, "a node port, because mode is embedded")
    yield from required(("logging", "heap"), section.heap, "a heap such as 512m, because mode is embedded")
    yield from required(
        ("logging", "podLogsPath"), section.pod_logs_path, "an absolute folder, because mode is embedded"
    )
    if stack.environment.cluster.shared:
        yield Problem(
            ("logging", "mode"),
            '"embedded"',
            "external, because cluster.shared is true: the cluster's owner runs the log store",
            "set mode to external, or cluster.shared to false",
        )


def _ports(environment: Environment) -> Iterator[NodePort]:
    port = _section(environment).node_port
    # Whether it is given is another rule's.
    if port is not None:
        yield NodePort(("logging", "nodePort"), port, "log store")


def _credentials(environment: Environment) -> Mapping[str, type[CredentialsPart]]:
    if runs(environment):
        return {_KEY: LogStoreKeys}
    return {_KEY: LogStoreLogin} if url(environment) else {}


def _make_credentials(draft: Draft) -> None:
    if runs(draft.environment):
        for user in LogStoreUsers.model_fields:
            draft.need(_KEY, "users", user, make=_user)
    elif (where := url(draft.environment)) is not None:
        for key, variable in _VARIABLES.items():
            draft.need(_KEY, key, make=partial(draft.given, variable, f"the log store {where}"))


def _user() -> dict[str, str]:
    made = password()
    return {"password": made, "hash": hashed(made)}


def _compose(context: Composition) -> None:
    import pulumi

    from components.logging.log_stack import LogStack

    values, section = context.environment, _section(context.environment)
    stack = LogStack(
        "logs",
        {
            "environment": values.scope,
            "namespace": context.get(Namespaces)[PLATFORM],
            "priority_class": context.get(Namespaces).priority(PLATFORM),
            "image": context.get(BuiltImages)["elasticsearch"],
            "shipper_image": values.image(_SHIPPER),
            "pull_secret": context.get(PullSecrets)[PLATFORM],
            "tls": context.tls,
            "trust_bundle": context.authority,
            "users": {
                name: {"password": secret(user.password), "hash": secret(user.hash)}
                for name, user in context.credentials.get(LogStoreKeys).users
                if user
            },
            "heap": proved(section.heap),
            "storage": _STORAGE,
            "address": values.cluster.address,
            "node_port": proved(section.node_port),
            "pod_logs_path": context.target.pod_logs(values.cluster.context) or proved(section.pod_logs_path),
        },
        context.opts,
    )
    pulumi.export("logStore", stack.url)


SERVICE = Service(
    "logging",
    section=SECTION,
    images=(_SHIPPER,),
    needs=(Namespaces, BuiltImages, PullSecrets),
    runs=runs,
    switch=Switch(("logging", "mode"), "embedded", "external"),
    rules=_rules,
    credentials=_credentials,
    make_credentials=_make_credentials,
    certificates=(Certificate(_KEY, (LOG_STORE,)),),
    node_ports=_ports,
    folders=lambda _: [_SERVER],
    builds=lambda *_: {
        "elasticsearch": Build(
            "components/logging/images/elasticsearch",
            contexts={"elasticsearch": lambda context: context.target.folder(_SERVER)},
        )
    },
    compose=_compose,
)
