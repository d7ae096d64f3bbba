"""The fusion beside what is simpler: one score per baseline, on the same split and budget."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

from multimodal.baselines import NAMES, sequential
from multimodal.config import Config, Head, Modality
from multimodal.data.pipeline import evaluation_dataset, training_dataset
from multimodal.data.prepare import Prepared
from multimodal.data.single import single_tensor
from multimodal.evaluation import ModelScore, regression_metrics
from multimodal.spec import FittedHead
from multimodal.training import (
    choose_precision,
    compiler_options,
    dtype_policy,
    fit_compiled,
    make_optimizer,
)
from multimodal.trees import median_score, tree_scores

INPUT_NAMES: dict[Modality, str] = {"tabular": "table", "text": "text", "image": "photos"}
Say = Callable[[str], None]


def baseline_scores(prepared: Prepared, index: int, say: Say) -> Iterator[ModelScore]:
    """Yield the score of each baseline for head number `index`, cheapest first."""
    head, fitted = prepared.config.heads[index], prepared.spec.heads[index]
    truth = prepared.source.targets[fitted.name][:, 0].astype(np.float64)
    weight = prepared.source.weights[fitted.name]
    train, test = prepared.rows("train"), prepared.rows("test")
    yield median_score(truth, train, test, weight)
    say("gradient boosting")
    yield from tree_scores(
        prepared.spec, prepared.source, prepared.table.frame, truth, train, test, weight=weight,
        log=head.head.options.get("transform") == "log1p", seed=prepared.config.training.seed,
    )  # fmt: skip
    modalities = dict.fromkeys(group.modality for group in prepared.spec.groups)
    for modality in modalities:
        say(f"{NAMES[modality]} on {INPUT_NAMES[modality]}")
        yield _sequential_score(prepared, modality, head, fitted)


def input_name(config: Config) -> str:
    """Say what the fusion reads, such as `table + text + photos`."""
    found = {group.modality for group in config.groups}
    return " + ".join(name for modality, name in INPUT_NAMES.items() if modality in found)


def _sequential_score(
    prepared: Prepared, modality: Modality, head: Head, fitted: FittedHead
) -> ModelScore:
    training = prepared.config.training
    start = time.perf_counter()
    keras.utils.set_random_seed(training.seed)
    precision = choose_precision(training.precision) if modality == "image" else "float32"
    with dtype_policy(precision):
        model = sequential(modality, prepared.spec, head, fitted)
    rows = prepared.rows("train")
    steps = -(-len(rows) // training.batch_size)
    last = model.layers[-1]
    model.compile(
        optimizer=make_optimizer(training, training.epochs * steps), loss=last.make_loss(),
        **compiler_options(),
    )  # fmt: skip
    single = single_tensor(prepared.spec, modality, fitted.name)
    source = prepared.source.only(modality, prepared.spec)
    train = training_dataset(
        source, rows, batch_size=training.batch_size, seed=training.seed,
        epochs=training.epochs, augment=prepared.config.data.augment,
    )  # fmt: skip
    validation = evaluation_dataset(source, prepared.rows("validation"), batch_size=256)
    fitted_model = fit_compiled(
        model, training, train.map(single), validation.map(single), steps_per_epoch=steps
    )
    if fitted_model.interrupted:
        raise KeyboardInterrupt
    test = prepared.rows("test")
    batches: Any = evaluation_dataset(source, test, batch_size=256).map(single)
    raw = model.predict(batches.map(_tensor), verbose=0)
    guess = keras.ops.convert_to_numpy(last.decode(keras.ops.convert_to_tensor(raw)))[:, 0]
    truth = prepared.source.targets[fitted.name][test, 0]
    metrics = regression_metrics(truth, guess, prepared.source.weights[fitted.name][test])
    return ModelScore(
        f"Sequential {NAMES[modality]}", "sequential", INPUT_NAMES[modality],
        metrics, model.count_params(), time.perf_counter() - start,
    )  # fmt: skip


def _tensor(tensor: Any, target: Any, weight: Any) -> Any:
    return tensor
