"""What a run was made on: processor, cores, memory, accelerators; never the name of the host."""

from __future__ import annotations

import os
import platform
from collections import Counter
from pathlib import Path

_CPU_INFO = Path("/proc/cpuinfo")


def machine(accelerators: list[str] | None = None) -> dict[str, str]:
    """Describe this machine in words, for a report; what is not known is left out.

    Args:
        accelerators: The model names of the accelerators in use, one each.

    Example:
    >>> machine(["H100", "H100"])["accelerators"]
    '2 × H100'
    """
    found = {
        "processor": processor(),
        "cores": str(cores()),
        "memory": memory(),
        "system": f"{platform.system()} {platform.machine()}".strip(),
        "accelerators": ", ".join(
            name if count == 1 else f"{count} × {name}"
            for name, count in Counter(accelerators or []).items()
        ),
    }
    return {name: said for name, said in found.items() if said}


def processor(info: Path = _CPU_INFO) -> str:
    """Return the model name of the processor, empty where nothing tells it."""
    try:
        lines = info.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(filter(None, names), platform.processor())


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def memory() -> str:
    """Return the memory of the machine, such as `16 GiB`, empty where nothing tells it."""
    try:
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return ""
    return f"{size / 2**30:.0f} GiB" if size > 0 else ""
