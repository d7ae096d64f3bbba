"""Provenance of a run: its data by their checksums, the machine, the day."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import keras

from multimodal.core.files import sha256_of
from multimodal.evaluation.records import RunMetrics

_CPU_INFO = Path("/proc/cpuinfo")


def with_provenance(
    record: RunMetrics, source: Path | None, asked: Mapping[str, Any]
) -> RunMetrics:
    """Return the record of a run with what is needed to make it again.

    Args:
        record: What is known so far.
        source: The file that the rows came from, None for rows from memory.
        asked: What the run is asked for, with the digests of its data under `data`.

    Raises:
        OSError: The file cannot be read any more.
    """
    plain = json.dumps(asked.get("data", {}), sort_keys=True, default=str)
    known = {
        "sha256": "" if source is None else sha256_of(source),
        "fingerprint": hashlib.sha256(plain.encode()).hexdigest()[:16],
    }
    made = {"machine": machine(accelerators()), "date": datetime.now(UTC).date().isoformat()}
    return record.model_copy(update={"data": record.data.model_copy(update=known), **made})


def accelerators() -> list[str]:
    """Return the model name of every accelerator that the backend sees."""
    name = keras.backend.backend()
    if name == "tensorflow":
        import tensorflow as tf

        details = tf.config.experimental.get_device_details
        devices = tf.config.list_physical_devices("GPU")
        return [str(details(device).get("device_name", "GPU")) for device in devices]
    if name == "jax":
        import jax

        return [str(device.device_kind) for device in jax.devices() if device.platform != "cpu"]
    if name == "torch":
        import torch

        return [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return []


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
