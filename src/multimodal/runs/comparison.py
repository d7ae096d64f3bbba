"""What a run's model is compared with: baselines, and itself on rows without a modality."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import pandas as pd
from numpy.typing import NDArray

from multimodal.core.arrays import Bools
from multimodal.core.budget import Budget
from multimodal.core.config import Config, Head, Modality, Training
from multimodal.core.spec import FittedHead
from multimodal.data.batches import by_length, evaluation_dataset, single_tensor, training_dataset
from multimodal.data.features.preprocess import ablate
from multimodal.data.photos.locate import PhotoRoot
from multimodal.data.prepare import Prepared
from multimodal.evaluation.records import ModelScore
from multimodal.evaluation.task import Task, measure
from multimodal.models.baselines import (
    INPUT_NAMES,
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
from multimodal.models.training.progress import EndInTime
from multimodal.report.sections import FULL
from multimodal.runs.run import Run

logger = logging.getLogger(__name__)

# How a baseline of a table or of texts learns; on real tables as well as by the longer schedule of
# the networks, in a fraction of the time. One of photos needs all epochs, and more steps in them.
EPOCHS, BATCH, LEAST_STEPS, FASTER = 12, 64, 10, 2.5
# rows read in all epochs together: on 8,000 rows the CNN is as good after 8 epochs as after 25
MOST_READ, LEAST_EPOCHS = 64_000, 5
MANY_ROWS = 4_000  # beyond, batches are twice as large: the RNN takes two thirds of the time
# seconds of gradient boosting, and for each row: a guess, on the safe side, as it ends all at once
BOOSTING = 5.0, 8e-3
# of the seconds of a network, which reads more; a Sequential model that takes longer can be ended
EXPECTED: dict[Modality, float] = {"tabular": 0.1, "text": 0.5, "image": 0.5}
MOST_ROWS = 5000  # that are predicted anew without each modality
Scores = dict[str, dict[str, dict[str, float]]]


def baseline_scores(
    prepared: Prepared,
    index: int,
    keep: Keep = forget,
    budget: Budget | None = None,
    network_seconds: float = 0.0,
) -> Iterator[ModelScore]:
    """Yield the score of each baseline for head number `index`, cheapest first.

    Every baseline learns from the training rows that have this head's label, and from no other.
    `keep` is handed what each of them predicts of the test rows. What does not fit into `budget` is
    left out, judged by the seconds that a network of the run has taken.
    """
    budget = budget or Budget()
    head, fitted = prepared.config.heads[index], prepared.spec.heads[index]
    task = Task.of(head, fitted, head_layer(head, fitted))
    y_true, weight = prepared.labels[fitted.name], prepared.source.weights[fitted.name]
    train, test = prepared.rows("train"), prepared.rows("test")
    yield constant_score(task, y_true, train, test, weight, keep)
    boosting = BOOSTING[0] + BOOSTING[1] * len(train)
    if serves(task) and budget.allows("gradient boosting", boosting):
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
        what = f"the {NAMES[modality]} baseline"
        if not budget.allows(what, EXPECTED[modality] * network_seconds):
            continue
        logger.info(f"baseline: {NAMES[modality]} on {INPUT_NAMES[modality]}")
        try:
            yield sequential_score(prepared, modality, head, fitted, keep, budget)
        except TimeoutError:  # half of a training is no baseline
            budget.left_out.append(what)


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
        if modality not in _modalities(prepared)
    ]


def _modalities(prepared: Prepared) -> list[Modality]:
    # Of a modality that is read as frozen features, there are no pixels or words to learn from.
    groups = [group for group in prepared.spec.groups if group.pretrained is None]
    found = dict.fromkeys(group.modality for group in groups)
    return [modality for modality in found if modality in NAMES]


def input_name(config: Config) -> str:
    """Say what the fusion reads, such as `table + text + photos`."""
    found = {group.modality for group in config.groups}
    return " + ".join(name for modality, name in INPUT_NAMES.items() if modality in found)


def sequential_score(
    prepared: Prepared,
    modality: Modality,
    head: Head,
    fitted: FittedHead,
    keep: Keep = forget,
    budget: Budget | None = None,
) -> ModelScore:
    """Fit and score the Sequential model of one modality for one head.

    Raises:
        TimeoutError: The budget was over before the fit.
        KeyboardInterrupt: Ctrl-C ended the fit.
    """
    training, start = prepared.config.training, time.perf_counter()
    # Set for each: a baseline must not depend on which were fitted before it.
    keras.utils.set_random_seed(training.seed)
    # Of these, convolutions alone gain from it (see `Encoder.gains_from_bfloat16`).
    precision = choose_precision(training.precision) if modality == "image" else "float32"
    with dtype_policy(precision):
        model = sequential(modality, prepared.spec, head, fitted)
    source = prepared.source.only({modality}, prepared.spec)
    single = single_tensor(prepared.spec, modality, fitted.name)
    labelled = prepared.source.weights[fitted.name] > 0
    _fit(model, prepared, source, single, labelled, budget or Budget())
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


def _fit(
    model: keras.Model,
    prepared: Prepared,
    source: Any,
    single: Any,
    labelled: Bools,
    budget: Budget,
) -> None:
    """Fit a Sequential model to the labelled training rows, stopped by the validation rows."""
    splits = map(prepared.rows, ("train", "validation"))
    rows, checked = (split[labelled[split]] for split in splits)
    training = _schedule(prepared.config.training, len(rows), photos=bool(source.caches))
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
    batches = train, validation.map(single)
    end = EndInTime(budget)
    found = fit(model, training, *batches, steps_per_epoch=steps, callbacks=[end])
    if found.interrupted:
        raise KeyboardInterrupt


def _schedule(training: Training, rows: int, *, photos: bool) -> Training:
    """Return how a small model learns: from photos in small steps, else in few and large ones."""
    batch_size = int(training.batch_size)
    epochs = min(int(training.epochs), max(MOST_READ // max(rows, 1), LEAST_EPOCHS))
    if photos:
        # It idles for some epochs before it finds anything: of five seeds two ended there.
        patient = {"batch_size": -(-batch_size // 2), "patience": 2 * int(training.patience)}
        return training.model_copy(update={"epochs": epochs, **patient})
    most = BATCH * 2 if rows > MANY_ROWS else BATCH
    larger = max(batch_size, min(most, rows // LEAST_STEPS))
    return training.model_copy(
        update={
            "epochs": min(epochs, EPOCHS),
            "batch_size": larger,
            "learning_rate": training.learning_rate * min(larger / batch_size, FASTER),
        }
    )


def _tensor(tensor: Any, target: Any, weight: Any) -> Any:
    return tensor


def ablation_scores(
    run: Run,
    rows: pd.DataFrame,
    root: PhotoRoot,
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
