"""What keeps a log store in order: a Job at each change of what it is to do, and every day the same again."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import pulumi

from components.kit import pods
from components.kit.access import LoginArgs
from components.kit.kubernetes import batch, core, meta
from components.kit.names import LOG_INDEX
from components.kit.options import child
from components.kit.volumes import config_volume
from components.kit.workload import Workload, repeat
from components.logging.index_template import template_requests
from components.logging.saved_objects import daily_indices, saved_objects

_APP = "log-keeper"
_SCRIPT = Path(__file__).parent / "keeper" / "keep_logs.py"
# Once most of a day's lines have come: the names of indices are in UTC.
_SCHEDULE = "17 2 * * *"


class LogKeeperArgs(TypedDict):
    """Arguments of LogKeeper."""

    namespace: pulumi.Input[str]
    """Namespace it runs in."""
    image: pulumi.Input[str]
    """Image with Python 3.11 or newer as `python3`."""
    pull_secret: NotRequired[pulumi.Input[str] | None]
    """Name of the Secret with the registry login; absent, any node can pull the image."""
    store: NotRequired[pulumi.Input[str] | None]
    """URL of Elasticsearch inside the cluster; absent, it is somebody else's, and no line is deleted."""
    kibana: NotRequired[pulumi.Input[str] | None]
    """URL of Kibana; absent, there is none."""
    login: LoginArgs
    """User that may delete daily indices, set policies and templates, and import saved objects."""
    trust_bundle: NotRequired[pulumi.Input[str] | None]
    """Certificates of the authorities that the servers' own come from, PEM; absent, those of `authorities` alone."""
    authorities: NotRequired[Sequence[str] | None]
    """Names of Secrets in `namespace` with such certificates as `ca.crt`; absent, there are none."""
    days: NotRequired[int]
    """Days for which lines are kept; needed with `store`."""
    environments: NotRequired[Mapping[str, int] | None]
    """Days by environment, where they differ; each has a data view, searches and a dashboard in Kibana."""
    views: NotRequired[Mapping[str, str] | None]
    """Without `store`, by environment the pattern of the indices, or the data stream, that has its lines."""


class LogKeeper(pulumi.ComponentResource):
    """A Job and a CronJob that delete old lines, or have the server do it, and bring saved objects into Kibana."""

    plan: pulumi.Output[str]
    """Digest of what it is to do."""

    def __init__(self, name: str, args: LogKeeperArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        if (args.get("store") is None) != (args.get("days") is None):
            raise ValueError("store, days: both or none: lines are deleted in a store, by their age")
        super().__init__("stellwerk:index:LogKeeper", name, None, opts)
        workload = Workload(name, _APP, args["namespace"], self)
        wanted = plan_of(args.get("days"), args.get("environments") or {}, args.get("views") or {})
        plan = pulumi.Output.all(store=args.get("store"), kibana=args.get("kibana")).apply(
            lambda urls: json.dumps({**urls, **wanted}, sort_keys=True)
        )
        config = workload.config({"plan.json": plan, _SCRIPT.name: _SCRIPT.read_text(encoding="utf-8")})
        words: dict[str, pulumi.Input[str]] = {**args["login"]}  # type: ignore[dict-item]
        if bundle := args.get("trust_bundle"):
            words["bundle.crt"] = bundle
        secret = workload.secret(words)
        self.plan = plan.apply(lambda text: hashlib.sha256(text.encode()).hexdigest()[:8])
        spec = _job(args, config.metadata.name, secret)
        self._once(name, args, spec)
        repeat(workload, spec, _SCHEDULE)
        self.register_outputs({"plan": self.plan})

    def _once(self, name: str, args: LogKeeperArgs, spec: "batch.v1.JobSpecArgs") -> None:
        """Declare the Job of this plan: another plan is another Job."""
        batch.v1.Job(
            f"{name}-now",
            metadata=meta.v1.ObjectMetaArgs(
                name=pulumi.Output.concat(f"{_APP}-", self.plan),
                namespace=args["namespace"],
                # It waits for the servers, whose images may still be pulled.
                annotations={"pulumi.com/skipAwait": "true"},
            ),
            spec=spec,
            opts=child(self),
        )


def plan_of(
    days: int | None, environments: Mapping[str, int], views: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return what the keeper is to do, without the servers' URLs.

    `environments` are days by environment, `views` what has the lines of others.
    """
    return {
        "prefix": LOG_INDEX,
        "days": days,
        "environments": dict(environments),
        "templates": template_requests(environments),
        "objects": saved_objects({**{name: daily_indices(name) for name in environments}, **(views or {})}),
    }


def _job(args: LogKeeperArgs, config: pulumi.Input[str], secret: pulumi.Input[str]) -> "batch.v1.JobSpecArgs":
    sources = [core.v1.VolumeProjectionArgs(secret=core.v1.SecretProjectionArgs(name=secret))]
    for number, name in enumerate(args.get("authorities") or ()):
        items = [core.v1.KeyToPathArgs(key="ca.crt", path=f"authority-{number}.crt")]
        sources.append(core.v1.VolumeProjectionArgs(secret=core.v1.SecretProjectionArgs(name=name, items=items)))
    container = pods.container(
        _APP,
        args["image"],
        pods.resources("20m", "96Mi", "500m"),
        [pods.mount("keeper", "/keeper", read_only=True), pods.mount("secrets", "/secrets", read_only=True)],
        command=["python3", f"/keeper/{_SCRIPT.name}"],
        env=pods.env({"PLAN": "/keeper/plan.json", "SECRETS": "/secrets"}),
    )
    pod = pods.pod(
        [container],
        [
            config_volume("keeper", config),
            core.v1.VolumeArgs(
                name="secrets", projected=core.v1.ProjectedVolumeSourceArgs(sources=sources, default_mode=0o440)
            ),
        ],
        pull_secret=args.get("pull_secret"),
        restart_policy="Never",
    )
    template = pods.template(_APP, pod)
    return batch.v1.JobSpecArgs(backoff_limit=4, active_deadline_seconds=3600, template=template)
