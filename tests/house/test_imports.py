"""What import-linter cannot see: that its contract names every package, and what the components take from outside."""

import ast
import sys
import tomllib
from fnmatch import fnmatch

from tests.house.tree import ROOT, hold, modules, written

# Of the components of clusters in AWS, which are not in the package.
_CLOUD = {"pulumi_aws"}
_OUTSIDE = {"pulumi", "pulumi_docker_build", "pulumi_kubernetes"}


def test_every_package_has_a_layer() -> None:
    """A package without one would be free to import anything."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    (layers,) = [contract["layers"] for contract in settings["contracts"] if contract["type"] == "layers"]
    listed = {name.strip(" ()") for layer in layers for name in layer.replace("|", ":").split(":")}
    packages = {
        name.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
        for name in written()
        if name.endswith(".py") and name.startswith(tuple(f"{room}/" for room in settings["root_packages"]))
        # Models to copy: no package, nobody imports them.
        if not name.startswith("delivery/templates/")
    }
    # A room that is cut into layers has no code of its own.
    cut = {name for name in packages if any(layer.startswith(f"{name}.") for layer in listed)}
    offenders = {name for name in packages - cut if not any(f"{name}.".startswith(f"{layer}.") for layer in listed)}
    hold("layers", dict.fromkeys(offenders, "it has no layer in pyproject.toml"))


def test_components_use_pulumi_and_the_standard_library() -> None:
    allowed = _OUTSIDE | {"components"} | sys.stdlib_module_names
    offenders = {
        f"{module} in {name}": "components are used by programs that have Pulumi and nothing else"
        for name, nodes in modules().items()
        if name.startswith("components/") and not fnmatch(name, "components/*/images/*")
        for module in _imported(nodes) - allowed - (_CLOUD if name.startswith("components/aws/") else set())
    }
    hold("packages of components", offenders)


def test_the_kubernetes_sdk_is_loaded_by_no_component() -> None:
    """It takes longer to load than all else a program does; its names come from one module, for the checker alone."""
    offenders = {
        f"pulumi_kubernetes in {name}": "import the names from components.kit.kubernetes"
        for name, nodes in modules().items()
        if name.startswith(("components/", "infra/")) and name != "components/kit/kubernetes.py"
        if "pulumi_kubernetes" in _imported(nodes)
    }
    hold("loads of the Kubernetes SDK", offenders)


def _imported(nodes: list[ast.AST]) -> set[str]:
    """Return the first names of what a module imports."""
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").split(".")[0])
    return names
