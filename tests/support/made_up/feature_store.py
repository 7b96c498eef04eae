"""A made-up service: a feature store that keeps its data in the object store."""

from pydantic import SecretStr

from infra.composition.context import Composition, secret
from infra.composition.credentials import CredentialsPart
from infra.composition.draft import password
from infra.composition.handover import Namespaces, ObjectStoreAccess
from infra.composition.service import Certificate, NodePort, Service
from infra.contract.environment import PLATFORM, Environment, PlatformImage, SectionField
from infra.contract.fields import NodePort as NodePortNumber
from infra.contract.fields import Section

_IMAGE = PlatformImage("feature-store")


class FeatureStoreSection(Section):
    """The feature store."""

    node_port: NodePortNumber


class FeatureStoreKeys(CredentialsPart):
    """Password of the feature store."""

    password: SecretStr


SECTION: SectionField[FeatureStoreSection] = SectionField("feature_store", FeatureStoreSection)


def _ports(environment: Environment) -> list[NodePort]:
    return [NodePort(("featureStore", "nodePort"), environment.section(SECTION).node_port, "feature store")]


def _compose(context: Composition) -> None:
    import pulumi

    from components.kit.kubernetes import core

    store = context.get(ObjectStoreAccess).writer
    made = core.v1.Secret(
        "feature-store",
        metadata={"namespace": context.get(Namespaces)[PLATFORM]},
        string_data={
            "password": secret(context.credentials.get(FeatureStoreKeys).password),
            "endpoint": store["endpoint"],
            "image": context.environment.image(_IMAGE),
            **context.tls,
        },
        opts=context.opts,
    )
    pulumi.export("featureStore", made.metadata.name)


SERVICE = Service(
    "feature-store",
    section=SECTION,
    images=(_IMAGE,),
    needs=(Namespaces, ObjectStoreAccess),
    credentials=lambda _: {"featureStore": FeatureStoreKeys},
    make_credentials=lambda draft: draft.need("featureStore", "password", make=password),
    certificates=(Certificate("featureStore", ("feature-store",)),),
    node_ports=_ports,
    compose=_compose,
)
