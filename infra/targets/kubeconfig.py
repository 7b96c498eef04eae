"""Whether the kubeconfig has an environment's context: without it the provider previews against nothing, unsaid."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infra.contract.problems import ConfigError, Problem, Source, read_text, show, suggest
from infra.contract.reading import tree
from infra.targets.variables import KUBECONFIG

_KEY = ("cluster", "context")


def require_context(context: str, source: Source, environment: Mapping[str, str] = os.environ) -> None:
    """Read the files that `KUBECONFIG` names, or `~/.kube/config`; nothing is asked over the network.

    Raise ConfigError when none of them exists, one is no kubeconfig, or the context or its cluster is in none.
    """
    given = environment.get(KUBECONFIG)
    files = [Path(name) for name in given.split(os.pathsep) if name] if given else []
    files = files or [Path(environment.get("HOME") or Path.home(), ".kube", "config")]
    place = f"{KUBECONFIG}={given}" if given else str(files[0])
    # Like kubectl: a file of the list that does not exist is left out.
    documents = [_document(file) for file in files if file.exists()]
    if not documents:
        allowed = f"a kubeconfig with the context {context}"
        raise ConfigError(_refusal(place, "no such file", allowed))
    contexts = _named(documents, "contexts", "context")
    if context not in contexts:
        known = f"contexts in {place}: {', '.join(sorted(contexts)) or 'none'}"
        action = suggest(context, contexts, "choose one of them, or let KUBECONFIG name the file that has it")
        raise source.error([Problem(_KEY, show(context), known, action)])
    cluster = (contexts[context] or {}).get("cluster")
    if cluster not in _named(documents, "clusters", "cluster"):
        raise ConfigError(_refusal(place, f"the context {context} without its cluster", f"a cluster called {cluster}"))


def _document(file: Path) -> Mapping[str, Any]:
    document = tree(read_text(file, str(file)), str(file))
    if not isinstance(document, Mapping | None):
        raise ConfigError(_refusal(str(file), show(document), "a kubeconfig"))
    return document or {}


def _named(documents: list[Mapping[str, Any]], section: str, key: str) -> dict[str, Any]:
    """Return the entries by name; the first file that has a name wins."""
    entries: dict[str, Any] = {}
    for document in documents:
        for entry in document.get(section) or []:
            if isinstance(entry, Mapping) and "name" in entry:
                entries.setdefault(str(entry["name"]), entry.get(key))
    return entries


def _refusal(place: str, given: str, allowed: str) -> str:
    action = 'eval "$(stellwerk env)" after `stellwerk cluster up`, or let KUBECONFIG name the file of your cluster'
    return f"{place}\n  given:   {given}\n  allowed: {allowed}\n  do:      {action}"
