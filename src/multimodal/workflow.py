"""A whole run: from a table to a directory with a model and its evidence."""

from __future__ import annotations

import csv
import importlib.metadata
import math
import os
import platform
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from multimodal import evaluation
from multimodal.builder import build, check_parts
from multimodal.comparison import baseline_scores, input_name
from multimodal.config import Config
from multimodal.data.columns import photo_paths
from multimodal.data.pipeline import evaluation_dataset, training_dataset
from multimodal.data.photos import locate
from multimodal.data.prepare import Prepared, Rows, prepare
from multimodal.errors import RunError
from multimodal.evaluation import HeadMetrics, ModelScore, RunMetrics
from multimodal.finetune import carry_over, check_frozen, continue_config, freeze_groups
from multimodal.report import write_report
from multimodal.run import Run, load, save_parts, write
from multimodal.training import Fitted, choose_precision, fit

LOG, PREDICTIONS, QUARANTINE = "training_log.csv", "predictions.csv", "quarantine.csv"
PACKAGES = ("multimodal", "keras", "tensorflow", "numpy", "pandas", "scikit-learn")
Say = Callable[[str], None]
EpochCallbacks = Sequence[keras.callbacks.Callback]


@dataclass(frozen=True)
class Request:
    """What a run was asked for."""

    data: Rows
    targets: Sequence[str]
    config: Config
    out: Path
    weight: str | None = None
    images: str | Path | None = None
    base: str | Path | None = None
    noise: NDArray[np.float64] | None = None
    command: str = ""


def train(
    data: Rows,
    targets: str | Sequence[str],
    *,
    out: str | Path,
    config: Config | None = None,
    weight: str | None = None,
    images: str | Path | None = None,
    base: str | Path | None = None,
    noise: NDArray[np.float64] | None = None,
    command: str = "",
    say: Say = lambda message: None,
    callbacks: EpochCallbacks = (),
) -> Run:
    """Train a model on a table and write a run directory.

    Args:
        data: A CSV, TSV, Parquet or JSON Lines file, a DataFrame, or a list of dicts.
        targets: Column or columns to predict.
        out: Run directory; must not exist, or be empty.
        config: What the user wants; what it leaves open is inferred.
        weight: Column of row weights.
        images: Folder that photo paths are relative to; the file's folder by default.
        base: A run directory to start from.
        noise: Where it is known, the noise in the log of the first target, one value per row of
            `data`; its size over the test rows is reported as the limit.
        command: The command to show in the report.
        say: Called with a line of news.
        callbacks: Further Keras callbacks of the fit.

    Returns:
        The finished run, as `load(out)` gives it.

    Raises:
        MultimodalError: What is wrong, where, and how to mend it; nothing is left behind.
    """
    names = [targets] if isinstance(targets, str) else list(targets)
    request = Request(
        data, names, config or Config(), Path(out), weight, images, base, noise, command
    )
    _check_out(request.out)
    origin = load(base) if base is not None else None
    wanted = continue_config(origin, request.config) if origin else request.config
    check_parts(wanted)
    say("reading, checking and preparing the rows")
    prepared = prepare(
        data,
        names,
        wanted,
        weight=weight,
        images=images,
        base=(origin.schema, origin.spec) if origin else None,
    )
    check_parts(prepared.config)
    check_frozen(prepared.spec, prepared.config.training.freeze)
    for warning in prepared.warnings:
        say(f"warning: {warning}")
    return _Session(request, prepared, origin, say, callbacks).run()


class _Session:
    """The steps of one run, in order; what is done is on disk before the next step starts."""

    def __init__(
        self,
        request: Request,
        prepared: Prepared,
        origin: Run | None,
        say: Say,
        callbacks: EpochCallbacks,
    ) -> None:
        self.request = request
        self.prepared = prepared
        self.origin = origin
        self.say = say
        self.callbacks = callbacks
        self.notes: list[str] = []
        self.metrics = RunMetrics(
            data=evaluation.DataSummary(**prepared.summary()),
            versions=_versions(),
            command=request.command,
        )

    def run(self) -> Run:
        out = self.request.out
        created = not out.exists()
        out.mkdir(parents=True, exist_ok=True)
        try:
            self._save_inputs()
            model, fitted = self._fit()
            save_parts(out, self.prepared.config, self.prepared.schema, self.prepared.spec, model)
        except BaseException:
            shutil.rmtree(out, ignore_errors=True)
            if not created:
                out.mkdir()
            raise
        run = load(out)
        self._score(run, model, fitted)
        if self.prepared.config.training.baselines and not fitted.interrupted:
            self._compare()
        self._report()
        return run

    def _save_inputs(self) -> None:
        out, prepared = self.request.out, self.prepared
        save_parts(out, prepared.config, prepared.schema, prepared.spec, None)
        if prepared.table.quarantine:
            faults = [(fault.line, fault.reason) for fault in prepared.table.quarantine]
            pd.DataFrame(faults, columns=["line", "reason"]).to_csv(out / QUARANTINE, index=False)

    def _fit(self) -> tuple[keras.Model, Fitted]:
        model = self._build()
        training, rows = self.prepared.config.training, self.prepared.rows("train")
        self.say(
            f"training on {len(rows):,} rows, {model.count_params():,} parameters, "
            f"photos in {choose_precision(training.precision)}"
        )
        whole = Fitted()
        middle = training.unfreeze_epoch if training.freeze else None
        for first, last, frozen in _stages(training.epochs, middle, training.freeze):
            freeze_groups(model, self.prepared.spec, frozen)
            stage = self._fit_stage(model, first, last)
            whole.add(stage)
            if stage.interrupted:
                break
        return model, whole

    def _build(self) -> keras.Model:
        config, spec = self.prepared.config, self.prepared.spec
        keras.utils.set_random_seed(config.training.seed)
        model = build(config, spec, precision=choose_precision(config.training.precision))
        if self.origin is not None:
            self.notes = carry_over(self.origin.model, self.origin.spec, model, spec)
            for note in self.notes:
                self.say(note)
        return model

    def _fit_stage(self, model: keras.Model, first: int, last: int) -> Fitted:
        prepared, rows = self.prepared, self.prepared.rows("train")
        training = prepared.config.training.model_copy(update={"epochs": last})
        batches = training_dataset(
            prepared.source, rows, batch_size=training.batch_size, seed=training.seed,
            epochs=last, first_epoch=first, augment=prepared.config.data.augment,
        )  # fmt: skip
        validation = evaluation_dataset(prepared.source, prepared.rows("validation"), batch_size=256)
        return fit(
            model, prepared.config.model_copy(update={"training": training}), batches, validation,
            steps_per_epoch=math.ceil(len(rows) / training.batch_size), first_epoch=first,
            callbacks=[_LogFile(self.request.out / LOG), *self.callbacks],
        )  # fmt: skip

    def _score(self, run: Run, model: keras.Model, fitted: Fitted) -> None:
        """Predict the validation and test rows as `predict` would, and save the metrics."""
        prepared, heads = self.prepared, {}
        frames = {side: self._predict(run, side) for side in ("validation", "test")}
        frames["test"].to_csv(self.request.out / PREDICTIONS, index=False)
        for head in prepared.spec.heads:
            measured = {side: _measure(frame, head.name) for side, frame in frames.items()}
            heads[head.name] = HeadMetrics(column=head.column, **measured)
        training = prepared.config.training
        summary = evaluation.TrainingSummary(
            epochs=len(fitted.log), best_epoch=fitted.best_epoch, seconds=fitted.seconds,
            precision=choose_precision(training.precision), parameters=model.count_params(),
            interrupted=fitted.interrupted, seed=training.seed,
        )  # fmt: skip
        fusion = {
            name: [ModelScore("Fusion", "fusion", input_name(prepared.config), head.test,
                              model.count_params(), fitted.seconds)]
            for name, head in heads.items()
        }  # fmt: skip
        update = {"heads": heads, "training": summary, "comparison": fusion, "notes": self.notes}
        self._save(update | {"limit": self._limit()})

    def _predict(self, run: Run, side: str) -> pd.DataFrame:
        prepared, rows = self.prepared, self.prepared.rows(side)
        arrays = run.preprocessor.arrays(prepared.table.frame.iloc[rows], prepared.photo_root)
        predictions, _ = run.predictor.predict(arrays)
        frame = pd.DataFrame({"row": prepared.table.rows[rows]})
        for name in prepared.schema.names("identifier")[:1]:
            frame["id"] = prepared.table.frame[name].iloc[rows].to_numpy()
        for head in prepared.spec.heads:
            frame[f"{head.name}_true"] = prepared.truths[head.column][rows]
            frame[f"{head.name}_prediction"] = predictions[head.name]
        return frame

    def _limit(self) -> dict[str, dict[str, float]]:
        noise, prepared = self.request.noise, self.prepared
        if noise is None:
            return {}
        drawn = noise[prepared.table.rows[prepared.rows("test")]]
        return {prepared.spec.heads[0].name: {"log_rmse": float(np.sqrt(np.mean(drawn**2)))}}

    def _compare(self) -> None:
        comparison = dict(self.metrics.comparison)
        try:
            for i, head in enumerate(self.prepared.spec.heads):
                say = lambda name: self.say(f"baseline: {name}")  # noqa: E731
                for score in baseline_scores(self.prepared, i, say):
                    comparison[head.name] = [*comparison[head.name], score]
        except KeyboardInterrupt:
            self.say("interrupted; the remaining baselines are left out")
        self._save({"comparison": comparison})

    def _report(self) -> None:
        prepared, rows = self.prepared, self.prepared.rows("test")
        frame = prepared.table.frame.iloc[rows].reset_index(drop=True)
        columns = prepared.schema.names("image")
        photos = {
            i: [
                locate(name, prepared.photo_root)
                for c in columns
                for name in photo_paths(frame[c][i])
            ]
            for i in range(len(frame))
        }
        write_report(self.request.out, photos=photos, rows=frame)

    def _save(self, update: dict[str, Any]) -> None:
        self.metrics = self.metrics.model_copy(update=update)
        write(self.request.out / evaluation.METRICS_FILE, self.metrics.to_json())


def _stages(
    epochs: int, middle: int | None, frozen: list[str]
) -> list[tuple[int, int, list[str]]]:
    """Return (first epoch, last epoch, frozen groups) of each stage."""
    if middle is None or middle >= epochs:
        return [(0, epochs, frozen)]
    return [(0, middle, frozen), (middle, epochs, [])]


def _measure(frame: pd.DataFrame, head: str) -> dict[str, float]:
    return evaluation.regression_metrics(frame[f"{head}_true"], frame[f"{head}_prediction"])


class _LogFile(keras.callbacks.Callback):
    """Append a line of losses and metrics after every epoch."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        values = {"epoch": epoch + 1, **{key: float(value) for key, value in (logs or {}).items()}}
        new = not self.path.exists()
        with self.path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(values))
            if new:
                writer.writeheader()
            writer.writerow(values)


def _check_out(out: Path) -> None:
    """Raise RunError unless `out` is new or empty, and its folder can be written."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise RunError(
            f"{out}: already there and not empty. Name another --out, or remove it first."
        )
    parent = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
    if not os.access(parent, os.W_OK):
        raise RunError(f"{parent}: cannot be written. Name another --out.")


def _versions() -> dict[str, str]:
    found = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {"python": platform.python_version(), **found, "backend": keras.backend.backend()}
