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
from infra.contract.cluster import Identity, Role
from infra.contract.environment import PLATFORM, Environment, Mode, PlatformImage, RunBy, SectionField
from infra.contract.fields import Name, Section
from infra.contract.fields import NodePort as NodePortNumber
from infra.contract.problems import Problem, proved, required

if TYPE_CHECKING:
    import pulumi

    from components.kit.access import StaticKeysArgs, StoreAccessArgs, WorkloadIdentityArgs

_IMAGE, _TOOLS = PlatformImage("versitygw"), PlatformImage("busybox")
_STORAGE = "10Gi"
_ROLE = "eks.amazonaws.com/role-arn"
_KEY = "objectStore"
_WRITER = {"accessKey": "AWS_ACCESS_KEY_ID", "secretKey": "AWS_SECRET_ACCESS_KEY"}
_READER = {"accessKey": "AWS_READER_ACCESS_KEY_ID", "secretKey": "AWS_READER_SECRET_ACCESS_KEY"}


class StoreRoles(Section):
    """The roles that pods take by IRSA, where no stack of the cluster's says them."""

    writer: Role
    reader: Role


class ObjectStoreSection(Section):
    """The S3 store of model artefacts."""

    mode: RunBy
    bucket: Name
    node_port: NodePortNumber | None = None
    endpoint: str | None = Field(default=None, pattern=r"^https://[^/]+$", description="an https URL without a path")
    region: str | None = Field(
        default=None,
        min_length=1,
        description="the store's region: eu-central-1; without an endpoint AWS's own",
    )
    path_style: bool = Field(default=True, description="true: the bucket stands in the path; false: in the host's name")
    public_certificate: bool = Field(
        default=False, description="true: the endpoint's certificate comes from a public authority"
    )
    identity: Identity | None = Field(
        default=None, description="irsa or podIdentity: pods prove who they are to AWS; null: by keys"
    )
    roles: StoreRoles | None = Field(default=None, description="{writer: <ARN>, reader: <ARN>}, or null")


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


def external_url(environment: Environment) -> str | None:
    """Return the URL under which clients outside the cluster reach the store; None: AWS's own of the region."""
    section = _section(environment)
    if section.mode is Mode.EMBEDDED:
        return f"https://{environment.cluster.address}:{proved(section.node_port)}"
    return section.endpoint


def region(environment: Environment) -> str | None:
    """Return the region of the store, None where it has none."""
    return _section(environment).region


def path_style(environment: Environment) -> bool:
    """Return whether the bucket stands in the path of requests."""
    return _section(environment).path_style


def has_keys(environment: Environment) -> bool:
    """Return whether the store is used with keys of the environment's credentials, and not with who one is in AWS."""
    return _section(environment).identity is None


def has_own_authority(environment: Environment) -> bool:
    """Return whether the store's certificate comes from the authorities that the environment trusts."""
    section = _section(environment)
    return section.mode is Mode.EMBEDDED or (section.endpoint is not None and not section.public_certificate)


def _section(environment: Environment) -> ObjectStoreSection:
    return environment.section(SECTION)


def _rules(stack: Stack) -> Iterator[Problem]:
    section = _section(stack.environment)
    if section.mode is Mode.EMBEDDED:
        yield from required((_KEY, "nodePort"), section.node_port, "a node port, because mode is embedded")
    elif section.region is None:
        yield from required(
            (_KEY, "endpoint"), section.endpoint, "an https URL, or a region of AWS, because mode is external"
        )
    yield from _identity_rules(stack.environment, section)


def _identity_rules(environment: Environment, section: ObjectStoreSection) -> Iterator[Problem]:
    """Yield what is wrong with how pods prove who they are."""
    path = (_KEY, "identity")
    if section.identity is not None and section.mode is Mode.EMBEDDED:
        yield Problem(path, section.identity.value, "null, because mode is embedded", "remove the key")
    if section.identity is Identity.IRSA and section.roles is None and environment.cluster.stack is None:
        allowed = "the roles that pods take, by cluster.stack or by objectStore.roles, because identity is irsa"
        yield Problem(path, section.identity.value, allowed, "name the stack that makes the cluster, or the two roles")
    if section.roles is not None and section.identity is not Identity.IRSA:
        allowed = "null, because roles are taken with identity: irsa alone"
        yield Problem((_KEY, "roles"), "two roles", allowed, "set identity to irsa, or remove the key")


def _ports(environment: Environment) -> Iterator[NodePort]:
    port = _section(environment).node_port
    # Whether it is given is another rule's.
    if port is not None:
        yield NodePort(("objectStore", "nodePort"), port, "object store")


def _credentials(environment: Environment) -> Mapping[str, type[CredentialsPart]]:
    if not has_keys(environment):
        return {}
    return {_KEY: OwnObjectStoreKeys if runs(environment) else ObjectStoreKeys}


def _make_credentials(draft: Draft) -> None:
    if not has_keys(draft.environment):
        return
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
    context.give(
        ObjectStoreAccess(
            _access(context, store.endpoint, keys.args()), _access(context, store.reader_endpoint, keys.reader.args())
        )
    )
    pulumi.export("objectStore", store.external_endpoint)


def _connect(context: Composition) -> None:
    import pulumi

    endpoint = external_url(context.environment)
    if has_keys(context.environment):
        keys = context.credentials.get(ObjectStoreKeys)
        writer, reader = (_access(context, endpoint, each.args()) for each in (keys, keys.for_models))
    else:
        writer, reader = (_access(context, endpoint, identity=_identity(context, use)) for use in ("writer", "reader"))
    context.give(ObjectStoreAccess(writer, reader))
    pulumi.export("objectStore", endpoint or f"s3://{bucket(context.environment)}")


def _identity(context: Composition, use: str) -> "WorkloadIdentityArgs":
    """Return who a pod is in AWS for a use of the store: writer or reader."""
    section = _section(context.environment)
    if section.identity is Identity.POD_IDENTITY:
        # The cluster knows which service account has which role.
        return {"annotations": {}}
    if section.roles is not None:
        given: str = getattr(section.roles, use)
        return {"annotations": {_ROLE: given}}
    return {"annotations": {_ROLE: proved(context.joined).role(use)}}


def _access(
    context: Composition,
    endpoint: "pulumi.Input[str] | None",
    keys: "StaticKeysArgs | None" = None,
    identity: "WorkloadIdentityArgs | None" = None,
) -> "StoreAccessArgs":
    environment = context.environment
    return {
        "bucket": bucket(environment),
        "region": region(environment),
        "endpoint": endpoint,
        "keys": keys,
        "identity": identity,
        "virtual_hosts": not path_style(environment),
        "trust_bundle": context.authority if has_own_authority(environment) else None,
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
