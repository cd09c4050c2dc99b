"""``annotator train-base``: what a person can get wrong is one line, before anything is trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from annotator import cli
from annotator.commands.train.base_recipe import check_state, parse_recipe
from annotator.domain.errors import DivergedError, ExportError, UserError
from annotator.engine.sam2.nano import NanoConfig, load_nano
from annotator.train.base import BaseTrainer
from annotator.train.data.windows import read_coco_sets
from annotator.train.run import base_run
from annotator.train.run.base_run import set_digests
from annotator.train.run.state_file import write_state
from annotator.train.settings import Stage, TrainSettings
from tests.little_room import little_room, needs_limits
from tests.unit.train.scenes import write_set

SMALL = NanoConfig(image_size=64, channels=32)
SLIM = replace(SMALL, stage_channels=(16, 16, 16, 16), stage_blocks=(1, 1, 1, 1))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_set(tmp_path / "cells")


@pytest.fixture
def state(root: Path, tmp_path: Path) -> Path:
    trainer = BaseTrainer(
        config=SMALL, settings=TrainSettings(), images=read_coco_sets([root]), device=torch.device("cpu")
    )
    write_state(base_run.state_of(trainer), tmp_path / "run.state")
    return tmp_path / "run.state"


def test_a_state_of_the_same_shape_is_taken(state: Path) -> None:
    check_state(state, SMALL, TrainSettings())


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
            check_state(state, other, TrainSettings())


def test_another_recipe_is_another_run(state: Path) -> None:
    check_state(state, SMALL, TrainSettings(minutes=5))  # a longer run is the same run
    check_state(state, SMALL, TrainSettings(stages=(Stage(1.0, 64, 2),)))  # what a short memory asks for
    for other in (
        TrainSettings(seed=3),
        TrainSettings(learning_rate=2e-3),
        TrainSettings(objects_per_window=1),
        TrainSettings(synthetic_share=0.5),
        TrainSettings(schedule="flat"),
        TrainSettings(round_shares=(1.0,)),
        TrainSettings(teacher_sha256="b"),
    ):
        with pytest.raises(UserError, match="was trained with"):
            check_state(state, SMALL, other)


def test_other_sets_are_another_run(root: Path, tmp_path: Path) -> None:
    sets = set_digests([root])
    trainer = BaseTrainer(
        config=SLIM, settings=TrainSettings(), images=read_coco_sets([root]), device=torch.device("cpu")
    )
    path = tmp_path / "run.state"
    write_state(base_run.state_of(trainer, sets=sets), path)
    check_state(path, SLIM, TrainSettings(), sets)
    file = root / "annotations.json"
    file.write_text(file.read_text("utf-8") + "\n", "utf-8")
    for other in (set_digests([root]), set_digests([root, write_set(tmp_path / "more")]), ()):
        with pytest.raises(UserError, match="other sets") as caught:
            check_state(path, SLIM, TrainSettings(), other)
        assert "--state" in caught.value.advice
    old = torch.load(path, weights_only=True)
    del old["sets"]
    torch.save(old, path)
    check_state(path, SLIM, TrainSettings(), set_digests([root]))  # from before they were kept


@pytest.mark.parametrize("content", [b"", b"not a state", b"hello, I am no state", b"PK\x03\x04"])
def test_a_damaged_state_is_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "run.state"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"run\.state is damaged"):
        check_state(path, SMALL, TrainSettings())
    assert path.read_bytes() == content


def test_a_file_of_other_tensors_is_no_state(tmp_path: Path) -> None:
    torch.save({"model": torch.zeros(2)}, tmp_path / "weights.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    for name in ("weights.pt", "list.pt"):
        with pytest.raises(UserError, match="not the state of a training"):
            check_state(tmp_path / name, SMALL, TrainSettings())


@pytest.mark.parametrize(
    "option",
    [
        *("--minutes=0", "--minutes=nan", "--objects=0", "--size=100", "--channels=20", "--device=tpu", "--stages=x"),
        *("--cache-gb=-1", "--cache-gb=nan", "--readers=-1", "--seed=-1", "--channels=0", "--lr=nan", "--lr=0"),
        *("--out=.", "--state=.", "--out=/dev/null/x.safetensors", "--validate=nope", "--teacher=nope"),
    ],
)
def test_settings_that_make_no_training(
    root: Path, tmp_path: Path, option: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(base_run, "run_training", lambda **_named: pytest.fail("it trained"))
    words = ["train-base", str(root), "--out", str(tmp_path / "out.safetensors"), option]
    assert cli.main(words) == 2
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1
    assert told[0].startswith("annotator: ")
    assert not (tmp_path / "out.safetensors").exists()


def test_a_rate_that_is_too_high_writes_no_model(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train-base", str(root), "--device=cpu", "--size=64", "--channels=32", "--stages=1:64:2", "--threads=1"]
    out = tmp_path / "out.safetensors"
    assert cli.main([*words, "--out", str(out), "--minutes=1", "--lr=1e30", "--set", "warmup_steps=1"]) == 2
    said = capsys.readouterr().err
    assert "not a number" in said
    assert "--lr" in said
    assert not out.exists()


def test_weights_that_are_no_numbers_are_not_written(root: Path, tmp_path: Path) -> None:
    settings, images = TrainSettings(), read_coco_sets([root])
    trainer = BaseTrainer(config=SLIM, settings=settings, images=images, device=torch.device("cpu"))
    weights = next(trainer.ema.parameters())
    for bad in (float("nan"), 1e6):  # the file is half precision
        with torch.no_grad():
            weights.flatten()[0] = bad
        with pytest.raises(DivergedError):
            base_run.export(trainer, tmp_path / "out.safetensors")
    assert list(tmp_path.glob("out*")) == []


@needs_limits
def test_a_full_disk_is_one_sentence_and_leaves_no_part(root: Path, tmp_path: Path) -> None:
    settings, images = TrainSettings(), read_coco_sets([root])
    trainer = BaseTrainer(config=SLIM, settings=settings, images=images, device=torch.device("cpu"))
    folder = tmp_path / "full"
    folder.mkdir()
    with little_room(4096):
        with pytest.raises(ExportError, match=r"run\.state cannot be written"):
            write_state(base_run.state_of(trainer), folder / "run.state")
        with pytest.raises(ExportError, match=r"out\.safetensors cannot be written"):
            base_run.export(trainer, folder / "out.safetensors")
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("has_state", [False, True])
def test_a_run_that_is_stopped_says_what_is_kept(
    root: Path, tmp_path: Path, has_state: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    state = tmp_path / "out.state"

    def stopped(**_named: object) -> Path:
        if has_state:
            state.write_bytes(b"so far")
        raise KeyboardInterrupt

    monkeypatch.setattr(base_run, "run_training", stopped)
    assert cli.main(["train-base", str(root), "--device=cpu", "--out", str(tmp_path / "out.safetensors")]) == 130
    said = capsys.readouterr().err
    assert (f"{state} holds the training so far" in said) == has_state
    assert ("nothing of this training is kept" in said) != has_state


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


def test_a_recipe_is_read_with_its_types() -> None:
    pairs = ["schedule=flat", "warmup_steps=9", "edge_weight=2", "round_shares=0.5,0.5", "stage_blocks=1,1,2,1"]
    read = parse_recipe([*pairs, "dense_prompt=discs-1"])
    assert read == {
        "schedule": "flat",
        "warmup_steps": 9,
        "edge_weight": 2.0,
        "round_shares": (0.5, 0.5),
        "stage_blocks": (1, 1, 2, 1),
        "dense_prompt": "discs-1",
    }


@pytest.mark.parametrize(
    "pair",
    [
        *(
            "speed=9",
            "schedule",
            "schedule=steep",
            "ema_decay=2",
            "edge_weight=-1",
            "edge_weight=nan",
            "focal_weight=x",
        ),
        *("round_shares=0.5,0.4", "stage_blocks=1,1,1", "stage_channels=0,1,2,3", "warmup_steps=0", "warmup_steps=1.5"),
        *("dense_prompt=stars", "mlp_channels=", "pasted_share=1.01", "round_shares="),
    ],
)
def test_a_recipe_that_makes_no_training(pair: str) -> None:
    with pytest.raises(UserError, match=r"--set") as caught:
        parse_recipe([pair])
    assert caught.value.advice


def test_a_run_with_a_recipe_and_a_teacher(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train-base", str(root), "--device=cpu", "--minutes=0.01", "--size=64", "--channels=32"]
    words += ["--stages=1:64:2", "--threads=1"]
    first, second = tmp_path / "teacher.safetensors", tmp_path / "student.safetensors"
    slim = ["--set", "stage_channels=16,16,16,16", "--set", "dense_prompt=discs-1"]
    assert cli.main([*words, "--out", str(first)]) == 0
    assert cli.main([*words, "--out", str(second), "--teacher", str(first), *slim]) == 0
    _, config, _ = load_nano(second)
    assert (config.stage_channels, config.dense_prompt) == ((16, 16, 16, 16), "discs-1")
    assert cli.main([*words, "--out", str(tmp_path / "third.safetensors"), "--teacher", str(first), "--size=96"]) == 2
    assert "teacher.safetensors sees 64 pixels" in capsys.readouterr().err
