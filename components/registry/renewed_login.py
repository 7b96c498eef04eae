"""The registry login of a namespace's pods where it ends after hours: ECR's."""

import hashlib
from pathlib import Path
from typing import NotRequired, TypedDict

import pulumi

from components.kit import pods
from components.kit.kubernetes import batch, core, meta, rbac
from components.kit.names import REGISTRY_LOGIN
from components.kit.options import TIMEOUTS, child
from components.kit.volumes import config_volume
from components.kit.workload import Workload, repeat

_SCRIPT = Path(__file__).parent / "login" / "renew_login.py"
# Three times before a login ends.
_SCHEDULE = "11 */4 * * *"
_TOKENS = "/tokens"
_TOKEN_SECONDS = 3600


class RenewedLoginArgs(TypedDict):
    """Arguments of RenewedLogin."""

    namespace: pulumi.Input[str]
    """Namespace of the pods."""
    registry: str
    """Host of the registry: account.dkr.ecr.region.amazonaws.com."""
    role: str
    """ARN of the role of IAM that may read it; its trust names the service account `registry-login`."""
    image: pulumi.Input[str]
    """Image with Python 3.11 or newer as `python3`, which nodes pull without a login."""
    priority_class: NotRequired[pulumi.Input[str] | None]
    """Name of the pods' priority class; none when absent."""


class RenewedLogin(pulumi.ComponentResource):
    """A Secret of type `kubernetes.io/dockerconfigjson`, and Jobs that write a login into it every four hours."""

    secret_name: pulumi.Output[str]
    """What pods name in `imagePullSecrets`."""

    def __init__(self, name: str, args: RenewedLoginArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("stellwerk:index:RenewedLogin", name, None, opts)
        namespace = args["namespace"]
        workload = Workload(name, REGISTRY_LOGIN, namespace, self, args.get("priority_class"))
        metadata = meta.v1.ObjectMetaArgs(name=REGISTRY_LOGIN, namespace=namespace)
        secret = core.v1.Secret(
            f"{name}-secret",
            metadata=metadata,
            type="kubernetes.io/dockerconfigjson",
            string_data={".dockerconfigjson": '{"auths": {}}'},
            # Its content is the Jobs'.
            opts=pulumi.ResourceOptions(parent=self, custom_timeouts=TIMEOUTS, ignore_changes=["data", "stringData"]),
        )
        account = workload.account(REGISTRY_LOGIN)
        self._allow(name, metadata, account)
        script = _SCRIPT.read_text(encoding="utf-8")
        config = workload.config({_SCRIPT.name: script})
        spec = _job(args, config.metadata.name, account)
        version = hashlib.sha256("\n".join([script, args["registry"], args["role"]]).encode()).hexdigest()[:8]
        # Pods wait for the first login: nobody waits for the schedule.
        first = meta.v1.ObjectMetaArgs(
            name=f"{REGISTRY_LOGIN}-{version}", namespace=namespace, annotations={"pulumi.com/skipAwait": "true"}
        )
        batch.v1.Job(f"{name}-now", metadata=first, spec=spec, opts=child(self))
        repeat(workload, spec, _SCHEDULE)
        self.secret_name = secret.metadata.name
        self.register_outputs({"secret_name": self.secret_name})

    def _allow(self, name: str, metadata: meta.v1.ObjectMetaArgs, account: pulumi.Input[str]) -> None:
        """Declare that the Jobs change this one Secret, and read none."""
        rule = rbac.v1.PolicyRuleArgs(
            api_groups=[""], resources=["secrets"], resource_names=[REGISTRY_LOGIN], verbs=["patch"]
        )
        role = rbac.v1.Role(f"{name}-role", metadata=metadata, rules=[rule], opts=child(self))
        rbac.v1.RoleBinding(
            f"{name}-binding",
            metadata=metadata,
            role_ref=rbac.v1.RoleRefArgs(api_group="rbac.authorization.k8s.io", kind="Role", name=role.metadata.name),
            subjects=[rbac.v1.SubjectArgs(kind="ServiceAccount", name=account, namespace=metadata.namespace)],
            opts=child(self),
        )


def _job(args: RenewedLoginArgs, config: pulumi.Input[str], account: pulumi.Input[str]) -> "batch.v1.JobSpecArgs":
    token = core.v1.ServiceAccountTokenProjectionArgs
    sources = [
        core.v1.VolumeProjectionArgs(
            service_account_token=token(path="aws", audience="sts.amazonaws.com", expiration_seconds=_TOKEN_SECONDS)
        ),
        core.v1.VolumeProjectionArgs(service_account_token=token(path="cluster", expiration_seconds=_TOKEN_SECONDS)),
        core.v1.VolumeProjectionArgs(
            config_map=core.v1.ConfigMapProjectionArgs(
                name="kube-root-ca.crt", items=[core.v1.KeyToPathArgs(key="ca.crt", path="ca.crt")]
            )
        ),
    ]
    container = pods.container(
        REGISTRY_LOGIN,
        args["image"],
        pods.resources("20m", "64Mi", "500m"),
        [pods.mount("script", "/script", read_only=True), pods.mount("tokens", _TOKENS, read_only=True)],
        command=["python3", f"/script/{_SCRIPT.name}"],
        env=pods.env(
            {
                "REGISTRY": args["registry"], "ROLE": args["role"], "TOKENS": _TOKENS,
                "NAMESPACE": args["namespace"], "SECRET": REGISTRY_LOGIN,
            }
        ),
    )  # fmt: skip
    pod = pods.pod(
        [container],
        [
            config_volume("script", config),
            core.v1.VolumeArgs(
                name="tokens", projected=core.v1.ProjectedVolumeSourceArgs(sources=sources, default_mode=0o440)
            ),
        ],
        account=account,
        restart_policy="Never",
    )
    pod.priority_class_name = args.get("priority_class")
    return batch.v1.JobSpecArgs(
        backoff_limit=4, active_deadline_seconds=1800, template=pods.template(REGISTRY_LOGIN, pod)
    )
