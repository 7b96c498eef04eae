"""Which custom resources a cluster knows, in which versions: KServe's, which are needed, and those of choice."""

from collections.abc import Iterator, Mapping
from typing import Any

from components.kit.names import SERVING_RUNTIME
from delivery.clients.cluster_api import ClusterApi
from delivery.operations.target_findings import Finding, Verdict
from infra.composition.kinds import OPTIONAL, Kind, KindNeed
from infra.contract.environment import KSERVE, Environment
from infra.discovery import known as services
from infra.services.kserve import OLDEST, installed

_CONTROLLER = "kserve-controller-manager"
_INFERENCE_SERVICES = "inferenceservices.serving.kserve.io"

Definitions = Mapping[str, tuple[str, ...]]


def needed(environment: Environment) -> Mapping[str, KindNeed]:
    """Return the titles of definitions that the values stand on, with the first value that does."""
    needs = services().stack(environment).kinds()
    return {kind.title: need for need in reversed(needs) for kind in need.kinds}


def optional(environment: Environment, known: Definitions) -> Iterator[Finding]:
    """Yield of each kind of choice whether the cluster has it in the version that is used."""
    needs = needed(environment)
    return (_finding(kind, known, needs.get(kind.title)) for kind in OPTIONAL)


def _finding(kind: Kind, known: Definitions, need: KindNeed | None) -> Finding:
    """Return whether the cluster has a kind; `need` is the value that stands on it, if one does."""
    served = known.get(kind.name)
    if need and kind.version not in (served or ()):
        detail = f"{need.key} needs {kind.name} {kind.version}"
        fix = need.brought or f"install {kind.how}, or change {need.key}"
        return Finding(kind.title, Verdict.MISSING, detail, fix)
    if served is None:
        return Finding(kind.title, Verdict.ABSENT, f"needed for {kind.purpose} alone", kind.how)
    if kind.version not in served:
        detail = f"serves {', '.join(served)}, not {kind.version}"
        return Finding(kind.title, Verdict.NOTE, detail, f"upgrade it before you use {kind.purpose}")
    return Finding(kind.title, Verdict.OK, f"serves {', '.join(served)}")


def definitions(api: ClusterApi) -> Definitions:
    """Return the served versions of each custom resource by its name."""
    answer = api.read("/apis/apiextensions.k8s.io/v1/customresourcedefinitions") or {}
    return {
        each["metadata"]["name"]: tuple(version["name"] for version in each["spec"]["versions"] if version["served"])
        for each in answer.get("items", [])
    }


def kserve(api: ClusterApi, environment: Environment, known: Definitions) -> Finding:
    """Return whether KServe is there where somebody else runs it, and not there where this environment does."""
    controllers = _controllers(api)
    own = environment.namespace(KSERVE)
    others = {namespace: version for namespace, version in controllers.items() if namespace != own}
    if not environment.cluster.shared:
        if others or (_INFERENCE_SERVICES in known and own not in controllers):
            place = ", ".join(others) or "no namespace any more, but its definitions"
            fix = "set cluster.shared: true to use it, or have its owner remove it"
            return Finding("KServe", Verdict.BLOCKED, f"somebody else's is in {place}", fix)
        return Finding("KServe", Verdict.OK, f"this environment installs {installed(environment)}")
    if _INFERENCE_SERVICES not in known:
        fix = "apply the environment that owns the cluster (cluster.shared: false) first"
        return Finding("KServe", Verdict.MISSING, "the cluster does not know inference services", fix)
    if api.read(f"/apis/serving.kserve.io/v1alpha1/clusterservingruntimes/{SERVING_RUNTIME}") is None:
        fix = "apply the environment that owns the cluster, or have its owner make this runtime"
        return Finding("KServe", Verdict.MISSING, f"no ClusterServingRuntime {SERVING_RUNTIME}", fix)
    return _versions(environment, sorted(set(controllers.values())))


def _versions(environment: Environment, versions: list[str]) -> Finding:
    wanted = installed(environment)
    if not versions or not all(each.replace(".", "").isdigit() for each in versions):
        fix = f"see that it is {wanted}, or say in kserve.version which one it is"
        return Finding("KServe", Verdict.UNKNOWN, "its controller's image names no version", fix)
    if any(tuple(map(int, each.split(".")))[:2] < OLDEST for each in versions):
        oldest = ".".join(map(str, OLDEST))
        return Finding("KServe", Verdict.OLD, ", ".join(versions), f"have its owner upgrade it to {oldest} or newer")
    if versions != [wanted]:
        text = f"{', '.join(versions)}; the values say {wanted}"
        return Finding("KServe", Verdict.BLOCKED, text, f"set kserve.version: {versions[-1]}")
    return Finding("KServe", Verdict.OK, wanted)


def _controllers(api: ClusterApi) -> dict[str, str]:
    """Return by namespace which version of KServe's controller runs there, by its image's tag."""
    path = f"/apis/apps/v1/deployments?fieldSelector=metadata.name%3D{_CONTROLLER}"
    deployments: dict[str, Any] = api.read(path) or {}
    return {
        each["metadata"]["namespace"]: each["spec"]["template"]["spec"]["containers"][0]["image"]
        .partition("@")[0].rpartition("/")[2].rpartition(":")[2].lstrip("v")
        for each in deployments.get("items", [])
    }  # fmt: skip
