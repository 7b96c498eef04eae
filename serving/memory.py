"""The memory of this process: the pod's limit, how it is divided, and what requests may hold at a time."""

import asyncio
import ctypes
import sys
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from serving.errors import RequestError, StartError
from serving.settings import CPU, CUDA

MIB = 1024**2
# Interpreter, libraries and ONNX Runtime without a model: measured 65 MiB on x86-64.
PROCESS_BYTES = 72 * MIB
# What CUDA takes of the host's memory beside that, whatever the model's size. Measured on an H200 with driver 580, ONNX
# Runtime 1.31 and CUDA 13: resident 568 MiB more than on the CPU for a dense model of 20 kB, 893 MiB more for one of
# 100 kB with convolution, attention and recurrence (cuDNN): its own 528, libraries 354, shared with the driver 10.
CUDA_BYTES = 900 * MIB
# Not given to anybody: sockets' buffers, short-lived objects, fragments.
RESERVE_BYTES = 40 * MIB
# Less than this leaves no useful request and no useful run.
LEAST_ROOM_BYTES = 32 * MIB
# Where nothing limits the process, it takes what a pod with this room would.
DEFAULT_ROOM_BYTES = 1024 * MIB
# How long a request waits for others to give memory back, and how many may wait.
WAIT_SECONDS = 10.0
MOST_WAITING = 128
# From this size on a block is given back when it is freed; of the heap's end, so much stays when it is free.
BLOCK_BYTES = MIB
HEAP_END_BYTES = 4 * MIB
# How many buffers for bodies that come in pieces are kept for the next ones.
MOST_BUFFERS = 4
# So long after the last large request all that is free is given back.
REST_SECONDS = 1.0


@dataclass(frozen=True)
class Shares:
    """Bytes for the values ONNX Runtime computes in a run, and bytes for bodies and answers of requests."""

    runs: int
    requests: int


def limit(proc: Path = Path("/proc/self/cgroup"), mounts: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Return the memory limit of this process' control group (versions 1 and 2) in bytes, None if it has none."""
    try:
        groups = [line.split(":", 2)[1:] for line in proc.read_text().splitlines()]
    except OSError:
        return None
    files = []
    for controllers, group in groups:
        root = mounts / "memory" if controllers == "memory" else mounts
        name = "memory.limit_in_bytes" if controllers == "memory" else "memory.max"
        # In a container the group is the root of what is mounted, whatever name it has outside.
        files += [root / group.lstrip("/") / name, root / name]
    limits = [int(text) for text in map(_text, files) if text.isdecimal() and int(text) < 1 << 60]
    return min(limits, default=None)


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def shares(model_bytes: int, limit_bytes: int | None, device: str = CPU) -> Shares:
    """Divide what the limit leaves beside the process and the model; raises StartError when that is too little.

    A model takes the size of its file once it is loaded, and its largest tensor in addition while it is loaded.
    """
    cuda = CUDA_BYTES if device == CUDA else 0
    fixed = PROCESS_BYTES + cuda + model_bytes + RESERVE_BYTES
    room = DEFAULT_ROOM_BYTES if limit_bytes is None else limit_bytes - fixed
    if room < LEAST_ROOM_BYTES:
        least = fixed + LEAST_ROOM_BYTES
        what = f"and CUDA, which takes {_mib(cuda)} MiB, do not fit" if cuda else "does not fit"
        raise StartError(
            f"a model of {_mib(model_bytes)} MiB {what} the memory limit of {_mib(limit_bytes or 0)} MiB; raise "
            f"it to {_mib(least)} MiB at least, or to {_mib(least + model_bytes)} MiB if most of it is one tensor"
        )
    return Shares(room // 2, room // 2)


def _mib(size: int) -> int:
    return -(-size // MIB)


def return_large_blocks() -> None:
    """Let the C library give blocks of 1 MiB and more back when they are freed, and keep what smaller ones leave free.

    By default glibc raises that size with each such block, and keeps the larger ones: loading a model would leave
    gaps as large as half of it. And it gives the end of the heap back once 128 KiB of it are free: for each long
    request the kernel would have to find the same pages, and empty them, again.
    """
    # By their names in malloc.h: M_MMAP_THRESHOLD, M_TRIM_THRESHOLD.
    for parameter, size in ((-3, BLOCK_BYTES), (-1, HEAP_END_BYTES)):
        _call_glibc("mallopt", parameter, size)


def return_free_memory() -> None:
    """Let the C library give back what is free in the heap, at its end and in between."""
    _call_glibc("malloc_trim", 0)


def _call_glibc(name: str, *values: int) -> None:
    """Call a function that other C libraries do not have."""
    function = getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None
    if function is not None:
        function(*values)


class Buffers:
    """Memory for bodies that come in pieces: a few buffers are kept, whose pages need not be asked for again."""

    def __init__(self) -> None:
        """Keep nothing yet."""
        self._kept: list[bytearray] = []

    def take(self) -> bytearray:
        """Return a buffer of any size, or none; something may be left in it from before."""
        return self._kept.pop() if self._kept else bytearray()

    def give(self, buffer: bytearray) -> None:
        """Take a buffer back that nobody reads any more."""
        if len(self._kept) < MOST_BUFFERS:
            self._kept.append(buffer)

    def clear(self) -> None:
        """Keep nothing any more."""
        self._kept.clear()


class Budget:
    """Bytes that all requests together may hold; who comes when they are used up waits in line for a while.

    Once no large request has come for a while, memory that is kept for the next one is given back.
    """

    def __init__(self, total: int, wait_seconds: float = WAIT_SECONDS, rest_seconds: float = REST_SECONDS) -> None:
        """Hand out `total` bytes."""
        self.total, self.used, self.buffers = total, 0, Buffers()
        self._wait_seconds, self._rest_seconds = wait_seconds, rest_seconds
        self._waiting: deque[tuple[asyncio.Future[None], int]] = deque()
        self._rest: asyncio.TimerHandle | None = None

    def take(self, size: int) -> bool:
        """Take `size` bytes if they are free and nobody waits for them."""
        if not self.free(size):
            return False
        self.used += size
        return True

    def free(self, size: int) -> bool:
        """Return whether `size` bytes are free and nobody waits for them."""
        return not self._waiting and self.used + size <= self.total

    async def wait(self, size: int) -> None:
        """Take `size` bytes, now or when it is one's turn; raises RequestError (413 or 503)."""
        if self.take(size):
            return
        if size > self.total:
            raise RequestError("the request needs more memory than this server has; send fewer rows", status=413)
        if len(self._waiting) >= MOST_WAITING:
            raise busy()
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((turn, size))
        try:
            async with asyncio.timeout(self._wait_seconds):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                self.give(size)
            else:
                self._waiting = deque(entry for entry in self._waiting if entry[0] is not turn)
                self._next()
            if isinstance(error, TimeoutError):
                raise busy() from None
            raise

    def give(self, size: int) -> None:
        """Give `size` bytes back."""
        self.used -= size
        if self._waiting:
            self._next()
        if size >= BLOCK_BYTES:
            if self._rest is not None:
                self._rest.cancel()
            self._rest = asyncio.get_running_loop().call_later(self._rest_seconds, self._give_back)

    def _give_back(self) -> None:
        self.buffers.clear()
        return_free_memory()

    def _next(self) -> None:
        while self._waiting and self.used + self._waiting[0][1] <= self.total:
            turn, size = self._waiting.popleft()
            if not turn.cancelled():
                self.used += size
                turn.set_result(None)


class Reservation:
    """What one request holds of a budget."""

    __slots__ = ("_budget", "_size")

    def __init__(self, budget: Budget) -> None:
        """Hold nothing yet."""
        self._budget, self._size = budget, 0

    async def raise_to(self, size: int) -> None:
        """Hold at least `size` bytes; raises RequestError (413 or 503)."""
        more = size - self._size
        if more > 0:
            if not self._budget.take(more):
                await self._budget.wait(more)
            self._size = size

    def lower_to(self, size: int) -> None:
        """Hold at most `size` bytes."""
        if size < self._size:
            self._budget.give(self._size - size)
            self._size = size

    def answer(self, size: int) -> None:
        """Hold `size` bytes for the answer, in place of all before; raises RequestError (413 or 503), never waits.

        The outputs are in memory already: waiting for memory with them in hand could wait for ever.
        """
        self.lower_to(0)
        if self._budget.used + size > self._budget.total:
            if size <= self._budget.total:
                raise busy()
            raise RequestError(
                "the answer needs more memory than this server has; send fewer rows, or ask for binary outputs",
                status=413,
            )
        self._budget.used += size
        self._size = size


def busy() -> RequestError:
    """Return the refusal of a server that has no memory for one more request now."""
    return RequestError("the server has no memory for one more request now; try again", status=503)
