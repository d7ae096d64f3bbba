"""The door: what `multimodal` exports, what importing it costs, what may be called."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from runs import FRESH, Command, Trained

import multimodal

HEAVY = {"tensorflow", "keras", "pandas", "numpy", "matplotlib", "sklearn", "pydantic", "yaml"}


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_importing_the_project_loads_nothing_heavy() -> None:
    assert not HEAVY & set(python("import sys, multimodal; print(*sys.modules)").split())


def test_exported_names_exist_and_are_listed() -> None:
    assert multimodal.__all__ == sorted(multimodal.__all__) == dir(multimodal)
    for name in multimodal.__all__:
        assert getattr(multimodal, name) is not None
    with pytest.raises(AttributeError, match="module 'multimodal' has no attribute 'nothing'"):
        _ = multimodal.nothing


def test_losses_and_metrics_are_packages_of_their_own_for_users() -> None:
    code = """
from multimodal.losses import HeadLoss
import multimodal.metrics as metrics
from multimodal import heads, losses
assert losses.HeadLoss is HeadLoss is heads.losses.HeadLoss
assert "HeadMetric" in dir(metrics) and metrics.HeadMetric is heads.metrics.HeadMetric
try:
    from multimodal.losses import Nothing
except ImportError:
    print("told")
"""
    assert python(code) == "told\n"


def test_a_verb_can_be_called_whatever_was_imported_before() -> None:
    code = """
import multimodal.explain.rows, multimodal.report.report
for verb in (multimodal.explain, multimodal.report, multimodal.evaluate):
    try:
        verb("absent", "rows.csv")
    except multimodal.MultimodalError as error:
        print(error)
"""
    assert len(python(code).splitlines()) == 3


def test_verbs_take_a_run_or_its_directory(trained: Trained) -> None:
    run = multimodal.load(trained.run)
    scores = multimodal.evaluate(run, trained.test)
    assert scores == multimodal.evaluate(trained.run, trained.test)
    (found,) = multimodal.explain(run, trained.test, limit=1)
    assert {group.name for group in found.groups} == {"table", "words", "photos"}


def test_every_registered_part_is_listed_by_kind() -> None:
    found = multimodal.list_parts()
    assert "concat" in found["fusion"] and "regression" in found["head"]
    assert {"tabular_encoder", "text_encoder", "image_encoder", "series_encoder"} <= set(found)


def test_an_audit_from_python() -> None:
    rows = [{"size": i * i, "price": i / 3} for i in range(60)]
    assert multimodal.audit(rows, "price").kept == 60
    with pytest.raises(multimodal.DataError, match="column .prise. is not in the table"):
        multimodal.audit(rows, "prise")


def test_version_and_completion(command: Command) -> None:
    assert command("--version").out == f"multimodal {multimodal.__version__}\n"
    assert "--install-completion" in command("--help").out


def test_an_old_key_is_understood_and_told_in_a_line(folder: Path) -> None:
    Path("old.yaml").write_text("training: {members: 1}\ngroups: [{name: x, modality: text}]\n")
    words = ["train", "rows.csv", "--target", "price", "--config", "old.yaml"]
    done = subprocess.run(
        [sys.executable, "-m", "multimodal", *words], capture_output=True, text=True, env=FRESH
    )
    assert done.returncode == 2 and "groups" in done.stderr.splitlines()[-1]
    told = "`training.members` is the old name of `training.fold_models`; write that."
    assert done.stderr.splitlines()[0] == f"warning: old.yaml: {told}"
