"""Encoders, fusion and whole runs for rows that hold numbers, sentences and photos.

Names are loaded on first use, so `import multimodal` is cheap and loads no backend.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from multimodal.builder import build
    from multimodal.config import Config
    from multimodal.cross_validation import compare
    from multimodal.data.prepare import prepare
    from multimodal.data.readers import read_table
    from multimodal.data.schema import infer_schema
    from multimodal.encoders import ConvolutionalEncoder, DenseEncoder, RecurrentEncoder
    from multimodal.errors import ConfigError, DataError, MultimodalError, RunError
    from multimodal.fusion import ConcatFusion
    from multimodal.heads import RegressionHead
    from multimodal.registry import register
    from multimodal.run import Run, load
    from multimodal.spec import FittedSpec
    from multimodal.tuning import tune
    from multimodal.workflow import train

_HOMES = {
    "Config": "config",
    "ConfigError": "errors",
    "ConcatFusion": "fusion",
    "ConvolutionalEncoder": "encoders",
    "DataError": "errors",
    "DenseEncoder": "encoders",
    "FittedSpec": "spec",
    "MultimodalError": "errors",
    "RecurrentEncoder": "encoders",
    "RegressionHead": "heads",
    "Run": "run",
    "RunError": "errors",
    "build": "builder",
    "compare": "cross_validation",
    "infer_schema": "data.schema",
    "load": "run",
    "prepare": "data.prepare",
    "read_table": "data.readers",
    "register": "registry",
    "train": "workflow",
    "tune": "tuning",
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
