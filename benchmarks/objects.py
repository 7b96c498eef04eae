"""Create, unchanged preview and destroy of Kubernetes objects: by components, by a plain program, by kubectl.

Ours runs as `stellwerk env` lets the engine run on the local cluster, the plain program as the engine runs by itself.
"""

import json
from collections.abc import Mapping
from typing import Any

from benchmarks.errors import BenchmarkError
from benchmarks.measure import Sample, Series, timed
from benchmarks.workspace import Project, workspace
from infra.targets.variables import LOCAL_CONTEXT

# Three namespaces with eight objects each.
OBJECTS_OF_A_TENANT = 24
_PREVIEWS = 2


def measure(size: int, repeat: int, env: Mapping[str, str]) -> list[Series]:
    """Measure `repeat` rounds: create ours, create the peer's, preview in turn with `kubectl diff`, destroy both.

    `size` is the wanted number of objects; the nearest number of whole tenants is taken.
    Raise BenchmarkError when the programs do not declare the same objects or a preview would change something.
    """
    tenants = max(1, round(size / OBJECTS_OF_A_TENANT))
    count = tenants * OBJECTS_OF_A_TENANT
    create, preview, destroy = (
        Series(what, count) for what in ("create, `pulumi up`", "unchanged `pulumi preview`", "`pulumi destroy`")
    )
    with workspace(env) as place:
        sides = {
            "components": place.project("ours", "tenants_by_component", on_target=True, tenants=str(tenants)),
            "plain typed SDK": place.project("peer", "tenants_plain", tenants=str(tenants)),
        }
        for _ in range(repeat):
            for side, project in sides.items():
                create.add(side, project.create())
            manifests = _same(*sides.values())
            for _ in range(_PREVIEWS):
                for side, project in sides.items():
                    preview.add(side, project.preview())
                preview.add("kubectl diff", _diff(next(iter(sides.values())), manifests))
            for side, project in sides.items():
                destroy.add(side, project.destroy())
    return [create, preview, destroy]


def _same(ours: Project, peer: Project) -> str:
    """Return our objects as one manifest; raises BenchmarkError when the peer's differ by more than their prefix."""
    mine, other = (_objects(project) for project in (ours, peer))
    if mine != [json.loads(json.dumps(item).replace(f"{peer.name}-", f"{ours.name}-")) for item in other]:
        raise BenchmarkError("the two programs declare different objects: this compares nothing")
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": mine})


def _objects(project: Project) -> list[Any]:
    def place(item: Any) -> tuple[str, str, str]:
        about = item["metadata"]
        return item["kind"], about.get("namespace", ""), about["name"]

    return sorted(project.objects(), key=place)


def _diff(project: Project, manifests: str) -> Sample:
    """Run `kubectl diff` as its documentation starts it; exit code 1 says that it found differences."""
    command = ["kubectl", "--context", LOCAL_CONTEXT, "diff", "--filename", "-"]
    return timed(command, project.folder, project.env, fine=(0, 1), stdin=manifests)
