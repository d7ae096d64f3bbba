"""Every registered part keeps every promise of its kind; a part without a case fails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from cases import CASES, VARIANTS
from checks import Case, Check, checks_of
from checks.case import as_array, functional

from multimodal.layers import registry

REGISTERED = [(kind, name) for kind in registry.kinds() for name in registry.names(kind)]
# Of a variant, what its part's case has shown already.
SHOWN = ("config_round_trip", "tuples_serve_like_lists", "defaults_serve")


def runs_of(label: str, kind: str, name: str, case: Case) -> list[Any]:
    """Return the checks of one case, which share a built layer."""
    return [
        pytest.param(
            kind,
            name,
            case,
            check,
            id=f"{kind}-{label}-{check.__name__}",
        )
        for check in checks_of(kind, case)
        if label == name or check.__name__ not in SHOWN
    ]


RUNS = [
    run
    for kind, name in REGISTERED
    if (kind, name) in CASES
    for run in runs_of(name, kind, name, CASES[kind, name])
] + [run for label, found in VARIANTS.items() for run in runs_of(label, *found)]


def test_every_registered_part_has_a_case() -> None:
    assert set(REGISTERED) == set(CASES)


QUANTIZED = [
    ("tabular_encoder", "dense"),
    pytest.param(("tabular_encoder", "ft_transformer"), marks=pytest.mark.large),
    pytest.param(("text_encoder", "embedding_bag"), marks=pytest.mark.large),
    ("text_encoder", "transformer"),
    ("fusion", "concat"),
    ("head", "regression"),
]


@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize` method:UserWarning")
@pytest.mark.parametrize("part", QUANTIZED)
def test_a_quantized_part_is_loaded_again(part: tuple[str, str], tmp_path: Path) -> None:
    case = CASES[part]
    model, arrays = functional(registry.get(*part)(**case.arguments, name="part"), case)
    model.quantize("int8")
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert [w.dtype for w in again.weights] == [w.dtype for w in model.weights]
    np.testing.assert_allclose(as_array(again(arrays)), as_array(model(arrays)), rtol=1e-5)


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
@pytest.mark.parametrize("part", QUANTIZED)
def test_a_part_is_saved_as_hdf5(part: tuple[str, str], tmp_path: Path) -> None:
    case = CASES[part]
    model, arrays = functional(registry.get(*part)(**case.arguments, name="part"), case)
    model.save(tmp_path / "model.h5")
    again = keras.models.load_model(tmp_path / "model.h5", compile=False)
    np.testing.assert_allclose(as_array(again(arrays)), as_array(model(arrays)), rtol=1e-5)


@pytest.mark.parametrize(("kind", "name", "case", "check"), RUNS)
def test_part(kind: str, name: str, case: Case, check: Check, tmp_path: Path) -> None:
    check(registry.get(kind, name), case, tmp_path)
