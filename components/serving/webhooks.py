"""KServe's admission webhooks for inference services: defaults and validation."""

import base64
from collections.abc import Sequence
from typing import TypeVar

import pulumi

from components.kit.kubernetes import admissionregistration, meta
from components.kit.names import KSERVE_WEBHOOK
from components.kit.options import child

Webhook = TypeVar(
    "Webhook", admissionregistration.v1.MutatingWebhookArgs, admissionregistration.v1.ValidatingWebhookArgs
)
_CONFIGURATION = "inferenceservice.serving.kserve.io"
_SERVER = "inferenceservice.kserve-webhook-server"
_PATH = "serving-kserve-io-v1beta1-inferenceservice"


def declare_webhooks(
    name: str,
    namespace: pulumi.Input[str],
    authority: pulumi.Input[str],
    parent: pulumi.Resource,
    depends_on: Sequence[pulumi.Resource],
) -> list[pulumi.Resource]:
    """Declare both webhooks; the API server trusts `authority` (a certificate, PEM) when it calls them.

    KServe's webhook for pods is not installed: for ours it does nothing but add two empty annotations, and while the
    controller is away no pod of any environment could be replaced.
    """
    mutating = admissionregistration.v1.MutatingWebhookConfiguration(
        f"{name}-mutating",
        metadata=meta.v1.ObjectMetaArgs(name=_CONFIGURATION),
        webhooks=[
            _webhook(admissionregistration.v1.MutatingWebhookArgs, "defaulter", _client("mutate", namespace, authority))
        ],
        opts=child(parent, depends_on),
    )
    validating = admissionregistration.v1.ValidatingWebhookConfiguration(
        f"{name}-validating",
        metadata=meta.v1.ObjectMetaArgs(name=_CONFIGURATION),
        webhooks=[
            _webhook(
                admissionregistration.v1.ValidatingWebhookArgs, "validator", _client("validate", namespace, authority)
            )
        ],
        opts=child(parent, depends_on),
    )
    return [mutating, validating]


def _webhook(kind: type[Webhook], title: str, client: admissionregistration.v1.WebhookClientConfigArgs) -> Webhook:
    return kind(
        name=f"{_SERVER}.{title}",
        client_config=client,
        failure_policy="Fail",
        side_effects="None",
        admission_review_versions=["v1beta1"],
        rules=[_rule()],
    )


def _rule() -> admissionregistration.v1.RuleWithOperationsArgs:
    return admissionregistration.v1.RuleWithOperationsArgs(
        api_groups=["serving.kserve.io"],
        api_versions=["v1beta1"],
        operations=["CREATE", "UPDATE"],
        resources=["inferenceservices"],
    )


def _client(
    action: str, namespace: pulumi.Input[str], authority: pulumi.Input[str]
) -> admissionregistration.v1.WebhookClientConfigArgs:
    bundle = pulumi.Output.from_input(authority).apply(lambda pem: base64.b64encode(pem.encode()).decode())
    path = f"/{action}-{_PATH}"
    service = admissionregistration.v1.ServiceReferenceArgs(name=KSERVE_WEBHOOK, namespace=namespace, path=path)
    return admissionregistration.v1.WebhookClientConfigArgs(ca_bundle=bundle, service=service)
