"""Renew the login of ECR in a Secret of the namespace: it ends after twelve hours.

Runs in a Job with the standard library alone. REGISTRY is the registry's host, ROLE the ARN of the role of IAM that may
read it, NAMESPACE and SECRET say which Secret gets the login. TOKENS is a folder with `aws` (the service account's
token for STS), `cluster` (that for the API server) and `ca.crt` (the API server's authority).
"""

import base64
import hashlib
import hmac
import json
import os
import re
import ssl
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

_TARGET = "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken"


class LoginError(Exception):
    """AWS or the API server refuses, or does not answer."""


def ask(url: str, method: str, headers: Mapping[str, str], body: bytes, authority: Path | None = None) -> bytes:
    """Return the answer's body; raise LoginError where there is none, or a refusal.

    `authority` is that of the server's certificate; None: those of the system.
    """
    request = urllib.request.Request(url, data=body, headers=dict(headers), method=method)  # noqa: S310 (ours)
    trust = ssl.create_default_context(cafile=authority)
    try:
        with urllib.request.urlopen(request, timeout=30, context=trust) as answer:  # noqa: S310
            content: bytes = answer.read()
            return content
    except urllib.error.HTTPError as error:
        raise LoginError(f"{method} {url}: {error.code} {error.read().decode(errors='replace')[:500]}") from None
    except OSError as error:
        raise LoginError(f"{method} {url}: {error}") from None


def taken_role(url: str, role: str, token: str) -> dict[str, str]:
    """Return the keys (`AccessKeyId`, `SecretAccessKey`, `SessionToken`) of a role that the token may take."""
    words = {
        "Action": "AssumeRoleWithWebIdentity",
        "Version": "2011-06-15",
        "RoleArn": role,
        "RoleSessionName": "registry-login",
        "WebIdentityToken": token,
    }
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = ask(url, "POST", headers, urllib.parse.urlencode(words).encode())
    # STS itself has said this, behind TLS.
    keys = ElementTree.fromstring(answer).find(".//{*}Credentials")  # noqa: S314
    if keys is None:
        raise LoginError(f"{url}: no credentials in the answer")
    return {each.tag.rpartition("}")[2]: each.text or "" for each in keys}


def signed(url: str, region: str, keys: Mapping[str, str], body: bytes, now: datetime) -> dict[str, str]:
    """Return the headers of a request to ECR with these keys (AWS's signature, version 4)."""
    time = now.strftime("%Y%m%dT%H%M%SZ")
    headers = {
        "content-type": "application/x-amz-json-1.1",
        "host": urllib.parse.urlsplit(url).netloc,
        "x-amz-date": time,
        "x-amz-security-token": keys["SessionToken"],
        "x-amz-target": _TARGET,
    }
    names = ";".join(headers)
    written = "".join(f"{name}:{value}\n" for name, value in headers.items())
    request = f"POST\n/\n\n{written}\n{names}\n{hashlib.sha256(body).hexdigest()}"
    scope = f"{time[:8]}/{region}/ecr/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{time}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = f"AWS4{keys['SecretAccessKey']}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    who = f"Credential={keys['AccessKeyId']}/{scope}, SignedHeaders={names}, Signature={signature}"
    return {**headers, "authorization": f"AWS4-HMAC-SHA256 {who}"}


def docker_config(registry: str, token: str) -> str:
    """Return what pods pull with, as Docker writes it; the token of ECR is user and password in base64."""
    username, _, password = base64.b64decode(token).decode().partition(":")
    return json.dumps({"auths": {registry: {"username": username, "password": password, "auth": token}}})


def main(variables: Mapping[str, str], now: datetime) -> None:
    """Renew the login once; raise LoginError where that is not possible."""
    registry, tokens = variables["REGISTRY"], Path(variables["TOKENS"])
    parts = re.fullmatch(r"[0-9]+\.dkr\.ecr\.([a-z0-9-]+)\.(amazonaws\.com(?:\.cn)?)", registry)
    if not parts:
        raise LoginError(f"REGISTRY is {registry!r}; allowed is <account>.dkr.ecr.<region>.amazonaws.com")
    region, domain = parts.groups()
    sts = variables.get("AWS_ENDPOINT_URL_STS", f"https://sts.{region}.{domain}") + "/"
    ecr = variables.get("AWS_ENDPOINT_URL_ECR", f"https://api.ecr.{region}.{domain}") + "/"
    keys = taken_role(sts, variables["ROLE"], (tokens / "aws").read_text())
    answer: Any = json.loads(ask(ecr, "POST", signed(ecr, region, keys, b"{}", now), b"{}"))
    config = docker_config(registry, answer["authorizationData"][0]["authorizationToken"])
    server = f"https://{variables['KUBERNETES_SERVICE_HOST']}:{variables['KUBERNETES_SERVICE_PORT']}"
    path = f"/api/v1/namespaces/{variables['NAMESPACE']}/secrets/{variables['SECRET']}"
    change = {"data": {".dockerconfigjson": base64.b64encode(config.encode()).decode()}}
    headers = {
        "Authorization": f"Bearer {(tokens / 'cluster').read_text()}",
        "Content-Type": "application/merge-patch+json",
    }
    ask(server + path, "PATCH", headers, json.dumps(change).encode(), tokens / "ca.crt")
    print(f"renewed the login of {registry}")


if __name__ == "__main__":
    try:
        main(os.environ, datetime.now(UTC))
    except LoginError as error:
        sys.exit(str(error))
