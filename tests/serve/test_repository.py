"""Models by name and version: the newest that verifies, replaced without a gap."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path
from typing import Any

from servers import Answered, Client, Doubler, served, until

from multimodal.core.errors import RunError
from multimodal.runs.run import load
from multimodal.serve.repository import find_versions
from multimodal.serve.settings import Settings

ROW = {"size": 10, "review": ""}


def write(folder: Path, factor: str) -> Path:
    """Write what `loaded` takes for a run."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "factor.json").write_text(factor)
    (folder / "manifest.json").write_text("{}")
    return folder


def loaded(path: Path) -> Doubler:
    try:
        return Doubler(float((path / "factor.json").read_text()))
    except (OSError, ValueError):
        raise RunError(f"{path}: damaged") from None


def price(answer: Answered) -> Any:
    assert answer.status == 200, answer.body
    return answer.json["predictions"][0]["price_prediction"]


def test_versions_are_found_newest_first(tmp_path: Path) -> None:
    for name in ("a/2", "a/10", "a/1.9", "b", "c/2026-9-01", "c/2026-10-01", ".hidden/1", "d/e/f"):
        write(tmp_path / name, "1")
    (tmp_path / "file").write_text("")
    found = {k: [each.version for each in v] for k, v in find_versions(tmp_path).items()}
    assert found == {"a": ["10", "2", "1.9"], "b": ["1"], "c": ["2026-10-01", "2026-9-01"]}
    alone = find_versions(tmp_path / "b")
    assert [(each.name, each.version) for each in alone["b"]] == [("b", "1")]


def test_several_models_are_asked_by_name_and_version(tmp_path: Path) -> None:
    write(tmp_path / "twice" / "1", "1")
    write(tmp_path / "twice" / "2", "2")
    write(tmp_path / "thrice", "3")
    with served(Settings(tmp_path), loaded) as client:
        assert client.post("/predict", ROW).status == 422  # which of them?
        assert price(client.post("/predict?model=twice", ROW)) == 20.0
        assert price(client.post("/predict?model=thrice", ROW)) == 30.0
        assert client.post("/predict?model=none", ROW).status == 404
        assert client.get("/v2/models/twice/versions/2").status == 200
        older = client.get("/v2/models/twice/versions/1")
        assert (older.status, "is, 2" in older.json["error"]) == (404, True)
        index = client.post("/v2/repository/index", {}).json
        assert sorted((each["name"], each["version"]) for each in index) == [
            ("thrice", "1"),
            ("twice", "2"),
        ]


def test_a_new_version_is_taken_in_without_a_gap(tmp_path: Path) -> None:
    write(tmp_path / "m" / "1", "1")
    answers: list[Answered] = []
    stop = threading.Event()

    def ask(client: Client) -> None:
        while not stop.is_set():
            answers.append(client.post("/predict", ROW))

    with served(Settings(tmp_path, poll=0.02), loaded) as client:
        threads = [threading.Thread(target=ask, args=(client,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            for version in (2, 3, 4):
                write(tmp_path / "m" / str(version), str(version))
                until(lambda version=version: price(client.post("/predict", ROW)) == 10 * version)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
    assert {answer.status for answer in answers} == {200}
    for answer in answers:
        assert price(answer) == 10 * float(answer.json["version"])


def test_a_damaged_version_is_passed_over_until_it_is_whole(tmp_path: Path) -> None:
    write(tmp_path / "m" / "1", "1")
    write(tmp_path / "m" / "2", "half of")
    with served(Settings(tmp_path, poll=0.02), loaded) as client:
        assert price(client.post("/predict", ROW)) == 10.0
        write(tmp_path / "m" / "2", "2")
        until(lambda: price(client.post("/predict", ROW)) == 20.0)
        write(tmp_path / "m" / "2", "spoiled")  # what was loaded from it answers on
        write(tmp_path / "n", "5")
        until(lambda: client.get("/v2/models/n").status == 200)
        assert price(client.post("/predict?model=m", ROW)) == 20.0
        write(tmp_path / "m" / "2", "4")
        until(lambda: price(client.post("/predict?model=m", ROW)) == 40.0)
        shutil.rmtree(tmp_path / "m" / "2")
        until(lambda: price(client.post("/predict?model=m", ROW)) == 10.0)
        shutil.rmtree(tmp_path / "m")
        until(lambda: client.get("/v2/models/m").status == 404)


def test_a_run_that_is_copied_in_half_does_not_verify(plain_run: Path, tmp_path: Path) -> None:
    old = load(plain_run)
    shutil.copytree(plain_run, tmp_path / "m" / "1")
    half = Path(shutil.copytree(plain_run, tmp_path / "m" / "2"))
    whole = (half / "model.keras").read_bytes()
    (half / "model.keras").write_bytes(whole[: len(whole) // 2])
    tried: list[str] = []

    def once(path: Path) -> Any:
        tried.append(path.name)
        return old if path.name == "1" else load(path)

    with served(Settings(tmp_path, poll=0.02), once) as client:
        assert client.get("/v2/models/m/versions/1").status == 200
        assert tried == ["2", "1"]  # not tried again as long as it is the same
        (half / "model.keras").write_bytes(whole)
        until(lambda: client.get("/v2/models/m/versions/2").status == 200)


def test_without_a_model_the_server_is_alive_and_not_ready(tmp_path: Path) -> None:
    write(tmp_path / "m", "damaged")
    with served(Settings(tmp_path), loaded, wait=False) as client:
        assert client.get("/v2/health/live").status == 200
        until(lambda: client.get("/v2/models/m").status == 404)
        assert client.get("/v2/health/ready").status == 503
