"""Create, unchanged preview and destroy of four times as many Kubernetes objects: what one more of them costs."""

from collections.abc import Mapping

from benchmarks.measure import Series
from benchmarks.objects import OBJECTS_OF_A_TENANT
from benchmarks.workspace import workspace

_PREVIEWS = 2
_TIMES = 4


def measure(size: int, repeat: int, env: Mapping[str, str]) -> list[Series]:
    """Measure `repeat` rounds, `size` objects and then four times as many: create, preview, destroy of each.

    The ratios are of the larger one to the smaller one. Raise BenchmarkError when a preview would change something.
    """
    tenants = max(1, round(size / OBJECTS_OF_A_TENANT))
    create, preview, destroy = (
        Series(what, tenants * _TIMES * OBJECTS_OF_A_TENANT)
        for what in ("create, `pulumi up`", "unchanged `pulumi preview`", "`pulumi destroy`")
    )
    with workspace(env) as place:
        projects = {}
        # The larger one comes first: the ratios are those of the first side.
        for name, count in (("large", tenants * _TIMES), ("small", tenants)):
            side = f"components, {count * OBJECTS_OF_A_TENANT} objects"
            projects[side] = place.project(name, "tenants_by_component", on_target=True, tenants=str(count))
        for _ in range(repeat):
            for side, project in projects.items():
                create.add(side, project.create())
                for _ in range(_PREVIEWS):
                    preview.add(side, project.preview())
                destroy.add(side, project.destroy())
    return [create, preview, destroy]
