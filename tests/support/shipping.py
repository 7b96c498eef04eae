"""The log shipper's own binary over files like the container runtime's, in a folder."""

import json
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

from components.logging.log_shipper import LogTarget, shipper_config

CHUNK = 16 * 1024


class Shipper:
    """The collector on a folder of its own."""

    def __init__(self, binary: Path, folder: Path, url: str, target: LogTarget, trust: str | None = None) -> None:
        self.binary, self.folder, self.process = binary, folder, None
        for name in ("pods", "positions", "secret"):
            (folder / name).mkdir()
        (folder / "secret/password").write_text("word")
        config = json.dumps(shipper_config(target))
        for place, local in (
            (target.endpoint, url),
            ("/var/log/pods", str(folder / "pods")),
            ("/var/lib/log-shipper", str(folder / "positions")),
            ("/secret/", f"{folder}/secret/"),
        ):
            config = config.replace(place, local)
        changed = json.loads(config)
        if trust is None:
            del changed["exporters"]["elasticsearch"]["tls"]
        else:
            (folder / "secret/ca.crt").write_text(trust)
        (folder / "config.yaml").write_text(json.dumps(changed))

    process: subprocess.Popen[bytes] | None

    def start(self) -> None:
        with (self.folder / "own.log").open("ab") as log:
            self.process = subprocess.Popen([self.binary, f"--config=file:{self.folder}/config.yaml"], stderr=log)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def end(self) -> None:
        """End it as the kubelet does."""
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self.kill()

    def log(self, pod: str, namespace: str = "test-serving") -> Path:
        path = self.folder / "pods" / f"{namespace}_{pod}_uid-{pod}" / "main" / "0.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


def cri(text: str | bytes, stream: str = "stdout", age: float = 0) -> bytes:
    """A line as the container runtime wrote it `age` seconds ago: in chunks of 16 KiB."""
    rest = text.encode() if isinstance(text, str) else text
    stamp = (datetime.now(UTC) - timedelta(seconds=age)).isoformat(timespec="microseconds").replace("+00:00", "123Z")
    chunks = [rest[start : start + CHUNK] for start in range(0, len(rest), CHUNK)] or [b""]
    tags = ["P"] * (len(chunks) - 1) + ["F"]
    return b"".join(f"{stamp} {stream} {tag} ".encode() + c + b"\n" for tag, c in zip(tags, chunks, strict=True))


def append(path: Path, *parts: bytes) -> None:
    with path.open("ab") as file:
        file.write(b"".join(parts))
