"""A model's endpoint, asked through the gateway as a client outside the cluster does."""

import ssl
from collections.abc import Callable
from dataclasses import dataclass

import httpx

from delivery.clock import Clock
from delivery.errors import DeliveryError
from delivery.project import Project
from infra.contract.environment import Environment
from infra.services import gateway
from infra.values import file_name

RELEASE_HEADER = "x-stellwerk-release"
# So many answers in a row, so that no pod of the release before is asked any more.
_AGREEING = 10


@dataclass(frozen=True)
class Endpoint:
    """Where a model answers, and the CA that its certificate must come from."""

    url: str
    trust: ssl.SSLContext

    @property
    def infer_url(self) -> str:
        """Return the address for requests of the Open Inference Protocol v2."""
        return f"{self.url}/infer"

    def client(self, timeout: float = 30) -> httpx.Client:
        """Return a client that keeps its connection; `timeout` is in seconds."""
        # The gateway is an address of the user's own cluster: a proxy for the internet does not lead there.
        return httpx.Client(verify=self.trust, timeout=timeout, trust_env=False)


def endpoint(project: Project, environment: str, model: str) -> Endpoint:
    """Return the model's endpoint; raise DeliveryError when the environment does not serve such a model."""
    project.model(environment, model)
    values = project.environment(environment)
    trusted = trust(values)
    if not gateway.is_embedded(values):
        # The company's gateway has a certificate of its own: behind the authority in the file, or a public one.
        trusted.load_default_certs()
    return Endpoint(f"{gateway.url(values)}/v2/models/{model}", trusted)


def trust(environment: Environment) -> ssl.SSLContext:
    """Return what verifies the environment's own services; raise DeliveryError when its CA cannot be read."""
    try:
        return ssl.create_default_context(cadata=environment.ca_certificate)
    except ssl.SSLError as error:
        name = environment.environment
        raise DeliveryError(
            f"{file_name(name)}: stellwerk:caCertificate cannot be read ({error.reason}); restore it "
            f"from git, or delete it and run `stellwerk init {name}`"
        ) from error


def ask(client: httpx.Client, target: Endpoint, body: bytes, request_id: str) -> httpx.Response:
    """Send one request; raise DeliveryError with what the endpoint said."""
    headers = {"content-type": "application/json", "x-request-id": request_id}
    try:
        answer = client.post(target.infer_url, content=body, headers=headers)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise DeliveryError(f"{target.url}: no answer ({error}); see `stellwerk status`") from error
    if answer.status_code != 200:
        raise DeliveryError(f"{target.url}: {answer.status_code} {answer.text.strip()[:300]}; see `stellwerk status`")
    if RELEASE_HEADER not in answer.headers:
        raise DeliveryError(f"{target.url}: it answers without {RELEASE_HEADER}: not a model of this project")
    return answer


def answering_release(target: Endpoint, client: httpx.Client) -> str | None:
    """Return the release that says it is ready right now, None when none does."""
    try:
        answer = client.get(f"{target.url}/ready")
    except (httpx.HTTPError, httpx.InvalidURL):
        return None
    return answer.headers.get(RELEASE_HEADER) if answer.status_code == 200 else None


def answers_alone(target: Endpoint, release: str | None, clock: Clock, stop: Callable[[], bool]) -> bool:
    """Return whether the endpoint answers with the release, and with it alone, before `stop` says yes."""
    agreeing = 0
    while True:
        # A new connection each time: a kept one would ask the same pod.
        with target.client(timeout=5) as client:
            agreeing = agreeing + 1 if answering_release(target, client) == release else 0
        if agreeing >= _AGREEING:
            return True
        if agreeing == 0 and stop():
            return False
        clock.sleep(0.1)
