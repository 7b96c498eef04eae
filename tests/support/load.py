"""A steady client of an endpoint that counts every answer and every failure."""

import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from tests.support.models import training_data
from tests.support.project import MODEL, RELEASE_HEADER, Project


class Load:
    """The answers so far, by release, and the failures."""

    def __init__(self) -> None:
        self.releases: Counter[str] = Counter()
        self.failures: list[str] = []
        self.stop = threading.Event()

    @property
    def answered(self) -> int:
        """The number of good answers."""
        return sum(self.releases.values())

    def ask(self, client: httpx.Client, body: bytes) -> None:
        """Send one request, and count its outcome."""
        try:
            answer = client.post(
                f"/v2/models/{MODEL}/infer", content=body, headers={"content-type": "application/json"}
            )
            answer.raise_for_status()
            self.releases[answer.headers[RELEASE_HEADER]] += 1
        except (httpx.HTTPError, KeyError) as error:
            self.failures.append(repr(error))


@contextmanager
def load_on(project: Project, environment: str, clients: int = 2) -> Iterator[Load]:
    """Ask the environment's endpoint all the time; of each client every tenth request takes a new connection."""
    counted, url, trust = Load(), project.gateway(environment), project.trust(environment)
    body = request(1)

    def run() -> None:
        while not counted.stop.is_set():
            with httpx.Client(base_url=url, verify=trust, trust_env=False, timeout=30) as client:
                for _ in range(10):
                    counted.ask(client, body)
                    if counted.stop.wait(0.05):
                        return

    threads = [threading.Thread(target=run) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield counted
    finally:
        counted.stop.set()
        for thread in threads:
            thread.join()


def request(rows: int) -> bytes:
    """Return the body of a request for the first held-out rows."""
    pixels = training_data().held_out.inputs["pixels"][:rows]
    tensor = {"name": "pixels", "datatype": "FP32", "shape": list(pixels.shape), "data": pixels.ravel().tolist()}
    return json.dumps({"inputs": [tensor]}).encode()
