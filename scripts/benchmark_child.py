"""One measurement of `benchmark.py`, in a process of its own: `python benchmark_child.py JOB.json`.

The job names what is done and where the result goes, a JSON of seconds of CPU (user and system, all
threads), bytes and counts. Only what several versions of the package have in common is called, so
that one file measures them all.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import pandas as pd

import multimodal

WARM, BATCH, STEPS = 40, 1000, 20  # single rows, rows predicted together, training steps


def cpu() -> float:
    """Return the CPU-seconds of this process so far, those of its children included."""
    used = [resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return the CPU-seconds that `work` takes, and its result."""
    start = cpu()
    result = work()
    return cpu() - start, result


def peak() -> int:
    """Return the most bytes of memory that this process has held, pages of files included."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def raw_rows(job: dict[str, Any], rows: int) -> pd.DataFrame:
    """Return the first rows without what is to be predicted, repeated where there are fewer."""
    frame = pd.read_csv(job["file"], nrows=rows).drop(columns=[job["target"], job["split"]])
    return pd.concat([frame] * -(-rows // len(frame)), ignore_index=True).head(rows)


def predict(job: dict[str, Any]) -> dict[str, float]:
    """Measure loading a run, its first row, a warm row, many rows, and the memory of all that."""
    import keras  # noqa: F401  imports are not what is measured
    import tensorflow  # noqa: F401

    load, images = multimodal.load, job["images"]
    loading, run = timed(lambda: load(job["run"]))
    frame = raw_rows(job, BATCH)
    cells = frame.head(WARM + 1).astype(object)
    first, *warm = cells.where(cells.notna(), None).to_dict("records")
    found = {"load": loading, "first": timed(lambda: run.predict_row(first, images=images))[0]}
    single = [timed(lambda row=row: run.predict_row(row, images=images))[0] for row in warm]
    run.predict(frame.head(64), images=images)
    many = [timed(lambda: run.predict(frame, images=images))[0] for _ in range(3)]
    return found | {
        "row": statistics.median(single),
        "rate": BATCH / statistics.median(many),
        "peak": peak(),
    }


def predict_many(job: dict[str, Any]) -> dict[str, float]:
    """Measure the prediction of all rows of a file by a run that is loaded."""
    run, frame = multimodal.load(job["run"]), raw_rows(job, job["rows"])
    run.predict(frame.head(64), images=job["images"])
    return {"cpu": timed(lambda: run.predict(frame, images=job["images"]))[0], "peak": peak()}


def importance(job: dict[str, Any]) -> dict[str, float]:
    """Measure permutation importance on the test rows, as a training takes it."""
    run, frame = multimodal.load(job["run"]), pd.read_csv(job["file"])
    tested = frame[frame[job["split"]] == "test"]
    return {"cpu": timed(lambda: run.importance(tested, images=job["images"]))[0]}


def prepare(job: dict[str, Any]) -> dict[str, float]:
    """Measure the preparation of a file's rows."""
    seconds, _ = timed(lambda: _prepared(job))
    return {"cpu": seconds, "peak": peak()}


def audit(job: dict[str, Any]) -> dict[str, float]:
    """Measure the audit of a file."""
    from multimodal.data.audit.table import audit_table

    targets, images = [job["target"]], Path(job["images"])
    return {"cpu": timed(lambda: audit_table(job["file"], targets, images=images))[0]} | {
        "peak": peak()
    }


def step(job: dict[str, Any]) -> dict[str, float]:
    """Measure training steps of the default network per row of their batches, once compiled."""
    import keras

    from multimodal.data.batches import training_dataset
    from multimodal.models.build import build, compile_model
    from multimodal.models.training.devices import choose_precision, compiler_options

    prepared = _prepared(job)
    config, training = prepared.config, prepared.config.training
    model = build(config, prepared.spec, precision=choose_precision(training.precision))
    compile_model(model, config, keras.optimizers.AdamW(1e-3), **compiler_options())
    batches = training_dataset(
        prepared.source,
        prepared.rows("train"),
        batch_size=int(training.batch_size),
        seed=0,
        epochs=STEPS,
        augment=config.data.augment,
    )
    some = batches.take(STEPS)
    model.fit(some, verbose=0)
    seconds, _ = timed(lambda: model.fit(some, verbose=0))
    return {"cpu": seconds / STEPS / int(training.batch_size), "peak": peak()}


def _prepared(job: dict[str, Any]) -> Any:
    split = {"method": "column", "column": job["split"]}
    config = multimodal.Config.parse({"data": {"split": split}})
    return multimodal.prepare(job["file"], job["target"], config, images=job["images"])


JOBS: dict[str, Callable[[dict[str, Any]], dict[str, float]]] = {
    each.__name__: each for each in (predict, predict_many, importance, prepare, audit, step)
}

if __name__ == "__main__":
    wanted = json.loads(Path(sys.argv[1]).read_text())
    Path(wanted["result"]).write_text(json.dumps(JOBS[wanted["what"]](wanted)))
