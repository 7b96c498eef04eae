"""KServe's admission webhooks for inference services: defaults and validation."""

import base64
from collections.abc import Sequence

import pulumi
from pulumi_kubernetes import admissionregistration, meta

from components.kit.names import KSERVE_WEBHOOK
from components.kit.options import child

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
            admissionregistration.v1.MutatingWebhookArgs(
                name=f"{_SERVER}.defaulter",
                client_config=_client(f"/mutate-{_PATH}", namespace, authority),
                failure_policy="Fail",
                side_effects="None",
                admission_review_versions=["v1beta1"],
                rules=[_rule()],
            )
        ],
        opts=child(parent, depends_on),
    )
    validating = admissionregistration.v1.ValidatingWebhookConfiguration(
        f"{name}-validating",
        metadata=meta.v1.ObjectMetaArgs(name=_CONFIGURATION),
        webhooks=[
            admissionregistration.v1.ValidatingWebhookArgs(
                name=f"{_SERVER}.validator",
                client_config=_client(f"/validate-{_PATH}", namespace, authority),
                failure_policy="Fail",
                side_effects="None",
                admission_review_versions=["v1beta1"],
                rules=[_rule()],
            )
        ],
        opts=child(parent, depends_on),
    )
    return [mutating, validating]


def _rule() -> admissionregistration.v1.RuleWithOperationsArgs:
    return admissionregistration.v1.RuleWithOperationsArgs(
        api_groups=["serving.kserve.io"],
        api_versions=["v1beta1"],
        operations=["CREATE", "UPDATE"],
        resources=["inferenceservices"],
    )


def _client(
    path: str, namespace: pulumi.Input[str], authority: pulumi.Input[str]
) -> admissionregistration.v1.WebhookClientConfigArgs:
    bundle = pulumi.Output.from_input(authority).apply(lambda pem: base64.b64encode(pem.encode()).decode())
    service = admissionregistration.v1.ServiceReferenceArgs(name=KSERVE_WEBHOOK, namespace=namespace, path=path)
    return admissionregistration.v1.WebhookClientConfigArgs(ca_bundle=bundle, service=service)
