"""Candidates of a comparison: which models there are, and how each is fitted on one split."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from multimodal.core.arrays import Ints
from multimodal.core.config import Component, Config, Modality, fusion_named
from multimodal.data.prepare import Prepared
from multimodal.evaluation.records import ModelScore
from multimodal.evaluation.task import Task
from multimodal.layers import registry
from multimodal.models.baselines import (
    INPUT_NAMES,
    NAMES,
    Keep,
    constant_score,
    serves,
    tree_scores,
)
from multimodal.runs.comparison import sequential_score
from multimodal.studies.compare.results import Candidate, Kind
from multimodal.studies.fits import Fit, fit_rows, restrict_modalities, tasks

Reads = tuple[Modality, ...]
TREES = "Gradient boosting"
TREE_INPUTS = {"table": "table", "text": "TF-IDF", "table + text": "table + TF-IDF"}


@dataclass(frozen=True)
class Job:
    """What is fitted at once: one candidate, or the cheap ones of a kind together.

    Attributes:
        name: Its name in files.
        kind: A kind of baseline, or `fusion`; `recipe` is a baseline of one modality that is fitted
            as the fusion is.
        label: What it is called in news and notes.
        reads: The modalities that it is given.
        fusion: The fusion of a candidate that has one.
    """

    name: str
    kind: Kind
    label: str
    reads: Reads = ()
    fusion: Component | None = None


def jobs(prepared: Prepared, fusions: Sequence[Component]) -> list[Job]:
    """Return what is to be fitted on every fold, in the order in which a verdict needs it.

    These are a constant, gradient boosting, the Sequential model of each modality, the first fusion
    on everything and on every other subset of the modalities, and the other fusions on everything.

    Args:
        prepared: The rows; trees are left out where no head is one that they learn.
        fusions: At least one.
    """
    there = {group.modality for group in prepared.spec.groups}
    modalities = [modality for modality in INPUT_NAMES if modality in there]
    found = [Job("constant", "constant", "constant prediction")]
    if {"tabular", "text"} & there and any(map(serves, tasks(prepared))):
        found.append(Job("trees", "trees", "gradient boosting", tuple(modalities)))
    found += [
        Job(
            f"sequential-{each}",
            "sequential",
            f"Sequential {NAMES[each]} on {INPUT_NAMES[each]}",
            (each,),
        )
        for each in modalities
        if each in NAMES
    ]
    sizes = range(1, len(modalities))
    subsets = [each for size in sizes for each in combinations(modalities, size)]
    # Those that the verdict needs come first, for a comparison that runs out of time.
    subsets.sort(key=lambda reads: ("tabular" not in reads, len(reads)))
    everything = tuple(modalities)
    found.append(_fusion_job(fusions[0], everything))
    for reads in subsets:
        job = _fusion_job(fusions[0], reads)
        found.append(job if len(reads) > 1 else replace(job, kind="recipe"))
    return found + [_fusion_job(fusion, everything) for fusion in fusions[1:]]


def chosen_fusions(config: Config, names: Sequence[str]) -> list[Component]:
    """Return the fusions to compare, as `fusion_named` has them; the config's own by default.

    Raises:
        ConfigError: There is no such fusion.

    Example:
    >>> [fusion.name for fusion in chosen_fusions(Config(), [])]
    ['concat']
    """
    found = []
    for name in dict.fromkeys(names or [config.fusion.name]):
        fusion = fusion_named(config, name)
        registry.check("fusion", fusion)
        found.append(fusion)
    return found


def fusion_name(fusion: str, reads: Sequence[Modality]) -> str:
    """Return the name of a fusion of some modalities.

    Example:
    >>> fusion_name("concat", ("tabular", "text"))
    'fusion-concat-tabular-text'
    """
    return "-".join(("fusion", fusion, *reads))


def inputs_of(reads: Sequence[Modality]) -> str:
    """Say what a model reads, in the order of the project: "table + text".

    Example:
    >>> inputs_of(("image", "tabular"))
    'table + photos'
    """
    return " + ".join(name for modality, name in INPUT_NAMES.items() if modality in reads)


def _fusion_job(fusion: Component, reads: Reads) -> Job:
    label = f"{fusion.name} on {inputs_of(reads)}"
    return Job(fusion_name(fusion.name, reads), "fusion", label, reads, fusion)


def candidates(job: Job) -> list[Candidate]:
    """Return the candidates that a job may yield; trees depend on what there is to read."""
    if job.kind == "constant":
        return [Candidate(job.name, "constant", "nothing", "Constant")]
    if job.kind == "trees":
        return [
            Candidate(_tree_name(name), "trees", inputs, f"{TREES} on {inputs}")
            for name, inputs in TREE_INPUTS.items()
        ]
    fusion = job.fusion.name if job.fusion else ""
    return [Candidate(job.name, job.kind, inputs_of(job.reads), job.label, fusion)]


def _tree_name(inputs: str) -> str:
    return f"trees-{inputs.replace(' + ', '-')}"


def additions(found: Sequence[Job]) -> list[tuple[str, str]]:
    """Return names of candidates that differ by a modality: the one that reads it, the other.

    They say what each modality adds to the table alone and to everything else, for the first
    fusion, and what TF-IDF adds to the table in gradient boosting.
    """
    reads = [job.reads for job in found if job.fusion]
    first = next(job.fusion.name for job in found if job.fusion)
    most = max(reads, key=len)
    pairs: list[tuple[Reads, Reads]]
    pairs = [((most[0], each), most[:1]) for each in most[1:] if most[0] == "tabular"]
    pairs += [(most, tuple(m for m in most if m != each)) for each in most if len(most) > 1]
    named = [(fusion_name(first, more), fusion_name(first, less)) for more, less in pairs]
    return list(dict.fromkeys([*named, ("trees-table-text", "trees-table")]))


def fit_job(job: Job, prepared: Prepared, seed: int) -> dict[str, Fit]:
    """Fit a job on one split; return the fits of its candidates, which predict the test rows.

    Trees and constants learn from the training and validation rows, since trees draw rows for
    early stopping themselves. All others stop by the validation rows.

    Args:
        job: What to fit.
        prepared: The rows, split.
        seed: Seed of all that is random.
    """
    keras.utils.clear_session()  # else the graphs of all earlier fits stay in memory
    training = prepared.config.training.model_copy(update={"seed": seed})
    update = {"training": training, **({"fusion": job.fusion} if job.fusion else {})}
    prepared = replace(prepared, config=prepared.config.model_copy(update=update))
    if job.fusion:
        return {job.name: fit_rows(restrict_modalities(prepared, job.reads))}
    kept: dict[str, Fit] = {}
    for number, task in enumerate(tasks(prepared)):
        _FITTERS[job.kind](job, prepared, number, task, partial(_keep, kept, job, prepared, task))
    return kept


def _keep(
    kept: dict[str, Fit],
    job: Job,
    prepared: Prepared,
    task: Task,
    score: ModelScore,
    rows: NDArray[Any],
    outputs: NDArray[Any],
) -> None:
    """Add the predictions of one head to those of the heads before it."""
    name = _tree_name(score.inputs) if job.kind == "trees" else job.name
    values = np.empty(outputs.shape, np.float64)
    # A baseline predicts in an order of its own, such as by the length of texts.
    values[np.searchsorted(prepared.rows("test"), rows)] = outputs
    known = kept.get(name, Fit({}))
    kept[name] = Fit(
        {**known.outputs, task.name: values},
        known.parameters + score.parameters,
        known.seconds + score.seconds,
    )


def _fit_constant(job: Job, prepared: Prepared, number: int, task: Task, keep: Keep) -> None:
    y_true, weight = prepared.labels[task.name], prepared.source.weights[task.name]
    constant_score(task, y_true, _known(prepared), prepared.rows("test"), weight, keep)


def _fit_trees(job: Job, prepared: Prepared, number: int, task: Task, keep: Keep) -> None:
    options = prepared.config.heads[number].head.options
    tree_scores(
        task,
        prepared.spec,
        prepared.source,
        prepared.table.frame,
        prepared.labels[task.name],
        _known(prepared),
        prepared.rows("test"),
        weight=prepared.source.weights[task.name],
        log=options.get("transform") == "log1p",
        seed=prepared.config.training.seed,
        keep=keep,
    )


def _fit_sequential(job: Job, prepared: Prepared, number: int, task: Task, keep: Keep) -> None:
    head, fitted = prepared.config.heads[number], prepared.spec.heads[number]
    sequential_score(prepared, job.reads[0], head, fitted, keep)


def _known(prepared: Prepared) -> Ints:
    """Return the training and the validation rows."""
    return np.concatenate([prepared.rows("train"), prepared.rows("validation")])


_Fitter = Callable[[Job, Prepared, int, Task, Keep], None]
_FITTERS: dict[str, _Fitter] = {
    "constant": _fit_constant,
    "trees": _fit_trees,
    "sequential": _fit_sequential,
}
