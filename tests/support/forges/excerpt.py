"""Writes `github.json`: of GitHub's published OpenAPI document what the client sends, without what comes back.

    npm pack @octokit/openapi@23.0.2 && tar xzf octokit-openapi-23.0.2.tgz
    .venv/bin/python -m tests.support.forges.excerpt package/generated/api.github.com.json

Its licence is `github.LICENSE`. GitLab and Atlassian publish their documents in no package: `gitlab.yaml`,
`bitbucket-cloud.yaml` and `bitbucket-data-center.yaml` were written by hand from the sources that stand in them.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

TARGET = Path(__file__).with_name("github.json")
_REPOSITORY = "/repos/{owner}/{repo}"
PATHS = (
    f"{_REPOSITORY}/pulls",
    f"{_REPOSITORY}/pulls/{{pull_number}}",
    f"{_REPOSITORY}/issues",
    f"{_REPOSITORY}/issues/{{issue_number}}",
    f"{_REPOSITORY}/issues/{{issue_number}}/comments",
    f"{_REPOSITORY}/issues/comments/{{comment_id}}",
    f"{_REPOSITORY}/check-runs",
)
_METHODS = ("get", "post", "patch", "put")
_SAID = ("description", "example", "examples", "x-multi-segment")


def excerpt(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the paths that are used, with parameters and bodies, and with what they refer to in place."""
    paths = {}
    for path in PATHS:
        given = document["paths"][path]
        paths[path] = {
            method: {
                "parameters": [plain(each, document) for each in given[method].get("parameters", ())],
                **({"requestBody": plain(body, document)} if (body := given[method].get("requestBody")) else {}),
            }
            for method in _METHODS
            if method in given
        }
    info = document["info"]
    source = f"{info['title']} {info['version']}, npm: @octokit/openapi, generated/api.github.com.json"
    return {
        "openapi": document["openapi"],
        "info": {
            "title": "GitHub, excerpt",
            "version": info["version"],
            "license": info["license"],
            "x-source": source,
        },
        "paths": paths,
    }


def plain(value: Any, document: Mapping[str, Any]) -> Any:
    """Return a part of the document without words, and with references replaced by what they lead to."""
    if isinstance(value, list):
        return [plain(each, document) for each in value]
    if not isinstance(value, Mapping):
        return value
    if "$ref" in value:
        referred: Any = document
        for step in value["$ref"].removeprefix("#/").split("/"):
            referred = referred[step]
        return plain(referred, document)
    # A property may be called like a word that is left out.
    return {
        key: {name: plain(each, document) for name, each in part.items()}
        if key == "properties"
        else plain(part, document)
        for key, part in value.items()
        if key == "properties" or key not in _SAID
    }


if __name__ == "__main__":
    text = json.dumps(excerpt(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))), indent=1)
    TARGET.write_text(f"{text}\n", encoding="utf-8")
