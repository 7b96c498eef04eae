"""The stack of a cluster in AWS: every resource, and what no resource of it may be."""

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pulumi
import pytest
from syrupy.assertion import SnapshotAssertion

from infra.contract.stacks import StackFiles
from tests.delivery.test_workload_identity import READS
from tests.program import harness
from tests.program.harness import ROOT, Recording
from tests.program.test_stacks import Yaml

EXAMPLES = ROOT / "docs" / "examples"
NAME = "cloud"
# Listing and describing know no resources; each stands with what limits it, or says why nothing can.
WITHOUT_RESOURCE = {
    "ec2:Describe",
    "ec2:Get",
    "elasticloadbalancing:Describe",
    "acm:ListCertificates",
    "acm:DescribeCertificate",
    "iam:ListInstanceProfiles",
    "pricing:GetProducts",
}


@pytest.fixture(scope="module")
def values() -> dict[str, Any]:
    """The values of the example."""
    root = EXAMPLES.parent
    files = StackFiles(root)
    text = (EXAMPLES / f"Pulumi.{NAME}.yaml").read_text()
    files.put(NAME, text)
    return files.own(NAME)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with the stack of the cluster alone."""
    (tmp_path / "stacks").mkdir()
    shutil.copy(EXAMPLES / f"Pulumi.{NAME}.yaml", tmp_path / "stacks")
    return tmp_path


@pytest.fixture(scope="module")
def program(values: dict[str, Any]) -> Recording:
    """The program of the example, run once."""
    return harness.run(values, NAME, EXAMPLES)


def of_kind(program: Recording, kind: str) -> dict[str, Any]:
    """Inputs of all resources of a kind of AWS, such as `s3/bucket:Bucket`, by name."""
    made = {
        key.rpartition("::")[2]: inputs
        for key, inputs in program.inputs.items()
        if key.rpartition("::")[0] == f"aws:{kind}"
    }
    assert made, f"no {kind} at all: the check looks at nothing"
    return made


def policies(program: Recording) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Each statement of each policy: of which resource, the key of the policy, the statement."""
    for key, inputs in program.inputs.items():
        for field in ("policy", "assumeRolePolicy"):
            if key.startswith("aws:") and isinstance(inputs.get(field), str):
                for statement in json.loads(inputs[field])["Statement"]:
                    yield key, field, statement


def test_every_resource(program: Recording, snapshot: SnapshotAssertion) -> None:
    assert program.tree() == snapshot(extension_class=Yaml)


def test_one_provider_of_the_account_makes_all_with_the_tags(program: Recording) -> None:
    (provider,) = (inputs for key, inputs in program.inputs.items() if key == "pulumi:providers:aws::aws")
    assert json.loads(provider["allowedAccountIds"]) == ["111122223333"]
    tags = json.loads(provider["defaultTags"])["tags"]
    assert tags == {"cost-center": "ml-platform", "stellwerk.dev/cluster": NAME}
    used = {program.providers[key].rpartition("::")[0] for key in program.inputs if key.startswith("aws:")}
    assert len(used) == 1
    assert used.pop().endswith("pulumi:providers:aws::aws")


def test_no_bucket_is_public_and_each_is_encrypted_versioned_and_reached_by_tls(program: Recording) -> None:
    buckets = of_kind(program, "s3/bucket:Bucket").keys()
    for name, block in of_kind(program, "s3/bucketPublicAccessBlock:BucketPublicAccessBlock").items():
        assert all(block[key] for key in _BLOCKS), name
    parts = ("PublicAccessBlock", "Versioning", "ServerSideEncryptionConfiguration", "OwnershipControls", "Policy")
    for part in parts:
        assert of_kind(program, f"s3/bucket{part}:Bucket{part}").keys() == buckets, part
    for name, policy in of_kind(program, "s3/bucketPolicy:BucketPolicy").items():
        denied = [each for each in json.loads(policy["policy"])["Statement"] if each["Effect"] == "Deny"]
        assert denied[0]["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}, name
    logged = of_kind(program, "s3/bucketLogging:BucketLogging").keys()
    assert buckets - logged == {f"{NAME}-access-logs"}


_BLOCKS = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")


def test_every_key_is_changed_by_itself_and_is_the_account_s(program: Recording) -> None:
    for name, key in of_kind(program, "kms/key:Key").items():
        assert key["enableKeyRotation"], name
        for statement in json.loads(key["policy"])["Statement"]:
            assert statement["Principal"] != "*"
            if statement["Action"] == ["kms:*"]:
                assert statement["Principal"] == {"AWS": "arn:aws:iam::111122223333:root"}, name


def test_disks_secrets_logs_queues_and_images_are_encrypted(program: Recording) -> None:
    for name, template in of_kind(program, "ec2/launchTemplate:LaunchTemplate").items():
        for disk in template["blockDeviceMappings"]:
            assert disk["ebs"]["encrypted"] == "true" and disk["ebs"]["kmsKeyId"], name
    assert all(each["enabled"] for each in of_kind(program, "ebs/encryptionByDefault:EncryptionByDefault").values())
    (cluster,) = of_kind(program, "eks/cluster:Cluster").values()
    assert cluster["encryptionConfig"]["resources"] == ["secrets"]
    assert all(group["kmsKeyId"] for group in of_kind(program, "cloudwatch/logGroup:LogGroup").values())
    assert all(queue["sqsManagedSseEnabled"] for queue in of_kind(program, "sqs/queue:Queue").values())
    for template in of_kind(program, "ecr/repositoryCreationTemplate:RepositoryCreationTemplate").values():
        assert template["encryptionConfigurations"][0]["encryptionType"] == "KMS"


def test_metadata_of_instances_are_read_with_a_token_and_by_no_pod(program: Recording) -> None:
    for name, template in of_kind(program, "ec2/launchTemplate:LaunchTemplate").items():
        options = template["metadataOptions"]
        assert (options["httpTokens"], options["httpPutResponseHopLimit"]) == ("required", 1), name


def test_the_api_server_is_reached_by_the_named_networks_alone(program: Recording) -> None:
    (cluster,) = of_kind(program, "eks/cluster:Cluster").values()
    reached = cluster["vpcConfig"]
    assert (reached["endpointPrivateAccess"], reached["publicAccessCidrs"]) == (True, ["203.0.113.0/24"])
    assert cluster["accessConfig"]["authenticationMode"] == "API"
    assert not cluster["accessConfig"]["bootstrapClusterCreatorAdminPermissions"]


def test_without_networks_the_api_server_is_private(values: dict[str, Any], checkout: Path) -> None:
    given = {key: value for key, value in values.items() if key != "api"}
    (cluster,) = of_kind(harness.run(given, NAME, checkout), "eks/cluster:Cluster").values()
    assert cluster["vpcConfig"]["endpointPublicAccess"] is False
    assert "publicAccessCidrs" not in cluster["vpcConfig"]


def test_all_is_logged(program: Recording) -> None:
    (cluster,) = of_kind(program, "eks/cluster:Cluster").values()
    assert len(cluster["enabledClusterLogTypes"]) == 5
    assert {each["trafficType"] for each in of_kind(program, "ec2/flowLog:FlowLog").values()} == {"ALL"}
    assert all(group["retentionInDays"] >= 30 for group in of_kind(program, "cloudwatch/logGroup:LogGroup").values())


def test_nobody_comes_in_from_everywhere(program: Recording) -> None:
    for name, group in of_kind(program, "ec2/securityGroup:SecurityGroup").items():
        assert all("0.0.0.0/0" not in rule["cidrBlocks"] for rule in group["ingress"]), name
    for group in of_kind(program, "ec2/defaultSecurityGroup:DefaultSecurityGroup").values():
        assert not group.get("ingress") and not group.get("egress")
    assert not any(subnet["mapPublicIpOnLaunch"] for subnet in of_kind(program, "ec2/subnet:Subnet").values())


def test_no_statement_allows_everything(program: Recording) -> None:
    looked_at = 0
    for key, field, statement in policies(program):
        if statement["Effect"] == "Deny" or field == "assumeRolePolicy" or key.startswith("aws:kms/"):
            continue
        looked_at += 1
        assert not [action for action in statement["Action"] if action.endswith(":*") or action == "*"], (
            key,
            statement,
        )
        if statement["Resource"] == ["*"]:
            beyond = [each for each in statement["Action"] if not each.startswith(tuple(WITHOUT_RESOURCE))]
            assert beyond == [], (key, statement["Sid"])
    assert looked_at > 30


def test_every_trust_names_a_service_or_service_accounts_of_one_environment(program: Recording) -> None:
    for key, field, statement in policies(program):
        if field != "assumeRolePolicy":
            continue
        principal = statement["Principal"]
        if "Federated" in principal:
            subjects = next(value for name, value in statement["Condition"]["StringLike"].items() if "sub" in name)
            assert subjects and all(re.fullmatch(r"system:serviceaccount:eks-\w+:[\w*-]+", each) for each in subjects)
            assert statement["Condition"]["StringEquals"] == {"oidc.example/id/1:aud": "sts.amazonaws.com"}
        else:
            assert principal["Service"].endswith(".amazonaws.com"), key


def test_a_reader_cannot_write(program: Recording) -> None:
    statements = [
        statement
        for key, _, statement in policies(program)
        if key.startswith("aws:iam/rolePolicy:") and "-reader" in key
    ]
    actions = {action for statement in statements for action in statement["Action"]}
    assert actions == set(READS)


def test_what_holds_data_is_protected_from_deletion(program: Recording) -> None:
    assert of_kind(program, "eks/cluster:Cluster")[NAME]["deletionProtection"]
    held = {key for key in program.inputs if key.split("::")[0] in _HOLDING}
    assert held and held <= program.protected


_HOLDING = ("aws:kms/key:Key", "aws:s3/bucket:Bucket", "aws:eks/cluster:Cluster")


_GROUP = {"name": "a", "instanceTypes": ["g6.xlarge"], "min": 1, "max": 2}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"api": {"publicFrom": ["0.0.0.0/0"]}}, "a network of yours, /8 or smaller"),
        ({"account": "1111-2222-3333"}, "the id of the account as quoted text"),
        ({"logs": {"retentionDays": 1}}, "days that they are kept"),
        ({"network": {"cidr": "10.20.0.0/24", "zones": ["eu-central-1a", "eu-central-1b"]}}, "a network of /16 to /20"),
        ({"network": {"cidr": "10.20.0.0/16", "zones": ["us-east-1a", "eu-central-1b"]}}, "a zone of eu-central-1"),
        ({"nodeGroups": [_GROUP | {"min": 3}]}, "min of at most max"),
        ({"nodeGroups": [_GROUP | {"capacity": "onDemand"}]}, "on-demand or spot"),
        (
            {"nodeGroups": [{"name": "a", "instanceTypes": ["g6.xlarge"], "min": 1, "max": 2, "gpus": True}]},
            "controllers",
        ),
        ({"environments": {"eks": {"bucket": "b-one", "identity": "podIdentity"}}}, "the names of its models"),
        ({"environments": {"a": {"bucket": "b-one"}, "b": {"bucket": "b-one"}}}, "a bucket of its own"),
        ({"access": [{"principal": "platform-team", "policy": "admin"}]}, "the ARN of a role or a user of IAM"),
        ({"name": "other"}, "cloud, the stack's name"),
        ({"regoin": "eu-central-1"}, "did you mean region?"),
    ],
    ids=lambda given: next(iter(given)) if isinstance(given, Mapping) else None,
)
def test_refused(change: dict[str, Any], expected: str, values: dict[str, Any], checkout: Path) -> None:
    with pytest.raises(pulumi.RunError) as raised:
        harness.run({**values, **change}, NAME, checkout)
    assert expected in str(raised.value)
    assert f"stacks/Pulumi.{NAME}.yaml" in str(raised.value)


def test_a_cluster_is_no_environment(checkout: Path) -> None:
    files = StackFiles(checkout)
    assert (files.names(), files.clusters()) == ([], [NAME])
