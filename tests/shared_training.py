"""One small training on however many devices and processes there are.

    python shared_training.py CATALOGUE_FOLDER OUT [--plain] [--devices 2] [--die 3]

`--plain` leaves out dropout and clipping, which TensorFlow does on each device for itself;
`--devices` makes so many logical processors on TensorFlow; `--die` kills this process, as if the
power were cut, at that step.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Any

import keras
from tiny import PHOTOS, TABLE, WORDS, tiny_config

import multimodal
from multimodal.cli import report_errors
from multimodal.runs.steps import RunTraining


class Die(keras.callbacks.Callback):
    """Kill this process at a step."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self.step = step

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if int(keras.ops.convert_to_numpy(self.model.optimizer.iterations)) == self.step:
            os.kill(os.getpid(), signal.SIGKILL)


def without_dropout(group: dict[str, Any]) -> dict[str, Any]:
    """Return a group whose encoder drops out nothing."""
    encoder = group["encoder"]
    return {**group, "encoder": {**encoder, "options": {**encoder["options"], "dropout": 0.0}}}


def make_devices(number: int) -> None:
    """Let TensorFlow see so many processors."""
    import tensorflow as tf

    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0],
        [tf.config.LogicalDeviceConfiguration()] * number,
    )


def main() -> None:
    """Train for two epochs of four batches, with a checkpoint after every step."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("--devices", type=int, default=1)
    parser.add_argument("--die", type=int)
    arguments = parser.parse_args()
    if arguments.devices > 1:
        make_devices(arguments.devices)
    training = {"epochs": 2, "checkpoint_seconds": 0}
    config = tiny_config(TABLE, WORDS, PHOTOS, **training)
    if arguments.plain:
        groups = [without_dropout(group) for group in (TABLE, WORDS, PHOTOS)]
        fusion = {"name": "concat", "options": {"hidden_dims": [8], "dropout": 0.0}}
        config = tiny_config(*groups, clip_norm=1e6, **training).merge(fusion=fusion)
    callbacks = [Die(arguments.die)] if arguments.die else []
    for step in (
        "_weigh_modalities",
        "_ablate",
        "_explain",
        "_report",
    ):  # of one process, and half of the time
        setattr(RunTraining, step, lambda *_: None)
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(message)s")
    multimodal.train(
        arguments.folder / "catalogue.csv",
        "price",
        out=arguments.out,
        config=config,
        callbacks=callbacks,
    )


if __name__ == "__main__":
    with report_errors():
        main()
