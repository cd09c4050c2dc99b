"""The parts of a training recipe that can be set: each of them does what it says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from annotator.domain.mask import Mask
from annotator.engine.sam2.dense_prompt import DECAY_CELLS, draw_prompts
from annotator.train.base import GRADED_ROUNDS, BaseTrainer
from annotator.train.data.looks import colour_jitter
from annotator.train.data.windows import TrainingImage, WindowRecipe, WindowSampler, read_coco_sets
from annotator.train.steps.decoding import decode_prompts, encode_windows
from annotator.train.steps.losses import LossWeights, mask_loss, outline, teacher_loss
from annotator.train.steps.prompts import click_inside
from tests.unit.train.scenes import write_set
from tests.unit.train.test_base import CPU, SETTINGS, TINY, trainer_of, windows_of


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_set(tmp_path_factory.mktemp("sets") / "ellipses")


def square(side: int = 8) -> torch.Tensor:
    target = torch.zeros(1, 1, side, side)
    target[..., 2:6, 2:6] = 1
    return target


def test_the_outline_is_a_cell_on_both_sides_of_every_edge() -> None:
    found = outline(square())[0, 0]
    assert found[3:5, 3:5].sum() == 0
    assert found.sum() == 36 - 4
    assert outline(torch.ones(1, 1, 4, 4)).sum() == 0  # the window's edge is no outline


def test_an_error_at_the_outline_counts_more_where_that_is_asked() -> None:
    target = square()
    right = (target * 2 - 1) * 6
    at_edge, far = right.clone(), right.clone()
    at_edge[..., 2, 2] *= -1
    far[..., 0, 0] *= -1
    weights = LossWeights(edge=3.0)
    plain_difference = mask_loss(at_edge, target) - mask_loss(far, target)
    difference = mask_loss(at_edge, target, weights) - mask_loss(far, target, weights)
    assert float(difference) > float(plain_difference) + 0.1
    assert float(mask_loss(at_edge, target, LossWeights(0, 0, 0))) == 0.0
    parts = [LossWeights(2, 0, 0), LossWeights(0, 5, 0), LossWeights(0, 0, 1)]
    total = sum(float(mask_loss(at_edge, target, part)) for part in parts)
    assert total == pytest.approx(float(mask_loss(at_edge, target)), rel=1e-5)


def test_a_teachers_answer_is_the_best_answer() -> None:
    teacher = torch.randn(2, 4, 8, 8)
    student = teacher.clone().requires_grad_()
    teacher_loss(student, teacher).backward()  # type: ignore[no-untyped-call]
    assert student.grad is not None
    assert float(student.grad.abs().max()) < 1e-7
    assert float(teacher_loss(-teacher, teacher)) > float(teacher_loss(teacher, teacher))


def test_a_student_comes_closer_to_its_teacher(root: Path) -> None:
    """Same seed, same windows: with a teacher the answers are more like the teacher's."""
    torch.manual_seed(7)
    teacher = trainer_of(root, replace(SETTINGS, seed=7)).model.eval()
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    distances = []
    for given in (None, (teacher, TINY)):
        trainer = BaseTrainer(
            config=TINY,
            settings=replace(SETTINGS, round_shares=(1.0,), teacher_weight=20.0),
            images=read_coco_sets([root]),
            device=CPU,
            teacher=given,
        )
        trainer.model.train()
        batch = windows_of(trainer, 1)[0]
        for _ in range(10):
            trainer.train_step(batch)
        with torch.no_grad():
            targets = np.concatenate([w.targets for w in batch])
            image = torch.from_numpy(np.stack([w.image for w in batch])).permute(0, 3, 1, 2)
            owner = torch.tensor([i for i, w in enumerate(batch) for _ in w.targets])
            thumbnail = torch.nn.functional.avg_pool2d(image, 4)[owner]
            prompts = [[(32.0, 32.0, 1)] for _ in targets]
            answers = []
            for model in (trainer.model, teacher):
                features = [f[owner] for f in encode_windows(model, image)]
                answers.append(decode_prompts(model, TINY, features, prompts, thumbnail, None)[0])
        distances.append(float((answers[0].sigmoid() - answers[1].sigmoid()).abs().mean()))
    assert distances[1] < distances[0]
    for name, value in teacher.state_dict().items():
        assert torch.equal(value, before[name])


@pytest.mark.parametrize("rounds", [1, 3, 6])
def test_rounds_are_as_many_as_asked(root: Path, monkeypatch: pytest.MonkeyPatch, rounds: int) -> None:
    trainer = trainer_of(root, replace(SETTINGS, round_shares=(0.0,) * (rounds - 1) + (1.0,)))
    calls = []
    decode = trainer._decode
    monkeypatch.setattr(trainer, "_decode", lambda *args: calls.append(args) or decode(*args))
    trainer.model.train()
    trainer.train_step(windows_of(trainer, 1)[0])
    assert len(calls) == rounds


def test_a_flat_learning_rate_falls_at_the_end_alone(root: Path) -> None:
    trainer = trainer_of(root, replace(SETTINGS, schedule="flat"))
    trainer.step = 100
    rates = []
    for share in (0.1, 0.5, 0.8, 0.9, 1.0):
        trainer.seconds = share * 300
        rates.append(trainer.learning_rate() / SETTINGS.learning_rate)
    assert rates == pytest.approx([1.0, 1.0, 1.0, 0.505, 0.005])


@pytest.mark.parametrize(("share", "expected"), [(0.0, False), (1.0, True)])
def test_windows_lose_their_colour_or_keep_it(tmp_path: Path, share: float, expected: bool) -> None:
    path = tmp_path / "noise.png"
    cv2.imwrite(str(path), np.random.default_rng(1).integers(0, 255, (96, 96, 3)).astype(np.uint8))
    bits = np.zeros((96, 96), np.bool_)
    bits[30:70, 30:70] = True
    sampler = WindowSampler(
        [TrainingImage(path, "noise", (Mask.from_full(bits),))],
        window_px=64,
        objects=1,
        recipe=WindowRecipe(grey_share=share, pasted_share=0.0),
    )
    rng = np.random.default_rng(0)
    alike = []
    for _ in range(12):
        red, green = sampler.draw(rng, np.ones(1)).image.reshape(-1, 3)[:, :2].T
        alike.append(bool(abs(np.corrcoef(red, green)[0, 1]) > 0.7))  # a tint or a little noise may come on top
    assert alike.count(expected) >= 11


def test_sets_can_be_drawn_by_size_alone(tmp_path: Path) -> None:
    roots = [write_set(tmp_path / name, images=4, seed=seed) for seed, name in enumerate(("a", "b"))]
    sampler = WindowSampler(read_coco_sets(roots), window_px=64, objects=2, recipe=WindowRecipe(hard_sets=0.0))
    assert sampler.set_weights({"a": 0.9, "b": 0.1}).tolist() == [0.5, 0.5]


def test_clicks_go_to_the_deepest_part_as_often_as_asked() -> None:
    region = np.zeros((64, 64), np.bool_)
    region[8:56, 8:56] = True
    rng = np.random.default_rng(0)
    for share, expected in ((1.0, 1.0), (0.0, 0.2)):
        points = [click_inside(region, 1, rng, cell_px=1.0, deepest_share=share) for _ in range(200)]
        central = sum(abs(x - 32) < 5 and abs(y - 32) < 5 for x, y, _ in points) / 200
        assert central == pytest.approx(expected, abs=0.2)


def test_plain_prompts_know_nothing_of_colour() -> None:
    points, labels = torch.tensor([[[34.0, 34.0], [98.0, 34.0]]]), torch.tensor([[1, 0]])
    one, other = torch.rand(1, 3, 32, 32), torch.rand(1, 3, 32, 32)
    for kind in ("discs-1", "distances-1"):
        drawn = draw_prompts(kind, points, labels, one)
        assert torch.equal(drawn, draw_prompts(kind, points, labels, other))
        assert drawn.shape == (1, 1, 32, 32)
        assert drawn[0, 0, 8, 8] > 1 > -4 > drawn[0, 0, 8, 24]
    far = points + 4 * (DECAY_CELLS + 20)
    assert torch.equal(draw_prompts("distances-1", far, labels, one), torch.full((1, 1, 32, 32), -1.5))
    disc, distance = (draw_prompts(kind, points, labels, one)[0, 0] for kind in ("discs-1", "distances-1"))
    assert disc[20, 8] == pytest.approx(-1.5, abs=1e-3)
    assert distance[20, 8] > 0


def test_plain_prompts_go_on_from_what_there_is() -> None:
    previous = torch.full((1, 1, 32, 32), 5.0)
    nothing = torch.zeros(1, 1, 2), torch.tensor([[-1]])
    for kind in ("discs-1", "distances-1"):
        assert torch.equal(draw_prompts(kind, *nothing, torch.rand(1, 3, 32, 32), previous), previous)


def test_rounds_before_the_last_four_only_lead_there(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = trainer_of(root, replace(SETTINGS, round_shares=(0.0,) * 6 + (1.0,)))
    graded = []
    decode = trainer._decode
    monkeypatch.setattr(trainer, "_decode", lambda *args: graded.append(torch.is_grad_enabled()) or decode(*args))
    trainer.model.train()
    trainer.train_step(windows_of(trainer, 1)[0])
    assert graded == [False] * 3 + [True] * GRADED_ROUNDS


def test_the_end_of_a_run_has_its_own_rounds(root: Path) -> None:
    trainer = trainer_of(
        root, replace(SETTINGS, late_share=0.25, round_shares=(1.0,), late_round_shares=(0.0, 0.0, 1.0))
    )
    counts = []
    for share in (0.0, 0.7, 0.8, 1.0):
        trainer.seconds = share * 300
        counts.append(trainer._round_count())
    assert counts == [1, 1, 3, 3]


def test_a_trunk_is_frozen_first_and_then_learns_at_its_own_rate(root: Path) -> None:
    trainer = trainer_of(root, replace(SETTINGS, trunk_rate=0.1, frozen_share=0.5, weight_decay=0.0, warmup_steps=1))
    trainer.model.train()
    batch = windows_of(trainer, 1)[0]
    weights = {name: value.clone() for name, value in trainer.model.named_parameters()}

    def moved(part: str) -> float:
        now = dict(trainer.model.named_parameters())
        return max(float((now[n] - w).detach().abs().max()) for n, w in weights.items() if part in n)

    trainer.train_step(batch)
    assert moved(".trunk.") == 0.0
    assert moved(".neck.") > 0
    trainer.seconds = 0.6 * 300
    trainer.train_step(batch)
    assert 0 < moved(".trunk.") < 0.2 * moved(".neck.")
    assert [group["lr"] for group in trainer.optimizer.param_groups] == pytest.approx(
        [trainer.learning_rate(), 0.1 * trainer.learning_rate()]
    )


def test_sets_are_drawn_as_many_times_as_often_as_asked(tmp_path: Path) -> None:
    roots = [write_set(tmp_path / name, images=4, seed=seed) for seed, name in enumerate(("a", "b"))]
    recipe = WindowRecipe(set_factors=(("b", 3.0),))
    sampler = WindowSampler(read_coco_sets(roots), window_px=64, objects=2, recipe=recipe)
    assert sampler.set_weights({}).tolist() == pytest.approx([0.25, 0.75])


def test_grey_windows_show_a_part_of_the_grey_values_or_little_contrast() -> None:
    ramp = np.repeat(np.tile(np.arange(256, dtype=np.uint8), (8, 1))[..., None], 3, 2)
    rng = np.random.default_rng(0)
    spread = [colour_jitter(ramp, rng, 1.0, grey_window_share=share) for share in (0.0, 1.0) for _ in range(400)]
    at_an_end = [float(np.mean((image <= 0) | (image >= 1))) for image in spread]
    contrast = [float(np.ptp(np.quantile(image, (0.1, 0.9)))) for image in spread]
    assert np.mean(at_an_end[400:]) > np.mean(at_an_end[:400]) + 0.03
    assert sum(c < 0.45 for c in contrast[400:]) > sum(c < 0.45 for c in contrast[:400]) + 40
