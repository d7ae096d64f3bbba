"""Faults and bad inputs, one by one, as a user of `multimodal audit` meets them.

Each is a real spoiled file. An error ends with exit code 2 and no traceback, and its message names
the place; a row that cannot be used is rejected with its line, counted, and lies whole in
`quarantine.csv`; whatever happens, the rows kept and rejected are the rows read.
"""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from runs import Answer

from multimodal.data.audit.findings import AUDIT_FILE, Audit

Command = Callable[..., Answer]
ROWS = 60
HEADER = "name,size,shop,price"
WORDS = "oak pine iron old new red blue small large chair table lamp rug shelf box".split()


def lines() -> list[str]:
    """60 rows: a text, a number, a category, a price."""
    rng = np.random.default_rng(0)
    return [
        f"a {' '.join(rng.permutation(WORDS)[:5])},{rng.normal(5):.3f},"
        f"{rng.choice(['north', 'south'])},"
        f"{rng.lognormal(3):.2f}"
        for i in range(ROWS)
    ]


def table(body: list[str], header: str = HEADER) -> str:
    return "\n".join([header, *body]) + "\n"


def changed(line: str, row: int = 4) -> str:
    """Return the table with one row, by default that on line 6, replaced."""
    body = lines()
    body[row] = line
    return table(body)


def column(cells: list[str], name: str = "new") -> str:
    body = [f"{line},{cell}" for line, cell in zip(lines(), cells, strict=True)]
    return table(body, f"{HEADER},{name}")


@pytest.fixture
def audit(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[Answer, Audit | None]]:
    """Write a file and audit it; return what was answered, and the audit."""
    monkeypatch.chdir(tmp_path)

    def run(content: str | bytes, *more: str) -> tuple[Answer, Audit | None]:
        data = content.encode() if isinstance(content, str) else content
        Path("t.csv").write_bytes(data)
        done = command("audit", "t.csv", "--target", "price", "--out", "out", *more)
        assert "Traceback" not in done.err + done.out
        found = Audit.read_file(Path("out") / AUDIT_FILE)
        if found is not None:
            assert found.kept + found.quarantined == found.read
            with Path("out/quarantine.csv").open(newline="") as file:
                assert len(list(csv.reader(file))) == found.quarantined + 1
        return done, found

    return run


Audited = Callable[..., tuple[Answer, Audit | None]]
PRICED = "a thing,1.5,north,"


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        pytest.param(
            table([f"{line},x" for line in lines()]),
            ["names 4 columns", "line 2"],
            id="06-surplus-in-all",
        ),
        pytest.param(
            table(lines(), "name,size,size,price"), ["'size' occurs 2 times"], id="08-twice"
        ),
        pytest.param("", ["the file is empty"], id="09-empty"),
        pytest.param(HEADER + "\n", ["no data rows"], id="09-header-only"),
        pytest.param(
            table([f"{PRICED}{i if i % 5 else 'ask'}" for i in range(ROWS)]),
            ["are not numbers", "line 2"],
            id="11-words-in-target",
        ),
        pytest.param(
            table([f"{PRICED}5" for _ in range(ROWS)]),
            ["is 5 in every row"],
            id="17-constant-target",
        ),
        pytest.param(
            table([PRICED for _ in range(ROWS)]), ["empty in every row"], id="15-no-target"
        ),
    ],
)
def test_errors_of_tables(audit: Audited, content: str | bytes, parts: list[str]) -> None:
    done, found = audit(content)
    assert done.code == 2
    said = done.err + " ".join(done.out.split())
    for part in ["error: ", "t.csv", *parts]:
        assert part in said
    assert found is None or found.of_level("error")


@pytest.mark.parametrize(
    ("content", "line", "reason"),
    [
        pytest.param(changed(f"{PRICED}5,surplus"), 6, "expected 4 values, got 5", id="05-surplus"),
        pytest.param(changed("short,1.5,5"), 6, "expected 4 values, got 3", id="07-short"),
        pytest.param(changed(PRICED), 6, "the target is missing", id="15-missing"),
        pytest.param(changed(f"{PRICED}NaN"), 6, "the target is missing", id="15-nan"),
        pytest.param(
            changed(f"{PRICED}inf"), 6, "expected a finite number, got 'inf'", id="16-inf"
        ),
        pytest.param(
            changed(f"{PRICED}1e400"), 6, "expected a finite number, got '1e400'", id="16-1e400"
        ),
        pytest.param(changed('"open,1,north,5'), 6, "quote", id="04-quote"),
        pytest.param(changed(f'{PRICED}"12,50"'), 6, "decimal point, got '12,50'", id="12-one"),
    ],
)
def test_rows_set_aside(audit: Audited, content: str, line: int, reason: str) -> None:
    done, found = audit(content)
    assert done.code == 0 and found is not None and found.read == ROWS
    (fault,) = found.set_aside
    assert fault.line == line and reason in fault.reason
    assert f"rejected, line {line}: " in done.out
    assert audit(content, "--strict")[0].code == 1


@pytest.mark.parametrize(
    ("content", "name", "kind"),
    [
        pytest.param("\ufeff" + table(lines()), "name", "text", id="01-mark"),
        pytest.param(table(lines()).encode("utf-16"), "name", "text", id="02-utf16"),
        pytest.param(
            changed("a café b c d,1,north,5").encode("cp1252"), "name", "text", id="02-cp1252"
        ),
        pytest.param(table(lines()).replace(",", ";"), "name", "text", id="10-separator"),
        pytest.param(
            table([f'{line.rsplit(",", 1)[0]},"{i + 3},50"' for i, line in enumerate(lines())]),
            "price",
            "target",
            id="12-decimal-comma",
        ),
        pytest.param(changed('"a\nb c d e f",1,north,5'), "name", "text", id="03-newline"),
        pytest.param(
            column([["NA", "EU", "US"][i % 3] for i in range(ROWS)]), "new", "category", id="13-NA"
        ),
        pytest.param(
            column([f"{(i * 37) % 50:05d}" for i in range(ROWS)], "zip"),
            "zip",
            "category",
            id="14-zip",
        ),
        pytest.param(column(["same"] * ROWS), "new", "ignored", id="18-constant"),
        pytest.param(column([""] * ROWS), "new", "ignored", id="19-all-missing"),
        pytest.param(
            column([f"k{i * 7919:x}z" for i in range(ROWS)]),
            "new",
            "identifier",
            id="20-identifier",
        ),
        pytest.param(
            table(
                [f'{line.rsplit(",", 1)[0]},"$1,{i + 100}.50"' for i, line in enumerate(lines())]
            ),
            "price",
            "target",
            id="11-dollars",
        ),
    ],
)
def test_tables_that_are_read(audit: Audited, content: str | bytes, name: str, kind: str) -> None:
    done, found = audit(content)
    assert done.code == 0 and found is not None and found.kept == found.read == ROWS
    (seen,) = [each for each in found.columns if each.name == name]
    assert seen.kind == kind
    left_out = f"column '{name}' is left out"
    notes = [each.message for each in found.of_level("note")]
    assert any(note.startswith(left_out) for note in notes) == (kind in ("ignored", "identifier"))


def test_how_a_file_is_written_is_said(audit: Audited) -> None:
    done, _ = audit(table(lines()).replace(",", ";").encode("utf-16"))
    assert "\nseparated by semicolons, encoding utf-16" in done.out
    assert "separated by" not in audit(table(lines()))[0].out


def test_23_a_text_that_states_the_target(audit: Audited) -> None:
    body = [line.replace(",", f" for {line.split(',')[3]} each,", 1) for line in lines()]
    done, found = audit(table(body))
    assert found is not None and "column 'name': 60 of 60 cells state their own price" in done.out


@pytest.mark.parametrize("given", ["train", None])
def test_24_duplicates_across_a_split(audit: Audited, given: str | None) -> None:
    splits = ["train"] * 30 + ["test"] * 30
    body = lines()
    body[50] = body[3]
    rows = [f"{line},{split}" for line, split in zip(body, splits, strict=True)]
    done, found = audit(table(rows, f"{HEADER},part") if given else table(body))
    assert found is not None
    across = "2 rows have a duplicate in another split. (lines 5, 52)"
    assert (across in done.out) == (given is not None)
    assert any(
        "1 row is a duplicate of other rows" in each.message for each in found.of_level("note")
    )


def test_a_typo_in_a_split_column(audit: Audited) -> None:
    splits = ["train"] * 40 + ["tset", ""] + ["test"] * 18
    done, found = audit(column(splits, "part"))
    assert done.code == 0 and found is not None and found.sides == {}
    said = " ".join(done.out.split())
    assert "2 of 60 cells name no split: 'tset', nothing." in said
    assert "read as a category" in said and "(lines 42, 43)" in said


def test_a_table_too_small_to_train_on(audit: Audited) -> None:
    done, found = audit(table(lines()[:3]))
    assert done.code == 2 and found is not None
    assert "error: t.csv: cannot split 3 rows" in done.out


def test_26_truncated_parquet(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pd.DataFrame({"a": range(100)}).to_parquet(tmp_path / "t.parquet")
    content = (tmp_path / "t.parquet").read_bytes()
    (tmp_path / "t.parquet").write_bytes(content[: len(content) // 2])
    done = command("audit", tmp_path / "t.parquet")
    assert done.code == 2 and "not a complete Parquet file" in done.err


@cache
def photos() -> list[bytes]:
    rng, found = np.random.default_rng(0), []
    for _ in range(ROWS):
        file = BytesIO()
        Image.fromarray(rng.integers(0, 256, (40, 40, 3)).astype(np.uint8)).save(file, "PNG")
        found.append(file.getvalue())
    return found


def pictured(folder: Path) -> str:
    """A table with a photo in every row, `0.png` to `59.png`."""
    for i, content in enumerate(photos()):
        (folder / f"{i}.png").write_bytes(content)
    return column([f"{i}.png" for i in range(ROWS)], "photo")


def bomb(path: Path, side: int = 14_000) -> None:
    """A PNG of 14,000 x 14,000 pixels in a few kB."""
    Image.new("1", (side, side)).save(path, "PNG", compress_level=9)


def spoil(kind: str, path: Path) -> None:
    whole = path.read_bytes()
    if kind == "31-missing":
        path.unlink()
    elif kind == "32-cut":
        path.write_bytes(whole[: len(whole) // 2])
    elif kind == "32-cut-jpeg":
        Image.open(path).save(path, "JPEG")
        path.write_bytes(path.read_bytes()[:-200])
    elif kind == "32-damaged":
        path.write_bytes(whole[:900] + b"\0\0\0\0" + whole[904:])
    elif kind == "33-empty":
        path.write_bytes(b"")
    elif kind == "33-html":
        path.write_text("<!DOCTYPE html>")
    elif kind == "35-bomb":
        bomb(path)
    elif kind == "35-too-large":  # below what Pillow itself refuses
        bomb(path, 9_000)
    elif kind == "40-unknown":
        path.write_bytes(b"II*\0 no tiff")
    elif kind == "44-pipe":
        path.unlink()
        os.mkfifo(path)
    elif kind == "44-folder":
        path.unlink()
        path.mkdir()


@pytest.mark.parametrize(
    "kind",
    [
        "31-missing",
        "32-cut",
        "32-cut-jpeg",
        "32-damaged",
        "33-empty",
        "33-html",
        "35-bomb",
        "35-too-large",
        "40-unknown",
        "44-pipe",
        "44-folder",
    ],
)
def test_31_to_44_unusable_photos_are_absent(audit: Audited, tmp_path: Path, kind: str) -> None:
    content = pictured(tmp_path)
    spoil(kind, tmp_path / "4.png")
    start = time.monotonic()
    done, found = audit(content)
    assert time.monotonic() - start < 60  # a pipe would wait for ever
    assert done.code == 0 and found is not None and found.kept == ROWS
    (told,) = [each.message for each in found.of_level("warning") if each.topic == "photos"]
    assert "counts as absent" in told and "First: 4.png: " in told
    assert found.photos[0].missing + found.photos[0].unreadable == 1


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_34_39_40_photos_go_by_content(audit: Audited, tmp_path: Path, kind: str) -> None:
    content = pictured(tmp_path)
    Image.open(tmp_path / "9.png").save(tmp_path / "4.png", kind)
    done, found = audit(content)
    assert done.code == 0 and found is not None and found.kept == ROWS


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("../4.png", "leads out"),
        ("/etc/passwd", "leads out"),
        ("a/../../4.png", "leads out"),
        ("out.png", "is a link that leads out"),
        ("zero.png", "is a link that leads out"),
    ],
)
def test_41_42_paths_that_lead_out(
    audit: Audited, tmp_path: Path, name: str, said: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    content = pictured(tmp_path).replace(",4.png", f",{name}")
    outside = tmp_path_factory.mktemp("outside") / "a.png"
    outside.write_bytes((tmp_path / "4.png").read_bytes())
    (tmp_path / "out.png").symlink_to(outside)
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    done, found = audit(content)
    assert done.code == 2
    assert f"error: t.csv, line 6, column 'photo': photo '{name}' {said}" in done.out


@pytest.mark.parametrize("name", ["http://x.invalid/4.png", "gs://b/4.png", "file:///etc/passwd"])
def test_43_78_addresses_are_absent(audit: Audited, tmp_path: Path, name: str) -> None:
    done, found = audit(pictured(tmp_path).replace(",4.png", f",{name}"))
    assert done.code == 0 and found is not None and found.kept == ROWS
    (told,) = [each.message for each in found.of_level("warning") if each.topic == "photos"]
    assert "1 photo of 60 named by addresses" in told and "--download" in told
    assert f"First: {name}: an address, which is not opened" in told
    assert found.photos[0].addresses == 1


def test_45_every_photo_bad(audit: Audited, tmp_path: Path) -> None:
    content = pictured(tmp_path)
    for i in range(ROWS):
        spoil("33-html", tmp_path / f"{i}.png")
    done, found = audit(content)
    assert done.code == 2 and found is not None
    assert "error: t.csv: none of its 60 photos can be used, such as 0.png" in done.out


def test_35_memory_does_not_rise_with_a_bomb(tmp_path: Path) -> None:
    """In a process of its own, whose peak is measured before and after."""
    bomb(tmp_path / "bomb.png")
    code = (
        "import resource, sys\nfrom pathlib import Path\n"
        "from multimodal.data.photos.examine import examine\n"
        "from multimodal.data.photos.read import decode\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "before, path = peak(), Path(sys.argv[1])\n"
        "assert examine(path).fault\n"
        "try:\n    decode(path, 64)\nexcept ValueError:\n    print(peak() - before)\n"
    )
    words = [sys.executable, "-W", "ignore", "-c", code, str(tmp_path / "bomb.png")]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    unit = 1 if sys.platform == "darwin" else 1024
    assert int(done.stdout) * unit < 200e6
