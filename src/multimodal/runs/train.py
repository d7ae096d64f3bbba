"""Training: from a table to a run directory with a model and its evidence."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import keras

from multimodal.core.arrays import Floats
from multimodal.core.budget import Budget
from multimodal.core.config import LabelKind
from multimodal.core.errors import ConfigError, DataError
from multimodal.core.interrupted import Plain, check_out, check_same
from multimodal.core.presets import ConfigLike, as_config, as_names
from multimodal.data.photos.locate import Images
from multimodal.data.prepare import Prepared, Rows, prepare
from multimodal.data.prepared import Base
from multimodal.layers import registry
from multimodal.models.build import check_parts
from multimodal.models.finetune import check_frozen, continue_config
from multimodal.models.frozen import extractor_of
from multimodal.models.training.devices import is_chief, join, process_count
from multimodal.models.training.kfold import check_vectors
from multimodal.runs.provenance import Request, record
from multimodal.runs.run import Run, load
from multimodal.runs.steps import QUARANTINE, RunTraining

logger = logging.getLogger(__name__)

__all__ = ["train"]


def train(
    data: Rows,
    targets: str | int | Sequence[str | int] = (),
    *,
    out: str | Path,
    config: ConfigLike = None,
    preset: str | None = None,
    epochs: int | None = None,
    seed: int | None = None,
    minutes: float | None = None,
    freeze: Sequence[str] | None = None,
    weight: str | None = None,
    images: Images = None,
    base: str | Path | None = None,
    noise: Floats | None = None,
    command: str = "",
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> Run:
    """Train a model on a table and write a run directory.

    Args:
        data: A CSV, TSV, Parquet or JSON Lines file, a DataFrame, or a list of dicts.
        targets: Column or columns to predict; none stands for those of the config's heads.
        out: Run directory; must not exist, or be empty.
        config: What the user wants, as a Config, its sections as a dict, or the path of a YAML or
            JSON file; what it leaves open is inferred.
        preset: `fast`, `balanced` or `best`, in place of a config.
        epochs: Most epochs to train; the config's `training.epochs` by default.
        seed: Seed of everything random; the config's `training.seed` by default.
        minutes: All that the training may take; the config's `training.minutes` by default.
        freeze: Groups whose encoders keep the weights of `base`; the config's `training.freeze` by
            default.
        weight: Column of row weights, for training and for every metric.
        images: Folder that photo paths are relative to; the file's folder by default.
        base: A run directory to start from.
        noise: Where it is known, the noise in the log of the first target, one value per row of
            `data`; its size over the test rows is reported as the limit.
        command: The command to show in the report.
        callbacks: Further Keras callbacks of the fit.

    Returns:
        The finished run, as `load(out)` gives it. After Ctrl-C it has the best weights so far.

    Raises:
        MultimodalError: What is wrong, where, and how to mend it; nothing is left behind.

    Example:
        run = train("products.csv", "price", out="run", preset="fast")
        run.predict("tomorrow.csv").frame
    """
    columns = as_names(targets)
    chosen = None if freeze is None else list(freeze)
    asked = as_config(config, preset, epochs=epochs, seed=seed, minutes=minutes, freeze=chosen)
    request = Request(data, columns, asked, Path(out), weight, images, base, noise, command)
    join()
    if asked.training.minutes is not None and process_count() > 1:
        raise ConfigError("`training.minutes` is for a training of one process. Leave it out.")
    budget = Budget(asked.training, _check_unfinished(request).get("budget"))
    origin = load(base) if base is not None else None
    prepared = _prepare_rows_from(request, origin)
    _tell(prepared)
    return RunTraining(request, prepared, origin, callbacks, budget).run()


def _check_unfinished(request: Request) -> Plain:
    """Return the record of an unfinished run of the same request, empty where there is none.

    Raises:
        RunError: The run directory holds anything else.
    """
    before = check_out(request.out) if is_chief() else None
    if before is not None:
        check_same(request.out, before, record(request))
        logger.info(f"{request.out}: going on with the unfinished run")
    return before or {}


def _prepare_rows_from(request: Request, origin: Run | None) -> Prepared:
    """Prepare the rows with what the run `origin`, if any, has learned; check what results."""
    config, base = request.config, None
    if origin is not None:
        config = continue_config(origin, config, request.targets)
        base = origin.schema, origin.spec
    prepared = prepare_rows(replace(request, config=config), base)
    check_frozen(prepared.config, prepared.spec)
    _check_sizes(request, prepared)
    return prepared


def label_kinds() -> dict[str, LabelKind | None]:
    """Return what each registered head learns from, by its name."""
    return {name: registry.get("head", name).label_kind for name in registry.names("head")}


def prepare_rows(request: Request, base: Base | None = None) -> Prepared:
    """Check what is asked for before anything is read, then read, check and prepare the rows.

    Args:
        request: What a training, comparison or search is asked for.
        base: Schema and spec of the run to start from.

    Raises:
        MultimodalError: What is wrong, where, and how to mend it.
    """
    if not request.targets and not request.config.heads:
        raise ConfigError("no target is named and the config has no heads; expected one of them.")
    check_parts(request.config)
    check_vectors(request.config)
    logger.info("reading, checking and preparing the rows")
    prepared = prepare(
        request.data,
        request.targets,
        request.config,
        weight=request.weight,
        images=request.images,
        base=base,
        label_kinds=label_kinds(),
        extractor_of=extractor_of,
    )
    # Once more, with the groups and heads that were inferred.
    check_parts(prepared.config)
    return prepared


def _check_sizes(request: Request, prepared: Prepared) -> None:
    """Raise DataError where noise and rows do not match, or a split weighs nothing."""
    read = prepared.table.rows_read
    if request.noise is not None and len(request.noise) != read:
        raise DataError(f"`noise` must have one value per row: {len(request.noise)} for {read}.")
    for split in ("train", "validation", "test"):
        rows = prepared.rows(split)
        if len(rows) and any(
            not weights[rows].any() for weights in prepared.source.weights.values()
        ):
            raise DataError(
                f"{prepared.table.name}: weight '{request.weight}' is 0 in all {len(rows):,} rows "
                f"of the {split} split; expected some above 0. Use more rows or another split."
            )


def _tell(prepared: Prepared) -> None:
    """Say how many rows there are and where they went, then what is odd about them."""
    counts = prepared.summary()
    logger.info(
        f"{counts['read']:,} rows read, {counts['quarantined']:,} rejected; "
        f"{counts['train']:,} to train, {counts['validation']:,} to validate, "
        f"{counts['test']:,} to test"
    )
    for warning in prepared.warnings:
        logger.warning(warning)
    if counts["quarantined"]:
        logger.info(f"which rows were rejected, and why: {QUARANTINE} in the run directory")
