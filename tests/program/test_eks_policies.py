"""The stack of a cluster in AWS before checkov: no finding that findings.toml does not explain."""

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from infra.contract.stacks import StackFiles
from tests.program import harness
from tests.program.harness import Recording
from tests.program.test_eks import EXAMPLES, NAME
from tests.program.test_manifests import unexplained
from tests.support.manifest_checks import Finding, checkov_plan
from tests.support.terraform_plan import plan


@pytest.fixture(scope="module")
def program() -> Recording:
    """The program of the example, run once."""
    files = StackFiles(EXAMPLES.parent)
    files.put(NAME, (EXAMPLES / f"Pulumi.{NAME}.yaml").read_text())
    return harness.run(files.own(NAME), NAME, EXAMPLES)


def findings(inputs: Mapping[str, Any], folder: Path) -> set[Finding]:
    (folder / "plan.json").write_text(json.dumps(plan(inputs)))
    return checkov_plan(folder / "plan.json")


def test_the_plan_has_every_resource_with_what_it_refers_to(program: Recording) -> None:
    made = plan(program.inputs)
    planned = {each["address"]: each["values"] for each in made["planned_values"]["root_module"]["resources"]}
    assert len(planned) == sum(key.startswith("aws:") for key in program.inputs)
    assert planned[f"aws_eks_cluster.{NAME}"]["encryption_config"][0]["provider"][0]["key_arn"]
    refers = {each["address"]: each["expressions"] for each in made["configuration"]["root_module"]["resources"]}
    bucket = f"aws_s3_bucket.{NAME}-eks"
    assert bucket in refers[f"aws_s3_bucket_public_access_block.{NAME}-eks"]["bucket"]["references"]
    assert f"aws_vpc.{NAME}" in refers[f"aws_flow_log.{NAME}"]["vpc_id"]["references"]


@pytest.mark.long
@pytest.mark.tools
@pytest.mark.timeout(1200)
def test_checkov_finds_what_is_explained(program: Recording, tmp_path: Path) -> None:
    assert sorted(unexplained(findings(program.inputs, tmp_path), "checkov, AWS")) == []


def _worse(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The program with a mistake of each kind, as somebody may make it."""
    worse = copy.deepcopy(dict(inputs))
    cluster = worse[f"aws:eks/cluster:Cluster::{NAME}"]
    del cluster["encryptionConfig"]
    del cluster["vpcConfig"]["publicAccessCidrs"]
    del worse[f"aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock::{NAME}-eks"]
    del worse[f"aws:s3/bucketVersioning:BucketVersioning::{NAME}-eks"]
    worse[f"aws:ec2/launchTemplate:LaunchTemplate::{NAME}-general"]["metadataOptions"]["httpTokens"] = "optional"
    worse[f"aws:kms/key:Key::{NAME}-secrets"]["enableKeyRotation"] = False
    worse[f"aws:sqs/queue:Queue::{NAME}-karpenter"]["sqsManagedSseEnabled"] = False
    for rule in worse[f"aws:ec2/securityGroup:SecurityGroup::{NAME}-endpoints"]["ingress"]:
        rule |= {"cidrBlocks": ["0.0.0.0/0"], "fromPort": 22, "toPort": 22}
    policy = {"Effect": "Allow", "Action": ["*"], "Resource": ["*"]}
    name = next(key for key in worse if key.startswith("aws:iam/rolePolicy:"))
    worse[name]["policy"] = json.dumps({"Version": "2012-10-17", "Statement": [policy]})
    return worse


@pytest.mark.long
@pytest.mark.tools
@pytest.mark.timeout(1200)
def test_checkov_sees_the_fields_of_the_plan(program: Recording, tmp_path: Path) -> None:
    worse = findings(_worse(program.inputs), tmp_path)
    assert {
        ("CKV_AWS_58", f"aws_eks_cluster.{NAME}"),
        ("CKV_AWS_38", f"aws_eks_cluster.{NAME}"),
        ("CKV2_AWS_6", f"aws_s3_bucket.{NAME}-eks"),
        ("CKV_AWS_21", f"aws_s3_bucket.{NAME}-eks"),
        ("CKV_AWS_79", f"aws_launch_template.{NAME}-general"),
        ("CKV_AWS_7", f"aws_kms_key.{NAME}-secrets"),
        ("CKV_AWS_27", f"aws_sqs_queue.{NAME}-karpenter"),
        ("CKV_AWS_24", f"aws_security_group.{NAME}-endpoints"),
    } <= worse
    assert any(rule == "CKV_AWS_62" for rule, _ in worse), "a policy that allows everything"
