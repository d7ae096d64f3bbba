"""Fuzz the readers of configs, run directories and checkpoints: damage must end in a clear error.

A small run is trained, then its files are damaged over and over: bytes flipped, cut, doubled and
spliced, values of JSON and YAML replaced by hostile ones, the weights changed inside a valid
archive; with the manifest left as it was, or written anew as an attacker would. Reported is every
exception that is no MultimodalError, every crash, every case that takes over a minute, and memory.

    python scripts/fuzz.py [--minutes 10] [--seed 0]
"""

from __future__ import annotations

import argparse
import gc
import io
import json
import multiprocessing
import os
import random
import shutil
import tempfile
import time
import traceback
import zipfile
from collections import Counter
from itertools import count
from pathlib import Path
from typing import Any

FILES = ("config.json", "schema.json", "spec.json", "model.keras", "manifest.json")
KINDS = ("yaml", *FILES, "weights", "unfinished.json", "checkpoint")
HOSTILE: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    3,
    300_000_000,
    10**30,
    "HUGE",
    -1e308,
    1e400,
    float("nan"),
    "",
    "a",
    "NA",
    "../..",
    "hf://a/b",
    "\ud800",
    "x" * 10_000,
    [],
    {},
    [[]] * 200,
    [1e9] * 9,
    {"name": "dense"},
    {"class_name": "Lambda", "module": "os", "config": {}},
)
YAML = (
    "&a [*a]",
    "!!python/name:os.system",
    "!!int",
    "!!timestamp x",
    "<<: *x",
    "? - :",
    "\t",
    "{",
)
SLOW = 60
ROWS = [{"size": 0.5, "shop": "a", "words": "red oak"}, {"size": None, "shop": "z", "words": None}]


def damage(content: bytes, rng: random.Random) -> bytes:
    """Flip, cut, double or splice bytes, once to four times."""
    for _ in range(rng.randint(1, 4)):
        at, end = sorted(rng.randrange(len(content) + 1) for _ in range(2))
        piece = content[at : min(end, at + 64)]
        bits = bytes(byte ^ 1 << rng.randrange(8) for byte in content[at : at + 1])
        content = rng.choice(
            (
                content[:at] + bits + content[at + 1 :],
                content[:at] + content[at + len(piece) :],
                content[:at] + piece + content[at:],
                content[:at] + rng.randbytes(len(piece)) + content[at + len(piece) :],
                content[:at],
            )
        )
    return content


def replace_values(value: Any, rng: random.Random, share: float) -> Any:
    """Replace, drop or add some of the values and keys of plain JSON."""
    if rng.random() < share:
        return rng.choice(HOSTILE)
    if isinstance(value, dict):
        found = {k: replace_values(v, rng, share) for k, v in value.items() if rng.random() > share}
        return found | (
            {rng.choice(list(value)): 1, "more": 2} if value and rng.random() < share else {}
        )
    if isinstance(value, list):
        kept = [replace_values(each, rng, share) for each in value if rng.random() > share]
        return kept * (500 if rng.random() < share / 2 else 1)
    return value


def hostile(value: Any, rng: random.Random) -> bytes:
    """Write JSON with some of its values replaced."""
    text = json.dumps(replace_values(value, rng, rng.choice((0.002, 0.01, 0.05))))
    return text.replace('"HUGE"', "9" * 5000).encode()


def change(path: Path, rng: random.Random, *, inside: bool) -> None:
    """Damage a file; `inside`, the weights of a model in an archive that is whole."""
    content = path.read_bytes()
    if inside:
        with zipfile.ZipFile(path) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        members["model.weights.h5"] = damage(members["model.weights.h5"], rng)
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, member in members.items():
                archive.writestr(name, member)
        content = buffer.getvalue()
    elif path.suffix == ".json" and rng.random() < 0.7:
        content = hostile(json.loads(content), rng)
    else:
        content = damage(content, rng)
    path.write_bytes(content)


def try_case(run: Path, kind: str, rng: random.Random) -> None:
    """Read one damaged config or run; raises what reading it raises."""
    from multimodal.core.config import Config
    from multimodal.core.manifest import write_manifest
    from multimodal.models.build import check_parts
    from multimodal.runs.run import load

    copy = run.with_name("damaged")
    shutil.rmtree(copy, ignore_errors=True)
    if kind == "yaml":
        copy.mkdir()
        text = hostile(json.loads((run / "config.json").read_text()), rng)
        text = damage(text, rng) if rng.random() < 0.5 else text
        at = rng.randrange(len(text) + 1)
        text = text[:at] + rng.choice(("", "", *YAML)).encode() + text[at:]
        (copy / "config.yaml").write_bytes(text)
        config = Config.from_yaml(copy / "config.yaml")
        assert Config.from_json(config.to_json()) == config, "the round trip changes it"
        check_parts(config)
        return
    if kind in ("unfinished.json", "checkpoint"):
        try_unfinished(run.with_name("cut"), copy, kind, rng)
        return
    shutil.copytree(run, copy)
    change(copy / ("model.keras" if kind == "weights" else kind), rng, inside=kind == "weights")
    if kind != "manifest.json" and rng.random() < 0.8:
        write_manifest(copy)
    load(copy).predict(ROWS)


def try_unfinished(run: Path, copy: Path, kind: str, rng: random.Random) -> None:
    """Look at a damaged record, or go on from a damaged checkpoint, at times under its new name."""
    from multimodal.core.files import sha256_of
    from multimodal.core.interrupted import check_out, check_same, read_record
    from multimodal.models.training.checkpoints import DIGITS, Checkpoints
    from multimodal.models.training.fit import TrainingState

    shutil.copytree(run, copy)
    if kind == "unfinished.json":
        change(copy / kind, rng, inside=False)
        check_same(copy, check_out(copy) or {}, read_record(run) or {})
        return
    path = rng.choice(sorted((copy / "checkpoints").iterdir()))
    change(path, rng, inside=False)
    if rng.random() < 0.5:
        path.rename(path.with_stem(f"{path.stem[:-DIGITS]}{sha256_of(path)[:DIGITS]}"))
    start = Checkpoints(copy / "checkpoints").latest()
    if start is not None:
        TrainingState.of(start)


def make_run(run: Path) -> None:
    """Train a model of a hundred rows with numbers and words, and one that is cut off."""
    import keras

    from multimodal import train
    from multimodal.core.config import Config

    rng = random.Random(0)
    rows = [
        {
            "size": rng.random(),
            "shop": rng.choice("abc"),
            "price": 1 + rng.random(),
            "words": " ".join(rng.choices("red blue old new large small oak tin".split(), k=9)),
        }
        for _ in range(100)
    ]
    settings = {
        "training": {"epochs": 1, "baselines": False},
        "data": {"columns": {"words": "text"}},
    }
    train(rows, "price", out=run, config=Config.parse(settings))

    class Cut(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            raise InterruptedError

    settings["training"] = {"epochs": 2, "baselines": False, "checkpoint_seconds": 0}
    try:
        train(
            rows,
            "price",
            out=run.with_name("cut"),
            config=Config.parse(settings),
            callbacks=[Cut()],
        )
    except InterruptedError:
        pass


def work(run: Path, seed: int, first: int, pipe: Any) -> None:
    """Try case after case and tell of each: number, kind, outcome, megabytes in memory."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras

    from multimodal.core.errors import MultimodalError

    if not run.exists():
        make_run(run)
    for case in count(first):
        rng = random.Random(seed * 10**9 + case)
        kind = rng.choice(KINDS)
        pipe.send((case, kind, "begun", memory()))
        try:
            try_case(run, kind, rng)
            outcome = "accepted"
        except MultimodalError as error:
            outcome = "refused" if len(str(error)) < 5000 else "a message of 5,000 letters"
        except BaseException:
            outcome = traceback.format_exc()
        if case % 20 == 0:
            keras.utils.clear_session()
            gc.collect()
        pipe.send((case, kind, outcome, memory()))


def memory() -> float:
    """Return the megabytes of memory that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    outcomes: Counter[tuple[str, str]] = Counter()
    faults: dict[str, str] = {}
    held: list[float] = []
    most, case, end = 0.0, 0, time.monotonic() + 60 * options.minutes
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        while time.monotonic() < end:
            ours, theirs = context.Pipe()
            given = (Path(folder, "run"), options.seed, case, theirs)
            process = context.Process(target=work, args=given, daemon=True)
            process.start()
            theirs.close()
            kind, limit = "training", 300
            try:
                while time.monotonic() < end:
                    if not ours.poll(limit):
                        faults.setdefault(f"over {limit} s: {kind}", f"case {case}")
                        break
                    case, kind, outcome, size = ours.recv()
                    limit = SLOW
                    if outcome == "begun":
                        before = size
                        continue
                    held.append(size)
                    most = max(most, size - before)
                    short = outcome.strip().splitlines()[-1][:80]
                    outcomes[kind, short] += 1
                    if outcome not in ("accepted", "refused"):
                        faults.setdefault(short, f"case {case}, {kind}:\n{outcome}")
            except EOFError:
                process.join()
                faults.setdefault(f"crash {process.exitcode}: {kind}", f"case {case}")
            process.kill()
            process.join()
            case += 1
    for (kind, outcome), number in sorted(outcomes.items()):
        print(f"{kind:15}{number:7,}  {outcome}")
    print(f"{sum(outcomes.values()):,} cases, {len(faults)} kinds of fault")
    if held:
        quarter = len(held) // 4
        print(
            f"memory in MB: {held[0]:,.0f} at first, {held[quarter]:,.0f} after a quarter, "
            f"{held[-1]:,.0f} at last; most in one case: {most:,.0f}"
        )
    for fault, where in faults.items():
        print(f"\n{fault}\n{where}")
    raise SystemExit(1 if faults else 0)


if __name__ == "__main__":
    main()
