"""``annotator train-base``: what a person can get wrong is one line, before anything is trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from annotator import cli
from annotator.commands.train_base import check_state
from annotator.domain.errors import UserError
from annotator.engine.nano import NanoConfig
from annotator.train import base_run
from annotator.train.base import BaseTrainer, TrainSettings
from annotator.train.data import read_coco_sets
from tests.unit.train.scenes import write_set

SMALL = NanoConfig(image_size=64, channels=32)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_set(tmp_path / "cells")


@pytest.fixture
def state(root: Path, tmp_path: Path) -> Path:
    trainer = BaseTrainer(
        config=SMALL, settings=TrainSettings(), images=read_coco_sets([root]), device=torch.device("cpu")
    )
    base_run.save_state(trainer, tmp_path / "run.state")
    return tmp_path / "run.state"


def test_a_state_of_the_same_shape_is_taken(state: Path) -> None:
    check_state(state, SMALL)


@pytest.mark.parametrize(("option", "field"), [("--size=96", "image_size"), ("--channels=64", "channels")])
def test_a_state_of_another_shape_is_one_clear_message(
    root: Path, state: Path, tmp_path: Path, option: str, field: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = state.read_bytes()
    words = ["train-base", str(root), "--out", str(tmp_path / "out.safetensors"), "--state", str(state)]
    assert cli.main([*words, "--size=64", "--channels=32", option, "--minutes=0.01", "--device=cpu"]) == 2
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1
    assert field in told[0]
    assert str(state) in told[0]
    assert state.read_bytes() == before


def test_other_trunks_and_prompts_are_other_models(state: Path) -> None:
    for other in (replace(SMALL, stage_blocks=(1, 1, 1, 1)), replace(SMALL, dense_prompt="none")):
        with pytest.raises(UserError, match="another model"):
            check_state(state, other)


@pytest.mark.parametrize("content", [b"", b"not a state", b"hello, I am no state", b"PK\x03\x04"])
def test_a_damaged_state_is_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "run.state"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"run\.state is damaged"):
        check_state(path, SMALL)
    assert path.read_bytes() == content


def test_a_file_of_other_tensors_is_no_state(tmp_path: Path) -> None:
    torch.save({"model": torch.zeros(2)}, tmp_path / "weights.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    for name in ("weights.pt", "list.pt"):
        with pytest.raises(UserError, match="not the state of a training"):
            check_state(tmp_path / name, SMALL)


@pytest.mark.parametrize(
    "option",
    [
        *("--minutes=0", "--minutes=nan", "--objects=0", "--size=100", "--channels=20", "--device=tpu", "--stages=x"),
        *("--cache-gb=-1", "--cache-gb=nan", "--readers=-1"),
    ],
)
def test_settings_that_make_no_training(
    root: Path, tmp_path: Path, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train-base", str(root), "--out", str(tmp_path / "out.safetensors"), option]
    assert cli.main(words) == 2
    assert capsys.readouterr().err.startswith("annotator: ")


def test_sets_that_are_absent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train-base", str(tmp_path / "none"), "--out", str(tmp_path / "out.safetensors"), "--device=cpu"]
    assert cli.main(words) == 2
    assert "not a readable COCO set" in capsys.readouterr().err


def test_a_cache_that_is_no_folder(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    words = ["train-base", str(root), "--out", str(tmp_path / "out.safetensors"), "--device=cpu"]
    assert cli.main([*words, "--cache", str(tmp_path / "file")]) == 2
    assert "cannot hold a cache" in capsys.readouterr().err


def test_a_run_with_a_cache_keeps_the_images_there(root: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    words = ["train-base", str(root), "--out", str(tmp_path / "out.safetensors"), "--device=cpu", "--minutes=0.01"]
    shape = ["--size=64", "--channels=32", "--stages=1:64:2", "--threads=1"]
    assert cli.main([*words, *shape, "--cache", str(cache), "--cache-gb=0.001"]) == 0
    assert {path.suffix for path in cache.iterdir()} == {".pixels"}
    assert (tmp_path / "out.safetensors").is_file()
