"""Training of prompt adapters: a run that learns, leaves its base alone and survives a kill."""

from __future__ import annotations

import copy
import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from annotator.domain.errors import DivergedError, ExportError, UserError
from annotator.engine.sam2.adapter_network import AdapterConfig
from annotator.engine.sam2.nano import build_nano
from annotator.engine.sam2.segmenter import Sam2Segmenter
from annotator.train.adapter import COPIES, COPIES_SCALE, AdapterTrainer
from annotator.train.data.encoded import WindowCache
from annotator.train.data.sources import Split, training_images
from annotator.train.prompted import DECAY
from annotator.train.run.adapter_run import EpochDone, RunFolder, StepDone, run_adapter_training
from annotator.train.steps.adapter_prompts import Kind
from tests.little_room import little_room, needs_limits
from tests.small_base import BASE, SETTINGS, SMALL


def trainer_of(segmenter: Sam2Segmenter, windows: Any, **changes: Any) -> AdapterTrainer:
    return AdapterTrainer(
        segmenter, windows, settings=replace(SETTINGS, **changes), config=AdapterConfig(SMALL.channels)
    )


def test_a_run_learns_and_leaves_the_base_alone(
    segmenter: Sam2Segmenter, windows: WindowCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # This base is random, so what is copied from it has to learn, too.
    monkeypatch.setattr("annotator.train.adapter.COPIES_SCALE", 1.0)
    before = copy.deepcopy(segmenter.model.state_dict())
    trainer = trainer_of(segmenter, windows, epochs=12, learning_rate=4e-3)
    seen: list[StepDone | EpochDone] = []
    folder = RunFolder(tmp_path / "run")
    base = run_adapter_training(trainer, windows, folder, key="k", report=seen.append)
    for name, tensor in segmenter.model.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    epochs = [line for line in seen if isinstance(line, EpochDone)]
    print([(round(e.losses["loss"], 3), round(e.figures["box"], 3)) for e in epochs], base["box"])
    assert len(epochs) == 12
    assert epochs[-1].losses["loss"] < 0.8 * epochs[0].losses["loss"]
    assert max(line.figures["box"] for line in epochs) > base["box"] + 0.1
    assert bool(trainer.network.point_gate.any())  # hard points were on
    with folder.record.log.open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == [3 * n for n in range(1, 13)]
    assert float(rows[0]["learning_rate"]) == pytest.approx(4e-3)
    assert float(rows[-1]["learning_rate"]) == pytest.approx(4e-3 * DECAY)
    with Image.open(folder.record.curves) as picture:
        assert picture.width > 600


def test_a_killed_run_goes_on_to_the_bit(segmenter: Sam2Segmenter, windows: WindowCache, tmp_path: Path) -> None:
    class KilledError(Exception):
        pass

    def whole(folder: RunFolder, stop_at: int | None) -> AdapterTrainer:
        trainer = trainer_of(segmenter, windows, epochs=2)

        def report(line: StepDone | EpochDone) -> None:
            if isinstance(line, StepDone) and line.step == stop_at:
                raise KilledError

        run_adapter_training(trainer, windows, folder, key="k", report=report)
        return trainer

    straight = whole(RunFolder(tmp_path / "a"), None)
    with pytest.raises(KilledError):
        whole(RunFolder(tmp_path / "b"), 5)
    is_over = [torch.load(tmp_path / name / "run.state", weights_only=True)["is_over"] for name in ("a", "b")]
    assert is_over == [True, False]
    resumed = whole(RunFolder(tmp_path / "b"), None)
    assert resumed.step == straight.step == 6
    for name, tensor in straight.network.state_dict().items():
        assert torch.equal(tensor, resumed.network.state_dict()[name]), name
    logs = [[line.split(",")[0] for line in (tmp_path / n / "run.csv").read_text().splitlines()] for n in ("a", "b")]
    assert logs[0] == logs[1] == ["step", "3", "6"]


def test_the_folder_of_another_run_is_refused(segmenter: Sam2Segmenter, windows: WindowCache, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    run_adapter_training(trainer_of(segmenter, windows, epochs=1), windows, folder, key="k", report=lambda _: None)
    before = folder.state.read_bytes()
    with pytest.raises(UserError, match="another run"):
        run_adapter_training(trainer_of(segmenter, windows), windows, folder, key="other", report=lambda _: None)
    assert folder.state.read_bytes() == before
    for content in (b"", b"junk", b"PK\x03\x04"):
        folder.state.write_bytes(content)
        with pytest.raises(UserError, match="damaged"):
            run_adapter_training(trainer_of(segmenter, windows), windows, folder, key="k", report=lambda _: None)


def test_schedule_and_early_stop(segmenter: Sam2Segmenter, windows: WindowCache, tmp_path: Path) -> None:
    trainer = trainer_of(segmenter, windows, epochs=21, minutes=10.0)
    assert (trainer.steps_per_epoch, trainer.has_points, trainer.learning_rate()) == (3, False, 1e-3)
    trainer.step = 15
    assert trainer.has_points
    trainer.step = 30
    assert trainer.learning_rate() == pytest.approx(1e-4)
    trainer.step, trainer.seconds = 3, 300.0  # half of the minutes
    assert trainer.has_points
    assert trainer.learning_rate() == pytest.approx(1e-4)
    trainer.seconds = 600.0
    assert trainer.share_done == 1.0

    stopping = trainer_of(segmenter, windows, epochs=50, patience=2, learning_rate=1e-12)
    run_adapter_training(stopping, windows, RunFolder(tmp_path), key="k", report=lambda _: None)
    assert stopping.epoch == stopping.peak_epoch + 2 < 50
    assert stopping.best_epoch == stopping.epoch  # as good as the best: the last is kept


@pytest.mark.parametrize("dense_prompt", ["", "stamps-1"])
def test_every_kind_of_prompt_trains(windows: WindowCache, dense_prompt: str, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    segmenter = Sam2Segmenter(build_nano(SMALL), BASE, dense_prompt=dense_prompt)
    trainer = trainer_of(segmenter, windows, accumulate=2)
    for kind in Kind:
        monkeypatch.setattr("annotator.train.prompted.draw_kind", lambda _rng, kind=kind: kind)
        parts = trainer.train_step()
        assert all(bool(torch.isfinite(part.total)) for part in parts), kind


def test_what_was_copied_from_the_base_learns_slowly(segmenter: Sam2Segmenter, windows: WindowCache) -> None:
    trainer = trainer_of(segmenter, windows)
    before = copy.deepcopy(trainer.network.state_dict())
    trainer.train_step()
    rates = {id(p): group["lr"] for group in trainer.optimizer.param_groups for p in group["params"]}
    named = {name: p for name, p in trainer.network.named_parameters() if p.requires_grad}
    assert {id(p) for p in named.values()} == set(rates)
    moved: dict[bool, list[float]] = {True: [], False: []}
    for name, parameter in named.items():
        is_copy = name.startswith(COPIES)
        if is_copy:
            assert rates[id(parameter)] == pytest.approx(SETTINGS.learning_rate * COPIES_SCALE)
        elif not name.endswith("_gate"):
            assert rates[id(parameter)] == SETTINGS.learning_rate
        moved[is_copy].append(float((parameter.detach() - before[name]).abs().max()))
    assert 0 < max(moved[True]) <= 1.01 * SETTINGS.learning_rate * COPIES_SCALE  # Adam's first step is the rate
    assert max(moved[True]) < max(moved[False])


def test_validation_looks_at_a_box_a_click_and_five(segmenter: Sam2Segmenter, windows: WindowCache) -> None:
    trainer = trainer_of(segmenter, windows)
    figures = trainer.validate(windows)
    shown = ("box", "click_1", "click_5")
    assert set(figures) == {"mean", "error", *shown, *(f"{name}_biou" for name in shown)}
    assert figures["mean"] == pytest.approx(sum(figures[f"{name}_biou"] for name in shown) / 3)
    assert 0 < figures["error"] < 0.5
    assert trainer.validate(windows) == figures


def test_of_two_epochs_that_are_about_as_good_the_later_is_kept(segmenter: Sam2Segmenter, windows: WindowCache) -> None:
    trainer = trainer_of(segmenter, windows, patience=3)
    kept, ends = [], []
    for epoch, score in enumerate((0.50, 0.60, 0.59, 0.61, 0.55, 0.595, 0.50, 0.40, 0.40), start=1):
        trainer.step = epoch * trainer.steps_per_epoch
        if trainer.keep_if_best(score, error=0.02):
            kept.append(epoch)
        ends.append(trainer.is_exhausted)
    assert kept == [1, 2, 3, 4, 6]
    assert ends == [False] * 6 + [True] * 3  # the peak is the fourth
    assert trainer.best_epoch == 6
    assert trainer.best_score == 0.61


def test_a_run_that_learns_too_fast_is_told_and_leaves_no_state(
    segmenter: Sam2Segmenter, windows: WindowCache, tmp_path: Path
) -> None:
    folder = RunFolder(tmp_path)
    for _ in range(2):
        trainer = trainer_of(segmenter, windows, learning_rate=1e30)
        with pytest.raises(DivergedError, match="not a number") as caught:
            run_adapter_training(trainer, windows, folder, key="k", report=lambda _: None)
    assert "--lr" in caught.value.advice
    assert [line.split(",")[0] for line in folder.record.validation_log.read_text().splitlines()] == ["step", "0"]
    assert not folder.state.exists()
    assert not folder.candidate.exists()


@needs_limits
def test_a_full_disk_is_told_and_leaves_nothing_half_written(
    segmenter: Sam2Segmenter, windows: WindowCache, parts: Split, tmp_path: Path
) -> None:
    trainer, folder = trainer_of(segmenter, windows), RunFolder(tmp_path / "run")
    cache = WindowCache(tmp_path / "new", segmenter, training_images(parts.train, "x"), count=1, seed=0)
    with little_room(4096):
        with pytest.raises(ExportError, match=r"run\.state cannot be written"):
            run_adapter_training(trainer, windows, folder, key="k", report=lambda _: None)
        with pytest.raises(ExportError, match=r"000000\.safetensors cannot be written"):
            cache.fill(lambda _done, _all: None)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["run.validation.csv"]


def test_only_encoded_windows_are_cleared_away(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    old, kept = folder.windows("a"), folder.windows("b")
    stray, strange = folder.path / "windows" / ".DS_Store", folder.path / "windows" / "photos"
    for path in (old, kept, strange):
        path.mkdir(parents=True)
    stray.write_bytes(b"x")
    folder.keep_windows([kept])
    assert not old.exists()
    assert kept.exists()
    assert stray.exists()
    assert strange.exists()
    moved = RunFolder(tmp_path / "moved")
    moved.path.mkdir()
    (moved.path / "windows").symlink_to(folder.path / "windows")
    moved.keep_windows([])
    assert kept.exists(), "somebody put them on another disk"
