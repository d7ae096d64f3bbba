"""What a run was made on, in words; the host stays unnamed."""

from __future__ import annotations

import platform
from pathlib import Path

from multimodal.runs.provenance import cores, machine, memory, processor


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
