"""Training of the embedded model: it learns, it goes on after a kill, and it writes what it says."""

from __future__ import annotations

import csv
import threading
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from annotator.domain.ports import ModelInfo
from annotator.domain.prompt import PointPrompt, Prompts
from annotator.engine.nano import NanoConfig, build_nano, load_nano
from annotator.engine.sam2_backend import Sam2Segmenter
from annotator.train import base
from annotator.train.base import BaseTrainer, Progress, Stage, TrainSettings, decode_with_pe, prefetched, run_training
from annotator.train.data import Window, WindowSampler, read_coco_sets
from annotator.train.losses import hard_iou, mask_loss
from annotator.train.precision import mixed_precision
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
    stop = threading.Event()
    try:
        return list(islice(prefetched(sampler, 2, seed=seed, stop=stop), count))
    finally:
        stop.set()


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
    with pytest.raises(Exception, match=r"gone\.png"):
        next(prefetched(sampler, 1, seed=0, stop=threading.Event()))


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
    base.save_state(whole, tmp_path / "run.state")
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


def test_mixed_precision_on_a_cpu_is_bf16_without_the_fused_attention() -> None:
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
    lines: list[Progress] = []
    base._run_phase(
        trainer,
        out=tmp_path / "out.safetensors",
        state_path=tmp_path / "run.state",
        log_path=tmp_path / "run.csv",
        report=lines.append,
    )
    assert [line.step for line in lines] == [25, 50]
    assert [(line.loss, line.iou_first, line.iou_last) for line in lines] == [(2.0, 0.5, 0.75)] * 2


def test_a_whole_run_writes_weights_state_and_log(root: Path, tmp_path: Path) -> None:
    settings = replace(
        SETTINGS, minutes=0.05, stages=(Stage(0.6, 64, 2), Stage(0.4, 128, 2)), state_minutes=0.02, export_minutes=0.02
    )
    out, state_path = tmp_path / "nano.safetensors", tmp_path / "nano.state"
    arguments: dict[str, Any] = {"roots": [root], "out": out, "state_path": state_path, "config": TINY, "device": CPU}
    assert run_training(**arguments, settings=settings, report=lambda _line: None) == out
    first = torch.load(state_path, weights_only=True)
    _model, config, metadata = load_nano(out)
    assert config == TINY
    assert metadata["sets"] == "ellipses"
    assert metadata["steps"] == str(first["step"])
    assert first["seconds"] >= 3.0
    # Longer on: goes on where it ended instead of starting again.
    run_training(**arguments, settings=replace(settings, minutes=0.08), report=lambda _line: None)
    assert torch.load(state_path, weights_only=True)["step"] > first["step"]
    if (tmp_path / "nano.csv").exists():
        with (tmp_path / "nano.csv").open(encoding="utf-8") as file:
            steps = [int(float(row["step"])) for row in csv.DictReader(file)]
        assert steps == sorted(set(steps))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_state_is_resumed_on_a_gpu(root: Path, tmp_path: Path) -> None:
    device = torch.device("cuda")
    trainer = BaseTrainer(config=TINY, settings=SETTINGS, images=read_coco_sets([root]), device=device)
    base.save_state(trainer, tmp_path / "run.state")
    trainer.load_state(torch.load(tmp_path / "run.state", map_location=device, weights_only=True))
