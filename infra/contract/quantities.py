"""Kubernetes quantities as numbers, and numbers as the text a stack file says."""

_UNITS = {"Ki": 1024, "Mi": 1024**2, "Gi": 1024**3, "Ti": 1024**4}


def milli_cores(cpu: str) -> int:
    """Return thousandths of a CPU core: 500 of "500m", 2000 of "2"."""
    return int(cpu[:-1]) if cpu.endswith("m") else round(float(cpu) * 1000)


def memory_bytes(memory: str) -> int:
    """Return the bytes of a quantity with a binary unit: 536870912 of "512Mi"."""
    return int(memory[:-2]) * _UNITS[memory[-2:]]


def cpu_text(milli: int) -> str:
    """Return thousandths of a core as text: "500m" or "2"."""
    return str(milli // 1000) if milli % 1000 == 0 else f"{milli}m"


def memory_text(size: int) -> str:
    """Return bytes as text in Mi, rounded up."""
    return f"{-(-size // 1024**2)}Mi"
