"""Files of a run directory, read for its report, and its configuration and provenance as rows.

Whatever is absent is empty, as in an interrupted run or one of an older version.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from multimodal.core.config import Config, LabelKind, current_keys
from multimodal.core.errors import ConfigError, DataError, RunError
from multimodal.core.files import read_text
from multimodal.data.photos.names import Photo
from multimodal.evaluation.predictions import BASELINE_PREDICTIONS_FILE
from multimodal.evaluation.records import ExplainedRows, Importance, RunMetrics

SECTIONS = ("data", "training")  # of a config, whose keys have defaults
BLANK = ["", "nan"]  # no more: pandas would take a class named "NA" or "None" for a missing one
MOST_UNIT = 24  # letters; more would not fit beside an axis
MOST_JSON, MOST_CSV = 1 << 26, 1 << 31  # bytes that are read


@dataclass(frozen=True)
class RunFiles:
    """The files of a run, with the raw test rows and their photos.

    `config` is what `config.json` holds, `baselines` the lines of `baseline_predictions.csv`.
    """

    path: Path
    metrics: RunMetrics
    config: dict[str, Any]
    schema: list[dict[str, Any]]
    predictions: pd.DataFrame
    log: pd.DataFrame
    rows: pd.DataFrame | None
    photos: Mapping[int, Sequence[Photo | Path]]
    baselines: pd.DataFrame
    importance: Importance = Importance()
    explained: ExplainedRows = ExplainedRows()

    @property
    def heads(self) -> list[str]:
        """The heads of the run, whichever file mentions them first."""
        ends = "_prediction"
        columns = [str(c) for c in self.predictions.columns if str(c).endswith(ends)]
        found = [column.removesuffix(ends) for column in columns]
        return list(dict.fromkeys([*self.metrics.heads, *self.metrics.comparison, *found]))

    def kind(self, head: str) -> LabelKind:
        """What a head predicts; a number where the run does not say."""
        return self.metrics.heads[head].kind if head in self.metrics.heads else "number"

    def classes(self, head: str) -> list[str]:
        """The names of classes or labels, in their order; none for other kinds."""
        return self.metrics.heads[head].classes if head in self.metrics.heads else []

    def number_format(self, head: str) -> str:
        """What stands around a number of this head, `#` being the number: `$#`, `# EUR`, or `#`."""
        known = self.metrics.heads.get(head)
        if known is not None and known.unit:
            return f"# {known.unit}"
        column = known.column if known is not None else head
        units = [each.get("unit") for each in self.schema if each.get("name") == column]
        found = next((unit for unit in units if isinstance(unit, str) and "#" in unit), "#")
        return found if self.kind(head) == "number" else "#"

    def unit(self, head: str) -> str:
        """The unit of a head's numbers for labels, such as `$`, empty where none is known."""
        return " ".join(self.number_format(head).replace("#", " ").split())[:MOST_UNIT]


def read_files(
    run: Path, photos: Mapping[int, Sequence[Photo | Path]], rows: pd.DataFrame | None
) -> RunFiles:
    """Read a run directory.

    Raises:
        RunError: The directory is missing, or one of its files is damaged.
        DataError: `rows` has not one row per prediction.
    """
    if not run.is_dir():
        raise RunError(f"{run}: no such run directory.")
    metrics = RunMetrics.read(run)
    names = [name for name, head in metrics.heads.items() if head.kind in ("class", "labels")]
    words = [f"{name}_{ending}" for name in names for ending in ("true", "prediction")]
    predictions = _table(run / "predictions.csv", words)
    if rows is not None and len(rows) != len(predictions):
        raise DataError(
            f"`rows` must hold one row per prediction. Received: {len(rows)} rows for "
            f"{len(predictions)} predictions"
        )
    schema = _json(run / "schema.json").get("columns", [])
    return RunFiles(
        path=run,
        metrics=metrics,
        config=current_keys(_json(run / "config.json")),
        schema=[column for column in schema if isinstance(column, dict)],
        predictions=predictions,
        log=_table(run / "training_log.csv", []),
        rows=rows,
        photos=photos,
        baselines=_baselines(run / BASELINE_PREDICTIONS_FILE),
        importance=Importance.read(run),
        explained=ExplainedRows.read(run),
    )


def _baselines(path: Path) -> pd.DataFrame:
    found = _table(path, [], text=True)
    if not len(found):
        return pd.DataFrame()
    lacking = {"head", "model", "row"} - set(found)
    if lacking:
        raise RunError(f"{path}: column '{min(lacking)}' is missing; expected head, model and row.")
    found["row"] = pd.to_numeric(found["row"], errors="coerce")
    return found.dropna(subset=["head", "model", "row"])


def _json(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        values = json.loads(read_text(path, most=MOST_JSON))
    except (OSError, ValueError, RecursionError) as error:
        raise RunError(f"{path}: not valid JSON. {error}") from None
    if not isinstance(values, dict):
        raise RunError(f"{path}: expected a mapping. Received: {type(values).__name__}")
    return values


def _table(path: Path, words: list[str], *, text: bool = False) -> pd.DataFrame:
    """Read a CSV whose columns `id` and `words` (all, with `text`) stay text.

    An absent or empty file has no rows.
    """
    if not path.exists():
        return pd.DataFrame()
    if not path.is_file() or path.stat().st_size > MOST_CSV:
        raise RunError(f"{path}: expected a plain file of at most {MOST_CSV:,} bytes.")
    types: Any = str if text else dict.fromkeys(["id", *words], str)
    try:
        # Words stay text: a class "1" would be a number, which is no class of the head.
        return pd.read_csv(path, dtype=types, keep_default_na=False, na_values=BLANK)
    except pd.errors.EmptyDataError:
        return pd.DataFrame()
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: not a table. {error}") from None


def changed_options(config: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return (key, value, default) of what a config says of data, training and fusion otherwise.

    Groups and heads have no defaults; they are in `group_rows` and `declared_head_rows`.

    Example:
    >>> changed_options({"training": {"epochs": 3}})
    [('training.epochs', '3', 'auto')]
    """
    overall = json.loads(Config().to_json())
    found = []
    for section in SECTIONS:
        given = config.get(section)
        for key, value in given.items() if isinstance(given, dict) else ():
            default = overall[section].get(key)
            if value != default:
                found.append((f"{section}.{key}", _write(value), _write(default)))
    if "fusion" in config and config["fusion"] != overall["fusion"]:
        found.append(("fusion", _part(config["fusion"]), _part(overall["fusion"])))
    return found


def group_rows(config: Mapping[str, Any]) -> list[list[str]]:
    """Return name, modality, columns, encoder and pooling of each group; none if damaged."""
    return [
        [
            group.name,
            group.modality,
            ", ".join(group.columns),
            _part(group.encoder.model_dump()),
            _part(group.pooling.model_dump()),
        ]
        for group in parsed_config(config).groups
    ]


def declared_head_rows(config: Mapping[str, Any]) -> list[list[str]]:
    """Return name, columns and layer of each head, and the weight of its loss; none if damaged."""
    return [
        [head.name, ", ".join(head.columns), _part(head.head.model_dump()), str(head.weight)]
        for head in parsed_config(config).heads
    ]


def provenance_rows(record: RunMetrics) -> list[tuple[str, str]]:
    """Return (what, value) for everything that must be the same to get the same numbers again."""
    data, training, machine = record.data, record.training, record.machine
    cores = {"cores": f"{machine['cores']} cores"} if "cores" in machine else {}
    kinds = ("processor", "cores", "memory", "accelerators", "system")
    hardware = [(machine | cores).get(kind, "") for kind in kinds]
    found = {
        "data": data.source,
        "SHA-256 of the file": data.sha256,
        "fingerprint of the prepared rows": data.fingerprint,
        "seed": str(training.seed) if training.epochs or record.command else "",
        "precision": training.precision,
        "machine": ", ".join(filter(None, hardware)),
        "date": record.date,
        "versions": ", ".join(f"{name} {version}" for name, version in record.versions.items()),
    }
    return [(name, value) for name, value in found.items() if value]


def seconds(record: RunMetrics) -> tuple[float, float]:
    """Return the seconds that the model and that all the baselines took to fit."""
    scores = [score for several in record.comparison.values() for score in several]
    return record.training.seconds, sum(s.seconds for s in scores if s.kind != "fusion")


def parsed_config(config: Mapping[str, Any]) -> Config:
    """Return the config of a run, or all defaults where another version wrote it."""
    try:
        return Config.parse(current_keys(config))
    except ConfigError:  # the page still shows its JSON
        return Config()


def _part(part: Any) -> str:
    """Write a registered part with its options."""
    if not isinstance(part, Mapping):
        return str(part)
    options: Any = part.get("options") or {}
    shown = ", ".join(f"{name}={_write(value)}" for name, value in options.items())
    return f"{part.get('name')}({shown})" if shown else str(part.get("name"))


def _write(value: Any) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(map(_write, value)) + "]"
    if isinstance(value, Mapping):
        return ", ".join(
            f"{key}: {_write(each)}" for key, each in value.items() if each is not None
        )
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    return str(value)
