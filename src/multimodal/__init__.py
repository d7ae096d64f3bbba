"""Encoders, fusion and whole runs for rows that hold numbers, sentences and photos.

Names are loaded on first use, so `import multimodal` is cheap and loads no backend.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

from multimodal.core.verbs import Alias

if TYPE_CHECKING:
    from multimodal import encoders, fusion, heads, layers
    from multimodal.core.config import Config
    from multimodal.core.errors import (
        ConfigError,
        DataError,
        MultimodalError,
        RunError,
        TrainingError,
    )
    from multimodal.core.manifest import write_manifest
    from multimodal.core.presets import preset
    from multimodal.core.spec import FittedSpec
    from multimodal.data.audit.table import audit
    from multimodal.data.columns.schema import infer_schema
    from multimodal.data.photos.locate import PhotoFolder
    from multimodal.data.prepare import prepare
    from multimodal.data.read.readers import read_table
    from multimodal.encoders import ConvolutionalEncoder, DenseEncoder, RecurrentEncoder
    from multimodal.fusion import ConcatFusion
    from multimodal.heads import RegressionHead, losses, metrics
    from multimodal.integrations import ray, sklearn
    from multimodal.layers.registry import list_parts, register
    from multimodal.models.build import build
    from multimodal.runs.api import evaluate, explain, report
    from multimodal.runs.open import load
    from multimodal.runs.rows import Predictions
    from multimodal.runs.run import Run
    from multimodal.runs.train import train
    from multimodal.studies.compare.compare import compare
    from multimodal.studies.tune.tune import tune

__version__ = "0.1.0"

_HOMES = {
    "Config": "core.config",
    "ConfigError": "core.errors",
    "ConcatFusion": "fusion",
    "ConvolutionalEncoder": "encoders",
    "DataError": "core.errors",
    "DenseEncoder": "encoders",
    "FittedSpec": "core.spec",
    "MultimodalError": "core.errors",
    "PhotoFolder": "data.photos.locate",
    "Predictions": "runs.rows",
    "RecurrentEncoder": "encoders",
    "RegressionHead": "heads",
    "Run": "runs.run",
    "RunError": "core.errors",
    "TrainingError": "core.errors",
    "audit": "data.audit.table",
    "build": "models.build",
    "compare": "studies.compare.compare",
    "evaluate": "runs.api",
    "infer_schema": "data.columns.schema",
    "list_parts": "layers.registry",
    "load": "runs.open",
    "prepare": "data.prepare",
    "preset": "core.presets",
    "read_table": "data.read.readers",
    "register": "layers.registry",
    "train": "runs.train",
    "tune": "studies.tune.tune",
    "write_manifest": "core.manifest",
}
_SUBPACKAGES = ("encoders", "explain", "fusion", "heads", "layers", "models", "report")
_ALIASES = {
    "losses": "multimodal.heads.losses",
    "metrics": "multimodal.heads.metrics",
    "ray": "multimodal.integrations.ray",
    "sklearn": "multimodal.integrations.sklearn",
}

__all__ = [
    "ConcatFusion",
    "Config",
    "ConfigError",
    "ConvolutionalEncoder",
    "DataError",
    "DenseEncoder",
    "FittedSpec",
    "MultimodalError",
    "PhotoFolder",
    "Predictions",
    "RecurrentEncoder",
    "RegressionHead",
    "Run",
    "RunError",
    "TrainingError",
    "__version__",
    "audit",
    "build",
    "compare",
    "encoders",
    "evaluate",
    "explain",
    "fusion",
    "heads",
    "infer_schema",
    "layers",
    "list_parts",
    "load",
    "losses",
    "metrics",
    "prepare",
    "preset",
    "ray",
    "read_table",
    "register",
    "report",
    "sklearn",
    "train",
    "tune",
    "write_manifest",
]

for _name, _home in _ALIASES.items():
    sys.modules[f"{__name__}.{_name}"] = Alias(f"{__name__}.{_name}", _home)

# Where Keras is there already, what a `.keras` file may name is registered with it at once.
if "keras" in sys.modules:
    for _name in ("encoders", "fusion", "heads", "layers"):
        importlib.import_module(f"{__name__}.{_name}")


def __getattr__(name: str) -> Any:
    if name in _SUBPACKAGES:
        return importlib.import_module(f"multimodal.{name}")
    if name in _ALIASES:
        return importlib.import_module(_ALIASES[name])
    if name not in _HOMES:
        raise AttributeError(f"module 'multimodal' has no attribute '{name}'")
    value = getattr(importlib.import_module(f"multimodal.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
