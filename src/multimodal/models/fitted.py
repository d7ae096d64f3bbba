"""A fitted model: raw rows to predictions in the user's units, wherever its files lie."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import keras

from multimodal.core.arrays import Floats
from multimodal.core.config import Config
from multimodal.core.spec import FittedSpec
from multimodal.data.columns.schema import Schema
from multimodal.data.features.preprocess import Arrays, Preprocessor
from multimodal.data.features.pretrained import Extractors
from multimodal.evaluation.calibration import Calibration
from multimodal.evaluation.task import Task
from multimodal.models.build import ModelParts, decoded
from multimodal.models.frozen import extractors_of
from multimodal.models.predictor import Predictor
from multimodal.runtime.boosted_models import BoostedModels, with_trees


@dataclass(frozen=True)
class FittedModel:
    """A trained Keras model with all that turns raw rows into its inputs, its outputs into answers.

    Args:
        config: What the user wanted.
        schema: What each column is.
        spec: What preprocessing learned from the training rows.
        stored: The trained model, or the parts that it is assembled from when it is asked for:
            fold models, averaged, and the sparse linear model beside them.
        calibration: Temperatures, intervals and novelty, learned on rows that the model did not
            learn from; without it probabilities are as the model gives them.
        boosted_models: Boosted trees that have a weight in the predictions of a head, if any.
        extractors: The pretrained models, by group, whose frozen features it reads; by default they
            are loaded when rows are read.
    """

    config: Config
    schema: Schema
    spec: FittedSpec
    stored: keras.Model | ModelParts
    calibration: Calibration | None = None
    boosted_models: BoostedModels | None = None
    extractors: Extractors | None = None

    @cached_property
    def model(self) -> keras.Model:
        """The trained Keras model."""
        stored = self.stored
        is_parts = isinstance(stored, ModelParts)
        return stored.assembled(self.config, self.spec) if is_parts else stored

    @cached_property
    def parts(self) -> ModelParts:
        """What the model consists of: to predict, it need not be assembled."""
        return self.stored if isinstance(self.stored, ModelParts) else ModelParts.of(self.stored)

    @cached_property
    def preprocessor(self) -> Preprocessor:
        """Raw rows to arrays."""
        known = self.extractors
        return Preprocessor(
            self.spec, self.schema, extractors_of(self.spec) if known is None else known
        )

    @cached_property
    def predictor(self) -> Predictor:
        """Arrays to predictions; compiled on first use."""
        return Predictor(self.parts, self.spec)

    @cached_property
    def _raw_predictor(self) -> Predictor:
        return Predictor(self.parts, self.spec, raw=True)

    @cached_property
    def tasks(self) -> list[Task]:
        """What each head is asked."""
        heads = zip(self.config.heads, self.spec.heads, strict=True)
        return [
            Task.of(head, fitted, self.parts.network.get_layer(fitted.name))
            for head, fitted in heads
        ]

    def calibrated(self, calibration: Calibration) -> Self:
        """Return the model with this calibration; what is compiled stays."""
        # `replace` makes a new object with empty caches: its predictors would be compiled once
        # more.
        result = replace(self, calibration=calibration)
        kept = ("model", "parts", "preprocessor", "predictor", "_raw_predictor", "tasks")
        vars(result).update({name: vars(self)[name] for name in kept if name in vars(self)})
        return result

    def decoded(
        self, arrays: Arrays, watch: Callable[..., None] | None = None
    ) -> tuple[dict[str, Floats], dict[int, str]]:
        """Return calibrated outputs (rows, width) by head, and faults of photos by row.

        Args:
            arrays: Rows as the networks read them.
            watch: As in `Predictor.predict`.
        """
        if self.boosted_models is None:
            outputs, faults = self.predictor.predict(arrays, watch)
        else:
            outputs, faults = self._with_trees(arrays, self.boosted_models, watch)
        if self.calibration is None:
            return outputs, faults
        return self.calibration.tempered(self.tasks, outputs), faults

    def _with_trees(
        self, arrays: Arrays, boosted_models: BoostedModels, watch: Callable[..., None] | None
    ) -> tuple[dict[str, Floats], dict[int, str]]:
        raw, faults = self._raw_predictor.predict(arrays, watch)
        kernels = {name: self.parts.linear_model(name) for name in boosted_models.heads}
        raw = with_trees(boosted_models, self.spec, arrays.inputs, kernels, raw)
        return {name: decoded(self.parts.network, name, each) for name, each in raw.items()}, faults
