"""The lines of a process on their way to the log store: printed as ever, and sent by a thread of their own."""

import json
import os
import re
import sys
import threading
import time
from collections import deque
from datetime import UTC, datetime
from typing import NamedTuple

from shipping.store import Document, Store, UnavailableError

# Of lines that wait, in bytes: some 20,000 of them. It is memory that the process has for nothing else.
BUFFER_BYTES = 8 * 1024**2
_BATCH_BYTES = 1024**2
# So long a line waits for others that go with it.
_GATHER_SECONDS = 0.5
_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 0.5, 10.0
_SAY_EVERY_SECONDS = 10.0
# What is left when the process ends: it is printed for the node's shipper after this time.
END_SECONDS = 5.0
# The node's shipper leaves out what bears it.
_MARK = b',"stellwerk.shipping":"application"}\n'
_TIME = re.compile(rb'\{"@timestamp": ?"(\d{4})-(\d\d)-(\d\d)T')


class Origin(NamedTuple):
    """Where lines come from, as the node's shipper knows it from the path of their file, and what says so."""

    namespace: str
    pod: str
    uid: str
    container: str
    service: str
    environment: str


class Shipper:
    """Sends lines to the store; what it has no room for, or the store refuses, is the node's shipper's to store.

    A line has one id, whoever stores it, and the store takes an id once.
    """

    def __init__(self, store: Store, index: str, daily: bool, origin: Origin, buffer_bytes: int = BUFFER_BYTES) -> None:
        """Begin to send to `index`: the name itself, or with `daily` what the names of daily indices begin with."""
        self._store, self._index, self._daily, self._room = store, index, daily, buffer_bytes
        self._origin = origin
        # A process that starts anew, or one beside this one in the container, counts for itself.
        self._prefix = f"{origin.uid}/{origin.container}/{time.time_ns()}.{os.getpid()}/"
        place = {"namespace": origin.namespace, "pod.name": origin.pod, "container.name": origin.container}
        named = json.dumps({f"kubernetes.{name}": value for name, value in place.items()})
        self._ending = f",{named[1:]}\n".encode()
        self._changed = threading.Condition()
        self._waiting: deque[Document] = deque()
        self._sending: list[Document] = []
        self._count = self._held = self._left_out = 0
        self._said_left_out = -_SAY_EVERY_SECONDS
        self._ended = self._given_up = False
        # A copy of this process has no thread that sends: what it logs is for the node's shipper.
        os.register_at_fork(after_in_child=self._end_in_child)
        self._thread = threading.Thread(target=self._run, name="shipping", daemon=True)
        self._thread.start()

    def ship(self, line: bytes) -> bytes:
        """Take a line of ECS JSON, which begins with its time and ends with a newline; return what is to be printed.

        Never waits for the store. A line of another form is printed as it is, and stored by the node's shipper alone.
        """
        day = _TIME.match(line)
        if day is None:
            return line
        index = f"{self._index}-{b'.'.join(day.groups()).decode()}" if self._daily else self._index
        with self._changed:
            self._count += 1
            name = f"{self._prefix}{self._count}"
            text = b'%b,"event.id":"%b"' % (line[:-2], name.encode())
            size = len(text) + len(self._ending)
            if self._ended or self._held + size > self._room:
                self._left_out += not self._ended
                return text + b"}\n"
            self._waiting.append(Document(index, name, text))
            self._held += size
            if len(self._waiting) == 1 or self._held > _BATCH_BYTES >= self._held - size:
                self._changed.notify()
        return text + _MARK

    def close(self, seconds: float = END_SECONDS) -> None:
        """Send what waits, for `seconds` at most; print the rest for the node's shipper."""
        with self._changed:
            if self._ended:
                return
            self._ended = True
            self._changed.notify()
        self._thread.join(seconds)
        with self._changed:
            # Of those on their way nobody knows whether they arrive: their ids are the same.
            left = [*self._sending, *self._waiting]
            self._waiting.clear()
            self._given_up = True
        self._print_back(left)

    def _end_in_child(self) -> None:
        self._changed = threading.Condition()
        self._ended = True
        self._waiting.clear()
        self._sending = []

    def _run(self) -> None:
        failures, said = 0, 0.0
        while self._gather():
            failed = self._send()
            failures = failures + 1 if failed else 0
            now = time.monotonic()
            # Once is a connection that somebody has closed meanwhile.
            if failed and failures > 1 and now - said > _SAY_EVERY_SECONDS * 6:
                self._say("warn", f"the log store does not take lines: {failed}; they wait in memory")
                said = now
            elif not failed and said:
                self._say("info", "the log store takes lines again")
                said = 0.0
            self._say_left_out(now)
            if failed:
                self._pause(failures)

    def _pause(self, failures: int) -> None:
        wait = min(_FIRST_WAIT_SECONDS * 2 ** min(failures - 1, 10), _LONGEST_WAIT_SECONDS)
        with self._changed:
            if not self._ended:
                self._changed.wait_for(lambda: self._ended, wait)
                return
        time.sleep(_FIRST_WAIT_SECONDS)

    def _gather(self) -> bool:
        """Wait for lines; return whether any are to be sent, once they are in `_sending`."""
        with self._changed:
            if self._given_up:
                return False
            if self._sending:
                return True
            self._changed.wait_for(lambda: self._waiting or self._ended)
            if not self._ended:
                self._changed.wait_for(lambda: self._held > _BATCH_BYTES or self._ended, _GATHER_SECONDS)
            size = 0
            while self._waiting and size < _BATCH_BYTES:
                self._sending.append(self._waiting.popleft())
                size += len(self._sending[-1].text)
            return bool(self._sending)

    def _send(self) -> str:
        """Send the batch and keep what of it is to be sent again; return why there is any."""
        batch, again, failed = self._sending, self._sending, ""
        try:
            again, refused = self._store.create(batch, self._ending)
        except UnavailableError as error:
            return str(error)
        if again:
            failed = f"{len(again)} of {len(batch)} lines are not taken now"
        with self._changed:
            self._sending = again
            kept = sum(len(each.text) + len(self._ending) for each in again)
            self._held -= sum(len(each.text) + len(self._ending) for each in batch) - kept
        if refused:
            self._print_back([each.document for each in refused])
            self._say("error", f"the log store refuses {len(refused)} lines, the first: {refused[0].reason[:500]}")
        return failed

    def _say_left_out(self, now: float) -> None:
        with self._changed:
            if not self._left_out or now < self._said_left_out + _SAY_EVERY_SECONDS:
                return
            count, self._left_out, self._said_left_out = self._left_out, 0, now
        room = f"{self._room / 1024**2:g} MiB"
        self._say("error", f"{count} lines are on standard output alone: the buffer of {room} for them is full")

    def _say(self, level: str, message: str) -> None:
        if not self._given_up:
            _write(self.ship(say(self._origin, level, message)))

    def _print_back(self, documents: list[Document]) -> None:
        """Print lines once more, without the mark: the node's shipper stores them under their ids."""
        if documents:
            _write(b"".join(each.text + b"}\n" for each in documents))


def say(origin: Origin, level: str, message: str) -> bytes:
    """Return a line of the shipper's own."""
    line = {
        "@timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "log.level": level,
        "message": message,
        "log.logger": "shipping",
        "service.name": origin.service,
        "service.environment": origin.environment,
    }
    return json.dumps(line).encode() + b"\n"


def _write(lines: bytes) -> None:
    sys.stdout.buffer.write(lines)
    sys.stdout.buffer.flush()
