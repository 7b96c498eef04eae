"""What an environment gets in AWS: a bucket of its own, and the roles that write and read it."""

from collections.abc import Mapping, Sequence
from typing import NotRequired, TypedDict

import pulumi
from pulumi_aws import eks, iam, s3

from components.aws.kit import POLICY_VERSION, Place, child, document, key, role, statement
from components.aws.nodes import pod_trust
from components.kit.names import TRACKING

# What is written in several parts and never completed, and versions that something newer has replaced.
_PART_DAYS, _OLD_DAYS = 7, 90


class AccountArgs(TypedDict):
    """A service account of Kubernetes."""

    namespace: str
    """Its namespace."""
    name: str
    """Its name; with IRSA `*` stands for any letters."""


class IssuerArgs(TypedDict):
    """The issuer of a cluster's service accounts, which IAM trusts (IRSA)."""

    name: pulumi.Input[str]
    """The issuer without https://."""
    arn: pulumi.Input[str]
    """ARN of the issuer in IAM."""


class EnvironmentStoreArgs(TypedDict):
    """Arguments of EnvironmentStore."""

    place: Place
    """The cluster, its account and region."""
    bucket: str
    """Name of the bucket."""
    logs: pulumi.Input[str]
    """Bucket of the access logs."""
    writers: Sequence[AccountArgs]
    """Service accounts that write: training Jobs and the tracking server."""
    readers: Sequence[AccountArgs]
    """Service accounts that read: served models."""
    issuer: NotRequired[IssuerArgs | None]
    """With it identities are IRSA's; without it EKS Pod Identity's."""
    cluster: pulumi.Input[str]
    """Name of the cluster."""


def accounts(scope: str, models: Sequence[str]) -> tuple[list[AccountArgs], list[AccountArgs]]:
    """Return who writes and who reads the bucket of an environment that is called `scope` on its cluster.

    Without models any of the environment's namespaces for training and serving does, which IRSA alone knows to say.
    """
    writers: list[AccountArgs] = [{"namespace": f"{scope}-platform", "name": TRACKING}]
    writers += [{"namespace": f"{scope}-training", "name": f"train-{model}"} for model in models or ["*"]]
    readers: list[AccountArgs] = [
        {"namespace": f"{scope}-serving", "name": f"{model}-predictor"} for model in models or ["*"]
    ]
    return writers, readers


class EnvironmentStore(pulumi.ComponentResource):
    """An encrypted bucket with versions that nobody reaches but two roles, and those roles."""

    writer: pulumi.Output[str]
    """ARN of the role that reads and writes."""
    reader: pulumi.Output[str]
    """ARN of the role that reads."""

    def __init__(self, name: str, args: EnvironmentStoreArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("stellwerk:aws:EnvironmentStore", name, None, opts)
        place = args["place"]
        encryption = key(name, place, f"bucket {args['bucket']}", self)
        made = bucket(name, args["bucket"], encryption.arn, self, args["logs"])
        inside = made.arn.apply(lambda arn: f"{arn}/*")
        looks = [statement("List", ["s3:ListBucket", "s3:GetBucketLocation"], [made.arn])]
        reads = [*looks, statement("Read", ["s3:GetObject"], [inside]), _use(encryption.arn, "kms:Decrypt")]
        objects = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"]
        writes = [*looks, statement("Write", objects, [inside])]
        writes.append(_use(encryption.arn, "kms:Decrypt", "kms:GenerateDataKey"))
        self.writer = self._role(f"{name}-writer", args, args["writers"], writes).arn
        self.reader = self._role(f"{name}-reader", args, args["readers"], reads).arn
        self.register_outputs({"writer": self.writer, "reader": self.reader})

    def _role(
        self,
        name: str,
        args: EnvironmentStoreArgs,
        users: Sequence[AccountArgs],
        statements: Sequence[Mapping[str, object]],
    ) -> iam.Role:
        """Declare a role and who takes it."""
        issuer = args.get("issuer")
        if issuer is not None:
            return role(name, irsa_trust(issuer, users), self, inline=statements)
        made = role(name, pod_trust(), self, inline=statements)
        for user in users:
            eks.PodIdentityAssociation(
                f"{name}-{user['name']}",
                cluster_name=args["cluster"],
                namespace=user["namespace"],
                service_account=user["name"],
                role_arn=made.arn,
                opts=child(self),
            )
        return made


def irsa_trust(issuer: IssuerArgs, users: Sequence[AccountArgs]) -> "pulumi.Output[str]":
    """Return the trust policy of a role that service accounts take by their tokens."""
    names = [f"system:serviceaccount:{user['namespace']}:{user['name']}" for user in users]

    def trust(known: Sequence[str]) -> dict[str, object]:
        name, arn = known
        return {
            "Version": POLICY_VERSION,
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"Federated": arn},
                    "Action": ["sts:AssumeRoleWithWebIdentity"],
                    "Condition": {
                        "StringEquals": {f"{name}:aud": "sts.amazonaws.com"},
                        "StringLike": {f"{name}:sub": names},
                    },
                }
            ],
        }

    return pulumi.Output.json_dumps(pulumi.Output.all(issuer["name"], issuer["arn"]).apply(trust), sort_keys=True)


def _use(arn: "pulumi.Input[str]", *actions: str) -> dict[str, object]:
    return statement("Key", actions, [arn])


def bucket(
    name: str,
    title: str,
    encryption: "pulumi.Input[str] | None",
    parent: pulumi.Resource,
    logs: "pulumi.Input[str] | None" = None,
    extra: Sequence[Mapping[str, object]] = (),
) -> s3.Bucket:
    """Declare a bucket without access by the public, with versions, encrypted, reached by TLS alone.

    `encryption` is the ARN of a key, S3's own when absent; `logs` the bucket of access logs; `extra` are further
    statements of its policy.
    """
    made = s3.Bucket(name, bucket=title, opts=child(parent, protect=True))
    s3.BucketPublicAccessBlock(
        name,
        bucket=made.id,
        block_public_acls=True,
        block_public_policy=True,
        ignore_public_acls=True,
        restrict_public_buckets=True,
        opts=child(parent),
    )
    owner = s3.BucketOwnershipControlsRuleArgs(object_ownership="BucketOwnerEnforced")
    s3.BucketOwnershipControls(name, bucket=made.id, rule=owner, opts=child(parent))
    versions = s3.BucketVersioningVersioningConfigurationArgs(status="Enabled")
    s3.BucketVersioning(name, bucket=made.id, versioning_configuration=versions, opts=child(parent))
    s3.BucketServerSideEncryptionConfiguration(
        name,
        bucket=made.id,
        rules=[
            s3.BucketServerSideEncryptionConfigurationRuleArgs(
                apply_server_side_encryption_by_default=(
                    s3.BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefaultArgs(
                        sse_algorithm="AES256" if encryption is None else "aws:kms", kms_master_key_id=encryption
                    )
                ),
                bucket_key_enabled=encryption is not None,
            )
        ],
        opts=child(parent),
    )
    _expire(name, made, parent)
    everything = [made.arn, made.arn.apply(lambda arn: f"{arn}/*")]
    in_clear = statement("TlsAlone", ["s3:*"], everything, {"Bool": {"aws:SecureTransport": "false"}}, "*", "Deny")
    s3.BucketPolicy(name, bucket=made.id, policy=document([in_clear, *extra]), opts=child(parent))
    if logs is not None:
        s3.BucketLogging(name, bucket=made.id, target_bucket=logs, target_prefix=f"{title}/", opts=child(parent))
    return made


def _expire(name: str, made: s3.Bucket, parent: pulumi.Resource) -> None:
    s3.BucketLifecycleConfiguration(
        name,
        bucket=made.id,
        rules=[
            s3.BucketLifecycleConfigurationRuleArgs(
                id="replaced",
                status="Enabled",
                filter=s3.BucketLifecycleConfigurationRuleFilterArgs(prefix=""),
                abort_incomplete_multipart_upload=(
                    s3.BucketLifecycleConfigurationRuleAbortIncompleteMultipartUploadArgs(
                        days_after_initiation=_PART_DAYS
                    )
                ),
                noncurrent_version_expiration=s3.BucketLifecycleConfigurationRuleNoncurrentVersionExpirationArgs(
                    noncurrent_days=_OLD_DAYS
                ),
            )
        ],
        opts=child(parent),
    )


def log_bucket(name: str, place: Place, parent: pulumi.Resource) -> s3.Bucket:
    """Declare the bucket of the access logs of all buckets of a cluster; their service knows S3's own key alone."""
    title = f"{place.cluster}-{place.account}-access-logs"
    written = statement(
        "AccessLogs",
        ["s3:PutObject"],
        [f"arn:{place.partition}:s3:::{title}/*"],
        {"StringEquals": {"aws:SourceAccount": place.account}},
        {"Service": "logging.s3.amazonaws.com"},
    )
    return bucket(name, title, None, parent, extra=[written])
