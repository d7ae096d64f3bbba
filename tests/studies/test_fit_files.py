"""Fits on disk come back as they were; what is damaged or strange is told by its file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from multimodal.core.errors import RunError
from multimodal.studies.fits import Fit, read_fits, write_fits

SHAPES = {"price": (4, 1), "mood": (4, 3)}
OUTPUTS = {"price": np.arange(4.0)[:, None], "mood": np.full((4, 3), 1 / 3)}


def test_fits_come_back(tmp_path: Path) -> None:
    fits = {
        "a-b": Fit(OUTPUTS, parameters=12, seconds=1.5, epochs=3),
        "c": Fit({"mood": OUTPUTS["mood"]}),
    }
    write_fits(tmp_path / "deep" / "fit.npz", fits)
    found = read_fits(tmp_path / "deep" / "fit.npz", SHAPES)
    assert list(found) == ["a-b", "c"]
    assert (found["a-b"].parameters, found["a-b"].seconds, found["a-b"].epochs) == (12, 1.5, 3)
    for head, values in OUTPUTS.items():
        np.testing.assert_array_equal(found["a-b"].outputs[head], values)
    assert list(found["c"].outputs) == ["mood"]


@pytest.mark.parametrize(
    ("outputs", "told"),
    [
        ({"price": np.zeros((5, 1))}, r"outputs of shape \(5, 1\)"),
        ({"cost": np.zeros((4, 1))}, "head 'cost'"),
        ({"price": np.full((4, 1), np.nan)}, "not finite"),
        ({"price": np.zeros((400, 100))}, "has 320,128 bytes"),
    ],
)
def test_other_outputs_are_refused(
    outputs: dict[str, np.ndarray], told: str, tmp_path: Path
) -> None:
    write_fits(tmp_path / "fit.npz", {"a": Fit(outputs)})
    with pytest.raises(RunError, match=rf"fit\.npz: damaged.*{told}.* fits it anew"):
        read_fits(tmp_path / "fit.npz", SHAPES)


def test_damage_is_told(tmp_path: Path) -> None:
    path = tmp_path / "fit.npz"
    write_fits(path, {"a": Fit(OUTPUTS)})
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(RunError, match="fit.npz"):
        read_fits(path, SHAPES)
    path.write_bytes(content[:100])
    with pytest.raises(RunError, match="fit.npz"):
        read_fits(path, SHAPES)


def test_pickles_are_not_opened(tmp_path: Path) -> None:
    facts = np.frombuffer(
        b'{"a": {"parameters": 0, "seconds": 0, "epochs": 0, "outputs": {"price": "array_0"}}}',
        np.uint8,
    )
    values = np.array([[{}]] * 4, dtype=object)
    np.savez(tmp_path / "fit.npz", facts=facts, array_0=values)
    with pytest.raises(RunError, match="allow_pickle"):
        read_fits(tmp_path / "fit.npz", SHAPES)
