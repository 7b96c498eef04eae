"""No framework file names an environment: the team's stack files alone do."""

import ast
import re

from tests.house.tree import hold, modules
from tests.support.documents import ENVIRONMENTS

_FRAMEWORK = ("components/", "delivery/", "infra/", "serving/", "training/")
# One names the three environments that files of before had; to ip, uv and JSON Patch the words are their own.
_NOT_MEANT = (
    "infra/contract/migrations.py",
    "infra/local/cluster/network.py",
    "infra/local/lock.py",
    "delivery/operations/extended.py",
)


def test_no_framework_file_names_an_environment() -> None:
    # Paths such as /dev/null, the labels' domain, addresses and test sets name none.
    named = re.compile(rf"(?<![\w./-])({'|'.join(ENVIRONMENTS)})(?![\w./]| sets?\b)")
    offenders: dict[str, str] = {}
    for name, nodes in modules().items():
        if not name.startswith(_FRAMEWORK) or name in _NOT_MEANT:
            continue
        docstrings = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
        for node in nodes:
            if not isinstance(node, ast.Constant) or not isinstance(node.value, str) or id(node) in docstrings:
                continue
            for match in named.finditer(node.value):
                offenders[f"{name}:{node.lineno}"] = (
                    f"it names the environment {match[0]}; take it from the stack files"
                )
    hold("environments", offenders)
