"""Several processes under torch's launcher train what one process does that makes as many passes per step."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.distributed.run import main as torchrun

from annotator import cli
from annotator.engine.sam2.adapter_files import adapters_dir
from annotator.engine.sam2.nano import build_nano, save_nano
from annotator.train.steps.ranks import ALONE, joined
from tests.small_base import SMALL
from tests.unit.train.scenes import write_set

ROOT = Path(__file__).resolve().parents[3]


def words(tmp_path: Path, work: str, accumulate: int) -> list[str]:
    numbers = ["--epochs=1", "--windows=10", "--batch=2", "--gate-objects=1", "--gate-clicks=5", "--device=cpu"]
    paths = ["--model", str(tmp_path / "base.safetensors"), "--work", str(tmp_path / work)]
    ours = ["--name", work, "--accumulate", str(accumulate), "--threads=1", "--no-install"]
    return ["train-adapter", str(tmp_path / "cells"), *paths, *numbers, *ours]


def state_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = torch.load(folder / "run.state", weights_only=True)
    return found


def test_two_processes_do_what_one_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ANNOTATOR_CHECKPOINTS", str(tmp_path / "checkpoints"))
    torch.manual_seed(0)
    save_nano(build_nano(SMALL).eval(), tmp_path / "base.safetensors", config=SMALL, metadata={})
    write_set(tmp_path / "cells", images=6)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    launcher = ["--standalone", "--nproc-per-node=2", "-m", "annotator"]
    torchrun([*launcher, *words(tmp_path, "two", 1)])  # the command of that name, without loading torch once more
    printed = capfd.readouterr().out
    assert printed.count("learn from") == printed.count("| NoC@90 |") == 1  # one of them prints
    assert "2 processes" in printed
    assert cli.main(words(tmp_path, "one", 2)) == 0

    one, two = (state_of(tmp_path / name) for name in ("one", "two"))
    assert one["step"] == two["step"] == 3  # the last one is short: the second process has nothing to do there
    assert one["base"] == pytest.approx(two["base"])
    for name, tensor in one["network"].items():
        torch.testing.assert_close(two["network"][name], tensor, rtol=1e-4, atol=1e-6, msg=name)
    for name, tensor in one["best"].items():
        torch.testing.assert_close(two["best"][name], tensor, rtol=1e-4, atol=1e-6, msg=name)
    with (tmp_path / "two" / "run.csv").open() as file:
        assert [int(row["step"]) for row in csv.DictReader(file)] == [3]  # written once
    assert not adapters_dir().exists()
    assert cli.main(words(tmp_path, "two", 2)) == 0  # alone it is the same run: what is there is judged
    assert state_of(tmp_path / "two")["step"] == 3


def test_alone_nothing_is_shared() -> None:
    with joined("cpu") as ranks:
        assert ranks is ALONE
    parameter = torch.nn.Parameter(torch.zeros(3))
    ranks.sum_gradients([parameter])
    ranks.wait()
    assert parameter.grad is None
    assert ranks.own([1, 2, 3]) == [1, 2, 3]
    assert ranks.told([1.5]) == [1.5]
    assert ranks.is_first
