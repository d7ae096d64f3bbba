"""Modality ablation by retraining: what a modality adds to the recipe of a run.

The recipe with a modality and the recipe without it differ in nothing else: the same base models on
the same rows out of fold, weighted likewise, and the difference is paired, row by row.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import keras
import numpy as np

from multimodal.core.arrays import Bools, Floats, Ints
from multimodal.core.budget import Budget
from multimodal.core.config import Modality
from multimodal.core.formatting import listed
from multimodal.data.prepare import Prepared
from multimodal.evaluation.bootstrap import LEAST_ROWS
from multimodal.evaluation.gains import PairedGain, paired_gain
from multimodal.evaluation.measures import RatioTerms, compared_metrics, ratio_terms
from multimodal.evaluation.records import ModalityGain, ModelScore
from multimodal.evaluation.task import Task, has_label, measure
from multimodal.models.baselines import INPUT_NAMES, Keep, forget
from multimodal.models.build import decoded
from multimodal.models.stack.base_models import (
    NETWORKS,
    PHOTO_SHARE,
    SHARE,
    BaseModel,
    Modalities,
    reads_pixels,
)
from multimodal.models.stack.stack import LinearModels
from multimodal.models.stack.weights import fit_stacking_weights
from multimodal.models.training.kfold import Callbacks
from multimodal.models.training.progress import EndInTime

logger = logging.getLogger(__name__)

RECIPE = "Same recipe"  # the name of a baseline of one modality in saved metrics
# Of an error, or of a share of rows, that has to be gained: below, the noise of trainings is as
# large as what is gained (docs/experiments/modalities.md).
LEAST_GAIN = 0.005


@dataclass(frozen=True)
class Recipe:
    """The base models of a stack on some modalities, and how long they took to fit.

    `epoch_seconds` are those of a network that reads these modalities, where they were measured.
    """

    models: list[BaseModel]
    seconds: float
    epoch_seconds: float | None

    def of(self, head: str) -> list[BaseModel]:
        """Return the base models that predict a head."""
        return [model for model in self.models if head in model.raw]


@dataclass
class ModalityAblation:
    """Refits of a run's recipe on fewer modalities, each done once.

    Args:
        prepared: Rows, split and spec.
        tasks: What each head is asked.
        network: A network of the run, which decodes raw outputs.
        linear_models: Rows with labels of the heads whose base models are weighted.
        models: The base models that have a part in the recipe.
        spare: Base models without a part in it, for modalities that none of `models` can read
            alone.
        budget: What does not fit into it is left out.
        network_seconds: How long the networks of the run took.
    """

    prepared: Prepared
    tasks: Sequence[Task]
    network: keras.Model
    linear_models: LinearModels
    models: Sequence[BaseModel]
    spare: Sequence[BaseModel] = ()
    budget: Budget = field(default_factory=Budget)
    network_seconds: float = 0.0
    _done: dict[Modalities, Recipe | None] = field(default_factory=dict)

    @property
    def modalities(self) -> list[Modality]:
        """Those of the run: photos first, since they cost most, then as the groups come."""
        found = dict.fromkeys(group.modality for group in self.prepared.spec.groups)
        return sorted(found, key=lambda modality: modality != "image")

    def gains(self) -> Iterator[tuple[str, ModalityGain]]:
        """Yield what each modality of several adds to each head, with the head's name.

        Raises:
            KeyboardInterrupt: Ctrl-C ended a fit.
        """
        everything = frozenset(self.modalities)
        for modality in self.modalities if len(everything) > 1 else ():
            reduced = self.recipe(everything - {modality})
            for task in self.tasks:
                found = None if reduced is None else self._gain(task, modality, reduced)
                if found is not None:
                    yield task.name, found

    def scores(self, task: Task, keep: Keep = forget) -> Iterator[ModelScore]:
        """Yield how well the recipe does on each modality alone, on the test rows.

        Args:
            task: What the head is asked.
            keep: Is handed what each predicts of the test rows.
        """
        rows = self.prepared.rows("test")
        for modality in self.modalities if len(self.modalities) > 1 else ():
            alone = self.recipe(frozenset({modality}))
            models = alone.of(task.name) if alone is not None else []
            if alone is None or not models:
                continue
            _, weights = self._stacked(task, models, self._scored(task, models))
            parts = [model.predict()[task.name] for model in models]
            outputs = decoded(self.network, task.name, _weighted(weights, parts))
            y_true = self.prepared.labels[task.name][rows]
            metrics = measure(task, y_true, outputs, self.prepared.source.weights[task.name][rows])
            size = sum(model.parameters for model in models)
            name = INPUT_NAMES[modality]
            score = ModelScore(RECIPE, "recipe", name, metrics, size, alone.seconds)
            keep(score, rows, outputs)
            yield score

    def recipe(self, modalities: Modalities) -> Recipe | None:
        """Return the recipe on some modalities; None where it cannot be, or there is no time."""
        if modalities not in self._done:
            self._done[modalities] = self._fit(modalities)
        return self._done[modalities]

    def _fit(self, modalities: Modalities) -> Recipe | None:
        what = f"the recipe on {_listed(modalities)} alone"
        share = PHOTO_SHARE if reads_pixels(self.prepared, modalities) else SHARE
        if not self.budget.allows(what, share * self.network_seconds):
            return None
        logger.info(f"the same recipe on {_listed(modalities)} alone")
        start, end = time.perf_counter(), [EndInTime(self.budget)]
        try:
            found = [model.refit(modalities, end) for model in self.models]
            if not any(found):
                found = [model.refit(modalities, end) for model in self.spare]
            models = [model for model in found if model is not None]
            epoch_seconds = self._epoch_seconds(models, modalities, end)
        except TimeoutError:  # part of a training is no measure
            self.budget.left_out.append(what)
            return None
        seconds = time.perf_counter() - start
        return Recipe(models, seconds, epoch_seconds) if models else None

    def _epoch_seconds(
        self, models: Sequence[BaseModel], modalities: Modalities, callbacks: Callbacks
    ) -> float | None:
        """Return how long an epoch of a network takes; without photos it is measured if need be."""
        known = _first_epoch_seconds(models)
        if known is not None or modalities != frozenset(self.modalities) - {"image"}:
            return known
        times = [model.time_epoch for model in self.spare if model.time_epoch is not None]
        return times[0](modalities, callbacks) if times else None

    def _gain(self, task: Task, modality: Modality, reduced: Recipe) -> ModalityGain | None:
        """Compare the recipe of everything with a reduced one; None where too few rows can be."""
        whole = [model for model in self.models if task.name in model.raw]
        less = reduced.of(task.name)
        scored = self._scored(task, [*whole, *less])
        if not (whole and less) or scored.sum() < LEAST_ROWS:
            return None
        metric, found = self._compare(task, whole, less, scored)
        networks = next((model for model in less if model.networks), None)
        with_it, seconds = _first_epoch_seconds([*self.models, *self.spare]), None
        if with_it and reduced.epoch_seconds:
            seconds = self.network_seconds * reduced.epoch_seconds / with_it
        return ModalityGain(
            modality=INPUT_NAMES[modality],
            outcome="earned" if found.least > 0 and found.value >= LEAST_GAIN else "nothing",
            metric=metric,
            rows=int(scored.sum()),
            score_with=found.score,
            score_without=found.other,
            gain=found.value,
            low=found.low,
            high=found.high,
            networks=networks.networks if networks else 0,
            epochs=networks.epochs if networks else 0,
            seconds_with=None if seconds is None else self.network_seconds,
            seconds_without=seconds,
        )

    def _compare(
        self, task: Task, whole: list[BaseModel], less: list[BaseModel], scored: Bools
    ) -> tuple[str, PairedGain]:
        rows = self._learned[scored]
        y_true = self.prepared.labels[task.name][rows]
        weight = self.prepared.source.weights[task.name][rows]
        metric = compared_metrics(task, y_true)[0]
        terms: list[RatioTerms] = []
        for models in (whole, less):
            raw, _ = self._stacked(task, models, scored)
            outputs = decoded(self.network, task.name, raw[scored])
            terms.append(ratio_terms(metric, task, y_true, outputs))
        groups = self.prepared.groups
        clusters = rows if groups is None else groups[rows]
        return metric, paired_gain(metric, terms[0], terms[1], weight, clusters)

    @property
    def _learned(self) -> Ints:
        return np.flatnonzero(self.prepared.splits != "test")

    def _scored(self, task: Task, models: Sequence[BaseModel]) -> Bools:
        """Return which rows have a label, a weight and an output of every model."""
        rows = self._learned
        weight = self.prepared.source.weights[task.name][rows]
        found = has_label(task, self.prepared.labels[task.name][rows]) & (weight > 0)
        for model in models:
            found &= np.isfinite(model.raw[task.name]).all(axis=1)
        return np.asarray(found)

    def _stacked(
        self, task: Task, models: Sequence[BaseModel], scored: Bools
    ) -> tuple[Floats, Floats]:
        """Return the weighted raw outputs of base models, and their stacking weights."""
        raw = [model.raw[task.name] for model in models]
        weights, known = np.full(len(raw), 1 / len(raw)), self.linear_models.heads.get(task.name)
        if known is not None and len(raw) > 1 and scored.any():  # alone, a model stays as it is
            parts = [each[scored] for each in raw]
            labels = known.rows.y_true[scored], known.rows.weight[scored]
            prior = int(models[0].name == NETWORKS)  # the first one that is no network
            weights = fit_stacking_weights(known.rows.kind, parts, *labels, prior_model=prior)
        return _weighted(weights, raw), weights


def _weighted(weights: Floats, parts: Sequence[Floats]) -> Floats:
    return np.asarray(sum(w * raw for w, raw in zip(weights, parts, strict=True)))


def _first_epoch_seconds(models: Sequence[BaseModel]) -> float | None:
    return next((model.epoch_seconds for model in models if model.epoch_seconds), None)


def _listed(modalities: Modalities) -> str:
    return listed([name for key, name in INPUT_NAMES.items() if key in modalities])
