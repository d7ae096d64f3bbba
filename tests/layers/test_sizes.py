"""Parameters are counted without being allocated."""

from __future__ import annotations

import random
import resource

import keras
import pytest

from multimodal.layers.backbones import MOST_PARAMETERS, check_parameters, count_parameters


def model(units: int, layer: type = keras.layers.Dense) -> keras.Model:
    row = keras.Input((10,) if layer is keras.layers.Dense else (4, 10))
    hidden = layer(units)(row)
    hidden = keras.layers.Dropout(0.5)(keras.layers.BatchNormalization()(hidden))
    return keras.Model(row, keras.layers.Dense(1)(hidden))


@pytest.mark.parametrize("layer", [keras.layers.Dense, keras.layers.GRU])
def test_the_count_is_that_of_the_model(layer: type) -> None:
    assert count_parameters(lambda: model(7, layer)) == model(7, layer).count_params()


@pytest.mark.parametrize("units", [300_000_000, 10**30])
def test_too_many_are_told_and_take_no_memory(units: int) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    message = r"the model would have (4,800,000,001|about 10\^31) parameters; at most 500,000,000"
    with pytest.raises(ValueError, match=message):
        check_parameters(lambda: model(units))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB


def test_the_limit_itself_is_allowed() -> None:
    def wide(units: int) -> keras.Model:
        row = keras.Input((MOST_PARAMETERS // 1000,))
        return keras.Model(row, keras.layers.Dense(units, use_bias=False)(row))

    check_parameters(lambda: wide(1000))
    with pytest.raises(ValueError, match="parameters"):
        check_parameters(lambda: wide(1001))


def test_the_next_model_is_as_if_nothing_had_been_counted() -> None:
    keras.utils.set_random_seed(3)
    expected = model(5)
    keras.utils.set_random_seed(3)
    check_parameters(lambda: model(5))
    found = model(5)
    for one, other in zip(expected.get_weights(), found.get_weights(), strict=True):
        assert (one == other).all()
    keras.utils.set_random_seed(3)
    state = random.getstate()
    count_parameters(lambda: model(5))
    assert random.getstate() == state


def test_what_cannot_be_made_is_left_to_the_real_call() -> None:
    assert count_parameters(lambda: model(-1)) is None
    check_parameters(lambda: model(-1))


def test_no_variable_is_left_to_be_made_later() -> None:
    assert count_parameters(lambda: model(300_000_000)) == 4_800_000_001
    with keras.StatelessScope():
        pass  # on leaving it, Keras makes what is still to be made
