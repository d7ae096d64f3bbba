"""Encoders, fusion and whole runs for rows that hold numbers, sentences and photos.

Names are loaded on first use, so `import multimodal` is cheap and loads no backend.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from multimodal.core.config import Config
    from multimodal.core.errors import ConfigError, DataError, MultimodalError, RunError
    from multimodal.core.spec import FittedSpec
    from multimodal.data.columns.schema import infer_schema
    from multimodal.data.prepare import prepare
    from multimodal.data.read.readers import read_table
    from multimodal.encoders import ConvolutionalEncoder, DenseEncoder, RecurrentEncoder
    from multimodal.fusion import ConcatFusion
    from multimodal.heads import RegressionHead
    from multimodal.layers.registry import register
    from multimodal.models.build import build
    from multimodal.runs.run import Run, load
    from multimodal.runs.train import train
    from multimodal.studies.compare.compare import compare
    from multimodal.studies.tune.tune import tune

_HOMES = {
    "Config": "core.config",
    "ConfigError": "core.errors",
    "ConcatFusion": "fusion",
    "ConvolutionalEncoder": "encoders",
    "DataError": "core.errors",
    "DenseEncoder": "encoders",
    "FittedSpec": "core.spec",
    "MultimodalError": "core.errors",
    "RecurrentEncoder": "encoders",
    "RegressionHead": "heads",
    "Run": "runs.run",
    "RunError": "core.errors",
    "build": "models.build",
    "compare": "studies.compare.compare",
    "infer_schema": "data.columns.schema",
    "load": "runs.run",
    "prepare": "data.prepare",
    "read_table": "data.read.readers",
    "register": "layers.registry",
    "train": "runs.train",
    "tune": "studies.tune.tune",
}

_SUBPACKAGES = ("encoders", "fusion", "heads")

__version__ = "0.1.0"
__all__ = [
    "ConcatFusion",
    "Config",
    "ConfigError",
    "ConvolutionalEncoder",
    "DataError",
    "DenseEncoder",
    "FittedSpec",
    "MultimodalError",
    "RecurrentEncoder",
    "RegressionHead",
    "Run",
    "RunError",
    "build",
    "compare",
    "infer_schema",
    "load",
    "prepare",
    "read_table",
    "register",
    "train",
    "tune",
]


def __getattr__(name: str) -> Any:
    if name in _SUBPACKAGES:
        return importlib.import_module(f"multimodal.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'multimodal' has no attribute '{name}'")
    value = getattr(importlib.import_module(f"multimodal.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
