"""The image repositories of a cluster in AWS: each is made by the first push to it, all in one way."""

import json
from typing import TypedDict

import pulumi
from pulumi_aws import ecr

from components.aws.kit import Place, child, key, role, service_trust, statement

# What lost its tag; what has one, or is named by a digest of a release, stays.
_UNTAGGED_DAYS = 30


class RepositoriesArgs(TypedDict):
    """Arguments of Repositories."""

    place: Place
    """The cluster, its account and region."""
    prefix: str
    """What the names of repositories begin with, before a `/`."""


class Repositories(pulumi.ComponentResource):
    """The template of repositories: encrypted, scanned; what lost its tag is removed."""

    address: pulumi.Output[str]
    """Address of the registry with the prefix, as `registry.address` of an environment."""

    def __init__(self, name: str, args: RepositoriesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("stellwerk:aws:Repositories", name, None, opts)
        place, prefix = args["place"], args["prefix"]
        encryption = key(f"{name}-images", place, "images", self)
        makes = role(f"{name}-ecr", service_trust("ecr.amazonaws.com"), self, inline=[
            statement("Make", ["ecr:CreateRepository", "ecr:ReplicateImage", "ecr:TagResource"],
                      [place.arn("ecr", f"repository/{prefix}/*")]),
            statement("Key", ["kms:CreateGrant", "kms:RetireGrant", "kms:DescribeKey"], [encryption.arn]),
        ])  # fmt: skip
        old = {"tagStatus": "untagged", "countType": "sinceImagePushed", "countUnit": "days",
               "countNumber": _UNTAGGED_DAYS}  # fmt: skip
        rule = {"rulePriority": 1, "description": "without a tag", "selection": old, "action": {"type": "expire"}}
        ecr.RepositoryCreationTemplate(
            name,
            prefix=prefix,
            applied_fors=["CREATE_ON_PUSH"],
            custom_role_arn=makes.arn,
            # A tag of a build moves; what runs is named by its digest.
            image_tag_mutability="MUTABLE",
            encryption_configurations=[
                ecr.RepositoryCreationTemplateEncryptionConfigurationArgs(encryption_type="KMS", kms_key=encryption.arn)
            ],
            lifecycle_policy=json.dumps({"rules": [rule]}, sort_keys=True),
            resource_tags={"stellwerk.dev/cluster": place.cluster},
            opts=child(self),
        )
        ecr.RegistryScanningConfiguration(
            name,
            scan_type="ENHANCED",
            rules=[
                ecr.RegistryScanningConfigurationRuleArgs(
                    scan_frequency="CONTINUOUS_SCAN",
                    repository_filters=[
                        ecr.RegistryScanningConfigurationRuleRepositoryFilterArgs(
                            filter=f"{prefix}/*", filter_type="WILDCARD"
                        )
                    ],
                )
            ],
            opts=child(self),
        )
        suffix = ".cn" if place.partition == "aws-cn" else ""
        address = f"{place.account}.dkr.ecr.{place.region}.amazonaws.com{suffix}/{prefix}"
        self.address = pulumi.Output.from_input(address)
        self.register_outputs({"address": self.address})
