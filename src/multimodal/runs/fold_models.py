"""The fold models of a run: fitted one after the other, each from its last checkpoint on."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import keras

from multimodal.core.interrupted import CHECKPOINTS, Termination
from multimodal.data.prepare import Prepared
from multimodal.models.training.checkpoints import Checkpoints
from multimodal.models.training.devices import (
    all_devices,
    is_chief,
    lowest_precision,
    process_count,
)
from multimodal.models.training.fit import FaultTolerance, TrainingState
from multimodal.models.training.kfold import fit_network, named_rows, new_network
from multimodal.models.training.progress import LogFile
from multimodal.runs.provenance import Request
from multimodal.runs.run import Run

logger = logging.getLogger(__name__)

LOG = "training_log.csv"


@dataclass(frozen=True)
class FoldModelFits:
    """Fit the networks of a run: one, or one without each fold.

    Args:
        request: What the run was asked for.
        prepared: The table, made ready.
        origin: The run to start from.
        callbacks: Further Keras callbacks of the fits.
        notes: What the networks do not learn anew is added.
        logs: Losses and metrics of every epoch are added, by network.
    """

    request: Request
    prepared: Prepared
    origin: Run | None
    callbacks: Sequence[keras.callbacks.Callback]
    notes: list[str] = field(default_factory=list)
    logs: dict[int, list[dict[str, float]]] = field(default_factory=dict)

    @all_devices()
    def run(self, termination: Termination | None) -> tuple[list[keras.Model], TrainingState]:
        """Return the networks, and how their training went; without checkpoints if nobody ends it.

        Raises:
            TrainingError: A loss is not a number, or the memory is not enough.
        """
        count, total = int(self.prepared.config.training.fold_models), TrainingState()
        networks: list[keras.Model] = []
        for i in range(count):
            network, fitted = self._fit_one(i, termination)
            if fitted.best or not networks:
                networks.append(network)
            total = total.followed_by(fitted)
            if fitted.interrupted:
                break
        if total.interrupted and process_count() > 1:
            raise KeyboardInterrupt  # the others cannot go on, nor end, without this one
        if total.interrupted:
            logger.info("interrupted; the best weights so far are kept")
        return networks, total

    def _fit_one(
        self, i: int, termination: Termination | None
    ) -> tuple[keras.Model, TrainingState]:
        """Fit from the last checkpoint on; the weights of the best epoch stay."""
        prepared, training = self.prepared, self.prepared.config.training
        model, notes = new_network(prepared, i, self.origin)
        for note in notes if i == 0 else ():
            logger.info(note)
            self.notes.append(note)
        folder = self.request.out / CHECKPOINTS
        checkpoints = Checkpoints(folder if training.fold_models == 1 else folder / str(i))
        start = checkpoints.latest()
        fitted = TrainingState() if start is None else TrainingState.of(start)
        fault_tolerance = None
        if termination is not None:
            rows_of = partial(named_rows, prepared, i)
            fault_tolerance = FaultTolerance(
                checkpoints, termination, rows_of, training.checkpoint_seconds
            )
        self._announce(i, model, fitted)
        self.logs[i] = fitted.log
        log = [LogFile(self.request.out / LOG, self.logs)] if is_chief() else []
        fit_network(
            model,
            prepared,
            i,
            fitted,
            fault_tolerance=fault_tolerance,
            start=start,
            callbacks=[*log, *self.callbacks],
        )
        if fitted.interrupted:  # Keras ends its callbacks only where the fit ends by itself
            for callback in self.callbacks:
                callback.on_train_end()
        return model, fitted

    def _announce(self, i: int, model: keras.Model, fitted: TrainingState) -> None:
        rows, _ = self.prepared.fold_rows(i)
        count = self.prepared.config.training.fold_models
        number = "training" if count == 1 else f"training network {i + 1} of {count}"
        logger.info(
            f"{number} on {len(rows):,} rows: {model.count_params():,} parameters, "
            f"{lowest_precision(model)}"
        )
        if fitted.epoch or fitted.step:
            logger.info(f"going on from epoch {fitted.epoch + 1}, step {fitted.step + 1}")
