"""Search for a better config within a time, on the validation rows; test rows stay untouched."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from multimodal.core.config import Config
from multimodal.core.errors import ConfigError
from multimodal.data.prepare import Rows, prepare
from multimodal.models.build import check_parts
from multimodal.models.pretrained_vectors import check_vectors
from multimodal.runs.request import Request, Say, record
from multimodal.runs.train import label_kinds
from multimodal.studies.folder import held
from multimodal.studies.tune.records import TuningRecord
from multimodal.studies.tune.search import Search
from multimodal.studies.tune.trials import optuna


def tune(
    data: Rows,
    targets: str | Sequence[str] = (),
    *,
    out: str | Path,
    config: Config | None = None,
    minutes: float = 30.0,
    weight: str | None = None,
    images: str | Path | None = None,
    command: str = "",
    say: Say = lambda message: None,
) -> TuningRecord:
    """Search for a config that does better on the validation rows, and write it as `best.yaml`.

    The first trial is the config as it is, so that the result is never worse there. Trials that
    do badly are ended early. The test rows are answered by every trial and looked at once, at the
    end, for the best one and the start. Each trial lies in `out`: the same call goes on with the
    search for another while.

    Args:
        data: A CSV, TSV, Parquet or JSON Lines file, a DataFrame, or a list of dicts.
        targets: Column or columns to predict; none stands for those of the config's heads.
        out: Folder of the search: new, empty, or of the same search.
        config: Where to start; what it leaves open is inferred.
        minutes: Time for trials; the first one is always finished.
        weight: Column of row weights, for training and for every metric.
        images: Folder that photo paths are relative to; the file's folder by default.
        command: The command to keep in the record.
        say: Called with a line of news.

    Returns:
        What `tuning.json` holds.

    Raises:
        MultimodalError: What is wrong, where, and how to mend it.
        KeyboardInterrupt: After Ctrl-C, once what is finished has been summed up.

    Example:
        record = tune("products.csv", "price", out="tuned", minutes=30, say=print)
        multimodal.train("products.csv", "price", out="run",
                         config=multimodal.Config.from_yaml("tuned/best.yaml"))
    """
    optuna()
    columns = [targets] if isinstance(targets, str) else list(targets)
    start, wanted = time.monotonic(), config or Config()
    if not columns and not wanted.heads:
        raise ConfigError("no target is named and the config has no heads; expected one of them.")
    check_parts(wanted)
    check_vectors(wanted)
    say("reading, checking and preparing the rows")
    prepared = prepare(
        data, columns, wanted, weight=weight, images=images, label_kinds=label_kinds()
    )
    check_parts(prepared.config)
    request = Request(data, columns, wanted, Path(out), weight, images, None, None, command)
    with held(Path(out), record(request, prepared)):
        return Search(Path(out), prepared, start + 60 * minutes, command, say).run()
