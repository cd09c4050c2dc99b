"""``--ray`` without Ray says what to install; how many workers there are, and what each takes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from annotator.cli import main
from annotator.commands.batch.command import add_arguments
from annotator.commands.batch.ray_pool import RayPool
from annotator.commands.batch.ray_worker import Begun, Recipe
from annotator.commands.batch.work_list import WorkItem
from tests.unit.small_model import write_folder


def test_without_ray_a_batch_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    images = write_folder(tmp_path / "images", ["a.png"])
    assert main(["batch", str(images), "--out", str(tmp_path / "out"), "--ray", "local"]) == 2
    assert "pip install 'annotator[ray]'" in capsys.readouterr().err


class Reference:
    """What Ray gives in place of a value."""

    def __init__(self, value: Any) -> None:
        self.value = value


class Method:
    def __init__(self, work: Callable[..., Any]) -> None:
        self._work = work

    def remote(self, *arguments: Any) -> Reference:
        return Reference(self._work(*arguments))


class FakeRay:
    """A cluster of 4 cores and 2 cards whose workers answer at once, in this process."""

    exceptions = SimpleNamespace(
        RayActorError=ConnectionError, OutOfMemoryError=MemoryError, NodeDiedError=ConnectionAbortedError
    )

    def __init__(self) -> None:
        self.options: dict[str, Any] = {}
        self.calls: list[int] = []
        self.workers = 0

    def put(self, value: Any) -> Reference:
        return Reference(value)

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 4.0, "GPU": 2.0}

    def remote(self, _worker: Any) -> Any:
        def options(**given: Any) -> Any:
            self.options = given
            return SimpleNamespace(remote=lambda _recipe: self._actor())

        return SimpleNamespace(options=options)

    def _actor(self) -> Any:
        self.workers += 1
        return SimpleNamespace(begin=Method(lambda _precision: Begun("about", "fp32")), ask=Method(self._rows))

    def _rows(self, items: Sequence[WorkItem]) -> list[dict[str, str]]:
        self.calls.append(len(items))
        return [{"key": item.key} for item in items]

    def wait(self, references: list[Reference], **_limits: Any) -> tuple[list[Reference], list[Reference]]:
        return references[:1], references[1:]

    def get(self, reference: Reference) -> Any:
        return reference.value

    def kill(self, _actor: Any) -> None: ...


@pytest.mark.parametrize(
    ("options", "cards", "workers", "most"),
    [
        ([], 0, 4, 8),
        (["--batch-size", "20"], 0, 4, 20),
        (["--device", "cuda"], 1, 2, 32),
        (["--device", "cuda", "--ray-gpus", "0.5"], 0.5, 4, 32),
        (["--device", "cuda", "--ray-gpus", "2"], 2, 1, 32),
    ],
)
def test_workers_take_cards_or_parts_of_them(options: list[str], cards: float, workers: int, most: int) -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    args = parser.parse_args(["images", "--out", "out", "--ray", "local", *options])
    items = [WorkItem(f"{n}.png", Path(f"{n}.png")) for n in range(200)]
    ray, keys = FakeRay(), list[str]()
    with RayPool(ray, Recipe(args, items, None), most=None) as pool:
        assert pool.begin() == "about"
        pool.ask(items, lambda row: keys.append(row["key"]))
    assert ray.options == {"num_cpus": 1, "num_gpus": cards}
    assert ray.workers == workers
    assert max(ray.calls) == most
    assert sorted(keys) == sorted(item.key for item in items)


@pytest.mark.parametrize("given", ["-1", "1.5", "0.001", "x"])
def test_shares_that_no_card_has_are_refused(given: str) -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    with pytest.raises(SystemExit):
        parser.parse_args(["images", "--out", "out", f"--ray-gpus={given}"])
