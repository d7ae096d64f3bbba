"""A registered part in tiny, and what checks do with one: call, build, compile, give targets."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
from keras import tree


@dataclass(frozen=True)
class Case:
    """A registered part in tiny.

    Attributes:
        arguments: Every constructor argument, each with a value that is not its default.
        inputs: The first call argument: an array, or a dict of arrays.
        output: Shape of the output.
        weights: Numbers of trainable and of other weights.
        extras: Further call arguments, such as `mask` or `presence`.
        head_dtype: Dtype of the output where it is not the compute dtype.
        targets: What one training step learns from; None = random numbers of the shape that the
            part's `label_kind` or its output asks for.
        skip: Names of checks that do not apply, each with the reason.
        needs: Arguments besides the required ones without which the part serves no input.
    """

    arguments: dict[str, Any]
    inputs: Any
    output: tuple[int, ...]
    weights: tuple[int, int] = (0, 0)
    extras: dict[str, Any] = field(default_factory=dict)
    head_dtype: str | None = None
    targets: Any = None
    skip: dict[str, str] = field(default_factory=dict)
    needs: tuple[str, ...] = ()


_BUILT: dict[tuple[Any, int], Any] = {}


def built(cls: Any, case: Case) -> Any:
    """Return the case's layer, built by a first call, for checks that only read it.

    Its checks run one after the other and share it. Those that train, freeze,
    save, or call it with `training=True` make a layer of their own.
    """
    if (cls, id(case)) not in _BUILT:
        _BUILT.clear()
        _BUILT[cls, id(case)] = layer = cls(**case.arguments, name="part")
        call(layer, case)
    return _BUILT[cls, id(case)]


def call(layer: Any, case: Case, **options: Any) -> np.ndarray:
    """Call `layer` on the case and return an array."""
    return as_array(layer(case.inputs, **case.extras, **options))


def as_array(tensor: Any) -> np.ndarray:
    return keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float32"))


def functional(layer: Any, case: Case) -> tuple[keras.Model, list[np.ndarray]]:
    """Return a Functional model around `layer` and the arrays it takes."""
    everything = (case.inputs, case.extras)
    symbols = tree.map_structure(symbol, everything)
    inputs, extras = symbols
    model = keras.Model(tree.flatten(symbols), layer(inputs, **extras))
    return model, tree.flatten(everything)


def symbol(array: np.ndarray) -> keras.KerasTensor:
    return keras.Input(array.shape[1:], dtype=str(array.dtype))


def random_targets(layer: Any, case: Case) -> np.ndarray:
    """Return what the part can learn from, in the shape that a batch holds it."""
    if case.targets is not None:
        return case.targets
    random, rows = np.random.default_rng(1), case.output[0]
    kind = getattr(layer, "label_kind", None)
    if kind == "class":
        return random.integers(0, max(2, case.output[-1]), rows).astype("int32")
    if kind == "labels":
        return random.integers(0, 2, case.output).astype("float32")
    if kind == "box":
        return np.sort(random.uniform(size=(rows, 2, 2)), axis=1).reshape(rows, 4).astype("float32")
    shape = (rows, 1) if kind == "number" else case.output
    return random.normal(3, 1, shape).astype("float32")


def compiled(layer: Any, case: Case, **options: Any) -> tuple[keras.Model, list[np.ndarray]]:
    """Return a compiled Functional model around `layer` and the arrays it takes."""
    model, arrays = functional(layer, case)
    model.dtype_policy = layer.dtype_policy  # so that float16 gets its loss scaled
    loss = layer.make_loss() if hasattr(layer, "make_loss") else "mse"
    model.compile(keras.optimizers.Adam(0.01), loss=loss, jit_compile=False, **options)
    model.optimizer.build(model.trainable_variables)  # else TensorFlow traces the step twice
    return model, arrays
