"""The steps of one run, in order; what is done is on disk before the next step starts."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import keras
import pandas as pd
from numpy.typing import NDArray

from multimodal.core.arrays import Ints
from multimodal.core.errors import first_line
from multimodal.core.files import write_text
from multimodal.core.interrupted import claimed, finished, on_signals, write_record
from multimodal.core.manifest import write_manifest
from multimodal.data.audit.findings import AUDIT_FILE
from multimodal.data.audit.table import audit_prepared
from multimodal.data.prepare import Prepared
from multimodal.data.read.lazy_text import in_memory
from multimodal.data.read.rejected import write_rejected
from multimodal.evaluation import records
from multimodal.evaluation.calibration import write_calibration
from multimodal.evaluation.predictions import baseline_predictions, write_baseline_predictions
from multimodal.evaluation.records import ModelScore, RunMetrics
from multimodal.evaluation.task import Task
from multimodal.explain.importance import IMPORTANCE_FILE, MOST_ROWS, importance
from multimodal.models.build import average, build
from multimodal.models.stack.boosted_models import BoostedModels
from multimodal.models.stack.stack import OutOfFold, stack_networks
from multimodal.models.training.devices import is_chief, lowest_precision
from multimodal.models.training.fit import TrainingState
from multimodal.report.audit_view import summary
from multimodal.report.report import photos_of, write_report
from multimodal.runs.ablation import ablation_scores
from multimodal.runs.calibrate import Predicted, check, learn
from multimodal.runs.comparison import baseline_scores, left_out
from multimodal.runs.example_rows import explain_extremes, keep_neighbours
from multimodal.runs.load import save_parts
from multimodal.runs.member_runs import NetworkFits
from multimodal.runs.provenance import traced
from multimodal.runs.request import Request, record, versions
from multimodal.runs.run import Run, load
from multimodal.runs.scoring import (
    answers_frame,
    damage_warning,
    fusion_scores,
    head_metrics,
    held_out,
    known_limit,
    predicted,
    seen,
    sure,
)

logger = logging.getLogger(__name__)

PREDICTIONS, QUARANTINE = "predictions.csv", "quarantine.csv"


class Steps:
    """Fit, save, score, compare, report.

    Args:
        request: What was asked for.
        prepared: The table, made ready.
        origin: The run to start from.
        callbacks: Further Keras callbacks of the fit.
    """

    def __init__(
        self,
        request: Request,
        prepared: Prepared,
        origin: Run | None,
        callbacks: Sequence[keras.callbacks.Callback],
    ) -> None:
        self.request = request
        self.prepared = prepared
        self.fits = NetworkFits(request, prepared, origin, callbacks)
        self.precision = ""
        self.held: OutOfFold | None = None
        self.boosted_models: BoostedModels | None = None
        self.metrics = RunMetrics(
            data=records.DataSummary(**prepared.summary()),
            versions=versions(),
            command=request.command,
        )

    def run(self) -> Run:
        """Take all steps; until there is something to go on from, a failure leaves nothing.

        Of several processes, those that do not lead only fit.
        """
        out, prepared = self.request.out, self.prepared
        if not is_chief():
            with on_signals() as termination:
                termination.waiting = True  # the one that leads writes a checkpoint, and ends first
                networks, _ = self.fits.run(None)
            spec = prepared.spec.model_copy(update={"terms": None})
            return Run(prepared.config, prepared.schema, spec, average(networks), path=out)
        asked = record(self.request, prepared)
        with claimed(out, asked), on_signals() as termination:
            write_record(out, asked)
            self.metrics = traced(self.metrics, prepared.table.source, asked)
            self._save_inputs()
            networks, fitted = self.fits.run(termination)
            model = self._whole(networks)
            run, tested = self._score(load(out), model, fitted)
            if not fitted.interrupted:
                self._ablate(run, tested)
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
        if prepared.table.rejected:
            write_rejected(prepared.table, out / QUARANTINE)
        audit = audit_prepared(prepared)
        write_text(out / AUDIT_FILE, audit.to_json())
        for finding in audit.of_level("warning"):
            if finding.topic in ("drift", "labels", "split"):
                logger.warning(finding.message)
        logger.info(f"audit: {summary(audit)}; see {AUDIT_FILE} and the report")

    def _save_model(self, model: keras.Model) -> None:
        """Save the run; an impatient second Ctrl-C does not cost the training."""
        prepared = self.prepared
        kept = (prepared.config, prepared.schema, prepared.spec, model, self.boosted_models)
        parts = (self.request.out, *kept)
        try:
            save_parts(*parts)
        except KeyboardInterrupt:
            save_parts(*parts)

    def _whole(self, networks: Sequence[keras.Model]) -> keras.Model:
        """Return the model of the run, free of what trained its networks, and save it."""
        config = self.prepared.config.merge(training={"fold_models": len(networks)})
        self.prepared, spec = replace(self.prepared, config=config), self.prepared.spec
        self.precision = lowest_precision(networks[0])
        plain = [build(config, spec) for _ in networks]
        for network, trained in zip(plain, networks, strict=True):
            network.set_weights(trained.get_weights())
        whole = stack_networks(self.prepared, plain)
        for note in whole.notes:
            logger.info(note)
        self.held, self.boosted_models = whole.out_of_fold, whole.boosted_models
        self._save_model(whole.model)
        return whole.model

    def _score(self, run: Run, model: keras.Model, fitted: TrainingState) -> tuple[Run, Ints]:
        """Calibrate on the rows held out, then predict the test rows as `predict` would.

        Returns the calibrated run, and the rows tested.
        """
        prepared, training, out = self.prepared, self.prepared.config.training, self.request.out
        assert self.held is not None
        caches = prepared.source.caches.values()
        faults = {row: why for cache in caches for row, why in cache.unreadable.items()}
        found = held_out(prepared, self.held, faults)
        run = self._calibrated(run, found, seen(run, prepared, "validation", faults))
        splits = {"validation": sure(run, found), "test": predicted(run, prepared, "test", faults)}
        answers_frame(prepared, run.tasks, splits["test"]).to_csv(out / PREDICTIONS, index=False)
        heads = head_metrics(prepared, run.tasks, splits)
        summary = records.TrainingSummary(
            epochs=len(fitted.log),
            best_epoch=fitted.best_epoch,
            seconds=fitted.seconds,
            precision=self.precision,
            parameters=model.count_params(),
            interrupted=fitted.interrupted,
            seed=training.seed,
        )
        fusion = fusion_scores(run, prepared, heads, fitted.seconds)
        update = {
            "heads": heads,
            "training": summary,
            "comparison": fusion,
            "notes": self.fits.notes,
        }
        tested = splits["test"].rows
        update |= check(run, prepared, found, splits["test"])
        limit = known_limit(prepared, self.request.noise, tested)
        self._save(update | {"limit": limit, "data": self._with_damage(faults)})
        return run, tested

    def _with_damage(self, faults: dict[int, str]) -> records.DataSummary:
        """Return the data summary, with a warning if photos proved damaged."""
        data, told = self.metrics.data, damage_warning(self.prepared, faults)
        for warning in told:
            logger.warning(warning)
        return data.model_copy(update={"warnings": [*data.warnings, *told]}) if told else data

    def _calibrated(self, run: Run, found: Predicted, others: Predicted) -> Run:
        """Calibrate on rows that the model did not learn from; the only place that does."""
        calibration = learn(run, self.prepared, found, others)
        write_calibration(self.request.out, calibration)
        write_manifest(self.request.out)
        return run.calibrated(calibration)

    def _ablate(self, run: Run, tested: Ints) -> None:
        """Measure the test rows with each modality withheld."""
        prepared, weights = self.prepared, self.prepared.source.weights
        found = ablation_scores(
            run,
            prepared.table.frame.iloc[tested],
            prepared.photo_root,
            {name: y_true[tested] for name, y_true in prepared.labels.items()},
            {name: weight[tested] for name, weight in weights.items()},
        )
        self._save({"withheld": found})

    def _explain(self, run: Run, tested: Ints) -> None:
        """Measure what the model needs, explain some rows, keep rows that explanations point to."""
        prepared, rows = self.prepared, tested[:MOST_ROWS]
        weights = {name: each[rows] for name, each in prepared.source.weights.items()}
        frame = in_memory(prepared.table.frame.iloc[rows])
        found = importance(
            run,
            frame,
            prepared.photo_root,
            {name: y_true[rows] for name, y_true in prepared.labels.items()},
            weights,
            seed=prepared.config.training.seed,
        )
        write_text(self.request.out / IMPORTANCE_FILE, found.model_dump_json(indent=2))
        keep_neighbours(run, prepared)
        write_manifest(self.request.out)  # of what the next step reads
        try:
            explain_extremes(run, prepared, tested)
        except (ValueError, TypeError, LookupError) as error:  # a part that has no gradients
            logger.info(f"no rows are explained: {first_line(error)}")

    def _compare(self, tasks: Sequence[Task]) -> None:
        comparison = dict(self.metrics.comparison)
        notes = left_out(self.prepared)
        for note in notes:
            logger.info(note)
        kept: list[pd.DataFrame] = []
        try:
            for i, task in enumerate(tasks):
                keep = partial(self._keep, kept, task)
                for score in baseline_scores(self.prepared, i, keep):
                    comparison[task.name] = [*comparison[task.name], score]
        except KeyboardInterrupt:
            logger.info("interrupted; the remaining baselines are left out")
        write_baseline_predictions(self.request.out, kept)
        self._save({"comparison": comparison, "notes": [*self.metrics.notes, *notes]})

    def _keep(
        self,
        kept: list[pd.DataFrame],
        task: Task,
        score: ModelScore,
        rows: Ints,
        outputs: NDArray[Any],
    ) -> None:
        """Add what a baseline answers to some rows."""
        sizes = None if self.prepared.photo_sizes is None else self.prepared.photo_sizes[rows]
        kept.append(
            baseline_predictions(task, score.label, self.prepared.table.rows[rows], outputs, sizes)
        )

    def _report(self, tested: Ints) -> None:
        prepared = self.prepared
        frame = prepared.table.frame.iloc[tested].reset_index(drop=True)
        photos = photos_of(frame, prepared.schema.names("image"), prepared.photo_root)
        write_report(self.request.out, photos=photos, rows=frame)

    def _save(self, update: dict[str, Any]) -> None:
        self.metrics = self.metrics.model_copy(update=update)
        write_text(self.request.out / records.METRICS_FILE, self.metrics.to_json())
