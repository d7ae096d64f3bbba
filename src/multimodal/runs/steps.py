"""The steps of one training, in order; what is done is on disk before the next step starts."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import Any

import keras
import pandas as pd
from numpy.typing import NDArray

from multimodal.core.arrays import Ints
from multimodal.core.budget import Budget
from multimodal.core.errors import first_line
from multimodal.core.files import replace_file, write_text
from multimodal.core.interrupted import Plain, claimed, finished, on_signals, write_record
from multimodal.core.manifest import write_manifest
from multimodal.data.audit.findings import AUDIT_FILE
from multimodal.data.audit.table import audit_prepared
from multimodal.data.prepare import Prepared
from multimodal.data.read.lazy_text import in_memory
from multimodal.data.read.rejected import write_rejected
from multimodal.evaluation import records
from multimodal.evaluation.calibration import write_calibration
from multimodal.evaluation.predictions import baseline_predictions, write_baseline_predictions
from multimodal.evaluation.records import ModalityGain, ModelScore, RunMetrics
from multimodal.evaluation.task import Task
from multimodal.explain.importance import IMPORTANCE_FILE, MOST_ROWS, importance
from multimodal.models.build import average, build, fold_models
from multimodal.models.stack.ablation import ModalityAblation
from multimodal.models.stack.base_models import (
    kernel_base_models,
    linear_base_model,
    network_base_model,
)
from multimodal.models.stack.stack import StackedModel, stack_networks
from multimodal.models.training.devices import is_chief, process_count
from multimodal.models.training.fit import TrainingState
from multimodal.models.training.progress import EpochProgress
from multimodal.report.audit_view import summary
from multimodal.report.report import photos_of, write_report
from multimodal.runs.calibrate import (
    SplitPredictions,
    check_calibration,
    fit_calibration,
    labels_of,
)
from multimodal.runs.comparison import ablation_scores, baseline_scores, missing_baselines
from multimodal.runs.declared import CONFIG, SCHEMA, SPEC
from multimodal.runs.example_rows import explain_example_rows, save_neighbours
from multimodal.runs.fold_models import LOG, FittedNetworks, FoldModelFits
from multimodal.runs.load import save_parts
from multimodal.runs.provenance import Request, record, versions, with_provenance
from multimodal.runs.run import Run, load
from multimodal.runs.scoring import (
    calibrated_predictions,
    damage_warning,
    fusion_scores,
    head_metrics,
    known_limit,
    out_of_fold_predictions,
    predict_split,
    predictions_table,
    read_split,
)

logger = logging.getLogger(__name__)

EXPLAINING = 4  # times what calibration and scoring have taken
PREDICTIONS, QUARANTINE = "predictions.csv", "quarantine.csv"
NO_TESTS = (
    "no test rows were set aside (`data.split.test` is 0), so nothing is compared, explained or "
    "reported; the errors of validation are of rows out of fold, which chose weights and epochs"
)
# What is written before there is a checkpoint to go on from.
OWN = (CONFIG, SCHEMA, SPEC, QUARANTINE, AUDIT_FILE, LOG)


class RunTraining:
    """The steps of one training: fit, save, calibrate and score, ablate, explain, compare, report.

    Args:
        request: What was asked for.
        prepared: The table, made ready.
        origin: The run to start from.
        callbacks: Further Keras callbacks of the fit; an `EpochProgress` shows all steps.
        budget: The time that they may take; without a limit by default.
    """

    def __init__(
        self,
        request: Request,
        prepared: Prepared,
        origin: Run | None,
        callbacks: Sequence[keras.callbacks.Callback],
        budget: Budget | None = None,
    ) -> None:
        self.request = request
        self.prepared = prepared
        self.budget = budget or Budget(prepared.config.training)
        self.fits = FoldModelFits(request, prepared, origin, callbacks, budget=self.budget)
        for each in callbacks:
            if isinstance(each, EpochProgress):
                each.follow(self.budget)
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
            return self._follow()
        asked = record(self.request, prepared)
        with claimed(out, asked, OWN), on_signals() as termination:
            self._keep_record(asked)
            self.metrics = with_provenance(self.metrics, prepared.table.source, asked)
            self._save_inputs()
            fits = self.fits.run(termination)
            self.budget.begin("stacking")
            stacked, fitted = self._stack(fits), fits.state
            self._save_model(stacked)
            faults = prepared.source.unreadable
            out_of_fold = out_of_fold_predictions(prepared, stacked.out_of_fold, faults)
            # Loaded, as everybody will: what is measured is what lies on the disk.
            start = self.budget.seconds()
            # Frozen features are those of the training, which are kept.
            loaded = replace(load(out), extractors=prepared.extractors)
            run = self._calibrate(loaded, out_of_fold, faults)
            tested = self._score(run, out_of_fold, fitted, fits.precision, faults)
            wanted = prepared.config.training
            if not fitted.interrupted and self._tests:
                scoring = self.budget.seconds() - start
                ablation = self._ablation(run, fits, stacked)
                if wanted.explanations and self._begin("explanations", EXPLAINING * scoring):
                    self._weigh_modalities(ablation)
                    self._ablate(run, tested)
                    self._explain(run, tested)
                if wanted.baselines:
                    self._begin("baselines")
                    self._compare(run.tasks, ablation, fitted.seconds / len(fits.networks))
            self._note_left_out()
            if wanted.report and self._tests:
                self._begin("report")
                self._report(tested)
            write_manifest(out)
            finished(out)
        return run

    @property
    def _tests(self) -> bool:
        """Whether there are test rows, on which all is measured that tells how good a run is."""
        return bool(len(self.prepared.rows("test")))

    def _keep_record(self, asked: Plain) -> None:
        """Write down what is asked for and, from now on, what is spent of the time for it."""
        write_record(self.request.out, asked)
        if self.budget.minutes is not None:
            self.budget.keep = lambda: write_record(
                self.request.out, {**asked, "budget": self.budget.record()}
            )

    def _begin(self, step: str, seconds: float = 0.0) -> bool:
        """Begin a step that may be left out; return False where so many seconds are too many."""
        if seconds and not self.budget.allows(step, seconds):
            return False
        self.budget.begin(step)
        left = self.budget.remaining()
        logger.info(f"{step}{left and f', {left}'}")
        return True

    def _note_left_out(self) -> None:
        note = self.budget.note()
        if note:
            logger.warning(note)
            self._save(notes=[*self.metrics.notes, note])

    def _follow(self) -> Run:
        """Fit along with the process that leads, which writes everything."""
        prepared = self.prepared
        with on_signals() as termination:
            termination.waiting = True  # the one that leads writes a checkpoint, and ends first
            networks = self.fits.run(None).networks
        spec = prepared.spec.model_copy(update={"terms": None})
        return Run(prepared.config, prepared.schema, spec, average(networks), path=self.request.out)

    def _save_inputs(self) -> None:
        """Write config, schema, spec, rejected rows and audit, before anything is fitted."""
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

    def _stack(self, fits: FittedNetworks) -> StackedModel:
        """Return the stacked model, its networks free of the devices that trained them."""
        networks = fits.networks
        # Fewer than asked for after Ctrl-C: what is saved must say how many there are.
        config = self.prepared.config.merge(training={"fold_models": len(networks)})
        self.prepared = replace(self.prepared, config=config)
        if fits.on_several_devices:  # what is saved must not depend on them
            networks = [build(config, self.prepared.spec) for _ in networks]
            for network, trained in zip(networks, fits.networks, strict=True):
                network.set_weights(trained.get_weights())
        stacked = stack_networks(self.prepared, networks, fits.linear_models, fits.held_out)
        for note in [*stacked.notes, *stacked.findings]:
            logger.info(note)
        self.fits.notes.extend(stacked.findings)
        return stacked

    def _save_model(self, stacked: StackedModel) -> None:
        """Save the run; an impatient second Ctrl-C does not cost the training."""
        prepared = self.prepared
        declared = prepared.config, prepared.schema, prepared.spec
        parts = (self.request.out, *declared, stacked.model, stacked.boosted_models)
        try:
            save_parts(*parts)
        except KeyboardInterrupt:
            save_parts(*parts)

    def _calibrate(self, run: Run, out_of_fold: SplitPredictions, faults: dict[int, str]) -> Run:
        """Calibrate on rows that the model did not learn from; damaged photos go to `faults`."""
        validation = read_split(run, self.prepared, "validation", faults)
        calibration = fit_calibration(run, self.prepared, out_of_fold, validation)
        write_calibration(self.request.out, calibration)
        write_manifest(self.request.out)
        return run.calibrated(calibration)

    def _score(
        self,
        run: Run,
        out_of_fold: SplitPredictions,
        fitted: TrainingState,
        precision: str,
        faults: dict[int, str],
    ) -> Ints:
        """Predict the test rows as `predict` would, and measure; return the rows tested.

        Where there are none, rows out of fold are all that is measured.
        """
        prepared, out = self.prepared, self.request.out
        splits = {"validation": calibrated_predictions(run, out_of_fold)}
        tested = predict_split(run, prepared, "test", faults) if self._tests else None
        if tested is not None:
            splits["test"] = tested
            with replace_file(out / PREDICTIONS) as beside:
                predictions_table(prepared, run.tasks, tested).to_csv(beside, index=False)
        heads = head_metrics(prepared, run.tasks, splits)
        summary = records.TrainingSummary(
            epochs=len(fitted.log),
            best_epoch=fitted.best_epoch,
            seconds=fitted.seconds,
            precision=precision,
            parameters=run.model.count_params(),
            interrupted=fitted.interrupted,
            seed=prepared.config.training.seed,
        )
        found: dict[str, Any] = {"notes": [*self.fits.notes, NO_TESTS]}
        if tested is not None:
            found = {
                "comparison": fusion_scores(run, prepared, heads, fitted.seconds),
                "notes": self.fits.notes,
                "limit": known_limit(prepared, self.request.noise, tested.rows),
                **check_calibration(run, prepared, out_of_fold, tested),
            }
        self._save(heads=heads, training=summary, data=self._with_damage(faults), **found)
        return prepared.rows("test") if tested is None else tested.rows

    def _with_damage(self, faults: dict[int, str]) -> records.DataSummary:
        """Return the data summary, with a warning if photos proved damaged."""
        data = self.metrics.data
        if not faults:
            return data
        warning = damage_warning(self.prepared, faults)
        logger.warning(warning)
        return data.model_copy(update={"warnings": [*data.warnings, warning]})

    def _ablation(self, run: Run, fits: FittedNetworks, stacked: StackedModel) -> ModalityAblation:
        """Return what measures each modality; nothing is fitted as yet."""
        prepared, idle = self.prepared, run.parts.idle_networks
        held_out = () if idle else stacked.held_out
        networks = fold_models(stacked.model)
        own = network_base_model(prepared, networks, held_out, fits.epoch_seconds)
        linear = linear_base_model(prepared, stacked.linear_models)
        others = [linear] * bool(linear.raw) + kernel_base_models(prepared, stacked.linear_models)
        return ModalityAblation(
            prepared,
            run.tasks,
            networks[0],
            stacked.linear_models,
            models=others if idle else [own, *others],
            spare=[own] if idle else [],
            budget=self.budget,
            network_seconds=fits.state.seconds,
        )

    def _weigh_modalities(self, ablation: ModalityAblation) -> None:
        """Measure what each modality adds, by the recipe without it."""
        if process_count() > 1:  # a fit needs them all, and the others have ended
            logger.info("what each modality adds is not measured by several processes")
            return
        found: dict[str, list[ModalityGain]] = {}
        try:
            for head, gain in ablation.gains():
                found.setdefault(head, []).append(gain)
        except KeyboardInterrupt:
            logger.info("interrupted; what the other modalities add is not measured")
        self._save(modalities=found)

    def _ablate(self, run: Run, tested: Ints) -> None:
        """Measure the test rows with each modality ablated."""
        prepared = self.prepared
        rows = prepared.table.frame.iloc[tested]
        found = ablation_scores(run, rows, prepared.photo_root, *labels_of(prepared, tested))
        self._save(withheld=found)

    def _explain(self, run: Run, tested: Ints) -> None:
        """Write permutation importance, neighbours for later explanations, and example rows."""
        prepared, rows = self.prepared, tested[:MOST_ROWS]
        found = importance(
            run,
            in_memory(prepared.table.frame.iloc[rows]),
            prepared.photo_root,
            *labels_of(prepared, rows),
            seed=prepared.config.training.seed,
        )
        write_text(self.request.out / IMPORTANCE_FILE, found.model_dump_json(indent=2))
        save_neighbours(run, prepared)
        write_manifest(self.request.out)  # of what the next step reads
        if not prepared.config.training.report:
            return
        try:
            explain_example_rows(run, prepared, tested)
        except (ValueError, TypeError, LookupError) as error:  # a part that has no gradients
            logger.info(f"no rows are explained: {first_line(error)}")

    def _compare(
        self, tasks: Sequence[Task], ablation: ModalityAblation, network_seconds: float
    ) -> None:
        """Fit and score the baselines of every head; write what they predict."""
        prepared, comparison = self.prepared, dict(self.metrics.comparison)
        notes = missing_baselines(prepared)
        for note in notes:
            logger.info(note)
        kept: list[pd.DataFrame] = []

        def keep(task: Task, score: ModelScore, rows: Ints, outputs: NDArray[Any]) -> None:
            sizes = None if prepared.photo_sizes is None else prepared.photo_sizes[rows]
            places = prepared.table.rows[rows]
            kept.append(baseline_predictions(task, score.label, places, outputs, sizes))

        try:
            for i, task in enumerate(tasks):
                given = partial(keep, task), self.budget, network_seconds
                recipes = ablation.scores(task, given[0]) if process_count() == 1 else ()
                for score in chain(baseline_scores(prepared, i, *given), recipes):
                    comparison[task.name] = [*comparison[task.name], score]
                self.budget.advance((i + 1) / len(tasks))
        except KeyboardInterrupt:
            logger.info("interrupted; the remaining baselines are left out")
        write_baseline_predictions(self.request.out, kept)
        self._save(comparison=comparison, notes=[*self.metrics.notes, *notes])

    def _report(self, tested: Ints) -> None:
        prepared = self.prepared
        frame = prepared.table.frame.iloc[tested].reset_index(drop=True)
        photos = photos_of(frame, prepared.schema.names("image"), prepared.photo_root)
        write_report(self.request.out, photos=photos, rows=frame)

    def _save(self, **update: Any) -> None:
        self.metrics = self.metrics.model_copy(update=update)
        write_text(self.request.out / records.METRICS_FILE, self.metrics.to_json())
