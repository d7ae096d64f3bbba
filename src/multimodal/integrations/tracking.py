"""Trackers of experiments: curves while networks are fitted, then parameters, metrics and files.

A tracker is a Keras callback. `multimodal.train(..., callbacks=[tracker])` sends the curve of each
network as it grows, `tracker.finish(run)` what is known at the end; `train --tracker` does both.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from multimodal.core.errors import ConfigError, choices
from multimodal.evaluation.records import RunMetrics
from multimodal.models.training.progress import NetworkCallback
from multimodal.runs.declared import read_declared

MOST_LETTERS = 500  # of a parameter's value; MLflow refuses longer ones


class Tracker(NetworkCallback):
    """Sends curves of networks, and at the end what a run was asked for and how good it is.

    A tracker of another system has these three methods of its own.
    """

    def log_params(self, params: Mapping[str, str]) -> None:
        """Send what was asked for, by dotted key of the config."""
        raise NotImplementedError

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Send finite numbers by name, at a step: an epoch from 1 on, 0 of final metrics."""
        raise NotImplementedError

    def log_run(self, run: Path) -> None:
        """Send the files of a run, and close what is open."""
        raise NotImplementedError

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Send losses and metrics of an epoch, under the number of the network."""
        found = {f"network_{self.network}/{name}": value for name, value in (logs or {}).items()}
        self.log_metrics(_finite(found), epoch + 1)

    def finish(self, run: str | Path) -> None:
        """Send config, final metrics and files of a finished run.

        Args:
            run: The run directory.

        Raises:
            RunError: It is no run, or damaged.
        """
        folder = Path(run)
        config, _, _ = read_declared(folder)
        values = config.model_dump(mode="json")
        self.log_params(dict(_flat(values)))
        record = RunMetrics.read(folder)
        found = {
            f"{head}/{split}/{name}": value
            for head, metrics in record.heads.items()
            for split in ("validation", "test")
            for name, value in getattr(metrics, split).items()
        }
        found |= {f"data/{split}_rows": getattr(record.data, split) for split in ("train", "test")}
        self.log_metrics(_finite(found), 0)
        self.log_run(folder)


class MlflowTracker(Tracker):
    """Tracks a training in MLflow, where `MLFLOW_TRACKING_URI` says, with the run as a model.

    Args:
        experiment: Name of the experiment; `MLFLOW_EXPERIMENT_NAME`, or MLflow's own, by default.
        name: Name of the run in it; MLflow's own by default.

    Raises:
        ConfigError: MLflow is not installed.

    Example:
        tracker = MlflowTracker("prices")
        run = multimodal.train("products.csv", "price", out="run", callbacks=[tracker])
        tracker.finish(run.path)
    """

    def __init__(self, experiment: str | None = None, name: str | None = None) -> None:
        super().__init__()
        from multimodal.integrations.mlflow import imported

        self._mlflow = imported()
        self._experiment, self._name = experiment, name
        self._run: Any = None

    def _id(self) -> str:
        """Return the id of the run, which is made when something is first sent to it."""
        if self._run is None:
            if self._experiment is not None:
                self._mlflow.set_experiment(self._experiment)
            self._run = self._mlflow.start_run(run_name=self._name)
        return str(self._run.info.run_id)

    def log_params(self, params: Mapping[str, str]) -> None:
        """Send parameters, which may be at most a hundred at a time."""
        pairs = list(params.items())
        for start in range(0, len(pairs), 100):
            self._mlflow.log_params(dict(pairs[start : start + 100]), run_id=self._id())

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Send metrics, in names of the letters that MLflow allows."""
        named = {_allowed(name): value for name, value in metrics.items()}
        self._mlflow.log_metrics(named, step=step, run_id=self._id())

    def log_run(self, run: Path) -> None:
        """Send the report and the run as a model, and end the run of MLflow."""
        from multimodal.integrations.mlflow import log_model

        self._id()
        for name in ("report.html", "model_card.md", "metrics.json", "training_log.csv"):
            if (run / name).exists():
                self._mlflow.log_artifact(str(run / name))
        log_model(run)
        self._mlflow.end_run()
        self._run = None


class TensorBoardTracker(Tracker):
    """Writes a training as TensorBoard shows it; TensorBoard itself need not be installed.

    Args:
        folder: Where the files of events go, a folder of their own.
    """

    def __init__(self, folder: str | Path) -> None:
        super().__init__()
        self._folder, self._open = Path(folder), dict[str, Any]()

    def _writer(self, name: str) -> Any:
        """Return the writer of a curve of that name; those of networks lie side by side."""
        import tensorflow as tf

        if name not in self._open:
            with tf.Graph().as_default():  # the writer that needs no TensorBoard knows graphs only
                self._open[name] = tf.compat.v1.summary.FileWriter(str(self._folder / name))
        return self._open[name]

    def log_params(self, params: Mapping[str, str]) -> None:
        """Write the parameters as a table of Markdown."""
        cells = [(key, value.replace("|", "\\|")) for key, value in params.items()]
        cells = [(key, value.replace("|", "\\|")) for key, value in params.items()]
        lines = [f"| {key} | {value} |" for key, value in cells]
        self._text("parameters", "\n".join(["| parameter | value |", "|---|---|", *lines]))

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Write metrics; what stands before the first `/` is the name of the curve."""
        import tensorflow as tf

        for name, value in metrics.items():
            curve, _, tag = name.partition("/")
            summary = tf.compat.v1.Summary()
            summary.value.add(tag=tag, simple_value=value)
            self._writer(curve).add_summary(summary, step)
            self._writer(curve).flush()

    def log_run(self, run: Path) -> None:
        """Write the model card, and close the files."""
        card = run / "model_card.md"
        self._text("run", card.read_text("utf-8") if card.exists() else str(run))
        for writer in self._open.values():
            writer.close()
        self._open.clear()

    def _text(self, tag: str, text: str) -> None:
        import tensorflow as tf

        plugin = tf.compat.v1.SummaryMetadata.PluginData(plugin_name="text")
        summary = tf.compat.v1.Summary()
        summary.value.add(
            tag=f"{tag}/text_summary",
            metadata=tf.compat.v1.SummaryMetadata(plugin_data=plugin),
            tensor=tf.make_tensor_proto([text.encode()]),
        )
        self._writer("run").add_summary(summary, 0)


TRACKERS: Mapping[str, Callable[[Path], Tracker]] = {
    "mlflow": lambda out: MlflowTracker(name=out.name),
    # beside the run: a run directory must be empty when a training begins
    "tensorboard": lambda out: TensorBoardTracker(out.absolute().parent / "tensorboard" / out.name),
}


def tracker(name: str, out: Path) -> Tracker:
    """Return the tracker of a name, for a training that writes to `out`.

    Raises:
        ConfigError: There is none, or its package is not installed.
    """
    if name not in TRACKERS:
        raise ConfigError(f"--tracker {name}: no such tracker. {choices(name, TRACKERS)}")
    return TRACKERS[name](out)


def _finite(metrics: Mapping[str, Any]) -> dict[str, float]:
    return {n: float(v) for n, v in metrics.items() if math.isfinite(float(v))}


def _allowed(name: str) -> str:
    """Return a name in the letters that MLflow allows.

    Example:
    >>> _allowed("Preis €/test/rmse")
    'Preis _/test/rmse'
    """
    return "".join(c if c.isascii() and (c.isalnum() or c in "_-. :/") else "_" for c in name)


def _flat(values: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield the values of a config by dotted key, lists as JSON."""
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            yield _allowed(f"{prefix}{key}"), text[:MOST_LETTERS]
