"""The provider of Kubernetes leaves a copy of every kubeconfig that it is given in the temporary folder."""

import re
from collections.abc import Iterator

from tests.house.tree import hold, written

_SDK = re.compile(r"\bimport (?:\w+, )*pulumi_kubernetes(?: as (\w+))?")


def test_a_program_gives_the_provider_no_kubeconfig() -> None:
    """The SDK gives it the path in `KUBECONFIG`, unless a program says that there is none."""
    offenders = {
        f"{call} in {name}": 'kubeconfig="": it reads what KUBECONFIG names all the same, and keeps no copy'
        for name, text in written().items()
        if name.endswith(".py")
        for call in _providers(text)
        if not re.search(r'\bkubeconfig=""', call)
    }
    hold("kubeconfigs", offenders)


def _providers(text: str) -> Iterator[str]:
    """Return the calls that make a provider; programs of tests are texts, so no syntax tree has them all."""
    for sdk in {match[1] or "pulumi_kubernetes" for match in _SDK.finditer(text)}:
        for begin in re.finditer(rf"\b{sdk}\.Provider\(\s*\"", text):
            yield re.sub(r"\s+", " ", _call(text[begin.start() :]))


def _call(text: str) -> str:
    """Return a text up to the parenthesis that closes its first one."""
    depth = 0
    for place, character in enumerate(text):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == ")" and depth == 0:
            return text[: place + 1]
    return text
