"""The networks of a run: what each starts from, and its fit on the rows that it learns from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras

from multimodal.data.batches import batch_rows, by_length, evaluation_dataset, training_dataset
from multimodal.data.prepare import Prepared
from multimodal.models.build import build, members
from multimodal.models.finetune import carry_over, freeze_groups
from multimodal.models.fitted import FittedModel
from multimodal.models.pretrained_vectors import start_from_vectors
from multimodal.models.training.checkpoints import Checkpoint
from multimodal.models.training.engines import share
from multimodal.models.training.optimizer import choose_precision, one_batch_size
from multimodal.models.training.state import FaultTolerance, TrainingState, fit

BATCH = 256  # rows of a batch that nothing is learned from
Callbacks = Sequence[keras.callbacks.Callback]
Stage = tuple[int, int, list[str]]


def network_seed(seed: int, i: int) -> int:
    """Return the seed that network `i` of a run starts from.

    Example:
    >>> network_seed(3, 0), network_seed(3, 2)
    (3, 2003)
    """
    return (seed + 1000 * i) % 2**31


def stages(epochs: int, middle: int | None, frozen: list[str]) -> list[Stage]:
    """Return (first epoch, last epoch, frozen groups) of each stage.

    Example:
    >>> stages(5, 2, ["photos"])
    [(0, 2, ['photos']), (2, 5, [])]
    """
    if middle is None or middle >= epochs:
        return [(0, epochs, frozen)]
    return [(0, middle, frozen), (middle, epochs, [])]


def new_network(
    prepared: Prepared, i: int, origin: FittedModel | None = None
) -> tuple[keras.Model, list[str]]:
    """Return network `i` as it is before its fit, and notes on what it does not learn anew.

    Args:
        prepared: Rows, split, and the config and spec of the network.
        i: Number of the network, from 0.
        origin: The run whose weights it starts from.
    """
    config, spec = prepared.config, prepared.spec
    keras.utils.set_random_seed(network_seed(config.training.seed, i))
    model = build(config, spec, precision=choose_precision(config.training.precision))
    notes = start_from_vectors(model, config, spec)
    if origin is not None:
        known = members(origin.model)
        notes += carry_over(known[i % len(known)], origin.spec, model, spec)
    return model, notes


def fit_network(
    model: keras.Model,
    prepared: Prepared,
    i: int,
    fitted: TrainingState,
    *,
    fault_tolerance: FaultTolerance | None = None,
    start: Checkpoint | None = None,
    callbacks: Callbacks = (),
) -> None:
    """Fit network `i` in stages, from where `fitted` is; the weights of the best epoch stay.

    Args:
        model: The network.
        prepared: Rows, split, and the config and spec of the network.
        i: Number of the network, from 0.
        fitted: How far its training has come; this fit is added.
        fault_tolerance: What guards the training.
        start: The checkpoint to go on from.
        callbacks: Further Keras callbacks of the fit.

    Raises:
        TrainingError: The loss is not a number, or the memory is not enough.
    """
    training = prepared.config.training
    middle = training.unfreeze_epoch if training.freeze else None
    for number, stage in enumerate(stages(int(training.epochs), middle, training.freeze)):
        if number >= fitted.stage and not fitted.interrupted:
            if number > fitted.stage:
                fitted.stage, fitted.epoch, fitted.step, fitted.wait = number, stage[0], 0, 0
                start = None
            _fit_stage(model, prepared, i, stage, fitted, fault_tolerance, start, callbacks)


def _fit_stage(
    model: keras.Model,
    prepared: Prepared,
    i: int,
    stage: Stage,
    fitted: TrainingState,
    fault_tolerance: FaultTolerance | None,
    start: Checkpoint | None,
    callbacks: Callbacks,
) -> None:
    config, (rows, held) = prepared.config, prepared.fold_rows(i)
    training, (first, last, frozen) = config.training, stage
    freeze_groups(model, config, prepared.spec, frozen)

    def train(epoch: int, step: int) -> Any:
        batches = training_dataset(
            prepared.source,
            rows,
            batch_size=int(training.batch_size),
            seed=training.seed + i,
            epochs=last,
            first_epoch=epoch,
            first_step=step,
            augment=config.data.augment,
            fill=one_batch_size(),
        )
        return share(batches)

    checked = by_length(prepared.source, held)
    validation = share(evaluation_dataset(prepared.source, checked, batch_size=BATCH))
    fit(
        model,
        config,
        train,
        validation,
        epochs=(first, last),
        fitted=fitted,
        steps_per_epoch=math.ceil(len(rows) / int(training.batch_size)),
        fault_tolerance=fault_tolerance,
        start=start,
        callbacks=callbacks,
    )


def named_rows(prepared: Prepared, i: int, epoch: int, step: int) -> str:
    """Name the rows of a batch of network `i` by their lines in the source."""
    training, (rows, _) = prepared.config.training, prepared.fold_rows(i)
    chosen = batch_rows(
        prepared.source,
        rows,
        batch_size=int(training.batch_size),
        seed=training.seed + i,
        epoch=epoch,
        step=step,
    )
    return f"the {len(chosen)} rows {', '.join(map(prepared.table.place, sorted(chosen)))}"
