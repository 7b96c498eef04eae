"""The S3 store of model artefacts."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from pydantic import Field

from infra.composition.context import Composition
from infra.composition.credentials import CredentialsPart
from infra.composition.draft import Draft, access_key, password
from infra.composition.handover import Namespaces, ObjectStoreAccess
from infra.composition.logins import S3Keys, take_login
from infra.composition.service import Certificate, NodePort, Service, Stack
from infra.contract.environment import PLATFORM, Environment, Mode, PlatformImage, RunBy, SectionField
from infra.contract.fields import Name, Section
from infra.contract.fields import NodePort as NodePortNumber
from infra.contract.problems import Problem, proved, required

if TYPE_CHECKING:
    import pulumi

    from components.kit.access import StoreAccessArgs

_IMAGE, _TOOLS = PlatformImage("versitygw"), PlatformImage("busybox")
_STORAGE = "10Gi"
_KEY = "objectStore"
_WRITER = {"accessKey": "AWS_ACCESS_KEY_ID", "secretKey": "AWS_SECRET_ACCESS_KEY"}
_READER = {"accessKey": "AWS_READER_ACCESS_KEY_ID", "secretKey": "AWS_READER_SECRET_ACCESS_KEY"}


class ObjectStoreSection(Section):
    """The S3 store of model artefacts."""

    mode: RunBy
    bucket: Name
    node_port: NodePortNumber | None = None
    endpoint: str | None = Field(default=None, pattern=r"^https://[^/]+$", description="an https URL without a path")


class ObjectStoreKeys(S3Keys):
    """The login that writes, for training, tracking and the command; models get the reader's, where there is one."""

    reader: S3Keys | None = None

    @property
    def for_models(self) -> S3Keys:
        """Return the login of those who only read; an external store may have one login for all."""
        return self.reader or self


class OwnObjectStoreKeys(ObjectStoreKeys):
    """The logins of a store of this stack."""

    reader: S3Keys


SECTION: SectionField[ObjectStoreSection] = SectionField("object_store", ObjectStoreSection)


def runs(environment: Environment) -> bool:
    """Return whether the environment's own stack runs the store."""
    return _section(environment).mode is Mode.EMBEDDED


def bucket(environment: Environment) -> str:
    """Return the bucket of models; a team has one of its own."""
    return environment.shared_name(_section(environment).bucket)


def external_url(environment: Environment) -> str:
    """Return the URL under which clients outside the cluster reach the store."""
    section = _section(environment)
    if section.mode is Mode.EMBEDDED:
        return f"https://{environment.cluster.address}:{proved(section.node_port)}"
    return proved(section.endpoint)


def _section(environment: Environment) -> ObjectStoreSection:
    return environment.section(SECTION)


def _rules(stack: Stack) -> Iterator[Problem]:
    section = _section(stack.environment)
    if section.mode is Mode.EMBEDDED:
        yield from required(("objectStore", "nodePort"), section.node_port, "a node port, because mode is embedded")
    else:
        yield from required(("objectStore", "endpoint"), section.endpoint, "an https URL, because mode is external")


def _ports(environment: Environment) -> Iterator[NodePort]:
    port = _section(environment).node_port
    # Whether it is given is another rule's.
    if port is not None:
        yield NodePort(("objectStore", "nodePort"), port, "object store")


def _credentials(environment: Environment) -> Mapping[str, type[CredentialsPart]]:
    return {_KEY: OwnObjectStoreKeys if runs(environment) else ObjectStoreKeys}


def _make_credentials(draft: Draft) -> None:
    if runs(draft.environment):
        for path in ((_KEY,), (_KEY, "reader")):
            draft.need(*path, "accessKey", make=access_key)
            draft.need(*path, "secretKey", make=password)
        return
    take_login(draft, (_KEY,), _WRITER, "the external object store")
    # A store may have one login for all.
    if any(draft.variables.get(variable) for variable in _READER.values()):
        take_login(draft, (_KEY, "reader"), _READER, "those who only read the external object store")


def _compose(context: Composition) -> None:
    import pulumi

    from components.storage.object_store import ObjectStore

    keys = context.credentials.get(OwnObjectStoreKeys)
    store = ObjectStore(
        "object-store",
        {
            "namespace": context.get(Namespaces)[PLATFORM],
            "priority_class": context.get(Namespaces).priority(PLATFORM),
            "image": context.environment.image(_IMAGE),
            "tool_image": context.environment.image(_TOOLS),
            "buckets": [bucket(context.environment)],
            "owner": keys.args(),
            "reader": keys.reader.args(),
            "tls": context.tls,
            "address": context.environment.cluster.address,
            "node_port": proved(_section(context.environment).node_port),
            "storage": _STORAGE,
        },
        context.opts,
    )
    _hand_over(context, keys, store.endpoint, store.reader_endpoint)
    pulumi.export("objectStore", store.external_endpoint)


def _connect(context: Composition) -> None:
    import pulumi

    endpoint = external_url(context.environment)
    _hand_over(context, context.credentials.get(ObjectStoreKeys), endpoint, endpoint)
    pulumi.export("objectStore", endpoint)


def _hand_over(
    context: Composition, keys: ObjectStoreKeys, endpoint: "pulumi.Input[str]", reader: "pulumi.Input[str]"
) -> None:
    context.give(ObjectStoreAccess(_access(context, endpoint, keys), _access(context, reader, keys.for_models)))


def _access(context: Composition, endpoint: "pulumi.Input[str]", keys: S3Keys) -> "StoreAccessArgs":
    return {
        "bucket": bucket(context.environment),
        "endpoint": endpoint,
        "keys": keys.args(),
        "trust_bundle": context.authority,
    }


SERVICE = Service(
    "object-store",
    section=SECTION,
    images=(_IMAGE, _TOOLS),
    needs=(Namespaces,),
    gives=(ObjectStoreAccess,),
    runs=runs,
    rules=_rules,
    credentials=_credentials,
    make_credentials=_make_credentials,
    certificates=(Certificate(_KEY, ("object-store", "object-store-reader")),),
    node_ports=_ports,
    compose=_compose,
    connect=_connect,
)
