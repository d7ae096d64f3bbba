"""Measure what users run, before and after a change: training, prediction, preparation, scale.

    python scripts/benchmark.py --before PYTHON_OR_CHECKOUT [--data FOLDER] [--work FOLDER]
        [--sets flipkart,houses,books,reviews,catalogue-2000,catalogue-10000]
        [--what train,predict,prepare,importance,scale]

`--before` is a checkout of the older version, or the Python of an environment it is installed in;
`after` is this checkout. All with default settings, the test rows being fold 0 of a real set. Each
measurement is a process of its own; versions take turns, and `twin` is the newer version once more:
what it differs by is not resolved. Seconds are CPU-seconds (user and system, all threads), so that
a neighbour on the machine counts little. `train` is the whole command, from import to report.

Runs are kept in `--work`, where a later call with another `--what` finds them. The real sets are in
a folder named by `--data` or by the environment variable MULTIMODAL_DATA.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from multimodal.data.generated import catalogue

HERE = Path(__file__).resolve()
REAL = {
    "flipkart": ("products.csv", "price"),
    "houses": ("houses.csv", "price"),
    "books": ("books.csv", "price"),
    "reviews": ("reviews.csv", "sentiment"),
}
GENERATED = {"catalogue-2000": "small", "catalogue-10000": "default"}
SIZES = (2_000, 20_000, 100_000)
JITTERED = ("weight_g", "width_cm", "height_cm", "depth_cm", "price")
ROUNDS = 3  # of everything but training, which takes minutes
MB = 2**20

Found = dict[str, float]
Measure = Callable[["Version"], Found]


@dataclass(frozen=True)
class Version:
    """A version of the package: a Python, and the source it is to import, where not installed."""

    name: str
    python: str
    source: str = ""

    @classmethod
    def of(cls, name: str, place: Path) -> Version:
        """Take a checkout, or the Python of an environment."""
        if place.is_dir():
            return cls(name, sys.executable, str(place.resolve() / "src"))
        return cls(name, str(place.absolute()))

    def run(self, command: Sequence[str], log: Path) -> Found:
        """Run a command of this Python; return its CPU-seconds, seconds, and most bytes held."""
        variables = {name: v for name, v in os.environ.items() if name != "PYTHONPATH"}
        if self.source:
            variables["PYTHONPATH"] = self.source
        start = time.perf_counter()
        with log.open("ab") as output:
            process = subprocess.Popen(
                [self.python, *command], env=variables, stdout=output, stderr=output
            )
            _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"{self.name}: {' '.join(command)} failed; see {log}")
        return {
            "cpu": used.ru_utime + used.ru_stime,
            "wall": time.perf_counter() - start,
            "peak": 1024 * used.ru_maxrss,
        }


@dataclass(frozen=True)
class Case:
    """A table to train on, with a column that says which rows are for testing."""

    name: str
    file: Path
    images: Path
    target: str
    split: str

    @classmethod
    def of(cls, name: str, data: Path | None, work: Path) -> Case:
        """Return the data set of that name; fold 0 of a real one is for testing."""
        if name in GENERATED:
            file, _ = catalogue(GENERATED[name])
            return cls(name, file, file.parent, "price", "split")
        if data is None:
            raise SystemExit(f"{name}: --data or MULTIMODAL_DATA must name the folder of real sets")
        file, target = REAL[name]
        rows = pd.read_csv(data / name / file, dtype=str, keep_default_na=False)
        rows.columns = [target if c.lower() == target else c for c in rows]
        folds = pd.read_csv(data / name / "folds.csv", dtype=str).set_index("id")["fold"]
        ids = rows["id"] if "id" in rows else pd.Series(range(len(rows))).astype(str)
        part = np.where(ids.map(folds) == "0", "test", "train")
        rows.assign(part=part).to_csv(work / f"{name}.csv", index=False)
        return cls(name, work / f"{name}.csv", data / name, target, "part")

    def enlarged(self, rows: int, work: Path) -> Case:
        """Return a case of so many rows: its own again and again, with other numbers and texts.

        The words of a text change places. Photos are the same files, so that a hundred thousand
        rows do not need as many.
        """
        file, random = work / f"{self.name}-{rows}-rows.csv", np.random.default_rng(0)
        frame = pd.read_csv(self.file)
        if rows > len(frame):
            large = frame.iloc[np.resize(np.arange(len(frame)), rows)].reset_index(drop=True)
            large["id"] = [f"p{i:08d}" for i in range(rows)]
            for column in JITTERED:
                noise = random.normal(1, 0.02, rows)
                large[column] = (large[column] * noise).round(2)
            texts = large["description"].fillna("").str.split()
            large["description"] = [" ".join(random.permutation(words)) for words in texts]
            frame = large
        frame.head(rows).to_csv(file, index=False)
        return Case(f"{rows:,} rows", file, self.images, self.target, self.split)


class Benchmark:
    """The measurements of two versions on some data sets, printed as rows of one table.

    Args:
        versions: Before, after, and the twin of after.
        work: Folder of runs, logs and tables.
    """

    def __init__(self, versions: Sequence[Version], work: Path) -> None:
        self.versions, self.work, self.jobs = versions, work, 0
        self.before, self.after, self.twin = (version.name for version in versions)

    def in_turn(self, measure: Measure, rounds: int) -> dict[str, Found]:
        """Measure the versions in turn; return each one's medians over the rounds."""
        found: dict[str, list[Found]] = {version.name: [] for version in self.versions}
        for _ in range(rounds):
            for version in self.versions:
                found[version.name].append(measure(version))
        return {
            name: {key: statistics.median(each[key] for each in all_) for key in all_[0]}
            for name, all_ in found.items()
        }

    def show(self, label: str, found: dict[str, Found], key: str, unit: float = 1) -> None:
        """Print a row: before, after, and twin in some unit; after / before, and twin / after."""
        values = [found[name][key] / unit for name in (self.before, self.after, self.twin)]
        ratios = f"{values[1] / values[0]:14.2f}{values[2] / values[1]:13.2f}"
        print(f"{label:58}{''.join(f'{value:>11,.4g}' for value in values)}{ratios}", flush=True)

    def run_of(self, case: Case, version: Version) -> Path:
        """Return the folder of a run, which is trained where it is not there."""
        folder = self.work / f"{case.name}-{version.name}"
        if not folder.with_suffix(".json").exists():
            self._train(case, version)
        return folder

    def _train(self, case: Case, version: Version) -> Found:
        folder, config = self.work / f"{case.name}-{version.name}", self.work / f"{case.split}.json"
        shutil.rmtree(folder, ignore_errors=True)
        split = {"method": "column", "column": case.split}
        config.write_text(json.dumps({"data": {"split": split}}))
        command = [*("-m", "multimodal", "train", str(case.file)), *("--target", case.target)]
        command += ["--images", str(case.images), "--config", str(config), "--out", str(folder)]
        found = version.run(command, folder.with_suffix(".log"))
        found |= json.loads((folder / "metrics.json").read_text())["heads"][case.target]["test"]
        folder.with_suffix(".json").write_text(json.dumps(found))
        return found

    def _job(self, version: Version, what: str, case: Case, **more: Any) -> Found:
        """Run a job of `benchmark_child.py` in a process of its own."""
        job, result = self.work / "job.json", self.work / "result.json"
        given = {"file": str(case.file), "images": str(case.images), "target": case.target}
        given |= {"what": what, "split": case.split, "result": str(result)}
        job.write_text(json.dumps(given | more))
        version.run([str(HERE.with_name("benchmark_child.py")), str(job)], self.work / "jobs.log")
        return dict(json.loads(result.read_text()))

    def train(self, case: Case) -> None:
        """The whole command, and the error on the test rows."""
        found = self.in_turn(partial(self._train, case), rounds=1)
        self.show(f"{case.name}: train, CPU-seconds", found, "cpu")
        self.show(f"{case.name}: train, seconds", found, "wall")
        self.show(f"{case.name}: train, peak memory, MB", found, "peak", MB)
        error = next(key for key in ("log_rmse", "accuracy", "rmse") if key in found[self.after])
        self.show(f"{case.name}: {error} on the test rows", found, error)

    def predict(self, case: Case) -> None:
        """From loading a run to many rows."""
        found = self.in_turn(
            lambda version: self._job(
                version, "predict", case, run=str(self.run_of(case, version))
            ),
            ROUNDS,
        )
        self.show(f"{case.name}: load a run after imports, CPU-seconds", found, "load")
        self.show(f"{case.name}: first row after loading, CPU-seconds", found, "first")
        self.show(f"{case.name}: one raw row, warm, CPU-milliseconds", found, "row", 1e-3)
        self.show(f"{case.name}: 1,000 raw rows, rows per CPU-second", found, "rate")
        self.show(f"{case.name}: peak memory while predicting, MB", found, "peak", MB)

    def prepare(self, case: Case) -> None:
        """Reading, checking and preparing rows."""
        rows = len(pd.read_csv(case.file, usecols=[case.split]))
        found = self.in_turn(lambda version: self._job(version, "prepare", case), ROUNDS)
        self.show(f"{case.name}: prepare, CPU-ms per row", found, "cpu", rows / 1e3)

    def importance(self, case: Case) -> None:
        """Permutation importance as a share of the training it is a part of."""

        def share(version: Version) -> Found:
            run = self.run_of(case, version)
            trained = json.loads(run.with_suffix(".json").read_text())
            return {
                "share": self._job(version, "importance", case, run=str(run))["cpu"]
                / trained["cpu"]
            }

        found = self.in_turn(share, rounds=1)
        self.show(f"{case.name}: permutation importance, % of training", found, "share", 0.01)

    def scale(self, case: Case) -> None:
        """What tables of several sizes cost: audit, preparation, a training step, prediction."""
        for rows in SIZES:
            large = case.enlarged(rows, self.work)
            self._scale(large, "audit", "audit, CPU-ms per row", rows / 1e3)
            self._scale(large, "prepare", "prepare, CPU-ms per row", rows / 1e3)
            self._scale(large, "step", "a training step, CPU-ms per row of its batch", 1e-3)

            def predicted(version: Version, large: Case = large, rows: int = rows) -> Found:
                run = str(self.run_of(case, version))
                return self._job(version, "predict_many", large, run=run, rows=rows)

            self._scale(large, predicted, "predict, CPU-ms per row", rows / 1e3)

    def _scale(self, large: Case, what: str | Measure, label: str, unit: float) -> None:
        measure: Measure = (
            (lambda version: self._job(version, what, large)) if isinstance(what, str) else what
        )
        found = self.in_turn(measure, rounds=1)
        self.show(f"{large.name}: {label}", found, "cpu", unit)
        self.show(f"{large.name}: {label.split(',')[0]}, peak memory, MB", found, "peak", MB)


WHAT: dict[str, Callable[[Benchmark, Case], None]] = {
    each.__name__: each
    for each in (
        Benchmark.train,
        Benchmark.predict,
        Benchmark.prepare,
        Benchmark.importance,
        Benchmark.scale,
    )
}


def chosen(text: str, valid: Sequence[str], what: str) -> list[str]:
    """Return the names of a list with commas."""
    names = text.split(",")
    if unknown := set(names) - set(valid):
        raise SystemExit(f"{what}: unknown {sorted(unknown)}; valid: {', '.join(valid)}")
    return names


def measurements(sets: Sequence[str], what: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield what to measure on which set; sizes are those of the small catalogue alone."""
    for each in what:
        for name in ["catalogue-2000"] if each == "scale" else sets:
            yield each, name


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    sets, given = [*REAL, *GENERATED], os.environ.get("MULTIMODAL_DATA")
    parser.add_argument("--before", type=Path, required=True)
    parser.add_argument("--data", type=Path, default=given and Path(given))
    parser.add_argument("--work", type=Path, default=None)
    parser.add_argument("--sets", default=",".join(sets))
    parser.add_argument("--what", default=",".join(WHAT))
    arguments = parser.parse_args()
    wanted = chosen(arguments.sets, sets, "--sets"), chosen(arguments.what, [*WHAT], "--what")
    work = arguments.work or Path(tempfile.mkdtemp(prefix="multimodal-benchmark-"))
    work.mkdir(parents=True, exist_ok=True)
    here = HERE.parents[1]
    versions = [Version.of("before", arguments.before)]
    versions += [Version.of(name, here) for name in ("after", "twin")]
    benchmark = Benchmark(versions, work)
    print(f"{os.cpu_count()} processors, {platform.machine()}; runs and logs in {work}")
    columns = "".join(f"{name:>11}" for name in ("before", "after", "twin"))
    print(f"{'':58}{columns}{'after/before':>14}{'twin/after':>13}", flush=True)
    for what, name in measurements(*wanted):
        WHAT[what](benchmark, Case.of(name, arguments.data, work))


if __name__ == "__main__":
    main()
