"""Fit a built model: optimizer, schedule, early stopping; the best weights are kept."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras

from multimodal.builder import compile_model
from multimodal.config import Config, Training
from multimodal.errors import MultimodalError

_NO_DECAY = ["bias", "gamma", "beta", "embedding", "missing"]
_NATIVE_BFLOAT16 = {"avx512_bf16", "amx_bf16"}


class TrainingError(MultimodalError):
    """Training that went wrong in a way the user can mend."""


@dataclass
class Fitted:
    """How a fit went. `log` has one dict of losses and metrics per finished epoch."""

    log: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int = 0
    seconds: float = 0.0
    interrupted: bool = False

    def add(self, stage: Fitted) -> None:
        """Append a later stage, whose weights are the ones that count."""
        self.log += stage.log
        self.best_epoch = stage.best_epoch or self.best_epoch
        self.seconds += stage.seconds
        self.interrupted = stage.interrupted


def choose_precision(wanted: str) -> str:
    """Return the dtype policy for `wanted`; `auto` asks the processor, not the clock.

    `auto` gives `mixed_bfloat16` where the processor multiplies bfloat16 natively, else `float32`.
    """
    if wanted != "auto":
        return wanted
    try:
        flags = set(Path("/proc/cpuinfo").read_text().split())
    except OSError:
        return "float32"
    return "mixed_bfloat16" if flags & _NATIVE_BFLOAT16 else "float32"


def lowest_precision(model: keras.Model) -> str:
    """Return the name of the model's mixed dtype policy, or `float32` where no layer has one."""
    names = {layer.dtype_policy.name for layer in model.layers}
    return next((name for name in sorted(names) if name.startswith("mixed")), "float32")


@contextmanager
def dtype_policy(name: str) -> Iterator[None]:
    """Build the layers made inside under the dtype policy `name`."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


@keras.saving.register_keras_serializable(package="multimodal")
class WarmupCosine(keras.optimizers.schedules.LearningRateSchedule):
    """Linear rise to `peak` over `warmup_steps`, then half a cosine down to zero at `steps`.

    References:
        Loshchilov and Hutter, SGDR, 2017.
    """

    def __init__(self, peak: float, warmup_steps: int, steps: int) -> None:
        super().__init__()
        self.peak = peak
        self.warmup_steps = warmup_steps
        self.steps = steps

    def __call__(self, step: Any) -> Any:
        step = keras.ops.cast(step, "float32")
        rise = (step + 1.0) / max(self.warmup_steps, 1)
        done = (step - self.warmup_steps) / max(self.steps - self.warmup_steps, 1)
        fall = 0.5 * (1.0 + keras.ops.cos(math.pi * keras.ops.clip(done, 0.0, 1.0)))
        return self.peak * keras.ops.minimum(rise, fall)

    def get_config(self) -> dict[str, Any]:
        return {"peak": self.peak, "warmup_steps": self.warmup_steps, "steps": self.steps}


def make_optimizer(training: Training, steps: int) -> keras.optimizers.Optimizer:
    """Return AdamW with warm-up, cosine decay over `steps` and clipping by the global norm."""
    schedule = WarmupCosine(training.learning_rate, int(training.warmup * steps), steps)
    optimizer = keras.optimizers.AdamW(
        schedule, weight_decay=training.weight_decay, global_clipnorm=training.clip_norm
    )
    optimizer.exclude_from_weight_decay(var_names=_NO_DECAY)
    return optimizer


def compiler_options() -> dict[str, Any]:
    """Return `compile` options: XLA on JAX and on accelerators, not on a TensorFlow CPU.

    On two cores XLA ran a tri-modal model at 0.37 of TensorFlow's own rate.
    """
    if keras.backend.backend() != "tensorflow":
        return {}
    import tensorflow as tf

    return {"jit_compile": bool(tf.config.list_physical_devices("GPU"))}


def one_batch_size() -> bool:
    """Whether all batches should be of one size: JAX compiles anew for each."""
    return bool(keras.backend.backend() == "jax")


def fit(
    model: keras.Model,
    config: Config,
    train: Any,
    validation: Any,
    *,
    steps_per_epoch: int,
    first_epoch: int = 0,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> Fitted:
    """Compile and fit `model`; leave it with the weights of its best epoch.

    Args:
        model: What `build` returned.
        config: Its config.
        train: Batches of all epochs from the first on, one after the other.
        validation: Batches of one pass over the validation rows.
        steps_per_epoch: Batches of one epoch.
        first_epoch: Epochs that were trained before, in an earlier stage.
        callbacks: Further Keras callbacks.

    Raises:
        TrainingError: The loss became NaN.
    """
    training = config.training
    optimizer = make_optimizer(training, (training.epochs - first_epoch) * steps_per_epoch)
    compile_model(model, config, optimizer, **compiler_options())
    return fit_compiled(
        model, training, train, validation, steps_per_epoch=steps_per_epoch,
        first_epoch=first_epoch, callbacks=callbacks,
    )  # fmt: skip


def fit_compiled(
    model: keras.Model,
    training: Training,
    train: Any,
    validation: Any,
    *,
    steps_per_epoch: int,
    first_epoch: int = 0,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> Fitted:
    """Fit a compiled model with early stopping; Ctrl-C ends it with the best weights so far."""
    stopping = keras.callbacks.EarlyStopping(
        monitor="val_loss", mode="min", patience=training.patience, restore_best_weights=True
    )
    history, guard = _Log(), keras.callbacks.TerminateOnNaN(raise_error=True)
    result = Fitted(log=history.epochs)
    start = time.perf_counter()
    try:
        model.fit(
            train, validation_data=validation, epochs=training.epochs, verbose=0, shuffle=False,
            steps_per_epoch=steps_per_epoch, initial_epoch=first_epoch,
            callbacks=[stopping, history, guard, *callbacks],
        )  # fmt: skip
    except KeyboardInterrupt:
        result.interrupted = True
        if stopping.best_weights is not None:
            model.set_weights(stopping.best_weights)
    except RuntimeError as error:
        if "NaN" not in str(error) and "Invalid loss" not in str(error):
            raise
        raise TrainingError(
            f"the loss is not a number after epoch {len(history.epochs)} ({error}). "
            "Lower `training.learning_rate`, or set `training.precision` to 'float32'."
        ) from None
    losses = [epoch["val_loss"] for epoch in history.epochs]
    result.best_epoch = first_epoch + losses.index(min(losses)) + 1 if losses else 0
    result.seconds = time.perf_counter() - start
    return result


class _Log(keras.callbacks.Callback):
    """One dict per finished epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.epochs: list[dict[str, float]] = []

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.epochs.append({"epoch": epoch + 1, **{k: float(v) for k, v in (logs or {}).items()}})
