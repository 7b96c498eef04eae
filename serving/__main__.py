"""``python -m serving``: serve one verified model until SIGTERM, then drain."""

import gc
import logging
import os
import signal
import sys
import threading
from types import FrameType

import numpy as np
import uvicorn

import shipping
from serving import settings
from serving.app import Application
from serving.connection import DirectProtocol
from serving.errors import StartError
from serving.hooked import load_hooked
from serving.hooks import read_hooks
from serving.log import EcsHandler, EcsLog
from serving.memory import Budget, limit, return_large_blocks, shares
from serving.model import Runner, limit_runs, load

# Above the idle timeout of gateways, so that they close idle connections, never this side in mid-request.
KEEP_ALIVE_SECONDS = 75


class DrainingServer(uvicorn.Server):
    """A server that goes on for a while after SIGTERM, closing each connection after its response.

    Endpoints, proxies and clients learn of a pod's end some time after the pod does; whoever still comes is served.
    """

    def __init__(self, config: uvicorn.Config, application: Application, drain_seconds: float) -> None:
        """Serve `application` by `config`, and for `drain_seconds` more after the signal."""
        super().__init__(config)
        self._application = application
        self._drain_seconds = drain_seconds

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to drain at the first signal; end at the second, or when the time is over."""
        if self._application.draining:
            self._end()
            return
        self._application.draining = True
        timer = threading.Timer(self._drain_seconds, self._end)
        timer.daemon = True
        timer.start()

    def _end(self) -> None:
        self.should_exit = True


def run(wanted: settings.Serve, log: EcsLog) -> None:
    """Load, verify and serve; returns after the drain. Raises StartError if the model must not be served."""
    return_large_blocks()
    # What is mapped into memory has to be there, too, or each run would read it from the disk.
    size = (wanted.path.stat().st_size if wanted.path.exists() else 0) + sum(file.size for file in wanted.files)
    share = shares(size, limit(), wanted.device)
    limit_runs(share.runs)
    model = _load(wanted)
    cold = model.warm_up()
    if cold is not None:
        log.emit("warn", f"the model was not run before its first request: {cold}")
    application = Application(wanted, model, log, Budget(share.requests))
    config = uvicorn.Config(
        application,
        # A pod is reached by its address; who may connect is the network policy's matter.
        host="0.0.0.0",  # noqa: S104
        port=wanted.port,
        http=DirectProtocol,
        lifespan="off",
        ws="none",
        interface="asgi3",
        access_log=False,
        log_config=None,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
    )
    log.emit("info", f"serving {wanted.digest} on port {wanted.port}")
    # What is here now stays: nobody has to wait until all of it has been looked at for garbage again.
    gc.collect()
    gc.freeze()
    DrainingServer(config, application, wanted.drain_seconds).run()
    log.emit("info", "drained")


def _load(wanted: settings.Serve) -> Runner:
    files = {file.name: file.digest for file in wanted.files}
    if wanted.hooks is None:
        return load(wanted.path, wanted.digest, wanted.intra_op_threads, files, wanted.device)
    # Only in a model's own image: the standard one has no model's code, and imports none.
    hooks = read_hooks(wanted.hooks)
    return load_hooked(hooks, wanted.path, wanted.digest, wanted.intra_op_threads, files, wanted.device)


def main() -> int:
    """Serve as the environment says; return 0 after a drain, or 1 after one line that says why not."""
    # The first process of a container has no default action for SIGTERM; the server sets its own once it serves.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    shipper = shipping.start(os.environ, "serving")
    log = EcsLog({"service.name": "serving", "service.environment": os.environ.get("ENVIRONMENT", "")}, shipper)
    try:
        wanted = settings.serve()
        log = EcsLog(
            {
                "service.name": "serving",
                "service.environment": wanted.environment,
                "stellwerk.model": wanted.model,
                "stellwerk.release": wanted.release,
                "stellwerk.run_id": wanted.run_id,
            },
            shipper,
        )
        logging.basicConfig(handlers=[EcsHandler(log)], level=logging.WARNING)
        # Values beyond a data type are looked for and refused; NumPy's own warnings would be lines without context.
        np.seterr(over="ignore", invalid="ignore")
        run(wanted, log)
    except StartError as error:
        log.emit("error", str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
