"""A batch on a real local cluster of Ray: workers that are killed, poison, a machine that comes later; equal rows."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from annotator.cli import main
from annotator.commands.batch import on_ray
from annotator.commands.batch.journal import read_journal
from annotator.engine.sam2.nano import build_nano, save_nano
from tests.small_base import SMALL
from tests.unit.small_model import write_folder

ray = pytest.importorskip("ray")
from tests.ray_workers import ONCE, POISON, MortalWorker  # noqa: E402 - it needs Ray

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(600)]
COUNT = 200
_NODE = {"num_cpus": 1, "object_store_memory": 80 << 20, "include_dashboard": False}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Where the choice of arithmetic is remembered: the same for this process and the workers."""
    return str(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def cluster(home: str) -> Iterator[Any]:
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        path = os.pathsep.join((str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")))
        for name, value in (
            ("PYTHONPATH", path),
            ("ANNOTATOR_HOME", home),
            ("RAY_USAGE_STATS_ENABLED", "0"),
            ("RAY_worker_niceness", "0"),
        ):
            patch.setenv(name, value)
        made = Cluster(initialize_head=True, head_node_args=_NODE)
        yield made
        ray.shutdown()
        made.shutdown()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "small.safetensors"
    torch.manual_seed(3)
    save_nano(build_nano(SMALL).eval(), path, config=SMALL, metadata={"sets": "none"})
    return path


def rows_of(journal: Path) -> list[dict[str, Any]]:
    """Each image's row but for its time; a line an image."""
    with read_journal(journal) as found:
        rows = [found.row(key) for key in found]
    assert len(journal.read_text("ascii").splitlines()) == len(rows) + 1
    return sorted(({**row, "seconds": 0} for row in rows), key=lambda row: str(row["key"]))


def test_the_same_rows_whatever_ends_meanwhile(
    cluster: Any, model: Path, home: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANNOTATOR_HOME", home)
    names = [f"{number:03}.png" for number in range(COUNT)]
    images = write_folder(tmp_path / "images", [*names, POISON])
    (images / "050.png").write_bytes(b"no image")
    points = tmp_path / "points.csv"
    points.write_text("\n".join(["image,x,y", *(f"{name},30,20" for name in names)]), "ascii")
    command = ["batch", str(images), "--model", str(model), "--device", "cpu", "--points", str(points), "--out"]
    plain, spread = tmp_path / "plain", tmp_path / "spread"
    assert main([*command, str(plain)]) == 1
    begun, added = on_ray.begun_on_ray, False

    def mortal(args: argparse.Namespace, *rest: Any) -> Any:
        return begun(args, *rest, worker=MortalWorker)

    take = on_ray.RayPool._take

    def take_and_add(*args: Any) -> None:
        nonlocal added
        take(*args)
        if not added:
            added = bool(cluster.add_node(**_NODE))

    monkeypatch.setattr(on_ray, "begun_on_ray", mortal)
    monkeypatch.setattr(on_ray.RayPool, "_take", take_and_add)
    assert main([*command, str(spread), "--ray", cluster.address]) == 1
    expected = {row["key"]: row for row in rows_of(plain / "journal.jsonl")}
    found = {row["key"]: row for row in rows_of(spread / "journal.jsonl")}
    poison = found.pop(POISON)
    del expected[POISON]
    assert "ended 3 times" in poison["error"]
    assert found == expected
    assert "error" in found["050.png"]
    assert found[ONCE]["objects"] == expected[ONCE]["objects"]
    workers = [line.split() for line in (images / "workers").read_text("ascii").splitlines()]
    assert len({machine for machine, _ in workers}) == 2
    assert max(int(count) for _, count in workers) == 8
    _same_files(plain, spread)
    assert main([*command, str(spread), "--ray", cluster.address]) == 1  # nothing is asked again
    assert len((images / "workers").read_text("ascii").splitlines()) == len(workers)


def _same_files(plain: Path, spread: Path) -> None:
    one, other = (json.loads((folder / "objects.json").read_text("utf-8")) for folder in (plain, spread))
    gone = next(image["id"] for image in one["images"] if image["file_name"] == POISON)
    kept: list[Mapping[str, Any]] = [entry for entry in one["annotations"] if entry["image_id"] != gone]
    assert [{**entry, "id": 0} for entry in kept] == [{**entry, "id": 0} for entry in other["annotations"]]


def test_a_model_that_is_not_there_is_said(cluster: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = write_folder(tmp_path / "images", ["a.png"])
    out = ["--out", str(tmp_path / "out"), "--ray", cluster.address]
    assert main(["batch", str(images), "--model", str(tmp_path / "none.pt"), *out]) == 2
    assert "none.pt" in capsys.readouterr().err
