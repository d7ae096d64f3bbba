"""The devices of a training: precision, XLA, several devices of a host, several hosts.

On TensorFlow the GPUs of one host share a batch by `tf.distribute.MirroredStrategy`. On JAX all
devices of all processes share it by `keras.distribution.DataParallel`, and the gradient is that of
the whole batch. Every process runs the same command on the same table and sees the same folders;
the environment tells them apart, in the variables that `keras.distribution.initialize` reads:

    KERAS_DISTRIBUTION_JOB_ADDRESSES=10.0.0.1:12345   process 0, where the others find it
    KERAS_DISTRIBUTION_NUM_PROCESSES=2
    KERAS_DISTRIBUTION_PROCESS_ID=0                   0, 1, … up to one less than their number

Process 0 is the chief: it alone writes files.
"""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras

from multimodal.core.errors import ConfigError, RunError, first_line

ADDRESSES = "KERAS_DISTRIBUTION_JOB_ADDRESSES"
PROCESSES = "KERAS_DISTRIBUTION_NUM_PROCESSES"
PROCESS = "KERAS_DISTRIBUTION_PROCESS_ID"
# flags of Linux; elsewhere `/proc/cpuinfo` is not there, and the precision is float32
NATIVE_BFLOAT16 = {"avx512_bf16", "amx_bf16"}
# What the errors of a lost connection hold; JAX gives them no class of their own.
LOST = ("gloo", "nccl", "coordination service", "heartbeat", "connection closed", "socket closed")

# What the errors of an exhausted device hold: of JAX, of PyTorch, of TensorFlow.
OUT_OF_MEMORY = ("RESOURCE_EXHAUSTED", "out of memory", "OOM when allocating")


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
    return "mixed_bfloat16" if flags & NATIVE_BFLOAT16 else "float32"


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


def compiler_options() -> dict[str, Any]:
    """Return `compile` options: XLA on JAX and on accelerators, not on a TensorFlow CPU."""
    if keras.backend.backend() != "tensorflow":
        return {}
    import tensorflow as tf

    # Keras' default "auto" means XLA. On two cores that ran a model of table, texts and photos at
    # 0.37 of TensorFlow's own rate.
    return {"jit_compile": bool(tf.config.list_physical_devices("GPU"))}


def fixed_batch_size() -> bool:
    """Whether all batches should be of one size: JAX compiles anew for each."""
    return bool(keras.backend.backend() == "jax")


def join() -> None:
    """Join the processes that the environment names, before anything is computed; else do nothing.

    Raises:
        ConfigError: The variables do not say who takes part, or the backend is not JAX.
        RunError: The others did not come, or something was computed before.
    """
    if int(_number(PROCESSES, "1")) < 2:
        return
    # `MultiWorkerMirroredStrategy` of TensorFlow fails inside Keras 3's `fit`.
    if keras.backend.backend() != "jax":
        raise ConfigError(
            f"{PROCESSES} asks for several processes, which take the JAX backend. Set "
            f"KERAS_BACKEND=jax. Received: {keras.backend.backend()}"
        )
    process, count = int(_number(PROCESS, None)), int(_number(PROCESSES, "1"))
    if process >= count or not os.environ.get(ADDRESSES):
        raise ConfigError(
            f"expected {PROCESS} below {PROCESSES} and the address of process 0 in {ADDRESSES}. "
            f"Received: {process}, {count} and {os.environ.get(ADDRESSES)!r}"
        )
    import jax

    if jax.distributed.is_initialized():
        return
    try:
        keras.distribution.initialize()
    except (RuntimeError, ValueError) as error:
        raise RunError(
            f"process {process} of {count} could not join the others at "
            f"{os.environ[ADDRESSES]} ({first_line(error)}). Start all of them within five "
            "minutes, each with an id of its own."
        ) from None


def is_chief() -> bool:
    """Whether this process writes the files of the run: process 0, or the only one."""
    return process_count() == 1 or _process() == 0


def process_count() -> int:
    """Return how many processes take part."""
    if keras.backend.backend() != "jax":
        return 1
    import jax

    return int(jax.process_count())


def on_several_devices() -> bool:
    """Tell whether what is built now is spread over several devices or processes."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return bool(tf.distribute.has_strategy())
    return process_count() > 1 or keras.distribution.distribution() is not None


@contextmanager
def all_devices() -> Iterator[None]:
    """Build, compile and fit the model inside on all devices there are; with one, do nothing.

    At the end processes wait for each other and part, so that the chief can go on alone.

    Raises:
        RunError: Another process has ended.

    Example:
        with all_devices():
            model = build(config, spec)
            model.compile("adam", "mse")
            model.fit(shard(batches))
    """
    try:
        with _scope():
            yield
    except BaseException as error:
        if process_count() > 1:
            _end_at_once(error)
            if any(word in str(error).lower() for word in LOST):
                raise RunError(_lost(error)) from None
        raise
    if process_count() > 1:
        import jax

        jax.distributed.shutdown()  # waits for the others


def shard(batches: Any) -> Any:
    """Return of each batch `(inputs, targets, weights)` what this process feeds.

    On JAX that is its slice, filled up to equal slices with rows of weight 0. On TensorFlow the
    strategy cuts batches itself. Without several devices batches stay as they are.

    Args:
        batches: `tf.data` batches, complete in every process.
    """
    if not on_several_devices():
        return batches
    if keras.backend.backend() == "tensorflow":
        return batches.map(_without_bools)
    devices, count, process = len(keras.distribution.list_devices()), process_count(), _process()
    return batches.map(lambda *batch: _slice(batch, devices, count, process))


def _without_bools(inputs: Any, targets: Any, weights: Any) -> Any:
    """Give presence as uint8: the strategy adds up the first batch, which bools cannot be.

    The bool inputs of a model take it back.
    """
    import tensorflow as tf

    plain = {k: tf.cast(v, tf.uint8) if v.dtype == tf.bool else v for k, v in inputs.items()}
    return plain, targets, weights


def _slice(batch: Any, devices: int, count: int, process: int) -> Any:
    import tensorflow as tf

    inputs, targets, weights = batch
    rows = tf.shape(next(iter(weights.values())))[0]
    filled = rows + -rows % devices
    wanted = tf.range(filled * process // count, filled * (process + 1) // count)
    there = wanted < rows
    wanted = tf.where(there, wanted, 0)
    inputs, targets, weights = (
        {key: tf.gather(tensor, wanted) for key, tensor in part.items()}
        for part in (inputs, targets, weights)
    )
    return inputs, targets, {k: v * tf.cast(there, v.dtype) for k, v in weights.items()}


@contextmanager
def _scope() -> Iterator[None]:
    """Enter the scope that spreads variables over the devices."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        if len(devices) > 1:
            with tf.distribute.MirroredStrategy([device.name for device in devices]).scope():
                yield
            return
    elif keras.backend.backend() == "jax" and len(keras.distribution.list_devices()) > 1:
        with keras.distribution.DataParallel(auto_shard_dataset=False).scope():
            yield
        return
    yield


def _end_at_once(error: BaseException) -> None:
    """Make this process end without waiting for the others, who may wait for it in turn."""
    codes = {SystemExit: getattr(error, "code", 1), KeyboardInterrupt: 130}

    def end() -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(codes.get(type(error), 2))

    atexit.register(end)


def is_out_of_memory(error: Exception) -> bool:
    """Whether the memory was not enough, be it of a device or of the machine."""
    return isinstance(error, MemoryError) or any(m in str(error) for m in OUT_OF_MEMORY)


def _lost(error: BaseException) -> str:
    return (
        f"another process of this training has ended: process {_process()} of {process_count()} "
        f"lost its connection ({first_line(error)}). What happened stands in the output of the "
        "others. Start all of them again with the same command to go on from the last checkpoint."
    )


def _process() -> int:
    import jax

    return int(jax.process_index())


def _number(variable: str, default: str | None) -> str:
    """Return a variable's whole number as it stands."""
    found = os.environ.get(variable, default)
    if found is None or not found.isdecimal():
        raise ConfigError(f"{variable} must be a whole number. Received: {found!r}")
    return found
