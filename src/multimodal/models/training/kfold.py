"""The fold models of a run: what each starts from, and its fit on the rows that it learns from.

A text group may start from pretrained word vectors (GloVe, word2vec), a whole run from another run.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from multimodal.core.config import Config, Group
from multimodal.core.errors import ConfigError
from multimodal.core.spec import FittedSpec
from multimodal.data.batches import batch_rows, by_length, evaluation_dataset, training_dataset
from multimodal.data.features.vectors import dimension, read_vectors
from multimodal.data.prepare import Prepared
from multimodal.layers import registry
from multimodal.models.build import build, compile_model, fold_models
from multimodal.models.finetune import carry_over, freeze_groups
from multimodal.models.fitted import FittedModel
from multimodal.models.training.checkpoints import Checkpoint, FaultTolerance
from multimodal.models.training.devices import (
    choose_precision,
    compiler_options,
    fixed_batch_size,
    shard,
)
from multimodal.models.training.fit import TrainingState, fit, make_optimizer

BATCH = 256  # rows of a batch that nothing is learned from
Callbacks = Sequence[keras.callbacks.Callback]
Stage = tuple[int, int, list[str]]


def network_seed(seed: int, i: int) -> int:
    """Return the seed that fold model `i` of a run starts from.

    Example:
    >>> network_seed(3, 0), network_seed(3, 2)
    (3, 2003)
    """
    # Runs of neighbouring seeds, which are compared, have no network in common.
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
    """Return fold model `i` as it is before its fit, and notes on what it does not learn anew.

    Args:
        prepared: Rows, split, and the config and spec of the network.
        i: Number of the fold model, from 0.
        origin: The trained model whose weights it starts from.
    """
    config, spec = prepared.config, prepared.spec
    keras.utils.set_random_seed(network_seed(config.training.seed, i))
    model = build(config, spec)
    notes = start_from_vectors(model, config, spec)
    if origin is not None:
        known = fold_models(origin.model)
        notes += carry_over(known[i % len(known)], origin.spec, model, spec)
    return model, notes


def network_to_fit(prepared: Prepared) -> keras.Model:
    """Return a network in the precision of the training, on which all fold models are fitted.

    Its graph is traced once, where each network of its own would be traced anew: several seconds.
    """
    precision = choose_precision(prepared.config.training.precision)
    return build(prepared.config, prepared.spec, precision=precision)


def fit_network(
    model: keras.Model,
    prepared: Prepared,
    i: int,
    state: TrainingState,
    *,
    fitted_on: keras.Model | None = None,
    fault_tolerance: FaultTolerance | None = None,
    start: Checkpoint | None = None,
    callbacks: Callbacks = (),
) -> None:
    """Fit fold model `i` in stages, from where `state` is; the weights of the best epoch stay.

    Args:
        model: The network, of `new_network`.
        prepared: Rows, split, and the config and spec of the network.
        i: Number of the fold model, from 0.
        state: How far its training has come; this fit is added.
        fitted_on: What `network_to_fit` returned for all fold models: it takes the place of each
            during its fit. By default one is built for this one.
        fault_tolerance: What guards the training.
        start: The checkpoint to go on from.
        callbacks: Further Keras callbacks of the fit.

    Raises:
        TrainingError: The loss is not a number, or the memory is not enough.
    """
    training, fitted_on = prepared.config.training, fitted_on or network_to_fit(prepared)
    middle = training.unfreeze_epoch if training.freeze else None
    copy_variables(model, fitted_on)
    for number, stage in enumerate(stages(int(training.epochs), middle, training.freeze)):
        if number >= state.stage and not (state.interrupted or state.out_of_time):
            if number > state.stage:
                state.stage, state.epoch, state.step, state.wait = number, stage[0], 0, 0
                start = None
            _prepare_optimizer(fitted_on, prepared, stage)
            _fit_stage(fitted_on, prepared, i, stage, state, fault_tolerance, start, callbacks)
    copy_variables(fitted_on, model)


def copy_variables(source: keras.Model, to: keras.Model) -> None:
    """Give a network all that another one of the same config holds, seeds of dropout included."""
    for variable, known in zip(to.variables, source.variables, strict=True):
        variable.assign(known)


def _prepare_optimizer(model: keras.Model, prepared: Prepared, stage: Stage) -> None:
    """Compile the network for a stage, or start the optimizer of an earlier fold model anew."""
    config, (first, last, frozen) = prepared.config, stage
    if getattr(model, "optimizer", None) is not None and not config.training.freeze:
        for variable in model.optimizer.variables:  # AdamW starts with zeros
            variable.assign(keras.ops.zeros_like(variable))
        return
    # `trainable` takes effect in `compile`
    freeze_groups(model, config, prepared.spec, frozen)
    # A schedule for each stage: one over all would unfreeze encoders at a rate that has fallen
    # already. It is that of all folds, which may differ by a batch.
    steps = max(_steps(prepared, i) for i in range(int(config.training.fold_models)))
    optimizer = make_optimizer(config.training, (last - first) * steps)
    compile_model(model, config, optimizer, **compiler_options())


def _steps(prepared: Prepared, i: int) -> int:
    """Return the number of batches of an epoch of fold model `i`."""
    rows, _ = prepared.fold_rows(i)
    return math.ceil(len(rows) / int(prepared.config.training.batch_size))


def _fit_stage(
    model: keras.Model,
    prepared: Prepared,
    i: int,
    stage: Stage,
    state: TrainingState,
    fault_tolerance: FaultTolerance | None,
    start: Checkpoint | None,
    callbacks: Callbacks,
) -> None:
    config, (rows, held_out) = prepared.config, prepared.fold_rows(i)
    training, (_, last, _) = config.training, stage

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
            fill=fixed_batch_size(),
        )
        return shard(batches)

    # Sorted, since nothing is learned from the order, and short texts go without padding.
    checked = by_length(prepared.source, held_out)
    validation = shard(evaluation_dataset(prepared.source, checked, batch_size=BATCH))
    fit(
        model,
        training,
        train,
        validation,
        last=last,
        state=state,
        steps_per_epoch=_steps(prepared, i),
        fault_tolerance=fault_tolerance,
        start=start,
        callbacks=callbacks,
    )


def named_rows(prepared: Prepared, i: int, epoch: int, step: int) -> str:
    """Name the rows of a batch of fold model `i` by their lines in the source."""
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


def check_vectors(config: Config) -> None:
    """Check, before anything is built, that the `vectors` of all groups fit their encoders.

    Raises:
        ConfigError: A group does not read words, its encoder takes no vectors, or theirs have
            another dimension than its embeddings.
        DataError: A file cannot be read.
    """
    for group in config.groups:
        if group.vectors is not None:
            _check_group(group, group.vectors)


def start_from_vectors(model: keras.Model, config: Config, spec: FittedSpec) -> list[str]:
    """Give the known words of each group with `vectors` their pretrained vectors.

    Args:
        model: What `build(config, spec)` returned.
        config: Its config, with a file in `vectors` of the groups that start from one.
        spec: Its spec, with the vocabulary of each group.

    Returns:
        A sentence per such group: how many of its words were found.

    Raises:
        ConfigError, DataError: As `check_vectors`; or a line of a file is malformed.
    """
    check_vectors(config)
    sentences = []
    for group, fitted in zip(config.groups, spec.groups, strict=True):
        if group.vectors is not None:
            vectors = read_vectors(group.vectors, fitted.vocabulary)
            encoder = model.get_layer(f"{fitted.name}_encoder")
            encoder.load_vectors(vectors.matrix, vectors.found)
            sentences.append(
                f"{group.name}: {int(vectors.found.sum()):,} of {len(fitted.vocabulary):,} words "
                f"found in {Path(group.vectors).name}"
            )
    return sentences


def _check_group(group: Group, path: str) -> None:
    cls = registry.get(registry.encoder_kind(group), group.encoder.name)
    if not hasattr(cls, "load_vectors"):
        raise ConfigError(
            f"group '{group.name}': `vectors` are for text encoders with word embeddings of their "
            f"own, not for {group.modality} encoder '{group.encoder.name}'."
        )
    default = inspect.signature(cls.__init__).parameters["embedding_dim"].default
    wanted, found = group.encoder.options.get("embedding_dim", default), dimension(path)
    if wanted != found:
        raise ConfigError(
            f"group '{group.name}': the vectors in {path} have {found} numbers, but "
            f"`embedding_dim` of encoder '{group.encoder.name}' is {wanted}. "
            f"Set `embedding_dim: {found}` in its options."
        )
