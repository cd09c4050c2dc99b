"""Training of the embedded model: it learns, it goes on after a kill, and it writes what it says."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from annotator.domain.ports.engine import ModelInfo
from annotator.domain.prompt import PointPrompt, Prompts
from annotator.engine.sam2.nano import NanoConfig, build_nano, load_nano
from annotator.engine.sam2.segmenter import Sam2Segmenter
from annotator.train.base import BaseTrainer
from annotator.train.data.stream import AHEAD, AskedWeights, WindowStream
from annotator.train.data.windows import Window, WindowSampler, read_coco_sets
from annotator.train.run import base_run
from annotator.train.run.base_run import Progress, Reading, Run, RunFiles, Validated, run_training
from annotator.train.run.curves import read_log
from annotator.train.run.state_file import write_state
from annotator.train.run.validation import Validation
from annotator.train.settings import Stage, TrainSettings
from annotator.train.steps.decoding import decode_with_pe
from annotator.train.steps.losses import hard_iou, mask_loss
from annotator.train.steps.precision import mixed_precision
from tests.unit.train.scenes import write_set

CPU = torch.device("cpu")
TINY = NanoConfig(
    image_size=128, channels=64, stage_channels=(16, 16, 32, 32), stage_blocks=(1, 1, 1, 1), mlp_channels=64
)
SETTINGS = TrainSettings(
    minutes=5.0, stages=(Stage(1.0, 64, 2),), objects_per_window=2, learning_rate=2e-3, warmup_steps=5
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_set(tmp_path_factory.mktemp("sets") / "ellipses")


def trainer_of(root: Path, settings: TrainSettings = SETTINGS) -> BaseTrainer:
    return BaseTrainer(config=TINY, settings=settings, images=read_coco_sets([root]), device=CPU)


def windows_of(trainer: BaseTrainer, count: int, *, seed: int = 0) -> list[list[Window]]:
    sampler = WindowSampler(trainer.images, window_px=64, objects=2)
    asked = [sampler.set_weights({})] * count
    stream = WindowStream(sampler, count=2, seed=seed, first_step=0, asked=asked)
    try:
        return [stream.next() for _ in range(count)]
    finally:
        stream.stop()


def test_mask_loss_by_hand() -> None:
    target = torch.tensor([[[[1.0, 1.0], [0.0, 0.0]]]])
    right, wrong = torch.tensor([[[[20.0, 20.0], [-20.0, -20.0]]]]), torch.tensor([[[[-20.0, -20.0], [20.0, 20.0]]]])
    assert mask_loss(right, target).item() == pytest.approx(0.0, abs=1e-5)
    # BCE 20 twice, focal 20 five times, dice 1 - 1/5 with its smoothing.
    assert mask_loss(wrong, target).item() == pytest.approx(2 * 20 + 5 * 20 + 1 - 1 / 5, rel=1e-4)
    assert mask_loss(torch.cat([right, wrong], 1), target).shape == (1, 2)


def test_hard_iou_by_hand() -> None:
    target = torch.tensor([[[[1.0, 1.0], [0.0, 0.0]]]])
    assert hard_iou(torch.tensor([[[[1.0, -1.0], [1.0, -1.0]]]]), target).item() == pytest.approx(1 / 3)
    assert hard_iou(-torch.ones(1, 1, 2, 2), torch.zeros(1, 1, 2, 2)).item() == 1.0
    assert hard_iou(-torch.ones(1, 1, 2, 2), target).item() == 0.0


def test_batches_depend_on_the_seed_alone(root: Path) -> None:
    trainer = trainer_of(root)
    one, again, other = (windows_of(trainer, 1, seed=seed)[0][0].image for seed in (3, 3, 4))
    assert (one == again).all()
    assert (one != other).any()


def test_a_failing_sampler_fails_the_training(root: Path) -> None:
    trainer = trainer_of(root)
    broken = replace(trainer.images[0], path=root / "gone.png")
    sampler = WindowSampler([broken], window_px=64, objects=2)
    stream = WindowStream(sampler, count=1, seed=0, first_step=0, asked=[sampler.set_weights({})])
    with pytest.raises(Exception, match=r"gone\.png"):
        stream.next()


def test_a_batch_is_the_same_whether_or_not_others_came_before(root: Path) -> None:
    trainer = trainer_of(root)
    sampler = trainer.sampler(SETTINGS.stages[0])
    weights = sampler.set_weights({})
    whole = WindowStream(sampler, count=2, seed=5, first_step=0, asked=[weights] * 3)
    later = WindowStream(sampler, count=2, seed=5, first_step=2, asked=[weights])
    third = [whole.next() for _ in range(3)][2]
    again = later.next()
    for one, other in zip(third, again, strict=True):
        assert np.array_equal(one.image, other.image)
        assert np.array_equal(one.targets, other.targets)
    whole.stop()
    later.stop()


def test_sets_that_go_badly_are_drawn_more_often(tmp_path: Path) -> None:
    roots = [write_set(tmp_path / name, images=4, seed=seed) for seed, name in enumerate(("a", "b"))]
    sampler = WindowSampler(read_coco_sets(roots), window_px=64, objects=2)
    assert sampler.set_weights({}).tolist() == [0.5, 0.5]
    assert sampler.set_weights({"a": 0.9, "b": 0.6}).tolist() == pytest.approx([0.2, 0.8])
    rng = np.random.default_rng(0)
    names = [sampler.draw(rng, np.array([0.2, 0.8])).set_name for _ in range(200)]
    assert names.count("b") == pytest.approx(160, abs=25)


def test_asked_weights_survive_a_state_of_the_same_sets_only() -> None:
    asked = AskedWeights(np.array([0.5, 0.5]))
    asked.push(np.array([0.1, 0.9]))
    other = AskedWeights(np.array([0.5, 0.5]))
    other.load_state(asked.state())
    assert [w.tolist() for w in other.all()] == [[0.5, 0.5]] * (AHEAD - 1) + [[0.1, 0.9]]
    third = AskedWeights(np.array([0.2, 0.3, 0.5]))
    third.load_state(asked.state())
    assert [w.tolist() for w in third.all()] == [[0.2, 0.3, 0.5]] * AHEAD


def test_the_decoder_with_cut_positions_is_the_official_one_on_the_whole_canvas() -> None:
    torch.manual_seed(0)
    model: Any = build_nano(TINY).eval()
    with torch.inference_mode():
        fine, coarse, low = model.forward_image(torch.randn(1, 3, 128, 128))["backbone_fpn"]
        points, labels = torch.rand(1, 2, 2) * 128, torch.tensor([[1, 0]], dtype=torch.int)
        sparse, dense = model.sam_prompt_encoder(points=(points, labels), boxes=None, masks=torch.randn(1, 1, 32, 32))
        pe = model.sam_prompt_encoder.get_dense_pe()
        masks, iou, score = decode_with_pe(model.sam_mask_decoder, [fine, coarse, low], sparse, dense, pe)
        official = model.sam_mask_decoder.predict_masks(
            image_embeddings=low,
            image_pe=pe,
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            repeat_image=False,
            high_res_features=[fine, coarse],
        )
    for ours, theirs in zip((masks, iou, score), (official[0], official[1], official[3]), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def test_the_stages_follow_each_other_by_their_shares(root: Path) -> None:
    stages = (Stage(2.0, 64, 4), Stage(1.0, 128, 2))
    trainer = trainer_of(root, replace(SETTINGS, stages=stages))
    sides = []
    for share in (0.0, 0.6, 0.7, 0.99, 1.0):
        trainer.seconds = share * 300
        sides.append(trainer.stage.side_px)
    assert sides == [64, 64, 128, 128, 128]


def test_training_and_use_decode_alike(root: Path) -> None:
    """What the trainer computes for a whole image at the model's own size is what the engine answers."""
    torch.manual_seed(0)
    trainer = trainer_of(root)
    trainer.model.eval()
    pixels = (np.random.default_rng(0).random((128, 128, 3)) * 255).astype(np.uint8)
    info = ModelInfo("nano", "0" * 64, "cpu", "float32", 128)
    engine = Sam2Segmenter(trainer.model, info, dense_prompt=TINY.dense_prompt)
    embedding = engine.encode(pixels, "x")
    answer = engine.decode(embedding, Prompts((PointPrompt(40.0, 70.0), PointPrompt(90.0, 20.0, False))))
    prompts = [[(40.0, 70.0, 1), (90.0, 20.0, 0)]]
    features = [embedding.fine, embedding.coarse, embedding.low]
    with torch.inference_mode():
        masks, iou, score = trainer._decode(features, prompts, embedding.thumbnail, None)
    np.testing.assert_allclose(answer.chosen.logits, masks[0, 0].clamp(-32, 32).numpy(), atol=2e-4)
    assert answer.chosen.predicted_iou == pytest.approx(float(iou[0, 0]), abs=1e-4)
    assert answer.object_score == pytest.approx(float(score[0, 0]), abs=1e-4)


def test_it_learns(root: Path) -> None:
    trainer = trainer_of(root)
    trainer.model.train()
    batch = windows_of(trainer, 1)[0]
    results = [trainer.train_step(batch) for _ in range(40)]
    losses = [loss for loss, _, _ in results]
    assert sum(losses[-8:]) / 8 < 0.6 * sum(losses[:4]) / 4
    assert all(0.0 <= iou <= 1.0 for _, *ious in results for iou in ious)


def test_going_on_from_a_saved_state_is_the_same_run(root: Path, tmp_path: Path) -> None:
    whole = trainer_of(root)
    whole.model.train()
    batches = windows_of(whole, 5)
    for batch in batches[:3]:
        whole.train_step(batch)
        whole.seconds += 1.0
    write_state(base_run.state_of(whole), tmp_path / "run.state")
    assert [path.name for path in tmp_path.iterdir()] == ["run.state"]
    expected = [whole.train_step(batch) for batch in batches[3:]]

    resumed = trainer_of(root, replace(SETTINGS, seed=99))
    resumed.model.train()
    resumed.load_state(torch.load(tmp_path / "run.state", weights_only=True))
    assert (resumed.step, resumed.seconds) == (3, 3.0)
    assert [resumed.train_step(batch) for batch in batches[3:]] == expected
    for kind in ("model", "ema"):
        for name, tensor in getattr(whole, kind).state_dict().items():
            assert torch.equal(getattr(resumed, kind).state_dict()[name], tensor), (kind, name)


@pytest.mark.parametrize("kind", ["cpu", "cuda", "mps"])
def test_a_device_that_emulates_bf16_trains_in_float32(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("annotator.engine.precision.cpu_has_bfloat16", lambda: False)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation)
    linear = torch.nn.Linear(4, 4)
    with mixed_precision(torch.device(kind)):
        assert not torch.is_autocast_enabled(kind)
        assert linear(torch.zeros(1, 4)).dtype == torch.float32


def test_mixed_precision_on_a_cpu_is_bf16_without_the_fused_attention(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("annotator.engine.precision.cpu_has_bfloat16", lambda: True)
    linear, fused_before = torch.nn.Linear(4, 4), torch.backends.cuda.flash_sdp_enabled()
    with mixed_precision(CPU):
        assert linear(torch.zeros(1, 4)).dtype == torch.bfloat16
        assert not torch.backends.cuda.flash_sdp_enabled()
    assert linear(torch.zeros(1, 4)).dtype == torch.float32
    assert torch.backends.cuda.flash_sdp_enabled() is fused_before


def test_the_learning_rate_warms_up_and_falls(root: Path) -> None:
    trainer = trainer_of(root)
    trainer.step = 0
    assert trainer.learning_rate() == pytest.approx(2e-3 / 5, rel=0.02)
    trainer.step = 100
    rates = []
    for share in (0.0, 0.5, 1.0):
        trainer.seconds = share * 300
        rates.append(trainer.learning_rate())
    assert rates == pytest.approx([2e-3 * 1.005, 2e-3 * 0.505, 2e-3 * 0.005])


class FakeSteps:
    """Stands for the optimiser step: takes no time, counts, and says one fixed result."""

    def __init__(self, trainer: BaseTrainer) -> None:
        self.trainer = trainer

    def __call__(self, windows: list[Window]) -> tuple[float, float, float]:
        self.trainer.step += 1
        if self.trainer.step == 60:
            self.trainer.seconds = 1e9
        return 2.0, 0.5, 0.75


def test_the_logged_means_are_right_after_going_on_in_between(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = trainer_of(root)
    trainer.step = 15  # as after a kill or a change of window size: the first line covers ten steps only
    monkeypatch.setattr(trainer, "train_step", FakeSteps(trainer))
    run = Run(trainer, tmp_path / "out.safetensors", None)
    lines: list[Any] = [event for entry in run.stage() for event in entry.events]
    assert [line.step for line in lines] == [25, 50]
    assert [(line.loss, line.iou_first, line.iou_last) for line in lines] == [(2.0, 0.5, 0.75)] * 2
    assert all(isinstance(line, Progress) for line in lines)


def test_a_whole_run_writes_weights_state_and_log(root: Path, tmp_path: Path) -> None:
    settings = replace(
        SETTINGS, minutes=0.05, stages=(Stage(0.6, 64, 2), Stage(0.4, 128, 2)), state_minutes=0.02, export_minutes=0.02
    )
    files = RunFiles(tmp_path / "nano.safetensors", tmp_path / "nano.state")
    arguments: dict[str, Any] = {"roots": [root], "files": files, "config": TINY, "device": CPU}
    assert run_training(**arguments, settings=settings, report=lambda _line: None) == files.out
    first = torch.load(files.state, weights_only=True)
    _model, config, metadata = load_nano(files.out)
    assert config == TINY
    assert metadata["sets"] == "ellipses"
    assert metadata["steps"] == str(first["step"])
    assert first["seconds"] >= 3.0
    # Longer on: goes on where it ended instead of starting again.
    run_training(**arguments, settings=replace(settings, minutes=0.08), report=lambda _line: None)
    assert torch.load(files.state, weights_only=True)["step"] > first["step"]
    if files.record.log.exists():
        with files.record.log.open(encoding="utf-8") as file:
            steps = [int(float(row["step"])) for row in csv.DictReader(file)]
        assert steps == sorted(set(steps))


class KilledError(Exception):
    """Stands for the end of the process."""


def test_a_killed_run_goes_on_to_the_bit(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run at once and one that was killed some steps after its last saved state end alike."""
    ticks = iter(range(10**9))
    monkeypatch.setattr(base_run.time, "monotonic", lambda: float(next(ticks)))
    settings = replace(SETTINGS, minutes=0.5, state_minutes=0.2)
    torch.set_num_threads(1)

    def run(folder: Path, dies_at: int | None, reading: Reading | None = None) -> dict[str, Any]:
        folder.mkdir(exist_ok=True)
        files = RunFiles(folder / "nano.safetensors", folder / "nano.state")
        steps = BaseTrainer.train_step

        def step_or_die(self: BaseTrainer, windows: list[Window]) -> tuple[float, float, float]:
            if self.step == dies_at:
                raise KilledError
            return steps(self, windows)

        with monkeypatch.context() as patch:
            patch.setattr(BaseTrainer, "train_step", step_or_die)
            arguments: dict[str, Any] = {"roots": [root], "files": files, "config": TINY, "device": CPU}
            run_training(**arguments, settings=settings, report=lambda _line: None, reading=reading)
        return dict(torch.load(files.state, weights_only=True))

    whole = run(tmp_path / "whole", None)
    with pytest.raises(KilledError):
        run(tmp_path / "killed", 11)
    interrupted = torch.load(tmp_path / "killed" / "nano.state", weights_only=True)
    assert 0 < interrupted["step"] < 11 < whole["step"]
    # How the images come in is nothing that the result knows of.
    resumed = run(tmp_path / "killed", None, Reading(tmp_path / "cache", 1 << 20, readers=2))
    assert list((tmp_path / "cache").iterdir())
    assert resumed["step"] == whole["step"]
    assert resumed["iou_by_set"] == whole["iou_by_set"]
    for kind in ("model", "ema"):
        for name, tensor in whole[kind].items():
            assert torch.equal(resumed[kind][name], tensor), (kind, name)


def test_the_best_validated_weights_are_kept(root: Path, tmp_path: Path) -> None:
    files = RunFiles(tmp_path / "nano.safetensors", tmp_path / "nano.state")
    settings = replace(SETTINGS, minutes=0.06, validate_minutes=0.005)
    scores = iter([0.5, 0.7, 0.6] + [0.1] * 1000)
    told: list[Any] = []
    run_training(
        roots=[root],
        files=files,
        settings=settings,
        config=TINY,
        device=CPU,
        report=told.append,
        validate=lambda _model, _config: {"mean": next(scores)},
    )
    validated = [line for line in told if isinstance(line, Validated)]
    assert [line.is_best for line in validated[:3]] == [True, True, False]
    _model, _config, metadata = load_nano(files.out)
    assert metadata["steps"] == str(validated[1].step)
    assert torch.load(files.state, weights_only=True)["best_score"] == 0.7
    with files.record.validation_log.open(encoding="utf-8") as file:
        assert [float(row["mean"]) for row in csv.DictReader(file)][:3] == [0.5, 0.7, 0.6]
    step = int(metadata["steps"])
    run_training(
        roots=[root],
        files=files,
        settings=replace(settings, minutes=0.07),
        config=TINY,
        device=CPU,
        report=told.append,
        validate=lambda _model, _config: {"mean": 0.3, "cells": 0.3},
    )
    assert int(load_nano(files.out)[2]["steps"]) > step, "judged by other sets: the score before says nothing"
    rows = read_log(files.record.validation_log)
    assert [row.get("cells") for row in (rows[0], rows[-1])] == [None, 0.3]
    assert [line.is_best for line in told if isinstance(line, Validated) and "cells" in line.figures][:2] in (
        [True],
        [True, False],
    )


def test_validation_is_the_same_every_time_and_leaves_the_model_alone(root: Path) -> None:
    torch.manual_seed(0)
    model = build_nano(TINY).eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    validate = Validation([root], per_set=2)
    figures = validate(model, TINY)
    assert figures == validate(model, TINY)
    assert set(figures) == {"mean", "box", "click_1", "click_3", "box_ellipses"}
    assert figures["mean"] == pytest.approx((figures["box"] + figures["click_1"] + figures["click_3"]) / 3)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_state_is_resumed_on_a_gpu(root: Path, tmp_path: Path) -> None:
    device = torch.device("cuda")
    trainer = BaseTrainer(config=TINY, settings=SETTINGS, images=read_coco_sets([root]), device=device)
    write_state(base_run.state_of(trainer), tmp_path / "run.state")
    trainer.load_state(torch.load(tmp_path / "run.state", map_location=device, weights_only=True))
