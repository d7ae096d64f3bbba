"""Provenance of a run: checksums, the day, the machine in words; the host stays unnamed."""

from __future__ import annotations

import hashlib
import platform
from pathlib import Path

import pandas as pd
from runs import Trained
from tiny import plain_config, plain_rows

from multimodal.data.prepare import prepare
from multimodal.evaluation.records import RunMetrics
from multimodal.runs.provenance import (
    Request,
    accelerators,
    cores,
    machine,
    memory,
    processor,
    record,
    with_provenance,
)


def test_the_record_of_a_run_holds_them(trained: Trained) -> None:
    record = RunMetrics.read(trained.run)
    source = (trained.folder / "catalogue.csv").read_bytes()
    assert record.data.sha256 == hashlib.sha256(source).hexdigest()
    assert len(record.data.fingerprint) == 16
    assert int(record.machine["cores"]) >= 1 and record.date.startswith("20")


def test_the_fingerprint_is_of_what_was_prepared() -> None:
    empty = RunMetrics()
    one, same, other = (
        with_provenance(empty, None, {"data": data, "command": command}).data.fingerprint
        for data, command in (({"rows": 3}, "a"), ({"rows": 3}, "b"), ({"rows": 4}, "a"))
    )
    assert one == same != other


def test_rows_from_memory_have_a_fingerprint_alone(plain_run: Path) -> None:
    def fingerprint(rows: pd.DataFrame) -> str:
        prepared = prepare(rows, "price", plain_config())
        asked = record(Request(rows, ["price"], plain_config(), Path()), prepared)
        return with_provenance(RunMetrics(), None, asked).data.fingerprint

    found = RunMetrics.read(plain_run).data
    assert found.sha256 == "" and len(found.fingerprint) == 16
    assert fingerprint(plain_rows()) == found.fingerprint != fingerprint(plain_rows(seed=1))


def test_accelerators_are_names() -> None:
    assert all(isinstance(name, str) and name for name in accelerators())


def test_the_processor_is_read_from_the_system(tmp_path: Path) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text("processor\t: 0\nmodel name\t: Acme 9000 @ 2 GHz\nflags\t: a\n")
    assert processor(info) == "Acme 9000 @ 2 GHz"
    assert processor(tmp_path / "absent") == platform.processor()


def test_what_is_not_known_is_left_out() -> None:
    found = machine()
    assert "accelerators" not in found and all(found.values())
    assert int(found["cores"]) == cores() >= 1
    assert memory().endswith(" GiB") or not memory()


def test_equal_accelerators_are_counted() -> None:
    assert machine(["A", "B", "A"])["accelerators"] == "2 × A, B"


def test_the_host_is_not_named() -> None:
    assert not platform.node() or platform.node() not in " ".join(machine().values())
