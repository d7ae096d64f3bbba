"""Where a run comes from: its data by their checksums, the machine, the day."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import keras

from multimodal.evaluation.records import RunMetrics
from multimodal.core.files import sha256_of
from multimodal.runs.machine import machine


def traced(record: RunMetrics, source: Path | None, asked: Mapping[str, Any]) -> RunMetrics:
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
    return _SEEN.get(keras.backend.backend(), list)()


def _tensorflow() -> list[str]:
    import tensorflow as tf

    details = tf.config.experimental.get_device_details
    found = tf.config.list_physical_devices("GPU")
    return [str(details(device).get("device_name", "GPU")) for device in found]


def _jax() -> list[str]:
    import jax

    return [str(device.device_kind) for device in jax.devices() if device.platform != "cpu"]


def _torch() -> list[str]:
    import torch

    return [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]


_SEEN: dict[str, Callable[[], list[str]]] = {
    "tensorflow": _tensorflow, "jax": _jax, "torch": _torch,
}  # fmt: skip
