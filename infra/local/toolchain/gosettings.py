"""How Go compiles: the flags that all builds share, and what the machine's memory allows."""

import os
from collections.abc import Mapping
from pathlib import Path

GIB = 1 << 30
# Never without garbage collection above this, however much memory there is: the largest package needs half of it.
_MOST = 4 * GIB
_LEAST = GIB

# Packages that no tool runs hot here, or never: clients of clouds, generated ones above all. Without inlining they
# compile in two thirds of the time. Every build has the same list: a package that two tools share compiles once.
_COLD = (
    "cloud.google.com/go", "github.com/Azure", "github.com/AzureAD", "github.com/alecthomas/chroma", "github.com/aws",
    "github.com/envoyproxy", "github.com/open-policy-agent", "github.com/pb33f", "github.com/redis",
    "github.com/segmentio", "github.com/sigstore", "github.com/pulumi/pulumi-kubernetes/sdk", "google.golang.org/api",
    "google.golang.org/genproto", "k8s.io/client-go/applyconfigurations", "k8s.io/client-go/informers",
    "k8s.io/client-go/kubernetes", "k8s.io/client-go/listers",
)  # fmt: skip
# Debug information would cost a tenth of the time.
_COMPILER = "-dwarf=false"


def flags(jobs: int) -> list[str]:
    """Return what a stripped, reproducible build compiles with; `jobs` bounds parallel compilations, 0 does not.

    The tag leaves out what reaches Google's storage past the public API: a tenth of the packages of the engine.
    """
    shared = ["-mod=readonly", "-buildvcs=false", "-trimpath", "-pgo=off", "-tags=disable_grpc_modules"]
    shared.append(f"-gcflags=all={_COMPILER}")
    shared += [f"-gcflags={module}/...={_COMPILER} -l" for module in _COLD]
    return [*shared, *(["-p", str(jobs)] if jobs else [])]


def collector(jobs: int, given: Mapping[str, str] = os.environ, memory: Path = Path("/proc/meminfo")) -> dict[str, str]:
    """Return the settings of the garbage collector of Go's compiler; none where memory is scarce, or `given` has some.

    Compilers are short-lived: without collecting they take a sixth less time, and twice the memory. Each of them, the
    linker beside them and go itself may use an equal share of three quarters of what is available now.
    """
    if {"GOGC", "GOMEMLIMIT"} & given.keys():
        return {}
    share = _available(memory) * 3 // 4 // ((jobs or os.cpu_count() or 1) + 2)
    if share < _LEAST:
        return {}
    return {"GOGC": "off", "GOMEMLIMIT": f"{min(share, _MOST) >> 20}MiB"}


def _available(memory: Path) -> int:
    """Return the bytes that new processes can have, 0 where the kernel does not say so."""
    try:
        lines = memory.read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:")), 0)
