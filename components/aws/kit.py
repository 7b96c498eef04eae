"""What the resources of AWS share: where they are, their names, documents of policies, keys, logs."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_aws import cloudwatch, iam, kms

POLICY_VERSION = "2012-10-17"
# A control plane takes a quarter of an hour.
_TIMEOUTS = pulumi.CustomTimeouts(create="40m", update="60m", delete="40m")


def child(
    parent: pulumi.Resource, depends_on: "Sequence[pulumi.Resource] | None" = None, *, protect: bool = False
) -> pulumi.ResourceOptions:
    """Return the options of a child resource; what is protected is deleted by nobody's mistake."""
    return pulumi.ResourceOptions(
        parent=parent, depends_on=depends_on, custom_timeouts=_TIMEOUTS, protect=protect or None
    )


@dataclass(frozen=True)
class Place:
    """Where a cluster is: its name, the account and its partition, the region, days that logs are kept."""

    cluster: str
    account: str
    region: str
    partition: str
    log_days: int

    def arn(self, service: str, resource: str, *, everywhere: bool = False) -> str:
        """Return the ARN of something of this account; `everywhere`: of a service without regions."""
        return f"arn:{self.partition}:{service}:{'' if everywhere else self.region}:{self.account}:{resource}"

    @property
    def root(self) -> str:
        """Return the ARN by which a policy lets the account's own policies decide."""
        return self.arn("iam", "root", everywhere=True)


def statement(
    sid: str,
    actions: Sequence[str],
    resources: "Sequence[pulumi.Input[str]]",
    condition: Mapping[str, Any] | None = None,
    principal: Any = None,
    effect: str = "Allow",
) -> dict[str, Any]:
    """Return a statement of a policy; with a principal it is one of a resource's policy."""
    made: dict[str, Any] = {"Sid": sid, "Effect": effect, "Action": list(actions), "Resource": list(resources)}
    if principal is not None:
        made["Principal"] = principal
    return made if condition is None else {**made, "Condition": condition}


def document(statements: Sequence[Mapping[str, Any]]) -> "pulumi.Output[str]":
    """Return the text of a policy."""
    return pulumi.Output.json_dumps({"Version": POLICY_VERSION, "Statement": list(statements)}, sort_keys=True)


def service_trust(service: str, *actions: str, condition: Mapping[str, Any] | None = None) -> str:
    """Return the trust policy of a role that a service of AWS takes."""
    made: dict[str, Any] = {
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": list(actions) or ["sts:AssumeRole"],
    }
    statements = [made if condition is None else {**made, "Condition": condition}]
    return json.dumps({"Version": POLICY_VERSION, "Statement": statements}, sort_keys=True)


def role(
    name: str,
    trust: "pulumi.Input[str]",
    parent: pulumi.Resource,
    managed: Sequence[str] = (),
    inline: Sequence[Mapping[str, Any]] | None = None,
) -> iam.Role:
    """Declare a role with policies of AWS by their ARNs, and statements of its own."""
    made = iam.Role(name, name=name, assume_role_policy=trust, opts=child(parent))
    for arn in managed:
        title = arn.rpartition("/")[2]
        iam.RolePolicyAttachment(f"{name}-{title}", role=made.name, policy_arn=arn, opts=child(parent))
    if inline is not None:
        iam.RolePolicy(f"{name}-own", role=made.id, policy=document(inline), opts=child(parent))
    return made


def key(
    name: str, place: Place, purpose: str, parent: pulumi.Resource, users: Sequence[Mapping[str, Any]] = ()
) -> kms.Key:
    """Declare a key that is changed every year, with its alias; `users` are statements for services of AWS."""
    # In a key's own policy `*` is the key itself.
    owner = statement("Account", ["kms:*"], ["*"], principal={"AWS": place.root})
    made = kms.Key(
        name,
        description=f"{place.cluster}: {purpose}",
        enable_key_rotation=True,
        deletion_window_in_days=30,
        policy=document([owner, *users]),
        # What it encrypts is lost with it.
        opts=child(parent, protect=True),
    )
    kms.Alias(f"{name}-alias", name=f"alias/{name}", target_key_id=made.key_id, opts=child(parent))
    return made


def log_key(name: str, place: Place, parent: pulumi.Resource) -> kms.Key:
    """Declare the key of log groups of this cluster."""
    logs = statement(
        "Logs",
        ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"],
        ["*"],
        {"ArnLike": {"kms:EncryptionContext:aws:logs:arn": place.arn("logs", f"log-group:/aws/*/{place.cluster}/*")}},
        {"Service": f"logs.{place.region}.amazonaws.com"},
    )
    return key(name, place, "logs", parent, [logs])


def log_group(
    name: str, title: str, place: Place, encryption: "pulumi.Input[str]", parent: pulumi.Resource
) -> cloudwatch.LogGroup:
    """Declare a log group that is encrypted and kept for the cluster's days."""
    return cloudwatch.LogGroup(
        name, name=title, kms_key_id=encryption, retention_in_days=place.log_days, opts=child(parent)
    )
