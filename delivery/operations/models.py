"""`stellwerk model list`: the models of a checkout, and where each is served and trained, as the files say."""

from typing import Any

from delivery.project import Project
from infra.services.training import pipelines


def overview(project: Project) -> dict[str, dict[str, Any]]:
    """Return by name `framework`, `task`, `owner` and `environments.<env>`: `release`, null without one, and `trains`.

    A model that only a stack file names has a release from elsewhere, and null for what its document would say. Raise
    ConfigError when a document or a stack file is not valid.
    """
    served = {name: project.served(name) for name in project.environments}
    trained = {name: pipelines(project.environment(name)) for name in project.environments}
    with_folder = project.models.names()
    names = {*with_folder, *(model for models in (*served.values(), *trained.values()) for model in models)}
    overview: dict[str, dict[str, Any]] = {}
    for model in sorted(names):
        document = project.models.load(model) if model in with_folder else None
        overview[model] = {
            "framework": document and document.framework.value,
            "task": document and document.task.value,
            "owner": document and document.owner,
            "environments": {
                name: {
                    "release": served[name][model].release if model in served[name] else None,
                    "trains": model in trained[name],
                }
                for name in project.environments
            },
        }
    return overview
