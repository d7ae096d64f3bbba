"""The MLflow flavour of a run: a pyfunc model "from code", which unpickles nothing.

It predicts raw rows, photos as bytes or paths, and takes `params={"level": 0.9}`.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pandas as pd

import multimodal
from multimodal.core.errors import ConfigError
from multimodal.runs.open import load

__all__ = ["log_model", "python_model", "save_model"]

NO_LEVEL = 0.0  # the value of `level` that asks for no intervals: a parameter of MLflow has a type
# What MLflow runs when it loads the model; the run itself is data beside it.
_CODE = """import mlflow

from multimodal.integrations.mlflow import python_model

mlflow.models.set_model(python_model())
"""


def save_model(run: str | Path, path: str | Path) -> None:
    """Write a run as a model of MLflow to a new folder, for `mlflow.pyfunc.load_model`.

    Args:
        run: The run directory, or an export.
        path: The folder.

    Raises:
        ConfigError: MLflow is not installed.

    Example:
        save_model("run", "model")
        mlflow.pyfunc.load_model("model").predict(rows, params={"level": 0.9})
    """
    with tempfile.TemporaryDirectory() as folder:
        imported().pyfunc.save_model(path=str(path), **_options(Path(run), Path(folder)))


def log_model(run: str | Path, name: str = "model") -> Any:
    """Log a run as a model of the active run of MLflow; return MLflow's description of it.

    Args:
        run: The run directory, or an export.
        name: Name of the model.

    Raises:
        ConfigError: MLflow is not installed.
    """
    with tempfile.TemporaryDirectory() as folder:
        return imported().pyfunc.log_model(name=name, **_options(Path(run), Path(folder)))


def python_model() -> Any:
    """Return the model that MLflow runs: it loads the run beside it, and predicts rows.

    Raises:
        ConfigError: MLflow is not installed.
    """
    mlflow = imported()

    class MultimodalModel(mlflow.pyfunc.PythonModel):  # type: ignore[name-defined]
        def load_context(self, context: Any) -> None:
            self.run = load(context.artifacts["run"])

        def predict(
            self, context: Any, model_input: Any, params: dict[str, Any] | None = None
        ) -> pd.DataFrame:
            given = params or {}
            rows = model_input if isinstance(model_input, pd.DataFrame) else list(model_input)
            level = given.get("level") or None
            return self.run.predict(rows, images=given.get("images") or None, level=level).frame

    return MultimodalModel()


def _options(run: Path, folder: Path) -> dict[str, Any]:
    """Return what MLflow is told of the model; its code is written to `folder`."""
    from mlflow.models import ModelSignature
    from mlflow.types import ParamSchema, ParamSpec

    code = folder / "model.py"
    code.write_text(_CODE, encoding="utf-8")
    # Columns are checked by the run, which says more of what is wrong with them than a schema.
    params = [ParamSpec("level", "double", NO_LEVEL), ParamSpec("images", "string", "")]
    return {
        "python_model": str(code),
        "artifacts": {"run": str(run)},
        "signature": ModelSignature(params=ParamSchema(params)),
        "pip_requirements": [f"multimodal-keras=={multimodal.__version__}"],
    }


def imported() -> Any:
    """Return MLflow; raise ConfigError where it is not installed."""
    try:
        import mlflow
        import mlflow.pyfunc
    except ImportError:
        raise ConfigError(
            "mlflow is not installed. Install it: pip install 'multimodal-keras[mlflow]'."
        ) from None
    return mlflow
