"""NVIDIA's GPU Operator: what makes GPU nodes offer GPUs and shares of them; cluster-wide."""

from collections.abc import Iterator
from enum import StrEnum
from typing import TYPE_CHECKING

from pydantic import Field

from infra.composition.context import Composition
from infra.composition.handover import SharedGpus
from infra.composition.kinds import GPU_OPERATOR, KindNeed
from infra.composition.service import Service, Stack
from infra.contract.environment import Environment, SectionField
from infra.contract.fields import NamespaceName, Section
from infra.contract.problems import Problem

if TYPE_CHECKING:
    from components.cluster.gpu_operator import GpuOperatorArgs

_CHARTS = "https://helm.ngc.nvidia.com/nvidia"


class OperatorMode(StrEnum):
    """Who runs the operator."""

    OFF = "off"
    EXISTING = "existing"
    MANAGED = "managed"


class Chart(Section):
    """Where the operator's chart comes from."""

    name: str = Field(
        default="gpu-operator", min_length=1, description="the chart's name in the repository, or an oci:// address"
    )
    repository: str | None = Field(
        default=_CHARTS, pattern=r"^https://", description="an https URL of a chart repository; null for oci://"
    )
    version: str = Field(min_length=1, description="the chart's version, such as v25.3.4")


class GpuOperatorSection(Section):
    """NVIDIA's GPU Operator."""

    mode: OperatorMode = Field(
        default=OperatorMode.OFF,
        description="off, existing (it runs here; this stack says how pools share their GPUs) or managed (this stack "
        "installs it)",
    )
    namespace: NamespaceName = "gpu-operator"
    chart: Chart | None = Field(default=None, description="{version: …} of the chart; needed with mode: managed")
    driver: bool = Field(default=True, description="false: nodes have NVIDIA's driver already")
    driver_version: str | None = Field(default=None, description="a version of the driver; null: the chart's own")
    toolkit: bool = Field(default=True, description="false: nodes have NVIDIA's container toolkit already")


SECTION: SectionField[GpuOperatorSection] = SectionField(
    "gpu_operator", GpuOperatorSection, default=GpuOperatorSection(), description="NVIDIA's GPU Operator"
)


def runs(environment: Environment) -> bool:
    """Return whether the environment's own stack has something to do with the operator."""
    return environment.section(SECTION).mode is not OperatorMode.OFF


def _kinds(environment: Environment) -> Iterator[KindNeed]:
    mode = environment.section(SECTION).mode
    if mode is OperatorMode.EXISTING:
        yield KindNeed(("gpuOperator", "mode"), mode, (GPU_OPERATOR,))


def _rules(stack: Stack) -> Iterator[Problem]:
    section = stack.environment.section(SECTION)
    if section.mode is not OperatorMode.OFF and stack.environment.cluster.shared:
        yield Problem(
            ("gpuOperator", "mode"),
            section.mode,
            "off, because cluster.shared is true: what is cluster-wide is the owner's",
            "remove the section, or move it to the stack that owns the cluster",
        )
    if section.mode is OperatorMode.MANAGED and section.chart is None:
        yield Problem(
            ("gpuOperator", "chart"), "nothing", "{version: …}, because the mode is managed", "name the chart's version"
        )
    if section.mode is not OperatorMode.MANAGED and section.chart is not None:
        yield Problem(
            ("gpuOperator", "chart"), f"a chart with mode: {section.mode}", "a chart with mode: managed alone",
            "remove the chart, or set mode: managed",
        )  # fmt: skip


def _compose(context: Composition) -> None:
    from components.cluster.gpu_operator import GpuOperator

    section, shared = context.environment.section(SECTION), context.get(SharedGpus)
    made: GpuOperatorArgs = {
        "namespace": section.namespace,
        "mig": shared.mig,
        "time_slicing": shared.time_slicing,
        "mps": shared.mps,
    }
    if section.chart:
        made["release"] = {
            "chart": section.chart.name,
            "repository": section.chart.repository,
            "version": section.chart.version,
            "driver": section.driver,
            "driver_version": section.driver_version,
            "toolkit": section.toolkit,
        }
    GpuOperator("gpu-operator", made, context.opts)


SERVICE = Service(
    "gpu-operator",
    section=SECTION,
    needs=(SharedGpus,),
    runs=runs,
    rules=_rules,
    kinds=_kinds,
    compose=_compose,
    elsewhere=lambda _: False,
)
