"""What the fusion is compared with: baselines, and itself without each modality (ablation)."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import keras
import pandas as pd
from numpy.typing import NDArray

from multimodal.core.arrays import Bools
from multimodal.core.config import Config, Head, Modality
from multimodal.core.spec import FittedHead
from multimodal.data.batches import by_length, evaluation_dataset, single_tensor, training_dataset
from multimodal.data.features.preprocess import ablate
from multimodal.data.prepare import Prepared
from multimodal.evaluation.records import ModelScore
from multimodal.evaluation.task import Task, measure
from multimodal.models.baselines import (
    NAMES,
    Keep,
    constant_score,
    forget,
    head_layer,
    sequential,
    serves,
    tree_scores,
)
from multimodal.models.training.devices import (
    choose_precision,
    compiler_options,
    dtype_policy,
    fixed_batch_size,
)
from multimodal.models.training.fit import fit, make_optimizer
from multimodal.report.sections import FULL
from multimodal.runs.run import Run

logger = logging.getLogger(__name__)

MOST_ROWS = 5000  # that are predicted anew without each modality
Scores = dict[str, dict[str, dict[str, float]]]
INPUT_NAMES: dict[Modality, str] = {
    "tabular": "table",
    "text": "text",
    "image": "photos",
    "series": "series",
}


def baseline_scores(prepared: Prepared, index: int, keep: Keep = forget) -> Iterator[ModelScore]:
    """Yield the score of each baseline for head number `index`, cheapest first.

    Every baseline learns from the training rows that have this head's label, and from no other.
    `keep` is handed what each of them predicts of the test rows.
    """
    head, fitted = prepared.config.heads[index], prepared.spec.heads[index]
    task = Task.of(head, fitted, head_layer(head, fitted))
    y_true, weight = prepared.labels[fitted.name], prepared.source.weights[fitted.name]
    train, test = prepared.rows("train"), prepared.rows("test")
    yield constant_score(task, y_true, train, test, weight, keep)
    if serves(task):
        logger.info("baseline: gradient boosting")
    yield from tree_scores(
        task,
        prepared.spec,
        prepared.source,
        prepared.table.frame,
        y_true,
        train,
        test,
        weight=weight,
        log=head.head.options.get("transform") == "log1p",
        seed=prepared.config.training.seed,
        keep=keep,
    )
    for modality in _modalities(prepared):
        logger.info(f"baseline: {NAMES[modality]} on {INPUT_NAMES[modality]}")
        yield sequential_score(prepared, modality, head, fitted, keep)


def missing_baselines(prepared: Prepared) -> list[str]:
    """Say which baselines there are not, and why."""
    kinds = {"labels": "several labels", "box": "boxes"}
    modalities = dict.fromkeys(group.modality for group in prepared.spec.groups)
    readable = {"tabular", "text"} & set(modalities)
    notes = [
        f"head '{head.name}': gradient boosting is left out, since it does not predict "
        f"{kinds[head.kind]}"
        for head in prepared.spec.heads
        if head.kind in kinds and readable
    ]
    return notes + [
        f"no baseline reads the {INPUT_NAMES[modality]} alone"
        for modality in modalities
        if modality not in NAMES
    ]


def _modalities(prepared: Prepared) -> list[Modality]:
    found = dict.fromkeys(group.modality for group in prepared.spec.groups)
    return [modality for modality in found if modality in NAMES]


def input_name(config: Config) -> str:
    """Say what the fusion reads, such as `table + text + photos`."""
    found = {group.modality for group in config.groups}
    return " + ".join(name for modality, name in INPUT_NAMES.items() if modality in found)


def sequential_score(
    prepared: Prepared, modality: Modality, head: Head, fitted: FittedHead, keep: Keep = forget
) -> ModelScore:
    """Fit and score the Sequential model of one modality for one head.

    Raises:
        KeyboardInterrupt: Ctrl-C ended the fit.
    """
    training, start = prepared.config.training, time.perf_counter()
    keras.utils.set_random_seed(training.seed)
    precision = choose_precision(training.precision) if modality == "image" else "float32"
    with dtype_policy(precision):
        model = sequential(modality, prepared.spec, head, fitted)
    source = prepared.source.only(modality, prepared.spec)
    single = single_tensor(prepared.spec, modality, fitted.name)
    _fit(model, prepared, source, single, prepared.source.weights[fitted.name] > 0)
    last, test = model.layers[-1], by_length(source, prepared.rows("test"))
    batches: Any = evaluation_dataset(source, test, batch_size=256).map(single)
    raw = model.predict(batches.map(_tensor), verbose=0)
    outputs = keras.ops.convert_to_numpy(last.decode(keras.ops.convert_to_tensor(raw)))
    metrics = measure(
        Task.of(head, fitted, last),
        prepared.labels[fitted.name][test],
        outputs,
        prepared.source.weights[fitted.name][test],
    )
    score = ModelScore(
        f"Sequential {NAMES[modality]}",
        "sequential",
        INPUT_NAMES[modality],
        metrics,
        model.count_params(),
        time.perf_counter() - start,
    )
    keep(score, test, outputs)
    return score


def _fit(model: keras.Model, prepared: Prepared, source: Any, single: Any, labelled: Bools) -> None:
    """Fit a Sequential model to the labelled training rows, stopped by the validation rows."""
    training = prepared.config.training
    splits = map(prepared.rows, ("train", "validation"))
    rows, checked = (split[labelled[split]] for split in splits)
    steps = -(-len(rows) // int(training.batch_size))
    model.compile(
        optimizer=make_optimizer(training, int(training.epochs) * steps),
        loss=model.layers[-1].make_loss(),
        **compiler_options(),
    )

    def train(epoch: int, step: int) -> Any:
        return training_dataset(
            source,
            rows,
            batch_size=int(training.batch_size),
            seed=training.seed,
            epochs=int(training.epochs),
            first_epoch=epoch,
            first_step=step,
            augment=prepared.config.data.augment,
            fill=fixed_batch_size(),
        ).map(single)

    validation = evaluation_dataset(source, by_length(source, checked), batch_size=256)
    found = fit(model, training, train, validation.map(single), steps_per_epoch=steps)
    if found.interrupted:
        raise KeyboardInterrupt


def _tensor(tensor: Any, target: Any, weight: Any) -> Any:
    return tensor


def ablation_scores(
    run: Run,
    rows: pd.DataFrame,
    root: Path,
    labels: Mapping[str, NDArray[Any]],
    weights: Mapping[str, NDArray[Any]],
) -> Scores:
    """Return the metrics of each head with everything there, and with each modality ablated.

    A model of one modality has nothing to ablate. Of more than `MOST_ROWS` rows the first ones
    are taken, in every case the same.

    Args:
        run: The model.
        rows: Raw rows whose photos can all be read.
        root: Folder that photo paths start from.
        labels: Labels by head, one per row, as `evaluation.measure` takes them.
        weights: Row weights by head.

    Returns:
        Dict of head -> what was ablated, in words (`text`; `nothing` where all was there) ->
        metrics: the key `withheld` of `metrics.json`.
    """
    modalities = list(dict.fromkeys(group.modality for group in run.spec.groups))
    if len(modalities) < 2:
        return {}
    rows = rows.iloc[:MOST_ROWS]
    arrays = run.preprocessor.arrays(rows, root)
    cases = {FULL: arrays}
    for each in modalities:
        case = ablate(arrays, run.spec, each)
        groups = [group.name for group in run.spec.groups if group.modality == each]
        case.inputs.update(run.preprocessor.sparse_inputs_without(rows, groups))
        cases[INPUT_NAMES[each]] = case
    scores: Scores = {task.name: {} for task in run.tasks}
    for name, case in cases.items():
        outputs, _ = run.decoded(case)
        for task in run.tasks:
            y_true, weight = (part[task.name][: case.rows] for part in (labels, weights))
            scores[task.name][name] = measure(task, y_true, outputs[task.name], weight)
    return scores
