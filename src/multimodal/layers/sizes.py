"""How large a model would be, found out before anything large is allocated."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from threading import Thread

import keras

MOST_PARAMETERS = 500_000_000


def count_parameters(make: Callable[[], keras.Model]) -> int | None:
    """Return how many parameters the model has that `make` returns, without allocating them.

    `make` runs once in a thread of its own, whose Keras state is thrown away: variables have a
    shape there, but no values. The random numbers of the next call stay as they would be.

    Args:
        make: Makes a model.

    Returns:
        The number, or None where `make` raises; the next, real call says what is wrong.

    Example:
    >>> def wide(units):
    ...     row = keras.Input((10,))
    ...     return keras.Model(row, keras.layers.Dense(units)(row))
    >>> count_parameters(lambda: wide(300_000_000))
    3300000000
    """
    counts: list[int] = []

    def count() -> None:
        try:
            with keras.StatelessScope(initialize_variables=False):
                counts.append(sum(math.prod(weight.shape) for weight in make().weights))
        except Exception:
            pass

    state = random.getstate()  # Keras draws the seeds of initializers from it
    thread = Thread(target=count)
    thread.start()
    thread.join()
    random.setstate(state)
    return counts[0] if counts else None


def check_parameters(make: Callable[[], keras.Model], most: int = MOST_PARAMETERS) -> None:
    """Raise ValueError if the model that `make` returns has more than `most` parameters.

    Example:
    >>> check_parameters(lambda: keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)]))
    """
    count = count_parameters(make)
    if count is not None and count > most:
        raise ValueError(
            f"the model would have {_written(count)} parameters; at most {most:,} are allowed. "
            "Make its sizes (`hidden_dims`, `embedding_dim`, `filters` …) smaller"
        )


def _written(count: int) -> str:
    return f"{count:,}" if count < 10**18 else f"about 10^{len(str(count)) - 1}"
