"""The one builder of workloads: pods with their Secrets, ConfigMaps, claims, Service, network policy and budget."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi

from components.kit.kubernetes import apps, batch, core, meta, networking, policy
from components.kit.network import allow_ingress
from components.kit.options import child
from components.kit.secrets import declare_secret


@dataclass(frozen=True)
class Workload:
    """Pods of one kind, and what belongs to them; each method declares one resource.

    Resources are called `<name>-<suffix>`, the pods' own resource `<name>`. Objects of the cluster are called `app`
    where others have to know their name; `app` is the pods' label, too. `priority` names the pods' priority class.
    """

    name: str
    app: str
    namespace: pulumi.Input[str]
    parent: pulumi.Resource
    priority: pulumi.Input[str] | None = None

    def secret(
        self, data: Mapping[str, pulumi.Input[str]], suffix: str = "secret", kind: str | None = None
    ) -> pulumi.Output[str]:
        """Declare a Secret with these texts by key, and return its name, which changes with its content."""
        return declare_secret(f"{self.name}-{suffix}", self.namespace, data, self.parent, kind)

    def config(
        self, files: Mapping[str, pulumi.Input[str]], suffix: str = "config", title: str | None = None
    ) -> core.v1.ConfigMap:
        """Declare a ConfigMap with these texts by key; it is called as its resource unless `title` names it."""
        name = f"{self.name}-{suffix}"
        return core.v1.ConfigMap(name, metadata=self._metadata(title or name), data=files, opts=child(self.parent))

    def claim(self, storage: str, suffix: str = "data") -> pulumi.Output[str]:
        """Declare a claim of `storage` (with a binary unit) for the pods of one node, and return its name."""
        name = f"{self.name}-{suffix}"
        claim = core.v1.PersistentVolumeClaim(
            name,
            # Bound when its first pod is placed: nothing to wait for.
            metadata=self._metadata(name, {"pulumi.com/skipAwait": "true"}),
            spec=core.v1.PersistentVolumeClaimSpecArgs(
                access_modes=["ReadWriteOnce"],
                resources=core.v1.VolumeResourceRequirementsArgs(requests={"storage": storage}),
            ),
            opts=child(self.parent),
        )
        return claim.metadata.name

    def account(
        self, title: str, annotations: Mapping[str, pulumi.Input[str]] | None = None, token: bool | None = False
    ) -> pulumi.Output[str]:
        """Declare a service account and return its name; `token` None: pods get one as the cluster has it."""
        account = core.v1.ServiceAccount(
            f"{self.name}-account",
            metadata=self._metadata(title, annotations or None),
            automount_service_account_token=token,
            opts=child(self.parent),
        )
        return account.metadata.name

    def deployment(
        self,
        template: core.v1.PodTemplateSpecArgs,
        *,
        replicas: int = 1,
        strategy: apps.v1.DeploymentStrategyArgs | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> apps.v1.Deployment:
        """Declare the pods as a Deployment; `opts` are a child's when absent."""
        return apps.v1.Deployment(
            self.name,
            metadata=self._metadata(self.app),
            spec=apps.v1.DeploymentSpecArgs(
                replicas=replicas, strategy=strategy, selector=self._selector(), template=self._ranked(template)
            ),
            opts=opts or child(self.parent),
        )

    def stateful_set(
        self, template: core.v1.PodTemplateSpecArgs, depends_on: Sequence[pulumi.Resource] | None = None
    ) -> apps.v1.StatefulSet:
        """Declare one pod whose name is known: `<app>-0`."""
        return apps.v1.StatefulSet(
            self.name,
            metadata=self._metadata(self.app),
            spec=apps.v1.StatefulSetSpecArgs(
                replicas=1,
                service_name=self.app,
                # Otherwise a pod that never gets ready would not be replaced by a better one.
                pod_management_policy="Parallel",
                selector=self._selector(),
                template=self._ranked(template),
            ),
            opts=child(self.parent, depends_on),
        )

    def daemon_set(
        self, template: core.v1.PodTemplateSpecArgs, depends_on: Sequence[pulumi.Resource] | None = None
    ) -> apps.v1.DaemonSet:
        """Declare a pod on every node."""
        return apps.v1.DaemonSet(
            self.name,
            metadata=self._metadata(self.app),
            spec=apps.v1.DaemonSetSpecArgs(selector=self._selector(), template=self._ranked(template)),
            opts=child(self.parent, depends_on),
        )

    def job_template(
        self, job: "batch.v1.JobSpecArgs", schedule: str, labels: Mapping[str, str] | None = None
    ) -> "batch.v1.CronJob":
        """Declare a suspended CronJob: it never runs by itself, Jobs are made of it."""
        # Annotations are quoted: the SDK loads a group of the API when it is first named, and few stacks have Jobs.
        metadata = meta.v1.ObjectMetaArgs(labels=labels) if labels else None
        template: Any = job.template
        self._ranked(template)
        return batch.v1.CronJob(
            self.name,
            metadata=meta.v1.ObjectMetaArgs(name=self.app, namespace=self.namespace, labels=labels),
            spec=batch.v1.CronJobSpecArgs(
                schedule=schedule,
                suspend=True,
                # Whoever resumes it doesn't get the run that it missed meanwhile.
                starting_deadline_seconds=60,
                job_template=batch.v1.JobTemplateSpecArgs(metadata=metadata, spec=job),
            ),
            opts=child(self.parent),
        )

    def service(
        self,
        port: int,
        target_port: int,
        *,
        node_port: int | None = None,
        suffix: str = "service",
        title: str | None = None,
        wait: bool = False,
    ) -> core.v1.Service:
        """Declare the Service of the pods: inside the cluster, or with a node port outside, too.

        Who waits for the pods waits for their own resource: for a Service the engine takes ten seconds in any case.
        """
        return core.v1.Service(
            f"{self.name}-{suffix}",
            metadata=self._metadata(title or self.app, None if wait else {"pulumi.com/skipAwait": "true"}),
            spec=core.v1.ServiceSpecArgs(
                type=None if node_port is None else "NodePort",
                selector={"app": self.app},
                ports=[core.v1.ServicePortArgs(port=port, target_port=target_port, node_port=node_port)],
            ),
            opts=child(self.parent),
        )

    def balanced(
        self,
        port: int,
        target_port: int,
        *,
        annotations: Mapping[str, str] | None = None,
        class_name: str | None = None,
    ) -> core.v1.Service:
        """Declare the Service of the pods behind a load balancer of the cluster, which takes no node port.

        It shows the pods the clients' addresses.
        """
        return core.v1.Service(
            f"{self.name}-service",
            metadata=self._metadata(self.app, annotations or None),
            spec=core.v1.ServiceSpecArgs(
                type="LoadBalancer",
                load_balancer_class=class_name,
                allocate_load_balancer_node_ports=False,
                external_traffic_policy="Local",
                selector={"app": self.app},
                ports=[core.v1.ServicePortArgs(port=port, target_port=target_port)],
            ),
            opts=child(self.parent),
        )

    def allow(self, ports: Sequence[int], peers: Sequence[networking.v1.NetworkPolicyPeerArgs] | None = None) -> None:
        """Declare that `peers` (everybody when None) reach these ports."""
        metadata = self._metadata(f"allow-{self.app}")
        allow_ingress(f"{self.name}-ingress", metadata, {"app": self.app}, ports, peers, self.parent)

    def budget(self, *, max_unavailable: int | None = None, min_available: int | None = None) -> None:
        """Declare how many of the pods a drain of nodes may take away at a time."""
        policy.v1.PodDisruptionBudget(
            f"{self.name}-budget",
            metadata=self._metadata(self.app),
            spec=policy.v1.PodDisruptionBudgetSpecArgs(
                max_unavailable=max_unavailable, min_available=min_available, selector=self._selector()
            ),
            opts=child(self.parent),
        )

    def _ranked(self, template: core.v1.PodTemplateSpecArgs) -> core.v1.PodTemplateSpecArgs:
        spec: Any = template.spec
        spec.priority_class_name = self.priority
        return template

    def _selector(self) -> meta.v1.LabelSelectorArgs:
        return meta.v1.LabelSelectorArgs(match_labels={"app": self.app})

    def _metadata(
        self, title: str, annotations: Mapping[str, pulumi.Input[str]] | None = None
    ) -> meta.v1.ObjectMetaArgs:
        return meta.v1.ObjectMetaArgs(name=title, namespace=self.namespace, annotations=annotations)


def one_at_a_time() -> apps.v1.DeploymentStrategyArgs:
    """Return the strategy of pods that share a volume: the old one ends before the new one starts."""
    return apps.v1.DeploymentStrategyArgs(type="Recreate")


def repeat(workload: Workload, job: "batch.v1.JobSpecArgs", schedule: str) -> "batch.v1.CronJob":
    """Declare a CronJob that runs the Job at these times (UTC), one at a time."""
    return batch.v1.CronJob(
        workload.name,
        metadata=meta.v1.ObjectMetaArgs(name=workload.app, namespace=workload.namespace),
        spec=batch.v1.CronJobSpecArgs(
            schedule=schedule,
            time_zone="Etc/UTC",
            concurrency_policy="Forbid",
            job_template=batch.v1.JobTemplateSpecArgs(spec=job),
        ),
        opts=child(workload.parent),
    )
