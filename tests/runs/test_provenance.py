"""Where a run comes from: checksums, machine, day."""

from __future__ import annotations

import hashlib
from pathlib import Path

from runs import Trained
from tiny import plain_config, plain_rows

from multimodal.evaluation.records import RunMetrics
from multimodal.runs import train
from multimodal.runs.provenance import accelerators, traced


def test_the_record_of_a_run_holds_them(trained: Trained) -> None:
    record = RunMetrics.read(trained.run)
    source = (trained.folder / "catalogue.csv").read_bytes()
    assert record.data.sha256 == hashlib.sha256(source).hexdigest()
    assert len(record.data.fingerprint) == 16
    assert int(record.machine["cores"]) >= 1 and record.date.startswith("20")


def test_the_fingerprint_is_of_what_was_prepared() -> None:
    empty = RunMetrics()
    one, same, other = (
        traced(empty, None, {"data": data, "command": command}).data.fingerprint
        for data, command in (({"rows": 3}, "a"), ({"rows": 3}, "b"), ({"rows": 4}, "a"))
    )
    assert one == same != other


def test_rows_from_memory_have_a_fingerprint_alone(tmp_path: Path) -> None:
    found = []
    for name, rows in (("a", plain_rows()), ("b", plain_rows()), ("c", plain_rows(seed=1))):
        train.train(rows, "price", out=tmp_path / name, config=plain_config(epochs=1))
        found.append(RunMetrics.read(tmp_path / name).data)
    assert [each.sha256 for each in found] == [""] * 3
    assert found[0].fingerprint == found[1].fingerprint != found[2].fingerprint


def test_accelerators_are_names() -> None:
    assert all(isinstance(name, str) and name for name in accelerators())
