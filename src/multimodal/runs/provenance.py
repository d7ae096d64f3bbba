"""Provenance of a run: what was asked for, and what it was made from: data, versions, machine, day.

The record of the request is also what a training is taken up again by.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd

from multimodal import __version__
from multimodal.core.arrays import Floats
from multimodal.core.config import Config
from multimodal.core.files import sha256_of
from multimodal.core.interrupted import digest
from multimodal.data.photos.locate import Images
from multimodal.data.prepare import Prepared, Rows
from multimodal.data.read.lazy_text import on_disk
from multimodal.evaluation.records import RunMetrics

PACKAGES = ("keras", "tensorflow", "numpy", "pandas", "scikit-learn")
_CPU_INFO = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class Request:
    """What a training, a comparison or a search is asked for, as the arguments of `train`."""

    data: Rows
    targets: Sequence[str]
    config: Config
    out: Path
    weight: str | None = None
    images: Images = None
    base: str | Path | None = None
    noise: Floats | None = None
    command: str = ""


def record(request: Request, prepared: Prepared | None = None) -> dict[str, Any]:
    """Return what a run is asked for, and what its data are where they are prepared."""
    asked: dict[str, Any] = {
        "targets": list(request.targets),
        "config": request.config.model_dump(mode="json"),
        "weight": request.weight,
        "from": None if request.base is None else str(request.base),
        "backend": keras.backend.backend(),
        # with others it would not end at the same weights
        "versions": {name: version for name, version in versions().items() if name != "python"},
        # shown alone: `check_same` compares all but this
        "command": request.command,
    }
    if prepared is None:
        return asked
    source = prepared.source
    weights = np.stack(list(source.weights.values()))
    arrays = {"split": prepared.splits, **source.inputs, **source.targets, "weights": weights}
    found = {n: digest(array) for n, array in arrays.items() if isinstance(array, np.ndarray)}
    stored = [folder.name for folder in prepared.stored]  # each named after what it is made from
    about = {
        "rows": prepared.table.rows_read,
        "cells": cell_digests(prepared.table.frame),
        "photos": prepared.photo_digest,
        "files": file_digests(prepared.config),
        "prepared": stored,
    }
    return {**asked, "data": {**about, **found}}


def cell_digests(frame: pd.DataFrame) -> dict[str, str]:
    """Return a digest of the cells of each column as they were read.

    What the model is given of them says less: every number that is no word of the vocabulary is the
    same to it. Texts that lie on disk are left out: the file they are of names the prepared set.

    Example:
    >>> one, other = (cell_digests(pd.DataFrame({"a": [text]})) for text in ("123456", "654321"))
    >>> one == other
    False
    """
    inside = [name for name in frame if name not in on_disk(frame)]
    return {str(name): digest(frame[name].to_numpy()) for name in inside}


def file_digests(config: Config) -> dict[str, str]:
    """Return a digest of each file that a config names: word vectors, backbones, their weights."""
    named: list[Any] = [group.vectors for group in config.groups]
    named += [each for group in config.groups for each in group.encoder.options.values()]
    paths = [name for name in named if isinstance(name, str) and Path(name).is_file()]
    return {name: sha256_of(name)[:16] for name in paths}


def versions() -> dict[str, str]:
    """Return the versions of Python and of what a run depends on, and the backend."""
    backend = keras.backend.backend()
    found = {name: importlib.metadata.version(name) for name in dict.fromkeys([*PACKAGES, backend])}
    own = {"python": platform.python_version(), "multimodal": __version__}
    return {**own, **found, "backend": backend}


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
    # A container or `taskset` may allow fewer cores than the machine has.
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
