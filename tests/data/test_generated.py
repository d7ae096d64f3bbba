"""Generated data as files to train on."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

from multimodal.core.config import Config
from multimodal.core.errors import DataError
from multimodal.data import generated as module
from multimodal.data.generated import CONFIG, TARGET, builder_package, catalogue, faces


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Draw nine rows instead of 2,000, to a cache folder of one's own."""
    package = builder_package()
    export = package.export
    monkeypatch.setattr(package, "export", lambda at, size, seed: export(at, (5, 2, 2), seed))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def test_the_file_and_its_noise(tiny: Path) -> None:
    path, noise = catalogue("small", seed=4)
    rows = pd.read_csv(path)
    y_true = pd.read_csv(path.parent / "truth.csv")
    assert path.is_relative_to(tiny / "multimodal")
    assert noise.dtype == np.float64
    assert noise.shape == (len(rows),) == (9,)
    expected = np.exp(y_true["expected_log_price"] + noise)
    np.testing.assert_allclose(rows[TARGET], expected, rtol=0.01, atol=0.01)
    config = Config().merge(**CONFIG)
    assert set(rows[config.data.split.column]) == {"train", "validation", "test"}


def test_it_is_drawn_once(tiny: Path) -> None:
    path, _ = catalogue("small")
    before = path.stat().st_mtime_ns
    assert catalogue("small")[0] == path
    assert path.stat().st_mtime_ns == before
    assert catalogue("small", seed=1)[0] != path


def test_a_cache_that_cannot_be_used(tiny: Path) -> None:
    (tiny / "multimodal").write_text("a file")
    with pytest.raises(DataError, match="the catalogue cannot be written there"):
        catalogue("small")


def test_a_spoiled_cache_is_told(tiny: Path) -> None:
    path, _ = catalogue("small")
    path.write_text("changed\n")
    with pytest.raises(DataError, match="files of it were changed or removed"):
        catalogue("small")


def test_without_a_checkout(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module, "_DATASETS", tmp_path / "none")
    monkeypatch.delitem(module.sys.modules, "multimodal_catalogue")
    with pytest.raises(DataError, match="Name a FILE to train on, or run from a checkout"):
        builder_package()


def test_it_shadows_no_library() -> None:
    package = builder_package()
    assert isinstance(package, ModuleType)
    assert package.__name__ == "multimodal_catalogue"
    assert builder_package() is package
    found = importlib.util.find_spec("datasets")
    assert found is None or "multimodal" not in str(found.origin)


def test_faces_are_two_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = builder_package("faces")
    export = package.export
    monkeypatch.setattr(package, "export", lambda at, size, seed: export(at, (4, 3), seed))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    ages, emotions = (pd.read_csv(path) for path in faces("small", seed=5))
    assert (len(ages), len(emotions)) == (4, 3)
    assert not set(ages["image"]) & set(emotions["image"])
