"""Training of prompt adapters: data and split, a run that learns and survives a kill, the gate."""

from __future__ import annotations

import copy
import csv
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from annotator.domain.adapter import AdapterInfo
from annotator.domain.errors import ImportFormatError, UserError
from annotator.domain.mask import Mask
from annotator.domain.metrics import boundary_iou
from annotator.domain.ports import ModelInfo
from annotator.engine.adapted_decoder import Adapter
from annotator.engine.adapter_files import config_of
from annotator.engine.nano import NanoConfig, build_nano
from annotator.engine.prompt_adapter import AdapterConfig, PromptAdapter
from annotator.engine.sam2_backend import Sam2Segmenter
from annotator.train.adapter import COPIES, COPIES_SCALE, AdapterTrainer
from annotator.train.adapter_cache import WindowCache
from annotator.train.adapter_data import Split, image_count, read_source, split, training_images
from annotator.train.adapter_gate import DECIDING, Contestant, GateResult, judge, summarize
from annotator.train.adapter_prompts import (
    Kind,
)
from annotator.train.adapter_run import EpochDone, RunFolder, StepDone, run_adapter_training
from annotator.train.evaluate import ObjectResult, evaluate_object
from annotator.train.prompted import DECAY, AdapterSettings
from tests.unit.train.scenes import write_set

SMALL = NanoConfig(
    image_size=128, channels=64, stage_channels=(16, 24, 32, 48), stage_blocks=(1, 1, 1, 1), mlp_channels=64
)
BASE = ModelInfo("small", "a" * 64, "cpu", "float32", 128)
SETTINGS = AdapterSettings(epochs=2, batch=2, patience=50)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_set(tmp_path_factory.mktemp("sets") / "ellipses", images=10)


@pytest.fixture(scope="module")
def segmenter() -> Sam2Segmenter:
    torch.manual_seed(0)
    return Sam2Segmenter(build_nano(SMALL), BASE, dense_prompt="stamps-2")


@pytest.fixture(scope="module")
def parts(root: Path) -> Split:
    return split([read_source(root)])


@pytest.fixture(scope="module")
def windows(parts: Split, segmenter: Sam2Segmenter, tmp_path_factory: pytest.TempPathFactory) -> WindowCache:
    images = training_images(parts.train, "ellipses")
    cache = WindowCache(tmp_path_factory.mktemp("windows"), segmenter, images, count=6, seed=0)
    cache.fill(lambda _done, _all: None)
    return cache


def trainer_of(segmenter: Sam2Segmenter, windows: Any, **changes: Any) -> AdapterTrainer:
    return AdapterTrainer(
        segmenter, windows, settings=replace(SETTINGS, **changes), config=AdapterConfig(SMALL.channels)
    )


# --- data -------------------------------------------------------------------------------------------------------------


def test_no_image_is_on_two_sides(root: Path) -> None:
    parts = split([read_source(root)], held_back=0.3)
    paths = [{item.image.path for item in side} for side in (parts.train, parts.validation, parts.held_back)]
    assert [len(p) for p in paths] == [6, 1, 3]
    assert len(set.union(*paths)) == 10
    assert parts == split([read_source(root)], held_back=0.3)
    assert parts.held_back != split([read_source(root)], held_back=0.3, seed=1).held_back


def test_series_stay_together(root: Path, tmp_path: Path) -> None:
    data = json.loads((root / "annotations.json").read_text("utf-8"))
    for number, image in enumerate(data["images"]):
        image["attributes"] = {"SeriesInstanceUID": f"1.2.{number // 4}"}
    (tmp_path / "images").symlink_to(root / "images")
    (tmp_path / "annotations.json").write_text(json.dumps(data), "utf-8")
    parts = split([read_source(tmp_path)], held_back=0.3)
    series = [{(item.image.id - 1) // 4 for item in side} for side in (parts.train, parts.held_back)]
    assert not series[0] & series[1]
    assert len(series[0] | series[1]) == 3


def test_fewer_images_are_judged_on_the_same_ones(root: Path) -> None:
    source = read_source(root)
    few, all_of = split([source], max_images=2), split([source])
    assert few.held_back == all_of.held_back
    assert image_count([*few.train, *few.validation]) == 2


def test_what_cannot_be_trained_on_is_said(root: Path, tmp_path: Path) -> None:
    lonely = write_set(tmp_path / "lonely", images=1)
    with pytest.raises(UserError, match="one image"):
        split([read_source(lonely)])
    with pytest.raises(ImportFormatError, match="no project or COCO set"):
        read_source(tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ImportFormatError, match="neither a project"):
        read_source(tmp_path / "empty")


def test_accepted_masks_of_a_project(root: Path, tmp_path: Path) -> None:
    from annotator import cli

    folder = tmp_path / "photos"
    folder.mkdir()
    for path in (root / "images").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    from annotator.io.store import ProjectStore

    ProjectStore.open_folder(folder).close()
    assert cli.main(["import", str(folder), str(root / "annotations.json")]) == 0
    project, coco = read_source(folder), read_source(root)
    assert len(project.objects) == len(coco.objects) == 20
    ours = {(o.image.file_name, o.mask().area) for o in project.objects}
    assert ours == {(o.image.file_name, o.mask().area) for o in coco.objects}
    assert project.objects[0].image.path.is_file()


def test_sixteen_bit_images_are_read_as_shown(tmp_path: Path) -> None:
    values = np.zeros((40, 50), np.uint16)
    values[10:30, 10:40] = 60000
    Image.fromarray(values).save(tmp_path / "deep.png")
    mask = Mask.from_full(values > 0)
    from annotator.train.adapter_data import ReadableImage

    pixels = ReadableImage(tmp_path / "deep.png", "x", (mask,)).pixels()
    assert pixels.shape == (40, 50, 3)
    assert pixels.dtype == np.uint8
    assert pixels.max() > 200
    other = Mask.from_full(np.ones((40, 51), bool))
    with pytest.raises(ImportFormatError, match="50 x 40"):
        ReadableImage(tmp_path / "deep.png", "x", (other,)).pixels()


def test_specks_and_whole_images_are_not_learned_from(parts: Split) -> None:
    whole = replace(parts.train[0], segmentation={"size": [96, 96], "counts": [0, 96 * 96]})
    speck = replace(parts.train[0], segmentation={"size": [96, 96], "counts": [5, 3, 96 * 96 - 8]})
    (image,) = training_images([parts.train[0], whole, speck], "x")
    assert len(image.masks) == 1
    with pytest.raises(UserError, match="no objects to learn from"):
        training_images([whole, speck], "x")


def test_windows_are_encoded_once(parts: Split, segmenter: Sam2Segmenter, tmp_path: Path) -> None:
    images = training_images(parts.train, "ellipses")
    cache = WindowCache(tmp_path, segmenter, images, count=3, seed=0)
    assert cache.fill(lambda _done, _all: None) == 3
    first = cache[1]
    (tmp_path / "000001.safetensors").write_bytes(b"torn")
    again = WindowCache(tmp_path, segmenter, images, count=4, seed=0)
    assert again.fill(lambda _done, _all: None) == 1
    assert torch.equal(again[1].low, first.low)  # made again: a function of its number
    assert np.array_equal(again[1].targets, first.targets)
    assert first.fine.shape == (8, 32, 32)
    assert first.coarse.shape == (16, 16, 16)
    assert first.low.shape == (64, 8, 8)
    assert first.targets.shape[1:] == (128, 128)
    assert first.targets.max() == 1


# --- training ---------------------------------------------------------------------------------------------------------


def test_a_run_learns_and_leaves_the_base_alone(
    segmenter: Sam2Segmenter, windows: WindowCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # This base is random, so what is copied from it has to learn, too.
    monkeypatch.setattr("annotator.train.adapter.COPIES_SCALE", 1.0)
    before = copy.deepcopy(segmenter.model.state_dict())
    trainer = trainer_of(segmenter, windows, epochs=16, learning_rate=4e-3)
    seen: list[StepDone | EpochDone] = []
    folder = RunFolder(tmp_path / "run")
    base = run_adapter_training(trainer, windows, folder, key="k", report=seen.append)
    for name, tensor in segmenter.model.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    epochs = [line for line in seen if isinstance(line, EpochDone)]
    assert len(epochs) == 16
    assert epochs[-1].losses["loss"] < 0.8 * epochs[0].losses["loss"]
    assert max(line.figures["box"] for line in epochs) > base["box"] + 0.1
    assert bool(trainer.network.point_gate.any())  # hard points were on
    with folder.log.open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == [3 * n for n in range(1, 17)]
    assert float(rows[0]["learning_rate"]) == pytest.approx(4e-3)
    assert float(rows[-1]["learning_rate"]) == pytest.approx(4e-3 * DECAY)
    with Image.open(folder.curves) as picture:
        assert picture.width > 600


def test_a_killed_run_goes_on_to_the_bit(segmenter: Sam2Segmenter, windows: WindowCache, tmp_path: Path) -> None:
    class KilledError(Exception):
        pass

    def whole(folder: RunFolder, stop_at: int | None) -> AdapterTrainer:
        trainer = trainer_of(segmenter, windows, epochs=3)

        def report(line: StepDone | EpochDone) -> None:
            if isinstance(line, StepDone) and line.step == stop_at:
                raise KilledError

        run_adapter_training(trainer, windows, folder, key="k", report=report)
        return trainer

    straight = whole(RunFolder(tmp_path / "a"), None)
    with pytest.raises(KilledError):
        whole(RunFolder(tmp_path / "b"), 5)
    resumed = whole(RunFolder(tmp_path / "b"), None)
    assert resumed.step == straight.step == 9
    for name, tensor in straight.network.state_dict().items():
        assert torch.equal(tensor, resumed.network.state_dict()[name]), name
    logs = [[line.split(",")[0] for line in (tmp_path / n / "run.csv").read_text().splitlines()] for n in ("a", "b")]
    assert logs[0] == logs[1] == ["step", "3", "6", "9"]


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


# --- the gate ---------------------------------------------------------------------------------------------------------


def test_the_gate_judges_on_the_same_prompts(segmenter: Sam2Segmenter, parts: Split) -> None:
    network = PromptAdapter.on(segmenter.model)
    info = AdapterInfo("same", "", BASE.name, BASE.sha256, config_of(network))
    told: list[tuple[int, int]] = []
    found = judge(
        Contestant(segmenter),
        Contestant(segmenter, Adapter(network, info)),
        parts.held_back,
        clicks=5,
        progress=lambda *n: told.append(n),
    )
    assert segmenter.adapter is None
    assert told[-1] == (4, 4)
    assert (found.objects, found.images) == (4, 2)
    for base, adapted in found.per_object:  # an untrained adapter is its base
        assert (base.iou, base.biou, base.box_iou) == (adapted.iou, adapted.biou, adapted.box_iou)
    assert found.row("IoU, box").difference.mean == 0
    assert not found.is_better
    assert not found.is_certain
    assert "| NoC@90 |" in found.markdown("x")
    assert json.loads(json.dumps(found.to_json()))["objects"] == 4


def result(image: str, number: int, value: float) -> ObjectResult:
    return ObjectResult(
        annotation_id=number,
        image=image,
        area=10,
        points=[],
        iou=[value] * 5,
        biou=[value] * 5,
        box_iou=value,
        box_biou=value,
        encode_ms=1.0,
        decode_ms=1.0,
        predicted_iou=[value] * 5,
        box_predicted_iou=value,
    )


class KilledError(Exception):
    pass


def killed_after(objects: int) -> Any:
    def progress(done: int, _all: int) -> None:
        if done == objects:
            raise KilledError

    return progress


def figures(gate: GateResult) -> list[Any]:
    """All that does not depend on the clock."""
    return [[replace(item, encode_ms=0.0, decode_ms=0.0) for item in pair] for pair in gate.per_object] + [
        list(gate.rows)
    ]


def test_a_killed_gate_goes_on(
    segmenter: Sam2Segmenter, parts: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def counted(engine: Any, embedding: Any, item: Any, target: Any, *, clicks: int) -> ObjectResult:
        asked.append(item.id)
        return evaluate_object(engine, embedding, item, target, clicks=clicks)

    monkeypatch.setattr("annotator.train.adapter_gate.evaluate_object", counted)
    network = PromptAdapter.on(segmenter.model)
    torch.nn.init.constant_(network.query_gate, 0.5)
    info = AdapterInfo("x", "", BASE.name, BASE.sha256, config_of(network))
    base, candidate = Contestant(segmenter), Contestant(segmenter, Adapter(network, info))
    straight = judge(base, candidate, parts.held_back, clicks=5)
    assert len(asked) == 2 * 4
    state = tmp_path / "gate.state"
    with pytest.raises(KilledError):
        judge(base, candidate, parts.held_back, clicks=5, progress=killed_after(3), state_path=state)
    assert segmenter.adapter is None
    with state.open("a") as file:
        file.write('{"run": "torn')  # as a kill leaves it
    asked.clear()
    resumed = judge(base, candidate, parts.held_back, clicks=5, state_path=state)
    assert len(asked) == 2 * 1
    assert figures(resumed) == figures(straight)

    def fresh(*two: Contestant, clicks: int = 5) -> int:
        asked.clear()
        judge(*two, parts.held_back, clicks=clicks, state_path=state)
        return len(asked)

    assert fresh(base, candidate) == 0
    assert fresh(base, candidate, clicks=6) == 2 * 4  # other settings
    torch.nn.init.constant_(network.query_gate, 0.6)
    assert fresh(base, candidate) == 2 * 4  # other weights, by the same name
    assert fresh(base, Contestant(segmenter, weights="tuned")) == 2 * 4
    image = parts.held_back[0].image.path
    os.utime(image, (1, 1))
    assert fresh(base, candidate) == 2 * 2  # another picture: its two objects are judged again


def test_the_gates_sums_by_hand() -> None:
    values = {"a": [(0.5, 0.7), (0.7, 0.7)], "b": [(0.9, 0.95)]}
    pairs = [
        (image, result(image, n, base), result(image, n, adapted))
        for image, found in values.items()
        for n, (base, adapted) in enumerate(found)
    ]
    gate = summarize(pairs, clicks=5)
    row = gate.row(DECIDING)
    assert row.base.mean == pytest.approx((0.6 + 0.9) / 2)
    assert row.adapter.mean == pytest.approx((0.7 + 0.95) / 2)
    assert row.difference.mean == pytest.approx((0.1 + 0.05) / 2)
    assert row.difference.low == pytest.approx(0.05)
    assert row.difference.high == pytest.approx(0.1)
    assert gate.is_better
    assert gate.is_certain
    assert gate.row("NoC@85").base.mean == pytest.approx((5 + 1) / 2)
    worse = summarize([(image, adapted, base) for image, base, adapted in pairs], clicks=5)
    assert not worse.is_better


def test_boundary_measure_is_the_known_one() -> None:
    truth = np.zeros((100, 100), bool)
    truth[20:80, 20:80] = True
    moved = np.roll(truth, 3, 1)
    assert 0 < boundary_iou(moved, truth) < 0.6
