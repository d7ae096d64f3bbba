"""The steps of one run, in order; what is done is on disk before the next step starts."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from multimodal import evaluation
from multimodal.answers import answers, truths
from multimodal.audit_view import summary
from multimodal.baseline_answers import answers_of, write_answers
from multimodal.builder import build
from multimodal.calibration import write_calibration
from multimodal.checkpoints import Checkpoints
from multimodal.comparison import baseline_scores, input_name, left_out
from multimodal.config import Config
from multimodal.data.audit import audit_prepared
from multimodal.data.audit_records import AUDIT_FILE
from multimodal.data.disk_text import in_memory
from multimodal.data.prepare import Prepared, Rows
from multimodal.data.quarantine import write_quarantine
from multimodal.data.unusual_photos import watch_photos
from multimodal.engines import engine, leads, processes
from multimodal.errors import first_line
from multimodal.evaluation import HeadMetrics, ModelScore, RunMetrics, Task, measure
from multimodal.expert import Experts
from multimodal.explain.extremes import explain_extremes
from multimodal.explain.importance import IMPORTANCE_FILE, MOST_ROWS, importance
from multimodal.explain.kept import keep_neighbours
from multimodal.files import write_text
from multimodal.fitting import Fitted, Safety, added
from multimodal.manifest import write_manifest
from multimodal.members import average
from multimodal.networks import fit_network, named_rows, new_network
from multimodal.progress import LogFile
from multimodal.provenance import traced
from multimodal.report import write_report
from multimodal.report_rows import photos_of
from multimodal.run import Run, load
from multimodal.run_parts import save_parts
from multimodal.sureness import Predicted, check, learn
from multimodal.termination import Termination, on_signals
from multimodal.training import lowest_precision
from multimodal.unfinished import CHECKPOINTS, claimed, digest, finished, write_record
from multimodal.whole import Held, whole_model
from multimodal.withheld import withheld_scores

LOG, PREDICTIONS, QUARANTINE = "training_log.csv", "predictions.csv", "quarantine.csv"
PACKAGES = ("multimodal", "keras", "tensorflow", "numpy", "pandas", "scikit-learn")
Say = Callable[[str], None]


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


class Steps:
    """Fit, save, score, compare, report.

    Args:
        request: What was asked for.
        prepared: The table, made ready.
        origin: The run to start from.
        say: Called with a line of news.
        callbacks: Further Keras callbacks of the fit.
    """

    def __init__(
        self,
        request: Request,
        prepared: Prepared,
        origin: Run | None,
        say: Say,
        callbacks: Sequence[keras.callbacks.Callback],
    ) -> None:
        self.request = request
        self.prepared = prepared
        self.origin = origin
        self.say = say
        self.callbacks = callbacks
        self.notes: list[str] = []
        self.logs: dict[int, list[dict[str, float]]] = {}
        self.precision = ""
        self.held: Held | None = None
        self.experts: Experts | None = None
        self.metrics = RunMetrics(
            data=evaluation.DataSummary(**prepared.summary()),
            versions=_versions(),
            command=request.command,
        )

    def run(self) -> Run:
        """Take all steps; until there is something to go on from, a failure leaves nothing.

        Of several processes, those that do not lead only fit.
        """
        out, prepared = self.request.out, self.prepared
        if not leads():
            with on_signals() as termination:
                termination.waiting = True  # the one that leads writes a checkpoint, and ends first
                networks, _ = self._fit(None)
            spec = prepared.spec.model_copy(update={"terms": None})
            return Run(out, prepared.config, prepared.schema, spec, average(networks))
        asked = record(self.request, prepared)
        with claimed(out, asked), on_signals() as termination:
            write_record(out, asked)
            self.metrics = traced(self.metrics, prepared.table.source, asked)
            self._save_inputs()
            networks, fitted = self._fit(termination)
            model = self._whole(networks)
            run, tested = self._score(load(out), model, fitted)
            if not fitted.interrupted:
                self._withhold(run, tested)
                self._explain(run, tested)
                if prepared.config.training.baselines:
                    self._compare(run.tasks)
            self._report(tested)
            finished(out)
            write_manifest(out)
        return run

    def _save_inputs(self) -> None:
        out, prepared = self.request.out, self.prepared
        save_parts(out, prepared.config, prepared.schema, prepared.spec, None)
        if prepared.table.quarantine:
            write_quarantine(prepared.table, out / QUARANTINE)
        audit = audit_prepared(prepared)
        write_text(out / AUDIT_FILE, audit.to_json())
        for finding in audit.of_level("warning"):
            if finding.topic in ("drift", "labels", "split"):
                self.say(f"warning: {finding.message}")
        self.say(f"audit: {summary(audit)}; see {AUDIT_FILE} and the report")

    def _save_model(self, model: keras.Model) -> None:
        """Save the run; an impatient second Ctrl-C does not cost the training."""
        prepared = self.prepared
        kept = (prepared.config, prepared.schema, prepared.spec, model, self.experts)
        parts = (self.request.out, *kept)
        try:
            save_parts(*parts)
        except KeyboardInterrupt:
            save_parts(*parts)

    @engine()
    def _fit(self, termination: Termination | None) -> tuple[list[keras.Model], Fitted]:
        """Fit the networks one after the other."""
        count, total = int(self.prepared.config.training.members), Fitted()
        networks: list[keras.Model] = []
        for i in range(count):
            network, fitted = self._fit_network(i, termination)
            if fitted.best or not networks:
                networks.append(network)
            total = added(total, fitted)
            if fitted.interrupted:
                break
        if total.interrupted and processes() > 1:
            raise KeyboardInterrupt  # the others cannot go on, nor end, without this one
        if total.interrupted:
            self.say("interrupted; the best weights so far are kept")
        return networks, total

    def _whole(self, networks: Sequence[keras.Model]) -> keras.Model:
        """Return the model of the run, free of what trained its networks, and save it."""
        config = self.prepared.config.merge(training={"members": len(networks)})
        self.prepared, spec = replace(self.prepared, config=config), self.prepared.spec
        self.precision = lowest_precision(networks[0])
        plain = [build(config, spec) for _ in networks]
        for network, trained in zip(plain, networks, strict=True):
            network.set_weights(trained.get_weights())
        whole = whole_model(self.prepared, plain, self.say)
        self.held, self.experts = whole.held, whole.experts
        self._save_model(whole.model)
        return whole.model

    def _fit_network(self, i: int, termination: Termination | None) -> tuple[keras.Model, Fitted]:
        """Fit from the last checkpoint on; the weights of the best epoch stay."""
        prepared, training = self.prepared, self.prepared.config.training
        model, notes = new_network(prepared, i, self.origin)
        for note in notes if i == 0 else ():
            self.say(note)
            self.notes.append(note)
        folder = self.request.out / CHECKPOINTS
        checkpoints = Checkpoints(folder if training.members == 1 else folder / str(i))
        start = checkpoints.latest(self.say)
        fitted = Fitted() if start is None else Fitted.of(start)
        safety = None
        if termination is not None:
            rows_of = partial(named_rows, prepared, i)
            safety = Safety(checkpoints, termination, rows_of, training.checkpoint_seconds)
        self._announce_fit(i, model, fitted)
        self.logs[i] = fitted.log
        log = [LogFile(self.request.out / LOG, self.logs)] if leads() else []
        fit_network(
            model, prepared, i, fitted, safety=safety, start=start,
            callbacks=[*log, *self.callbacks],
        )  # fmt: skip
        if fitted.interrupted:  # Keras ends its callbacks only where the fit ends by itself
            for callback in self.callbacks:
                callback.on_train_end()
        return model, fitted

    def _announce_fit(self, i: int, model: keras.Model, fitted: Fitted) -> None:
        rows, _ = self.prepared.member_rows(i)
        count = self.prepared.config.training.members
        number = "training" if count == 1 else f"training network {i + 1} of {count}"
        self.say(
            f"{number} on {len(rows):,} rows: {model.count_params():,} parameters, "
            f"{lowest_precision(model)}"
        )
        if fitted.epoch or fitted.step:
            self.say(f"going on from epoch {fitted.epoch + 1}, step {fitted.step + 1}")

    def _score(self, run: Run, model: keras.Model, fitted: Fitted) -> tuple[Run, NDArray[np.int64]]:
        """Calibrate on the rows held out, then predict the test rows as `predict` would.

        Returns the calibrated run, and the rows tested.
        """
        prepared, heads, training = self.prepared, {}, self.prepared.config.training
        faults = {
            row: why
            for cache in prepared.source.caches.values()
            for row, why in cache.unreadable.items()
        }
        found = self._held_out(faults)
        run = self._calibrated(run, found, self._predict(run, "validation", faults))
        sides = {"validation": _sure(run, found), "test": self._predict(run, "test", faults)}
        frame = self._frame(run.tasks, sides["test"])
        frame.to_csv(self.request.out / PREDICTIONS, index=False)
        for task, head in zip(run.tasks, prepared.spec.heads, strict=True):
            measured = {name: self._measure(task, side) for name, side in sides.items()}
            heads[task.name] = HeadMetrics(
                column=", ".join(head.columns), kind=task.kind, classes=task.classes, **measured
            )
        summary = evaluation.TrainingSummary(
            epochs=len(fitted.log), best_epoch=fitted.best_epoch, seconds=fitted.seconds,
            precision=self.precision, parameters=model.count_params(),
            interrupted=fitted.interrupted, seed=training.seed,
        )  # fmt: skip
        fusion = {
            name: [ModelScore("Fusion", "fusion", input_name(prepared.config), head.test,
                              model.count_params(), fitted.seconds)]
            for name, head in heads.items()
        }  # fmt: skip
        update = {"heads": heads, "training": summary, "comparison": fusion, "notes": self.notes}
        tested = sides["test"].rows
        update |= check(run, prepared, found, sides["test"])
        self._save(update | {"limit": self._limit(tested), "data": self._told(faults)})
        return run, tested

    def _held_out(self, faults: dict[int, str]) -> Predicted:
        """Return rows with the answers of what did not learn from them; others go to `faults`."""
        assert self.held is not None
        rows, source = self.held.rows, self.prepared.source.inputs
        faults.update(self.held.faults)
        inputs = {key: np.asarray(array[rows]) for key, array in source.items()}
        return Predicted(rows, self.held.outputs, inputs, {})

    def _calibrated(self, run: Run, found: Predicted, held_out: Predicted) -> Run:
        """Calibrate on rows that the model did not learn from; the only place that does."""
        calibration = learn(run, self.prepared, found, held_out)
        write_calibration(self.request.out, calibration)
        write_manifest(self.request.out)
        return run.calibrated(calibration)

    def _predict(self, run: Run, side: str, faults: dict[int, str]) -> Predicted:
        """Predict one side; rows with a damaged photo are left out and go to `faults`."""
        prepared, rows = self.prepared, self.prepared.rows(side)
        arrays = run.preprocessor.arrays(prepared.table.frame.iloc[rows], prepared.photo_root)
        statistics, watch = watch_photos(run.spec, len(rows))
        outputs, wrong = run.decoded(arrays, watch)
        faults.update({int(rows[i]): why for i, why in wrong.items()})
        whole = ~np.isin(np.arange(len(rows)), list(wrong))
        return Predicted(rows, outputs, arrays.inputs, statistics).of(whole)

    def _frame(self, tasks: Sequence[Task], side: Predicted) -> pd.DataFrame:
        """Put truths and answers side by side."""
        prepared, rows, outputs = self.prepared, side.rows, side.outputs
        columns: dict[str, Any] = {"row": prepared.table.rows[rows]}
        for name in prepared.schema.names("identifier")[:1]:
            columns["id"] = prepared.table.frame[name].iloc[rows].to_numpy()
        if prepared.schema.names("weight"):
            columns["weight"] = np.max([w[rows] for w in prepared.source.weights.values()], axis=0)
        sizes = None if prepared.photo_sizes is None else prepared.photo_sizes[rows]
        for task in tasks:
            known = truths(task, prepared.truths[task.name][rows], sizes)
            guessed = answers(task, outputs[task.name], sizes)
            columns |= {f"{task.name}_{end}": each for end, each in {**known, **guessed}.items()}
        return pd.DataFrame(columns)

    def _measure(self, task: Task, side: Predicted) -> dict[str, float]:
        truth = self.prepared.truths[task.name][side.rows]
        weights = self.prepared.source.weights[task.name][side.rows]
        return measure(task, truth, side.outputs[task.name], weights)

    def _told(self, faults: dict[int, str]) -> evaluation.DataSummary:
        """Return the data summary, with a warning if photos were damaged where it did not show."""
        data = self.metrics.data
        if not faults:
            return data
        first = min(faults)
        warning = (
            f"rows with a photo that proved damaged when it was decoded: {len(faults):,}. Training "
            "took it as absent, and these rows are not scored. First: "
            f"{self.prepared.table.place(first)}: {faults[first]}."
        )
        self.say(f"warning: {warning}")
        return data.model_copy(update={"warnings": [*data.warnings, warning]})

    def _limit(self, rows: NDArray[np.int64]) -> dict[str, dict[str, float]]:
        noise, prepared = self.request.noise, self.prepared
        if noise is None:
            return {}
        drawn = noise[prepared.table.rows[rows]]
        return {prepared.spec.heads[0].name: {"log_rmse": float(np.sqrt(np.mean(drawn**2)))}}

    def _withhold(self, run: Run, tested: NDArray[np.int64]) -> None:
        """Measure the test rows with each modality withheld."""
        prepared, weights = self.prepared, self.prepared.source.weights
        found = withheld_scores(
            run, prepared.table.frame.iloc[tested], prepared.photo_root,
            {name: truth[tested] for name, truth in prepared.truths.items()},
            {name: weight[tested] for name, weight in weights.items()},
        )  # fmt: skip
        self._save({"withheld": found})

    def _explain(self, run: Run, tested: NDArray[np.int64]) -> None:
        """Measure what the model needs, explain some rows, keep rows that explanations point to."""
        prepared, rows = self.prepared, tested[:MOST_ROWS]
        weights = {name: each[rows] for name, each in prepared.source.weights.items()}
        frame = in_memory(prepared.table.frame.iloc[rows])
        found = importance(
            run, frame, prepared.photo_root,
            {name: truth[rows] for name, truth in prepared.truths.items()}, weights,
            seed=prepared.config.training.seed,
        )  # fmt: skip
        write_text(self.request.out / IMPORTANCE_FILE, found.model_dump_json(indent=2))
        keep_neighbours(run, prepared)
        write_manifest(self.request.out)  # of what the next step reads
        try:
            explain_extremes(run, prepared, tested)
        except (ValueError, TypeError, LookupError) as error:  # a part that has no gradients
            self.say(f"no rows are explained: {first_line(error)}")

    def _compare(self, tasks: Sequence[Task]) -> None:
        comparison = dict(self.metrics.comparison)
        notes = left_out(self.prepared)
        for note in notes:
            self.say(note)
        kept: list[pd.DataFrame] = []
        try:
            for i, task in enumerate(tasks):
                keep = partial(self._keep, kept, task)
                for score in baseline_scores(self.prepared, i, self._announce, keep):
                    comparison[task.name] = [*comparison[task.name], score]
        except KeyboardInterrupt:
            self.say("interrupted; the remaining baselines are left out")
        write_answers(self.request.out, kept)
        self._save({"comparison": comparison, "notes": [*self.metrics.notes, *notes]})

    def _keep(
        self, kept: list[pd.DataFrame], task: Task, score: ModelScore, rows: NDArray[np.int64],
        outputs: NDArray[Any],
    ) -> None:  # fmt: skip
        """Add what a baseline answers to some rows."""
        sizes = None if self.prepared.photo_sizes is None else self.prepared.photo_sizes[rows]
        kept.append(answers_of(task, score.label, self.prepared.table.rows[rows], outputs, sizes))

    def _announce(self, baseline: str) -> None:
        self.say(f"baseline: {baseline}")

    def _report(self, tested: NDArray[np.int64]) -> None:
        prepared = self.prepared
        frame = prepared.table.frame.iloc[tested].reset_index(drop=True)
        photos = photos_of(frame, prepared.schema.names("image"), prepared.photo_root)
        write_report(self.request.out, photos=photos, rows=frame)

    def _save(self, update: dict[str, Any]) -> None:
        self.metrics = self.metrics.model_copy(update=update)
        write_text(self.request.out / evaluation.METRICS_FILE, self.metrics.to_json())


def _sure(run: Run, side: Predicted) -> Predicted:
    """Return what was predicted before the run was calibrated as it is afterwards."""
    if run.calibration is None:
        return side
    return replace(side, outputs=run.calibration.tempered(run.tasks, side.outputs))


def record(request: Request, prepared: Prepared | None = None) -> dict[str, Any]:
    """Return what a run is asked for, and what its data are where they are prepared."""
    asked: dict[str, Any] = {
        "targets": list(request.targets),
        "config": request.config.model_dump(mode="json"),
        "weight": request.weight,
        "from": None if request.base is None else str(request.base),
        "backend": keras.backend.backend(),
        "command": request.command,
    }
    if prepared is None:
        return asked
    source = prepared.source
    weights = np.stack(list(source.weights.values()))
    arrays = {"split": prepared.sides, **source.inputs, **source.targets, "weights": weights}
    found = {n: digest(array) for n, array in arrays.items() if isinstance(array, np.ndarray)}
    stored = [folder.name for folder in prepared.stored]  # each named after what it is made from
    about = {"rows": prepared.table.rows_read, "photos": prepared.photo_digest, "prepared": stored}
    return {**asked, "data": {**about, **found}}


def _versions() -> dict[str, str]:
    found = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {"python": platform.python_version(), **found, "backend": keras.backend.backend()}
