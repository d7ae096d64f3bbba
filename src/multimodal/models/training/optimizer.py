"""What a fit is made of: optimizer, schedule, precision, compiler options."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras

from multimodal.core.config import Training

_NO_DECAY = ["bias", "gamma", "beta", "embedding", "missing"]
_NATIVE_BFLOAT16 = {"avx512_bf16", "amx_bf16"}


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
    """Return AdamW with warm-up, cosine decay over `steps` and clipping by the global norm.

    With `ema_momentum` it keeps an exponential moving average of the weights beside them.
    """
    schedule = WarmupCosine(training.learning_rate, int(training.warmup * steps), steps)
    optimizer = keras.optimizers.AdamW(
        schedule,
        weight_decay=training.weight_decay,
        global_clipnorm=training.clip_norm,
        use_ema=training.ema_momentum is not None,
        ema_momentum=training.ema_momentum or 0.0,
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
